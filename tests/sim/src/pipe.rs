//! One direction of a connection: bytes under way in pieces, and bytes that have arrived.

use std::collections::VecDeque;

use crate::fault::{Fault, Faults};
use crate::options::Weather;
use crate::rng::Rng;

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN: after all bytes.
    Orderly,
    /// RST or a time-out: what has not arrived is lost. Carries the error number the reader sees.
    Broken(i32),
}

/// Bytes from one end to the other.
#[derive(Debug)]
pub struct Pipe {
    /// Arrived and under way, in order; `head` bytes at the front are read.
    bytes: Vec<u8>,
    head: usize,
    ready: usize,
    flight: VecDeque<(u64, usize)>,
    capacity: usize,
    end: Option<(u64, End)>,
}

impl Pipe {
    /// Holds up to `capacity` bytes that are not read yet.
    pub fn new(capacity: usize) -> Pipe {
        Pipe { bytes: Vec::new(), head: 0, ready: 0, flight: VecDeque::new(), capacity, end: None }
    }

    /// Bytes that can be written now.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len() - self.head)
    }

    /// Writes `bytes`, cut and delayed as the weather is; `arrives` gets each piece's time. After an end
    /// they vanish.
    pub fn write(
        &mut self,
        bytes: &[u8],
        now: u64,
        weather: &Weather,
        chance: (&mut Rng, &mut Faults),
        mut arrives: impl FnMut(u64),
    ) {
        if self.end.is_some() || bytes.is_empty() {
            return;
        }
        let (rng, faults) = chance;
        self.bytes.extend_from_slice(bytes);
        let mut left = bytes.len();
        let mut due = self.flight.back().map_or(now, |(at, _)| now.max(*at));
        while left > 0 {
            let mut piece = left;
            if left > 1 && rng.chance(weather.cut) {
                faults.count(Fault::Cut);
                piece = if rng.chance(300) { 1 } else { rng.between(1, left as u64 - 1) as usize };
            }
            due += rng.between(5_000, 50_000);
            if rng.chance(weather.delay) {
                faults.count(Fault::Delay);
                due += rng.below(weather.delay_max);
            }
            self.flight.push_back((due, piece));
            arrives(due);
            left -= piece;
        }
    }

    /// Ends this direction; returns when the reader learns of it. The first end stands, except that a
    /// break overtakes an orderly end.
    pub fn finish(&mut self, end: End, now: u64) -> u64 {
        let overtakes = matches!((end, self.end), (End::Broken(_), Some((_, End::Orderly))));
        if self.end.is_none() || overtakes {
            let due = match end {
                End::Orderly => self.flight.back().map_or(now, |(at, _)| now.max(*at)) + 5_000,
                End::Broken(_) => {
                    self.flight.clear();
                    self.bytes.truncate(self.head + self.ready);
                    now + 5_000
                }
            };
            self.end = Some((due, end));
        }
        self.end.map_or(now, |(due, _)| due)
    }

    /// Lets arrive what is due.
    pub fn settle(&mut self, now: u64) {
        while let Some((due, len)) = self.flight.front().copied()
            && due <= now
        {
            self.ready += len;
            self.flight.pop_front();
        }
    }

    /// Bytes that can be read.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Bytes are there or under way that nobody has read.
    pub fn has_unread(&self) -> bool {
        self.head < self.bytes.len()
    }

    /// Takes up to `max` bytes that have arrived.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        let len = max.min(self.ready);
        let taken = self.bytes[self.head..self.head + len].to_vec();
        self.head += len;
        self.ready -= len;
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head > 1 << 16 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        taken
    }

    /// The end, once it has arrived and all bytes before it are read.
    pub fn ended(&self, now: u64) -> Option<End> {
        let (due, end) = self.end?;
        (due <= now && self.ready == 0 && self.flight.is_empty()).then_some(end)
    }

    /// Something waits for the reader: bytes or the end.
    pub fn has_news(&self, now: u64) -> bool {
        self.ready > 0 || self.ended(now).is_some()
    }
}
