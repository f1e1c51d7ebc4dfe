//! The clients' side: connections, what they speak, and what is sent to them.

mod acknowledge;
mod connection;
mod dead_letters;
mod drain;
mod egress;
mod endpoint;
mod exchange;
mod failover;
mod fan_out;
mod gateway;
mod gather;
mod hand_over;
mod letters;
mod lifecycle;
mod mcp;
mod opening;
mod phoenix;
mod presence;
mod publish;
mod pull;
mod reply;
mod request;
mod retry;
mod rpc;
mod sending;
mod sse;
mod stream;
mod topic;
mod watch;
mod websocket;
mod writing;

pub use connection::Parcel;
pub(crate) use connection::{Connection, Stage, Watch};
pub(crate) use hand_over::Arrivals;
pub(crate) use lifecycle::WRITE_STALL;
pub(crate) use mcp::{McpStreams, Serving};
