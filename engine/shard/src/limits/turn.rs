//! What one turn does of what may be much.

/// Bounds of a turn. What is left over goes on in the next one, and whoever else wants something is served between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Deliveries of topics: sends to subscribers, and one more for each 16 KiB that one takes. Default 1,024.
    pub deliveries_max: usize,
    /// Lines of batches. Default 512.
    pub lines_max: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Turn { deliveries_max: 1_024, lines_max: 512 }
    }
}
