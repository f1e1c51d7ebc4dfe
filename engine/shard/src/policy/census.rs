//! The sum of an address's connections over all shards, kept by the address's home: each shard tells what has
//! changed with it, and the home tells all shards when the sum reaches the bound and when it is below again. A
//! sum may pass the bound by what other shards let in while a letter is under way.

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::Source;

/// The addresses whose home this shard is.
#[derive(Debug)]
pub struct Census {
    sums: HashMap<Source, Sum, FixedState>,
    changed: Vec<Source>,
}

#[derive(Debug, Default)]
struct Sum {
    connections: u32,
    /// The shards were told that it is at the bound.
    full: bool,
}

impl Census {
    /// None yet. `seed` keeps the table's order out of an attacker's reach.
    pub fn new(seed: u64) -> Census {
        Census { sums: HashMap::with_hasher(FixedState::with_seed(seed)), changed: Vec::new() }
    }

    /// A shard has `change` connections from `source` more than it said before.
    pub fn count(&mut self, source: Source, change: i32) {
        let sum = self.sums.entry(source).or_default();
        sum.connections = sum.connections.saturating_add_signed(change);
        self.changed.push(source);
    }

    /// The bound has changed: `news` has to look at every address.
    pub fn recount(&mut self) {
        self.changed = self.sums.keys().copied().collect();
    }

    /// Which addresses came to the bound `max` (true), or fell below it, since this was asked last. For all shards.
    pub fn news(&mut self, max: u32) -> Vec<(Source, bool)> {
        let mut news = Vec::new();
        for source in self.changed.drain(..) {
            let Some(sum) = self.sums.get_mut(&source) else { continue };
            let full = sum.connections >= max;
            if full != sum.full {
                sum.full = full;
                news.push((source, full));
            }
            if sum.connections == 0 {
                self.sums.remove(&source);
            }
        }
        news
    }

    /// Whether `news` may have something to tell.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Connections of all shards together, of the addresses counted here.
    pub fn connections(&self) -> u64 {
        self.sums.values().map(|sum| u64::from(sum.connections)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_told_once_when_it_is_reached_and_once_when_it_is_left() {
        let (mut census, a, b) = (Census::new(7), Source::V4(1), Source::V6(1));
        census.count(a, 2);
        census.count(b, 1);
        assert_eq!(census.news(3), []);
        census.count(a, 1);
        assert_eq!(census.news(3), [(a, true)]);
        census.count(a, 2);
        assert_eq!(census.news(3), []);
        census.count(a, -3);
        census.count(a, 1);
        census.count(b, 2);
        assert_eq!(census.news(3), [(b, true)], "what went and came within a turn is no news");
        census.count(a, -1);
        assert_eq!(census.news(3), [(a, false)]);
        census.count(a, -2);
        census.count(b, -3);
        assert_eq!(census.news(3), [(b, false)]);
        assert_eq!((census.sums.len(), census.connections()), (0, 0));
    }
}
