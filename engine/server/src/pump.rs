//! The loop of a data thread: wait, turn, submit. Everything that is decided is decided in the turn.

use std::io;
use std::mem;
use std::time::Duration;

use weir_ring::clock::Clock;
use weir_ring::driver::Driver;
use weir_ring::mesh::{Links, Push};
use weir_ring::op::Output;
use weir_ring::token::Member;
use weir_shard::mail::Mail;
use weir_shard::{Post, Shard};

use crate::ending::Ending;

/// How soon letters that a full queue did not take are tried again.
const RETRY: Duration = Duration::from_millis(1);

/// One core's driver, shard and mail.
pub(crate) struct Pump {
    driver: Driver,
    shard: Shard,
    links: Links<Mail>,
    post: Post,
    /// Letters being carried; empty between turns.
    bag: Vec<(Member, Mail)>,
    /// Whose queue was full as the bag was emptied.
    full: Vec<bool>,
}

impl Pump {
    /// A pump that has not turned yet.
    pub(crate) fn new(driver: Driver, shard: Shard, links: Links<Mail>) -> Pump {
        let full = vec![false; usize::from(links.members())];
        Pump { driver, shard, links, post: Post::default(), bag: Vec::new(), full }
    }

    /// Turns until every shard of the process is drained, and this one has dealt with what was on its way to it then.
    ///
    /// # Errors
    /// The kernel ended the driver.
    pub(crate) fn run(mut self, ending: &Ending) -> io::Result<()> {
        let mut output = Output::default();
        let mut drained = false;
        loop {
            // Read first: what others sent before they were drained is collected after it.
            let over = ending.is_over();
            let now = Clock::now();
            self.collect();
            let mut due = self.shard.turn(now, &mut self.driver.completions(), &mut self.post, &mut output);
            self.carry();
            self.driver.submit(&mut output);
            if (self.shard.is_drained() && self.has_told_shards()) != drained {
                drained = !drained;
                ending.report(drained, self.links.me(), &mut self.driver);
                due = now.mono;
            }
            if over && drained {
                break;
            }
            if !self.post.outbox.is_empty() {
                due = due.min(now.mono.plus(RETRY));
            }
            let end = Clock::mono();
            self.shard.took(end.since(now.mono));
            self.shard.drove(self.driver.counters());
            self.driver.wait(Some(due), end)?;
        }
        // No driver goes while another thread may still wake it.
        ending.together();
        Ok(())
    }

    /// All that is for other shards is on its way. The control thread may be gone before it has read its own.
    fn has_told_shards(&self) -> bool {
        self.post.outbox.iter().all(|(to, _)| *to == self.shard.control())
    }

    /// Letters that have come, and room for those to be written.
    fn collect(&mut self) {
        self.carry();
        self.links.receive(&mut self.post.inbox);
        self.post.room.clear();
        for to in 0..self.links.members() {
            self.post.room.push(self.links.room(Member(to)));
        }
    }

    /// Sends what was written, in order for each receiver; what a full queue does not take stays.
    fn carry(&mut self) {
        mem::swap(&mut self.bag, &mut self.post.outbox);
        self.full.fill(false);
        for (to, letter) in self.bag.drain(..) {
            let full = &mut self.full[usize::from(to.0)];
            let sent = if *full { Err(letter) } else { self.links.send(to, letter) };
            match sent {
                Ok(Push::Wake) => self.driver.wake(to),
                Ok(Push::Awake) => {}
                Err(letter) => {
                    *full = true;
                    self.post.outbox.push((to, letter));
                }
            }
        }
    }
}
