//! What an operator sets by hand, for a while: then what happens decides again.

use std::time::Duration;

use weir_ring::time::Instant;

use crate::downstream::control::breakers::Circuit;
use crate::policy::Hold;
use crate::policy::admission::Admission;
use crate::turn::{Cx, Shard};

/// A lever that is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Which, and to where.
    pub what: Lever,
    /// For how long.
    pub lasts: Duration,
}

/// What can be set by hand. `None`: what happens decides again at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lever {
    /// A breaker, by its name: a transport's, the router's, or an upstream's.
    Breaker(Box<str>, Option<Hold>),
    /// Who may come in.
    Admission(Option<Admission>),
    /// The level of shedding, at most 3.
    Shedding(Option<u8>),
    /// The connections that an upstream's pool may keep on one shard, or its children there; at least 1.
    PoolSize(Box<str>, Option<u32>),
    /// An upstream's share of what all pools may have together; at least 1.
    PoolWeight(Box<str>, Option<u32>),
}

impl Shard {
    /// An operator moves a lever. What is named and is not there changes nothing.
    pub(crate) fn override_by_hand(&mut self, by_hand: Override, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        let until = now.plus(by_hand.lasts);
        match by_hand.what {
            Lever::Breaker(name, to) => self.hold_breaker(&name, to.map(|to| (to, until)), cx),
            Lever::Admission(to) => self.control.door.hold(to.map(|to| (to, until))),
            Lever::Shedding(to) => self.control.shedding.hold(to.map(|to| (to.min(3), until))),
            Lever::PoolSize(name, to) => self.hold_pool(&name, |server| &mut server.size, to, until),
            Lever::PoolWeight(name, to) => self.hold_pool(&name, |server| &mut server.weight, to, until),
        }
        self.serve_queues(cx);
        self.regulate(cx);
    }

    fn hold_breaker(&mut self, name: &str, to: Option<(Hold, Instant)>, cx: &mut Cx<'_>) {
        match Circuit::ALL.into_iter().find(|circuit| circuit.name() == name) {
            Some(circuit) => {
                self.control.breaker_mut(circuit).hold(to);
                self.circuit_news(circuit, cx);
            }
            None => self.hold_upstream_breaker(name, to, cx),
        }
    }
}
