//! What a shard has to tell the bus: events of the turn, and what has been counted since it was last said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::{Instant, Now, Wall};

use super::event::{Event, Fact, Opened, Refusals};
use crate::metrics::{Stats, Transport};

/// Events that wait to be taken; more are counted and left out.
const FACTS_MAX: usize = 256;

/// Counters are said no sooner after the last time.
const PAUSE: Duration = Duration::from_millis(100);

/// Events of one shard.
#[derive(Debug)]
pub(crate) struct Herald {
    /// Whether anything is said.
    on: bool,
    facts: Vec<Fact>,
    /// Left out since it was last said.
    dropped: u64,
    /// As it was last said.
    told: Tally,
    /// What rules have refused and reported since it was last said. As many as there are rules at most.
    judged: BTreeMap<Arc<str>, Judged>,
    /// When counters may be said again.
    next: Instant,
}

/// What one rule has done.
#[derive(Clone, Copy, Debug, Default)]
struct Judged {
    denied: u64,
    reported: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    websocket: Opened,
    http_sse: Opened,
    longpoll: Opened,
    refused: Refusals,
}

impl Herald {
    /// One that says nothing unless it is `on`.
    pub(crate) fn new(on: bool) -> Herald {
        Herald {
            on,
            facts: Vec::new(),
            dropped: 0,
            told: Tally::default(),
            judged: BTreeMap::new(),
            next: Instant::default(),
        }
    }

    /// Whether anything is said from now on.
    pub(crate) fn switch(&mut self, on: bool) {
        self.on = on;
    }

    /// Says an event, unless nothing is said or too much is. It costs its place in a list, and nobody waits.
    pub(crate) fn say(&mut self, at: Wall, event: impl FnOnce() -> Event) {
        match self.facts.len() {
            _ if !self.on => {}
            0..FACTS_MAX => self.facts.push(Fact { at, event: event() }),
            _ => self.dropped += 1,
        }
    }

    /// A rule has refused something, or would have.
    pub(crate) fn judged(&mut self, rule: &Arc<str>, refused: bool) {
        if !self.on {
            return;
        }
        let judged = self.judged.entry(Arc::clone(rule)).or_default();
        match refused {
            true => judged.denied += 1,
            false => judged.reported += 1,
        }
    }

    /// Says what was counted, once in a while.
    pub(crate) fn count(&mut self, stats: &Stats, now: Now) {
        let tally = Tally::of(stats);
        if !self.on || now.mono < self.next || tally == self.told && self.judged.is_empty() {
            return;
        }
        let told = std::mem::replace(&mut self.told, tally);
        self.next = now.mono.plus(PAUSE);
        let [websocket, http_sse, longpoll] = [
            tally.websocket.since(told.websocket),
            tally.http_sse.since(told.http_sse),
            tally.longpoll.since(told.longpoll),
        ];
        if [websocket, http_sse, longpoll].iter().any(|of| of.opened > 0 || of.closed > 0) {
            self.say(now.wall, || Event::Connections { websocket, http_sse, longpoll });
        }
        if tally.refused != told.refused {
            self.say(now.wall, || Event::Refused(tally.refused.since(told.refused)));
        }
        for (rule, Judged { denied, reported }) in std::mem::take(&mut self.judged) {
            self.say(now.wall, || Event::Judged { rule: (&*rule).into(), denied, reported });
        }
    }

    /// Everything there is to say, if there is room for it where it goes; then also how much was left out.
    pub(crate) fn take(&mut self, room: bool, at: Wall) -> Option<Vec<Fact>> {
        if !room || (self.facts.is_empty() && self.dropped == 0) {
            return None;
        }
        let mut facts = std::mem::take(&mut self.facts);
        if self.dropped > 0 {
            facts.push(Fact { at, event: Event::Dropped { count: std::mem::take(&mut self.dropped) } });
        }
        Some(facts)
    }

    /// When there is something to say, if nothing else happens.
    pub(crate) fn due(&self, stats: &Stats, now: Instant) -> Option<Instant> {
        let waits = !self.facts.is_empty() || self.dropped > 0;
        let counted = self.on && (Tally::of(stats) != self.told || !self.judged.is_empty());
        (waits || counted).then(|| if waits { now.plus(PAUSE) } else { self.next.max(now) })
    }
}

impl Tally {
    fn of(stats: &Stats) -> Tally {
        let Stats { limited, denied, forbidden, kept_out, turned_away, .. } = *stats;
        Tally {
            websocket: Opened::of(&stats.websocket),
            http_sse: Opened::of(&stats.http_sse),
            longpoll: Opened::of(&stats.longpoll),
            refused: Refusals { limited, denied, forbidden, kept_out, turned_away },
        }
    }
}

impl Opened {
    fn of(transport: &Transport) -> Opened {
        let Transport { opened, connections, .. } = *transport;
        Opened { opened, closed: opened - connections, open: connections }
    }

    fn since(self, before: Opened) -> Opened {
        Opened { opened: self.opened - before.opened, closed: self.closed - before.closed, open: self.open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Wall = Wall(1_000);

    fn at(millis: u64) -> Now {
        Now { mono: Instant(millis * 1_000_000), wall: Wall(millis) }
    }

    fn events(herald: &mut Herald) -> Vec<Event> {
        let facts = herald.take(true, WALL).unwrap_or_default();
        facts.into_iter().map(|fact| fact.event).collect()
    }

    #[test]
    fn too_many_events_are_counted_and_it_is_said() {
        let mut herald = Herald::new(true);
        for level in 0..=255 {
            herald.say(WALL, || Event::SheddingChanged { level });
        }
        for _ in 0..7 {
            herald.say(WALL, || unreachable!("what is left out is not made"));
        }
        assert_eq!(herald.take(false, WALL), None, "no room: nothing is lost, and nothing waits for it");
        let told = events(&mut herald);
        assert_eq!(told.len(), 257);
        assert_eq!(told[256], Event::Dropped { count: 7 });
        assert_eq!((herald.take(true, WALL), herald.due(&Stats::default(), at(0).mono)), (None, None));
    }

    #[test]
    fn nothing_is_made_where_nothing_is_said() {
        let mut herald = Herald::new(false);
        herald.say(WALL, || unreachable!("nobody asks for it"));
        herald.count(&Stats { limited: 1, ..Stats::default() }, at(1_000));
        assert_eq!((herald.take(true, WALL), herald.due(&Stats::default(), at(0).mono)), (None, None));
    }

    #[test]
    fn counters_are_said_once_in_a_while_and_none_is_lost() {
        let mut herald = Herald::new(true);
        let mut stats = Stats::default();
        herald.count(&stats, at(1_000));
        assert_eq!(events(&mut herald), []);
        stats.websocket = Transport { opened: 3, connections: 2, ..Transport::default() };
        herald.count(&stats, at(1_000));
        let websocket = Opened { opened: 3, closed: 1, open: 2 };
        let none = Opened::default();
        let said = Event::Connections { websocket, http_sse: none, longpoll: none };
        assert_eq!(events(&mut herald), [said]);
        stats.limited = 5;
        herald.count(&stats, at(1_050));
        assert_eq!(events(&mut herald), [], "it is too soon");
        assert_eq!(herald.due(&stats, at(1_050).mono), Some(at(1_100).mono));
        stats.limited = 9;
        herald.count(&stats, at(1_100));
        assert_eq!(events(&mut herald), [Event::Refused(Refusals { limited: 9, ..Refusals::default() })]);
        assert_eq!(herald.due(&stats, at(1_100).mono), None);
    }

    #[test]
    fn rules_are_counted_each_for_itself() {
        let (mut herald, stats) = (Herald::new(true), Stats::default());
        let rules: [Arc<str>; 2] = ["a".into(), "b".into()];
        for (rule, refused) in [(0, true), (1, false), (0, true), (0, false)] {
            herald.judged(&rules[rule], refused);
        }
        assert_eq!(herald.due(&stats, at(1_000).mono), Some(at(1_000).mono));
        herald.count(&stats, at(1_000));
        let event = |rule: &str, denied, reported| Event::Judged { rule: rule.into(), denied, reported };
        assert_eq!(events(&mut herald), [event("a", 2, 1), event("b", 0, 1)]);
        assert_eq!(herald.due(&stats, at(1_000).mono), None);
        let mut silent = Herald::new(false);
        silent.judged(&rules[0], true);
        assert_eq!(silent.due(&stats, at(0).mono), None);
    }
}
