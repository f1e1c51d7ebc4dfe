//! What hurts on the shards and stops: said once when it begins, and once when it has been over for a while, with the
//! time it took. In between it may come and go as often as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use weir_ring::time::Wall;
use weir_shard::vsm::{Cause, Feeling, Signal, Source};

/// How long a pain must be over before that is said.
const CALM: Duration = Duration::from_secs(10);

/// What hurts, and was said to.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<Cause, State>);

#[derive(Debug)]
struct State {
    /// Who feels it.
    sources: BTreeSet<Source>,
    since: Instant,
    /// When the last of them was rid of it, and which that was.
    over: Option<(Instant, Source)>,
}

impl Troubles {
    /// Somebody feels something, or does not any more: what is to be said of it.
    pub(super) fn note(&mut self, signal: Signal, now: Instant) -> Option<Signal> {
        let Signal { source, signal: feeling, ref cause, .. } = signal;
        if feeling == Feeling::Pleasure {
            let state = self.0.get_mut(cause)?;
            if state.sources.remove(&source) && state.sources.is_empty() {
                state.over = Some((now, source));
            }
            return None;
        }
        let known = self.0.contains_key(cause);
        let fresh = || State { sources: BTreeSet::new(), since: now, over: None };
        let state = self.0.entry(cause.clone()).or_insert_with(fresh);
        state.sources.insert(source);
        state.over = None;
        (!known).then_some(signal)
    }

    /// Those that have been over for long enough; they are forgotten.
    pub(super) fn settle(&mut self, now: Instant, at: Wall) -> Vec<Signal> {
        let mut settled = Vec::new();
        self.0.retain(|cause, state| {
            let Some((over, source)) = state.over.filter(|(over, _)| now.duration_since(*over) >= CALM)
            else {
                return true;
            };
            let recovery_time_ms = Some(over.duration_since(state.since).as_millis() as u64);
            let (signal, cause) = (Feeling::Pleasure, cause.clone());
            settled.push(Signal { at, source, signal, cause, recovery_time_ms });
            false
        });
        settled
    }
}

/// Writes a signal to the log.
pub(super) fn log(signal: &Signal) {
    let message = signal.cause.message(signal.signal);
    match signal.signal {
        Feeling::Pain => warn!("{message}. {}", signal.suggested_action()),
        Feeling::Pleasure => info!("{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feel(source: Source, signal: Feeling, cause: Cause) -> Signal {
        Signal { at: Wall(0), source, signal, cause, recovery_time_ms: None }
    }

    #[test]
    fn a_pain_is_said_once_however_often_it_comes_and_goes_and_its_end_says_how_long_it_was() {
        let mut troubles = Troubles::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (one, other) = (Source::Shard(0), Source::Shard(1));
        let mut note = |source, signal, seconds| {
            let signal = feel(source, signal, Cause::Storage);
            let said = troubles.note(signal.clone(), at(seconds));
            assert_eq!(troubles.settle(at(seconds), Wall(0)), []);
            said.inspect(|said| assert_eq!(*said, signal)).is_some()
        };
        assert!(note(one, Feeling::Pain, 0));
        for second in 1..=100 {
            let feeling = if second % 2 == 0 { Feeling::Pain } else { Feeling::Pleasure };
            assert!(!note(one, feeling, second));
        }
        assert!(!note(other, Feeling::Pain, 100), "the same on another shard");
        assert!(!note(other, Feeling::Pleasure, 101), "the first shard has it still");
        assert!(!note(one, Feeling::Pleasure, 200));
        assert_eq!(troubles.settle(at(209), Wall(0)), []);
        let over = Signal { recovery_time_ms: Some(200_000), ..feel(one, Feeling::Pleasure, Cause::Storage) };
        assert_eq!(troubles.settle(at(210), Wall(0)), [over]);
        assert_eq!(troubles.settle(at(300), Wall(0)), []);
        assert!(troubles.note(feel(one, Feeling::Pain, Cause::Storage), at(301)).is_some(), "a new one");
    }

    #[test]
    fn troubles_do_not_mix() {
        let mut troubles = Troubles::default();
        let (now, shard) = (Instant::now(), Source::Shard(0));
        assert!(troubles.note(feel(shard, Feeling::Pain, Cause::Breaker("a".into())), now).is_some());
        assert!(troubles.note(feel(shard, Feeling::Pain, Cause::Breaker("b".into())), now).is_some());
        assert!(troubles.note(feel(shard, Feeling::Pleasure, Cause::Breaker("a".into())), now).is_none());
        let over = troubles.settle(now + CALM, Wall(0));
        assert_eq!(
            over.into_iter().map(|signal| signal.cause).collect::<Vec<_>>(),
            [Cause::Breaker("a".into())]
        );
    }
}
