//! Priorities: each is a stream of its own.

/// One priority of a client's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Before everything else.
    Urgent,
    /// Before what is usual.
    High,
    /// What has no other priority.
    #[default]
    Normal,
    /// After everything else.
    Low,
}

impl Lane {
    /// All of them, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Urgent, Lane::High, Lane::Normal, Lane::Low];
}
