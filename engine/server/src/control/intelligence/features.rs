//! What features cost: what the shards have timed, with what the timing itself takes subtracted.

use std::time::Duration;

use serde::Serialize;
use weir_shard::metrics::{Cost, Costs, Feature};

/// How it is measured, for whoever reads the figures.
const METHOD: &str = "One turn of every intelligence.timed_turns is timed: the clock is read before and after each piece \
    of a feature's work. What reading it takes is measured in the same turns and subtracted. A share is of the time of \
    these turns, from the first letter to the last operation; what the kernel then does is not in it.";

/// What all features cost.
#[derive(Debug, Serialize)]
pub(super) struct Bill {
    method: &'static str,
    /// Turns that were timed.
    turns: u64,
    /// What such a turn takes.
    turn_ns: Option<f64>,
    /// What timing one piece takes.
    clock_ns: Option<f64>,
    features: Vec<Item>,
}

/// What one feature costs. Without a piece of work in the timed turns nothing is known but that.
#[derive(Debug, Serialize)]
pub(in crate::control) struct Item {
    pub(in crate::control) feature: &'static str,
    /// Pieces of its work that were timed.
    pieces: u64,
    ns_per_piece: Option<f64>,
    /// Of that.
    standard_error_ns: Option<f64>,
    /// Of all time of the timed turns, 0 to 1.
    share: Option<f64>,
}

impl Bill {
    /// What `costs` come to.
    pub(super) fn of(costs: &Costs) -> Bill {
        let clock = costs.clock.mean().map(|(nanos, _)| nanos);
        let own = clock.unwrap_or(0.0);
        // Beside the reading that is in a piece's own time, another is in the turn's.
        let pieces: u64 = costs.features.iter().map(|cost| cost.pieces).sum();
        let timing = 2.0 * own * (pieces + costs.clock.pieces) as f64;
        let net = costs.nanos as f64 - timing;
        let item = |(feature, cost): (Feature, &Cost)| {
            let mean = cost.mean().map(|(nanos, error)| ((nanos - own).max(0.0), error));
            let all = mean.map_or(0.0, |(nanos, _)| nanos * cost.pieces as f64);
            Item {
                feature: feature.name(),
                pieces: cost.pieces,
                ns_per_piece: mean.map(|(nanos, _)| nanos),
                standard_error_ns: mean.map(|(_, error)| error),
                share: (net > 0.0).then(|| all / net),
            }
        };
        Bill {
            method: METHOD,
            turns: costs.turns,
            turn_ns: (costs.turns > 0).then(|| net / costs.turns as f64),
            clock_ns: clock,
            features: Feature::ALL.into_iter().zip(&costs.features).map(item).collect(),
        }
    }

    /// All items; then that of timing, which is one turn of `every`, and that of what the control thread does each
    /// `interval`.
    pub(super) fn items(self, costs: &Costs, every: u32, looks: &Cost, interval: Duration) -> Vec<Item> {
        let clock = self.clock_ns.unwrap_or(0.0);
        let pieces: u64 = costs.features.iter().map(|cost| cost.pieces).sum::<u64>() + costs.clock.pieces;
        let per_turn = (costs.turns > 0).then(|| 2.0 * clock * pieces as f64 / costs.turns as f64);
        let share = per_turn.zip(self.turn_ns).map(|(taken, turn)| taken / turn / f64::from(every.max(1)));
        let timing = Item {
            feature: "timing",
            pieces,
            ns_per_piece: costs.clock.mean().map(|(nanos, _)| nanos),
            standard_error_ns: costs.clock.mean().map(|(_, error)| error),
            share,
        };
        let look = looks.mean();
        let intelligence = Item {
            feature: "intelligence",
            pieces: looks.pieces,
            ns_per_piece: look.map(|(nanos, _)| nanos),
            standard_error_ns: look.map(|(_, error)| error),
            share: look.map(|(nanos, _)| nanos / interval.as_nanos() as f64),
        };
        self.features.into_iter().chain([timing, intelligence]).collect()
    }

    /// The share of each feature, where it is known.
    pub(super) fn shares(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.features.iter().filter_map(|item| Some((item.feature, item.share?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_s_own_time_is_nobody_s() {
        let mut costs = Costs { turns: 10, nanos: 12_800, ..Costs::default() };
        costs.clock = Cost { pieces: 10, nanos: 400, squares: 16_000.0 };
        costs.features[Feature::Rules as usize] = Cost { pieces: 10, nanos: 2_400, squares: 576_000.0 };
        let bill = Bill::of(&costs);
        // 20 pieces of 40 ns, twice.
        assert_eq!((bill.turns, bill.turn_ns, bill.clock_ns), (10, Some(1_120.0), Some(40.0)));
        let rules = &bill.features[Feature::Rules as usize];
        assert_eq!((rules.pieces, rules.ns_per_piece), (10, Some(200.0)));
        assert!(rules.share.is_some_and(|share| (share - 2_000.0 / 11_200.0).abs() < 1e-9));
        let tls = &bill.features[Feature::Tls as usize];
        assert_eq!((tls.pieces, tls.ns_per_piece, tls.share), (0, None, Some(0.0)));
        assert!(Bill::of(&Costs::default()).features.iter().all(|item| item.share.is_none()));
    }
}
