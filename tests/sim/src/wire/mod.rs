//! The agents' side of the wire, written apart from the codecs under test: small, strict, and slow
//! where that is simpler.

pub mod http;
pub mod phoenix;
pub mod request;
pub mod sse;
pub mod websocket;
