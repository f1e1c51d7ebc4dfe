//! Weir: an MCP and real-time gateway for Linux servers.

fn main() {}
