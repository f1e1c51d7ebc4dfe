//! Server-sent events (WHATWG HTML section 9.2): the encoder of streams and the decoder of a client.

mod decode;
mod encode;

pub use decode::{DecodeError, Decoder, Event, Limits};
pub use encode::{comment, event, retry};
