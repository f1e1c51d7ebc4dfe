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
        let slots = self.buckets.len() as u64;
        let mut earliest = NEVER;
        for tick in tick + 1..=tick + slots {
            let (lap, position) = self.place(tick);
            let bucket = self.buckets[position];
            if bucket.head == NIL {
                continue;
            }
            if bucket.lap == lap {
                return tick;
            }
            earliest = earliest.min(u64::from(bucket.lap) * slots + position as u64);
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
