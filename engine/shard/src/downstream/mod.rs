//! The clients' side: connections, what they speak, and what is sent to them.

mod connection;
mod drain;
mod egress;
mod endpoint;
mod exchange;
mod failover;
mod gateway;
mod gather;
mod hand_over;
mod letters;
mod lifecycle;
mod longpoll;
mod mcp;
mod opening;
mod phoenix;
mod poll;
mod presence;
mod publish;
mod pull;
mod reply;
mod request;
mod rpc;
mod sending;
mod serialize;
mod sse;
mod stream;
mod topic;
mod watch;
mod websocket;

pub use connection::Parcel;
pub(crate) use connection::{Connection, Stage, Watch};
pub(crate) use hand_over::Arrivals;
pub(crate) use lifecycle::WRITE_STALL;
pub use longpoll::PollLetter;
pub(crate) use mcp::{McpStreams, Serving};
pub(crate) use poll::Polls;
