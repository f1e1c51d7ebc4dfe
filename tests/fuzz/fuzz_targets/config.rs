#![no_main]
//! A file is taken or refused with reasons, and what is taken can be divided among shards.

use std::path::Path;

// The server's own files, of which a target calls one function.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../engine/server/src/config/mod.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|data: &str| {
    // Hosts of upstreams would be looked up, and devices read as files with keys.
    if ["://", "/dev/"].iter().any(|part| data.contains(part)) {
        return;
    }
    match config::read(Path::new("weir.toml"), data, &[], &[]) {
        Ok(found) => assert!(found.settings.shard(3, 128, 2).shards == 3),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
