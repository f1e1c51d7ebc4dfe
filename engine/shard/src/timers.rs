//! A hashed timing wheel (Varghese and Lauck 1987, scheme 6): deadlines by the tick at which they fall due.

use std::time::Duration;

use weir_ring::time::Instant;

use crate::chunks::Chunks;

/// End of a list.
const NIL: u32 = u32::MAX;
/// No tick: later than any.
const NEVER: u64 = u64::MAX;
/// The shortest tick, nanoseconds.
const TICK_MIN: u64 = 1_000_000;
/// Pools of fewer entries are not worth compacting.
const COMPACT_MIN: usize = 1024;

/// Deadlines of things named by `K`, never early and at most one tick late.
///
/// Nothing is cancelled or moved: an owner keeps its own deadline, schedules an entry for it, and
/// when an entry fires compares. A deadline that is gone is ignored; one that moved later is scheduled
/// again then. So an owner whose deadline only ever moves later needs one entry at a time.
///
/// An entry takes 8 bytes beside its key (alignment up to 4, or 8 with a size of a multiple of 8), and
/// memory is given back as entries fire. Any [`Instant`] is a valid deadline.
#[derive(Debug)]
pub struct Timers<K> {
    start: Instant,
    tick: u64,
    buckets: Box<[Bucket]>,
    entries: Chunks<Entry<K>>,
    len: usize,
    free_head: u32,
    /// Entries that have fallen due and were not popped yet, in the order of firing.
    due_head: u32,
    /// The earliest tick in the buckets.
    next: u64,
    /// The latest tick that was asked for. What is scheduled falls due after it, so that an owner who
    /// schedules the past again and again cannot hold up a turn.
    passed: u64,
}

/// The entries of all ticks that are equal modulo the number of buckets.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    head: u32,
    /// The smallest of the entries' laps.
    lap: u32,
}

const EMPTY: Bucket = Bucket { head: NIL, lap: u32::MAX };

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    next: u32,
    /// Its tick divided by the number of buckets; the bucket is the remainder.
    lap: u32,
    key: K,
}

impl<K: Copy> Timers<K> {
    /// An empty wheel of `slots` buckets (8 bytes each) that turns by one every `tick`, at least 1 ms,
    /// from `start` on. A lap should be longer than the usual deadlines. It lasts at least 2^32 ns: there
    /// are as many more buckets as that takes, so that 32 bits count the laps to the end of time.
    pub fn new(tick: Duration, slots: usize, start: Instant) -> Self {
        let tick = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(TICK_MIN);
        let slots = slots.max((1_u64 << 32).div_ceil(tick) as usize);
        Timers {
            start,
            tick,
            buckets: vec![EMPTY; slots].into_boxed_slice(),
            entries: Chunks::new(),
            len: 0,
            free_head: NIL,
            due_head: NIL,
            next: NEVER,
            passed: 0,
        }
    }

    /// Lets `key` fire once at `at`; for a time that is past, one tick after the last [`Timers::pop`].
    pub fn schedule(&mut self, at: Instant, key: K) {
        let tick = at.0.saturating_sub(self.start.0).div_ceil(self.tick).max(self.passed.saturating_add(1));
        let (lap, bucket) = self.place(tick);
        let index = self.allocate(Entry { next: self.buckets[bucket].head, lap, key });
        let bucket = &mut self.buckets[bucket];
        bucket.head = index;
        bucket.lap = bucket.lap.min(lap);
        self.next = self.next.min(tick);
    }

    /// The next key whose deadline is not after `now`: by tick, within a tick in the order of
    /// scheduling.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        if self.due_head == NIL {
            let tick = now.0.saturating_sub(self.start.0) / self.tick;
            self.passed = self.passed.max(tick);
            if self.next > tick {
                return None;
            }
            self.take_next();
        }
        let index = self.due_head;
        let entry = *self.entries.get(index)?;
        self.due_head = entry.next;
        self.release(index);
        Some(entry.key)
    }

    /// When the next entry falls due; exact, so that nobody wakes for nothing.
    pub fn next_deadline(&self) -> Option<Instant> {
        match (self.due_head, self.next) {
            (NIL, NEVER) => None,
            (NIL, tick) => Some(Instant(self.start.0.saturating_add(tick.saturating_mul(self.tick)))),
            _ => Some(Instant(self.start.0.saturating_add(self.passed * self.tick))),
        }
    }

    /// Number of entries that have not fired.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lap and bucket of `tick`.
    fn place(&self, tick: u64) -> (u32, usize) {
        let slots = self.buckets.len() as u64;
        ((tick / slots) as u32, (tick % slots) as usize)
    }

    /// Moves the entries of the earliest tick to the due list and finds the tick after it.
    fn take_next(&mut self) {
        let (lap, position) = self.place(self.next);
        let mut index = self.buckets[position].head;
        let mut kept = EMPTY;
        let mut kept_last = NIL;
        while let Some(entry) = self.entries.get_mut(index) {
            let after = entry.next;
            if entry.lap == lap {
                // The bucket lists the latest first; putting each in front turns the order around.
                entry.next = self.due_head;
                self.due_head = index;
            } else {
                kept.lap = kept.lap.min(entry.lap);
                entry.next = NIL;
                match self.entries.get_mut(kept_last) {
                    Some(last) => last.next = index,
                    None => kept.head = index,
                }
                kept_last = index;
            }
            index = after;
        }
        self.buckets[position] = kept;
        self.next = self.earliest_after(self.next);
    }

    /// The earliest tick in the buckets, of which none is at or before `tick`.
    fn earliest_after(&self, tick: u64) -> u64 {
        let slots = self.buckets.len();
        let first = self.place(tick + 1).1;
        let mut earliest = NEVER;
        for (tick, position) in (tick + 1..).zip((first..slots).chain(0..first)) {
            let bucket = self.buckets[position];
            if bucket.head != NIL {
                earliest = earliest.min(u64::from(bucket.lap) * slots as u64 + position as u64);
            }
            // No bucket after this one can hold an earlier tick.
            if earliest == tick {
                break;
            }
        }
        earliest
    }

    /// Puts `entry` into the pool.
    fn allocate(&mut self, entry: Entry<K>) -> u32 {
        self.len += 1;
        let index = self.free_head;
        if let Some(free) = self.entries.get_mut(index) {
            self.free_head = free.next;
            *free = entry;
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(entry);
        index
    }

    /// Takes the entry at `index` out of the pool; once most of the pool is free, shrinks it.
    fn release(&mut self, index: u32) {
        self.len -= 1;
        if let Some(entry) = self.entries.get_mut(index) {
            entry.next = self.free_head;
            self.free_head = index;
        }
        if self.entries.len() >= COMPACT_MIN && self.len < self.entries.len() / 4 {
            self.compact();
        }
    }

    /// Moves all entries to a new pool without free ones. Costs a step per entry kept, at most a third
    /// of the entries released since the pool had its size.
    fn compact(&mut self) {
        let old = std::mem::replace(&mut self.entries, Chunks::new());
        self.free_head = NIL;
        let pool = &mut self.entries;
        let heads = self.buckets.iter_mut().map(|bucket| &mut bucket.head);
        for head in heads.chain([&mut self.due_head]) {
            let mut from = std::mem::replace(head, NIL);
            let mut last = NIL;
            while let Some(entry) = old.get(from) {
                let index = pool.len() as u32;
                pool.push(Entry { next: NIL, ..*entry });
                match pool.get_mut(last) {
                    Some(last) => last.next = index,
                    None => *head = index,
                }
                last = index;
                from = entry.next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: u64 = 10_000_000;
    const START: u64 = 123_456_789;

    fn wheel() -> Timers<u32> {
        Timers::new(Duration::from_nanos(TICK), 0, Instant(START))
    }

    /// Mostly within a lap, some within many laps, a few hours away.
    fn delay() -> impl Strategy<Value = u64> {
        prop_oneof![4 => 0..3 * TICK, 4 => 0..500 * TICK, 2 => 0..6_000 * TICK, 1 => 0..1_000_000 * TICK]
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// So far from now, or before it.
        Schedule { delay: u64, past: bool },
        /// Lets time pass and pops all that is due.
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (delay(), prop::bool::weighted(0.1)).prop_map(|(delay, past)| Step::Schedule { delay, past }),
            1 => delay().prop_map(Step::Advance),
        ]
    }

    proptest! {
        /// Against a sorted list: the same keys in the same order, none early, none over a tick late, and
        /// the next deadline is that of the first.
        #[test]
        fn agrees_with_a_sorted_list(steps in prop::collection::vec(step(), 0..400)) {
            let mut timers = wheel();
            let mut model: Vec<(u64, u32)> = Vec::new();
            let mut now = START;
            let mut passed = 0;
            let steps = steps.into_iter().chain([Step::Advance(10_000_000 * TICK)]);
            for (key, step) in (0..).zip(steps) {
                match step {
                    Step::Schedule { delay, past } => {
                        let at = if past { now.saturating_sub(delay) } else { now + delay };
                        timers.schedule(Instant(at), key);
                        let tick = at.saturating_sub(START).div_ceil(TICK).max(passed + 1);
                        prop_assert!(START + tick * TICK >= at && START + tick * TICK < at.max(now) + 2 * TICK);
                        let place = model.partition_point(|entry| entry.0 <= tick);
                        model.insert(place, (tick, key));
                    }
                    Step::Advance(by) => {
                        now += by;
                        passed = (now - START) / TICK;
                        while let Some(key) = timers.pop(Instant(now)) {
                            prop_assert!(!model.is_empty());
                            let (tick, expected) = model.remove(0);
                            prop_assert_eq!(key, expected);
                            prop_assert!(tick <= passed, "early");
                        }
                        prop_assert!(model.first().is_none_or(|first| first.0 > passed), "late");
                    }
                }
                let first = model.first().map(|first| Instant(START + first.0 * TICK));
                prop_assert_eq!(timers.next_deadline(), first);
                prop_assert_eq!(timers.len(), model.len());
            }
            prop_assert!(timers.is_empty());
        }
    }

    #[test]
    fn an_owner_that_schedules_the_past_does_not_hold_up_the_turn() {
        let mut timers = wheel();
        timers.schedule(Instant(0), 1);
        for turn in 1..100 {
            let now = Instant(START + turn * TICK);
            assert_eq!(timers.pop(now), Some(1));
            timers.schedule(Instant(0), 1);
            assert_eq!(timers.pop(now), None);
        }
    }

    #[test]
    fn memory_shrinks_after_a_burst_and_what_stays_still_fires() {
        let mut timers = wheel();
        for key in 0..20_000 {
            let seconds = if key % 100 == 0 { 3_600 } else { 30 };
            timers.schedule(Instant(START).plus(Duration::from_secs(seconds)), key);
        }
        assert_eq!(timers.entries.len(), 20_000);
        let half_hour = Instant(START).plus(Duration::from_secs(1_800));
        assert_eq!(std::iter::from_fn(|| timers.pop(half_hour)).count(), 19_800);
        assert!(timers.entries.len() < COMPACT_MIN, "{} entries for 200", timers.entries.len());
        let hour = Instant(START).plus(Duration::from_secs(3_601));
        let rest: Vec<_> = std::iter::from_fn(|| timers.pop(hour)).collect();
        assert_eq!(rest, (0..200).map(|n| n * 100).collect::<Vec<_>>());
    }

    #[test]
    fn any_instant_is_a_deadline() {
        let mut timers = wheel();
        timers.schedule(Instant(u64::MAX), 1);
        timers.schedule(Instant(u64::MAX - TICK), 2);
        assert_eq!(timers.pop(Instant(u64::MAX / 2)), None);
        assert_eq!(timers.pop(Instant(u64::MAX)), Some(2));
    }

    #[test]
    fn an_entry_takes_sixteen_bytes() {
        assert_eq!(size_of::<Entry<weir_ring::token::Token>>(), 16);
    }
}
