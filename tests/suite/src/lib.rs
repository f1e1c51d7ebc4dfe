//! What the suites over the whole repository need: its files, and a reading of Rust text that is just
//! good enough to hold rules about names, sizes and layers.

pub mod code;
pub mod path;
pub mod repository;
