//! What changes in a shard's control is said in one place.

use crate::policy::Phase;
use crate::policy::admission::Admission;
use crate::turn::{Cx, Shard};

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A breaker.
    Breaker { name: Box<str>, phase: Phase },
    /// Who may come in.
    Admission { from: Admission, to: Admission },
    /// What is shed.
    Shedding { level: u8 },
    /// A pool has no connection for somebody who wants one, and had.
    PoolExhausted { upstream: Box<str> },
}

impl Shard {
    /// Says what has changed.
    pub(crate) fn say(&mut self, _news: News, _cx: &mut Cx<'_>) {}
}
