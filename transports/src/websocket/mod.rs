//! WebSocket, the server's side: RFC 6455, and permessage-deflate (RFC 7692) without context takeover.
//!
//! [`handshake`] answers the upgrade; a [`Reader`] per connection turns bytes into messages; the
//! writers append frames to a buffer. What a core's connections share, the caller owns: one
//! [`Scratch`] and one [`Deflater`]. [`client`] is the other end, for the simulator and the benches.

mod assembly;
pub mod client;
pub mod close;
mod deflate;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod write;

pub use close::Violation;
pub use deflate::{DeflateParams, Deflater};
pub use frame::{Opcode, frame_header_len};
pub use message::{Limits, Message, Read, Reader, Scratch};
pub use write::{Deflate, write_close, write_frame, write_message};
