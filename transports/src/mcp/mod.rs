//! The texts of MCP, in every revision from 2024-11-05 to 2026-07-28: what a gateway reads of a message
//! and what it writes in place of it. No state, no clock.
//!
//! A message is opened by `jsonrpc`. What is read here is lent from its text; what is changed is spliced
//! into it, so that arguments and results are passed on to the byte.

pub mod about;
pub mod capabilities;
pub mod code;
pub mod cursor;
pub mod headers;
pub mod hints;
pub mod key;
pub mod list;
mod members;
mod method;
pub mod mrtr;
pub mod names;
pub mod object;
pub mod params;
pub mod show;
pub mod splice;
pub mod uris;
mod version;

pub use method::Method;
pub use params::{DecodeError, Filter, Meta, Params};
pub use version::{Era, LEGACY_NEWEST, SUPPORTED, Version};
