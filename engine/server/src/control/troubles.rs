//! What runs out on the shards and comes back: said once when it begins, and once when it has been over for a
//! while. In between it may come and go as often as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use weir_ring::token::Member;
use weir_shard::mail::Trouble;

/// How long a trouble must be over before that is said.
const CALM: Duration = Duration::from_secs(10);

/// What is wrong, and was said to be.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<Trouble, State>);

#[derive(Debug)]
struct State {
    /// The shards that have it.
    shards: BTreeSet<Member>,
    /// When the last of them was rid of it.
    over: Option<Instant>,
}

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Begins,
    IsOver,
}

impl Troubles {
    /// A shard has one, or is rid of it.
    pub(super) fn note(&mut self, from: Member, what: Trouble, on: bool, now: Instant) {
        if let Some(news) = self.change(from, what, on, now) {
            say(what, news);
        }
    }

    /// Time has passed.
    pub(super) fn settle(&mut self, now: Instant) {
        for what in self.ended(now) {
            say(what, News::IsOver);
        }
    }

    fn change(&mut self, from: Member, what: Trouble, on: bool, now: Instant) -> Option<News> {
        if !on {
            let state = self.0.get_mut(&what)?;
            if state.shards.remove(&from) && state.shards.is_empty() {
                state.over = Some(now);
            }
            return None;
        }
        let known = self.0.contains_key(&what);
        let state = self.0.entry(what).or_insert(State { shards: BTreeSet::new(), over: None });
        state.shards.insert(from);
        state.over = None;
        (!known).then_some(News::Begins)
    }

    /// Those that have been over for long enough; they are forgotten.
    fn ended(&mut self, now: Instant) -> Vec<Trouble> {
        let calm = |state: &State| state.over.is_some_and(|over| now.duration_since(over) >= CALM);
        let ended: Vec<Trouble> =
            self.0.iter().filter(|(_, state)| calm(state)).map(|(what, _)| *what).collect();
        self.0.retain(|what, _| !ended.contains(what));
        ended
    }
}

fn say(what: Trouble, news: News) {
    match (what, news) {
        (Trouble::Descriptors, News::Begins) => warn!(
            "no connection can be accepted: the system has no file descriptor or no memory for a socket left; those \
             that are open go on, and accepting is tried again by itself. Raise fs.file-max or RLIMIT_NOFILE"
        ),
        (Trouble::Descriptors, News::IsOver) => info!("connections are accepted again"),
        (Trouble::Connections, News::Begins) => warn!(
            "a shard has as many connections as it may: new ones are answered 503. Raise server.connections_per_shard \
             or RLIMIT_NOFILE, or add shards"
        ),
        (Trouble::Connections, News::IsOver) => info!("there is room for connections again"),
        (Trouble::Storage, News::Begins) => warn!(
            "the disk of the data folder is full or fails: what must be kept is refused with 503, and the disk is \
             tried again every second"
        ),
        (Trouble::Memory, News::Begins) => warn!(
            "more memory is in use than memory.budget: new connections are answered 503, and the oldest messages of \
             the largest streams are dropped, each with a gap. Raise memory.budget, or lower outbox.max_bytes"
        ),
        (Trouble::Memory, News::IsOver) => info!("memory is within memory.budget again"),
        (Trouble::Storage, News::IsOver) => info!("the disk of the data folder takes messages again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_once_however_often_it_comes_and_goes() {
        let mut troubles = Troubles::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (one, other, what) = (Member(0), Member(1), Trouble::Storage);
        assert_eq!(troubles.change(one, what, true, at(0)), Some(News::Begins));
        for second in 1..=100 {
            assert_eq!(troubles.change(one, what, second % 2 == 0, at(second)), None);
            assert_eq!(troubles.ended(at(second)), []);
        }
        assert_eq!(troubles.change(other, what, true, at(100)), None, "the same on another shard");
        assert_eq!(troubles.change(other, what, false, at(101)), None);
        assert_eq!(troubles.ended(at(200)), [], "the first shard has it still");
        assert_eq!(troubles.change(Member(0), what, false, at(200)), None);
        assert_eq!(troubles.ended(at(209)), []);
        assert_eq!(troubles.ended(at(210)), [what]);
        assert_eq!(troubles.ended(at(300)), []);
        assert_eq!(troubles.change(one, what, true, at(301)), Some(News::Begins), "a new one");
    }

    #[test]
    fn troubles_do_not_mix() {
        let mut troubles = Troubles::default();
        let now = Instant::now();
        assert_eq!(troubles.change(Member(0), Trouble::Descriptors, true, now), Some(News::Begins));
        assert_eq!(troubles.change(Member(0), Trouble::Connections, true, now), Some(News::Begins));
        assert_eq!(troubles.change(Member(0), Trouble::Descriptors, false, now), None);
        assert_eq!(troubles.ended(now + CALM), [Trouble::Descriptors]);
    }
}
