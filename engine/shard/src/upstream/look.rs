//! Deadlines. Alarms are never cancelled: the look decides.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;

use super::errand::{Place, Purpose};
use super::{NEVER, UpstreamFault, UpstreamId};
use crate::turn::{Alarm, Cx, Shard};

/// The shortest time between two looks at all errands.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What an alarm asks to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// All errands: some may be overdue.
    Errands,
    /// A conversation that waits: to begin, or to ask for its stream again.
    Backing(Token),
    /// A replica that is passed over.
    Replica(UpstreamId, u16),
}

impl Shard {
    /// A look at the servers' side.
    pub(crate) fn examine_upstream(&mut self, look: Look, cx: &mut Cx<'_>) {
        match look {
            Look::Errands => self.examine_errands(cx),
            Look::Backing(backing) => self.examine_backing(backing, cx),
            Look::Replica(upstream, target) => self.examine_replica(upstream, target, cx),
        }
    }

    /// Makes sure that errands are looked at by `at`.
    pub(super) fn look_by(&mut self, at: Instant) {
        if at < self.upstream.look_at {
            self.upstream.look_at = at;
            self.alarm(at, Alarm::Upstream(Look::Errands));
        }
    }

    fn examine_errands(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        if now < self.upstream.look_at {
            return;
        }
        self.upstream.look_at = NEVER;
        let mut next = NEVER;
        let mut overdue = Vec::new();
        for (id, errand) in self.upstream.errands.iter() {
            let at = match errand.place {
                Place::Paused(until) => until.min(errand.due),
                Place::Failed(_) => continue,
                Place::Unproved | Place::Waiting | Place::On(_) | Place::Piped(_) => errand.due,
            };
            if at <= now {
                overdue.push(id);
            } else {
                next = next.min(at);
            }
        }
        if next != NEVER {
            self.look_by(next.max(now.plus(LOOK_INTERVAL)));
        }
        for id in overdue {
            self.errand_overdue(id, cx);
        }
    }

    /// An errand's time is up, or its pause is.
    fn errand_overdue(&mut self, id: Token, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        match errand.place {
            Place::Failed(_) => {}
            Place::Unproved => {
                let why = "the authorization server did not answer in time; try again later";
                self.fail_errand(id, UpstreamFault::NoToken(why.into()), cx);
            }
            Place::Waiting => {
                let (upstream, target, _) = errand.seat();
                self.pool_is_exhausted(upstream, cx);
                self.fail_errand(id, UpstreamFault::Overloaded, cx);
                self.sweep_queue(upstream, target);
            }
            Place::Paused(until) if until <= cx.now.mono && cx.now.mono < errand.due => {
                errand.place = Place::Waiting;
                self.dispatch_errand(id, cx);
            }
            Place::Paused(_) => self.fail_errand(id, UpstreamFault::TimedOut, cx),
            Place::Piped(_) if errand.purpose == Purpose::Probe => self.probe_was_ignored(id, cx),
            Place::On(_) | Place::Piped(_) => {
                self.tell_cancelled(id, cx);
                self.time_errand_out(id, cx);
            }
        }
    }

    fn time_errand_out(&mut self, id: Token, cx: &mut Cx<'_>) {
        let place = self.upstream.errands.get(id).map(|errand| errand.place.clone());
        self.fail_errand(id, UpstreamFault::TimedOut, cx);
        if let Some(Place::On(wire)) = place {
            self.close(wire, cx);
        }
    }
}
