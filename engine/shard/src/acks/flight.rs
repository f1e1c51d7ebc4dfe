//! One message on its way to a client that acknowledges, and the time as its retries count it.

use weir_ring::time::Instant;

use crate::limits::Delivery;
use crate::policy::routing::Carrier;

/// A client's own time: it stands still while the client is away, so that nothing is given up for the
/// network's sake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Nanoseconds the client was away so far.
    away: u64,
    /// Since when it is away.
    stopped: Option<Instant>,
}

impl Clock {
    /// The client's time.
    pub(crate) fn read(&self, now: Instant) -> Instant {
        Instant(self.stopped.unwrap_or(now).0.saturating_sub(self.away))
    }

    /// When its time will be `at`; `None` while it stands still.
    pub(crate) fn instant(&self, at: Instant) -> Option<Instant> {
        self.stopped.is_none().then_some(Instant(at.0.saturating_add(self.away)))
    }

    /// Whether the client is here.
    pub(crate) fn is_running(&self) -> bool {
        self.stopped.is_none()
    }

    /// The last connection is gone.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.stopped.get_or_insert(now);
    }

    /// A connection is up.
    pub(crate) fn go(&mut self, now: Instant) {
        if let Some(stopped) = self.stopped.take() {
            self.away += now.0.saturating_sub(stopped.0);
        }
    }
}

/// Written, and not yet acknowledged. Times are the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    /// When it was written for the first time.
    pub(crate) since: Instant,
    /// When it is written again, or given up.
    pub(crate) due: Instant,
    /// How often it was written, not counting what a client that comes back asked for.
    pub(crate) attempts: u8,
    /// Kinds of connections it was written to: a bit for each.
    carriers: u8,
}

impl Flight {
    /// The first attempt.
    pub(crate) fn new(carrier: Option<Carrier>, at: Instant, delivery: &Delivery, random: u64) -> Flight {
        let mut flight = Flight { since: at, due: at, attempts: 1, carriers: 0 };
        flight.wait(carrier, at, delivery, random);
        flight
    }

    /// No attempt yet; the first is due.
    pub(crate) fn due(at: Instant) -> Flight {
        Flight { since: at, due: at, attempts: 0, carriers: 0 }
    }

    /// Written once more, or waiting once more: from `at` on it has the time of its attempt.
    pub(crate) fn wait(&mut self, carrier: Option<Carrier>, at: Instant, delivery: &Delivery, random: u64) {
        self.due = at.plus(delivery.wait(self.attempts, random));
        self.carriers |= carrier.map_or(0, bit);
    }

    /// The next attempt.
    pub(crate) fn again(&mut self, carrier: Carrier, at: Instant, delivery: &Delivery, random: u64) {
        self.attempts = self.attempts.saturating_add(1);
        self.wait(Some(carrier), at, delivery, random);
    }

    /// Whether it was written to a connection of this kind.
    pub(crate) fn went_by(&self, carrier: Carrier) -> bool {
        self.carriers & bit(carrier) != 0
    }
}

fn bit(carrier: Carrier) -> u8 {
    1 << carrier as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_away_does_not_count() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(Instant(10)), Instant(10));
        clock.stop(Instant(20));
        clock.stop(Instant(25));
        assert_eq!((clock.read(Instant(90)), clock.instant(Instant(30))), (Instant(20), None));
        clock.go(Instant(100));
        clock.go(Instant(105));
        assert_eq!((clock.read(Instant(110)), clock.instant(Instant(40))), (Instant(30), Some(Instant(120))));
    }
}
