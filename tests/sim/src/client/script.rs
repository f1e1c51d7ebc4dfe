//! A client that does what bytes say, for those who make bytes: the fuzzer.
//!
//! Each step begins with a byte: three bits say what is done, two on which of four connections, three how much.
//! What is sent follows it, behind its length in a byte.

use super::Phase;
use crate::net::{self, Taken};
use crate::options::MS;
use crate::stage::Stage;

/// What lies between two steps, ns: some come in one turn of a shard, some do not.
const STEP: u64 = 20_000;

/// It.
#[derive(Debug)]
pub struct Script {
    /// Place among the agents.
    pub id: usize,
    bytes: Vec<u8>,
    at: usize,
    open: [Option<usize>; 4],
}

impl Script {
    /// A client that does what `bytes` say.
    pub fn new(id: usize, bytes: Vec<u8>) -> Script {
        Script { id, bytes, at: 0, open: [None; 4] }
    }

    /// The next step; the time of the one after it.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        if phase != Phase::Storm {
            return None;
        }
        let [step] = *self.take(1) else { return None };
        let (place, strength) = (usize::from(step >> 3 & 3), step >> 5);
        let mut pause = STEP;
        match (step & 7, self.open[place]) {
            (0..=4, open) => {
                let conn = open.unwrap_or_else(|| net::connect(stage, self.id));
                self.open[place] = Some(conn);
                let length = self.take(1).first().copied().unwrap_or(0);
                let bytes = self.take(length.into()).to_vec();
                net::send(stage, conn, &bytes);
            }
            (5, _) => pause = MS << (2 * strength),
            (_, None) => {}
            (6, Some(conn)) => {
                self.open[place] = None;
                match strength {
                    0..=3 => net::close(stage, conn),
                    4..=5 => net::reset(stage, conn),
                    _ => net::vanish(stage, conn),
                }
            }
            (_, Some(conn)) => net::slow_down(stage, conn),
        }
        Some(stage.now + pause)
    }

    /// The server ended one of the connections.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        if taken.ended {
            self.open.iter_mut().filter(|open| **open == Some(conn)).for_each(|open| *open = None);
            net::close(stage, conn);
        }
    }

    /// Closes everything it has open.
    pub fn leave(&mut self, stage: &mut Stage) {
        self.open.iter_mut().filter_map(Option::take).for_each(|conn| net::close(stage, conn));
    }

    /// So many of the bytes that are left, or all.
    fn take(&mut self, count: usize) -> &[u8] {
        let rest = &self.bytes[self.at..];
        let taken = &rest[..count.min(rest.len())];
        self.at += taken.len();
        taken
    }
}
