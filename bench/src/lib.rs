//! Micro benches, the bare ring as a ceiling, side-by-side runs. Here: what the benches of a shard's turn
//! stand on.

pub mod repeat;
pub mod script;
pub mod world;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
