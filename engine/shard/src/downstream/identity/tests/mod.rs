//! Who may do what, asked of a shard whose world is written by hand.
