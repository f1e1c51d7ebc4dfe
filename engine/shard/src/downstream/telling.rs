//! What the control thread is told: events when the turn ends, and at once what runs out, breaks and comes back.

use weir_ring::op::Errno;
use weir_ring::token::Member;

use crate::mail::Mail;
use crate::policy::Phase;
use crate::turn::{Cx, Shard};
use crate::vsm::{Cause, Event, Feeling, Signal, Source};

/// Accepting failed because the system has run out of something: ENOMEM, ENFILE, EMFILE, ENOBUFS.
const EXHAUSTED: [i32; 4] = [12, 23, 24, 105];

/// Letters that the control thread's queue must still take beside those that may wait, for answers and signals.
const ROOM_RESERVED: u32 = 64;

impl Shard {
    /// Something hurts from now on, or not any more. It goes before all other letters, however full the queue is.
    pub(crate) fn feel(&mut self, cause: Cause, signal: Feeling, cx: &mut Cx<'_>) {
        let hurts = signal == Feeling::Pain;
        if self.pains.contains(&cause) == hurts {
            return;
        }
        match hurts {
            true => self.pains.push(cause.clone()),
            false => self.pains.retain(|other| *other != cause),
        }
        let source = Source::Shard(self.me.0);
        let signal = Signal { at: cx.now.wall, source, signal, cause, recovery_time_ms: None };
        let outbox = &mut cx.post.outbox;
        let first = outbox.iter().position(|(_, letter)| !matches!(letter, Mail::Signal(_)));
        outbox.insert(first.unwrap_or(outbox.len()), (self.control(), Mail::Signal(Box::new(signal))));
    }

    /// Accepting failed: is it for want of descriptors?
    pub(crate) fn accept_trouble(&mut self, errno: Errno, cx: &mut Cx<'_>) {
        if EXHAUSTED.contains(&errno.0) {
            self.feel(Cause::Descriptors, Feeling::Pain, cx);
        }
    }

    /// The circuit breaker of that name is in another phase than it was.
    pub(crate) fn breaker_turned(&mut self, name: &str, phase: Phase, cx: &mut Cx<'_>) {
        self.herald.say(cx.now.wall, || {
            let name = name.into();
            match phase {
                Phase::Open => Event::BreakerOpened { name },
                Phase::HalfOpen => Event::BreakerHalfOpen { name },
                Phase::Closed => Event::BreakerClosed { name },
            }
        });
        match phase {
            Phase::Open => self.feel(Cause::Breaker(name.into()), Feeling::Pain, cx),
            Phase::HalfOpen => {}
            Phase::Closed => self.feel(Cause::Breaker(name.into()), Feeling::Pleasure, cx),
        }
    }

    /// The events of the turn. Nothing waits for them: where the control thread does not keep up, they are counted.
    pub(crate) fn tell_events(&mut self, cx: &mut Cx<'_>) {
        self.herald.count(&self.stats, cx.now);
        if let Some(facts) = self.herald.take(self.control_keeps_up(cx), cx.now.wall) {
            self.send(self.control(), Mail::Events { from: self.me, facts }, cx);
        }
    }

    /// Hands what has gathered for the audit log to the control thread, while that keeps up.
    pub(crate) fn tell_audit(&mut self, cx: &mut Cx<'_>) {
        if self.control_keeps_up(cx) && !self.trail.is_empty() {
            let records = self.trail.take();
            self.send(self.control(), Mail::Audit(records), cx);
        }
    }

    /// The control thread's place in the mesh.
    pub fn control(&self) -> Member {
        Member(self.config.shards)
    }

    /// Whether letters that may wait can be written to the control thread.
    pub(crate) fn control_keeps_up(&self, cx: &Cx<'_>) -> bool {
        cx.post.room.get(usize::from(self.control().0)).is_some_and(|room| *room > ROOM_RESERVED)
    }
}
