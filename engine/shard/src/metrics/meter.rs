//! What features cost. In one turn of many the clock is read before and after each piece of a feature's work; in the
//! others nothing is read. What reading the clock itself takes is measured in the same turns, with nothing between.

use std::time::Duration;

use weir_ring::time::Instant;

/// What may cost something. Pieces of work never contain each other, so that shares add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Checking tokens, keys and tickets.
    Authentication,
    /// Buckets of clients, roles and methods.
    RateLimits,
    /// What network addresses may do.
    NetworkLimits,
    /// The blacklist and suspicion.
    Admission,
    /// Load, admission and shedding.
    LoadControl,
    /// Message rules and injection patterns.
    Rules,
    /// Keys under which something is done once.
    Idempotency,
    /// Writing the log.
    Durability,
    /// Deflating messages.
    Compression,
    /// Payloads that only a client can read.
    Encryption,
    /// Records of TLS.
    Tls,
    /// The audit log.
    Audit,
    /// Events for the bus.
    Events,
    /// Counting how long turns and deliveries take.
    Latency,
    /// Following messages, those of traced clients or all.
    Tracing,
}

/// What one feature has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Pieces of work that were timed.
    pub pieces: u64,
    /// Nanoseconds of all of them, the clock's own included.
    pub nanos: u64,
    /// The sum of their squares: for the error of the mean.
    pub squares: f64,
}

/// What all features have taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Costs {
    /// Turns that were timed.
    pub turns: u64,
    /// Nanoseconds of these turns.
    pub nanos: u64,
    /// Reading the clock twice with nothing between: once in each of these turns.
    pub clock: Cost,
    /// In the order of [`Feature::ALL`].
    pub features: [Cost; Feature::ALL.len()],
}

/// Times features, if it has a clock.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    clock: Option<fn() -> Instant>,
    /// One turn of so many is timed; 0: none.
    every: u32,
    /// Turns until the next one is.
    left: u32,
    /// This turn is timed.
    on: bool,
    costs: Costs,
}

/// When a piece of work began, if it is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(Option<Instant>);

impl Feature {
    /// All there are.
    pub const ALL: [Feature; 15] = [
        Feature::Authentication,
        Feature::RateLimits,
        Feature::NetworkLimits,
        Feature::Admission,
        Feature::LoadControl,
        Feature::Rules,
        Feature::Idempotency,
        Feature::Durability,
        Feature::Compression,
        Feature::Encryption,
        Feature::Tls,
        Feature::Audit,
        Feature::Events,
        Feature::Latency,
        Feature::Tracing,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Authentication => "authentication",
            Feature::RateLimits => "rate_limits",
            Feature::NetworkLimits => "network_limits",
            Feature::Admission => "blacklist_and_suspicion",
            Feature::LoadControl => "load_control",
            Feature::Rules => "message_rules",
            Feature::Idempotency => "idempotency",
            Feature::Durability => "durability",
            Feature::Compression => "compression",
            Feature::Encryption => "encryption",
            Feature::Tls => "tls",
            Feature::Audit => "audit",
            Feature::Events => "events",
            Feature::Latency => "latency",
            Feature::Tracing => "tracing",
        }
    }
}

impl Cost {
    /// One more piece.
    pub fn count(&mut self, took: Duration) {
        let nanos = took.as_nanos() as u64;
        self.pieces += 1;
        self.nanos += nanos;
        self.squares += (nanos as f64).powi(2);
    }

    fn add(&mut self, other: Cost) {
        self.pieces += other.pieces;
        self.nanos += other.nanos;
        self.squares += other.squares;
    }

    /// What one piece takes, nanoseconds, and the standard error of that. None: there was none.
    pub fn mean(&self) -> Option<(f64, f64)> {
        let n = self.pieces as f64;
        (self.pieces > 0).then(|| {
            let mean = self.nanos as f64 / n;
            let variance = (self.squares / n - mean * mean).max(0.0);
            (mean, (variance / n).sqrt())
        })
    }
}

impl Costs {
    /// Adds those of another shard.
    pub fn add(&mut self, other: &Costs) {
        self.turns += other.turns;
        self.nanos += other.nanos;
        self.clock.add(other.clock);
        self.features.iter_mut().zip(&other.features).for_each(|(cost, more)| cost.add(*more));
    }
}

impl Meter {
    /// Times one turn of `every`, by `clock`.
    pub(crate) fn set(&mut self, every: u32, clock: fn() -> Instant) {
        *self = Meter { clock: Some(clock), every, left: every, on: false, costs: Costs::default() };
    }

    /// Times one turn of `every` from now on, if there is a clock; 0: none. What was measured stays.
    pub(crate) fn time_every(&mut self, every: u32) {
        self.every = if self.clock.is_some() { every } else { 0 };
        self.left = self.every;
    }

    /// A turn begins.
    pub(crate) fn turn(&mut self) {
        if self.every == 0 {
            return;
        }
        self.left -= 1;
        if self.left > 0 {
            return;
        }
        (self.left, self.on) = (self.every, true);
        let began = self.begin();
        self.costs.clock.count(self.since(began).unwrap_or_default());
    }

    /// A piece of work begins.
    pub(crate) fn begin(&self) -> Began {
        Began(self.clock.filter(|_| self.on).map(|clock| clock()))
    }

    /// It is done, for this feature.
    pub(crate) fn end(&mut self, feature: Feature, began: Began) {
        if let Some(took) = self.since(began) {
            self.costs.features[feature as usize].count(took);
        }
    }

    fn since(&self, Began(began): Began) -> Option<Duration> {
        let began = began?;
        Some(self.clock?().since(began))
    }

    /// The turn has taken that long, all in all.
    pub(crate) fn took(&mut self, turn: Duration) {
        if std::mem::take(&mut self.on) {
            self.costs.turns += 1;
            self.costs.nanos += turn.as_nanos() as u64;
        }
    }

    /// What was measured so far.
    pub(crate) fn costs(&self) -> &Costs {
        &self.costs
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static TIME: Cell<u64> = const { Cell::new(0) });

    /// Each reading takes 20 ns.
    fn clock() -> Instant {
        Instant(TIME.with(|time| time.replace(time.get() + 20)))
    }

    fn pass(nanos: u64) {
        TIME.with(|time| time.set(time.get() + nanos));
    }

    #[test]
    fn one_turn_of_many_is_timed() {
        let mut meter = Meter::default();
        meter.turn();
        meter.end(Feature::Rules, meter.begin());
        assert_eq!(meter.costs(), &Costs::default(), "without a clock nothing is");
        meter.set(10, clock);
        for turn in 1..=100 {
            meter.turn();
            let began = meter.begin();
            pass(100 + turn % 20);
            meter.end(Feature::Rules, began);
            meter.took(Duration::from_nanos(1_000));
        }
        meter.time_every(0);
        meter.turn();
        meter.time_every(10);
        meter.turn();
        let costs = meter.costs();
        assert_eq!((costs.turns, costs.nanos, costs.clock.pieces), (10, 10_000, 10));
        let rules = costs.features[Feature::Rules as usize];
        assert_eq!((costs.clock.mean().expect("some").0, rules.pieces), (20.0, 10));
        let (mean, error) = rules.mean().expect("some");
        assert_eq!(mean, 125.0, "with the clock's own");
        assert!((1.0..2.5).contains(&error), "{error}: 5 either way, in ten pieces");
        assert_eq!(costs.features[Feature::Tls as usize].mean(), None);
    }

    #[test]
    fn a_turn_that_is_not_timed_reads_no_clock() {
        let mut meter = Meter::default();
        meter.set(10, clock);
        let start = TIME.with(Cell::get);
        meter.turn();
        meter.end(Feature::Rules, meter.begin());
        meter.took(Duration::from_nanos(1_000));
        assert_eq!(TIME.with(Cell::get), start);
    }

    #[test]
    fn features_stand_in_their_own_places() {
        for (place, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature as usize, place);
        }
    }
}
