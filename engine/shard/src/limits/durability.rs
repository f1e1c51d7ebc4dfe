//! Bounds of a shard's log.

/// How much of the log may lie on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durability {
    /// Bytes after which a segment is followed by the next. Default 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of all segments of one shard, at least two of them; beyond, the oldest goes. Default 4 GiB over
    /// all shards.
    pub bytes_max: u64,
}

impl Default for Durability {
    fn default() -> Self {
        Durability { segment_bytes: 64 << 20, bytes_max: 4 << 30 }
    }
}
