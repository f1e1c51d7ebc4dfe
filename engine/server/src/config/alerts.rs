//! What is watched of the gateway, and when the operator is told.

/// Thresholds in percent; 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alerts {
    /// Figures are taken each second and kept for an hour.
    pub(crate) samples: bool,
    /// What is found in them is told.
    pub(crate) enabled: bool,
    /// Of the busiest core.
    pub(crate) cpu: u8,
    /// Of the memory budget.
    pub(crate) memory: u8,
    /// Of the connections that the fullest shard serves.
    pub(crate) connections: u8,
    /// Of the network link, in the busier direction.
    pub(crate) bandwidth: u8,
    /// What the link carries. 0: as the system says.
    pub(crate) link_megabits: u32,
}

impl Default for Alerts {
    fn default() -> Alerts {
        Alerts {
            samples: true,
            enabled: true,
            cpu: 80,
            memory: 85,
            connections: 90,
            bandwidth: 70,
            link_megabits: 0,
        }
    }
}
