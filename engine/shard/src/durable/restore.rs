//! A start: what the log held becomes sessions and topics again, and a new segment begins.

use std::collections::VecDeque;
use std::time::Duration;

use weir_ring::time::{Instant, Now, Wall};

use crate::dead;
use crate::durable::batch::Writer;
use crate::durable::journal::{Closed, End, Journal, Start};
use crate::durable::lives::{DeadLetter, Entry, Run, Stream};
use crate::durable::record::Kind;
use crate::durable::recover::{Held, Share};
use crate::idempotency::{Key, Keys, Reply};
use crate::lane::Lane;
use crate::limits::Durability;
use crate::mailbox::Mailbox;
use crate::message::{Receipt, State};
use crate::outbox::{self, Outbox};
use crate::stream::{Epoch, Position};
use crate::turn::{Cx, Shard};

impl Shard {
    /// Lets the shard go on where another process ended: what its log holds, or (without
    /// [`Config::durability`](crate::limits::Config::durability)) what it handed over. Before the first turn.
    pub fn restore(&mut self, share: Share) {
        self.restored = Some(Box::new(share));
    }

    /// The first turn: the log begins, and what was restored lives.
    pub(crate) fn open_log(&mut self, cx: &Cx<'_>) {
        let Share { run, segments, streams, dead } =
            self.restored.take().map_or_else(Share::empty, |share| *share);
        if let Some(limits) = self.config.durability {
            self.begin_log(limits, run, &segments, cx);
        }
        for stream in streams {
            match stream.kind {
                Kind::Client => self.restore_client(stream, cx),
                Kind::Topic => self.restore_topic(stream, cx.now),
            }
        }
        dead.into_iter().for_each(|letter| self.restore_dead(letter));
    }

    fn begin_log(&mut self, limits: Durability, run: u32, segments: &[Held], cx: &Cx<'_>) {
        let salt = self.random.next() as u32;
        let ends =
            segments.iter().map(|held| End { series: held.series, segment: held.segment, offset: held.end });
        let closed = segments.iter().map(|held| Closed {
            series: held.series,
            segment: held.segment,
            bytes: held.bytes,
            newest: mono(held.newest, cx.now),
        });
        let start = Start {
            series: self.me.0,
            writer: Writer { run, salt },
            ends: ends.collect(),
            closed: closed.collect(),
        };
        self.journal = Some(Box::new(Journal::new(limits, start)));
    }

    fn restore_dead(&mut self, letter: DeadLetter) {
        let DeadLetter { client, id, attempts, entry: Entry { wall, class, body, .. } } = letter;
        let attempts = attempts.try_into().unwrap_or(u8::MAX);
        let letter = dead::DeadLetter { client, body, class, attempts, died: wall, redriven: false };
        self.dead.restore(id, letter);
    }

    fn restore_client(&mut self, stream: Stream, cx: &Cx<'_>) {
        let Stream { name, epoch, lanes, .. } = stream;
        // More than a shard may hold are forgotten: their next life has another epoch.
        let Ok(id) = self.begin_session(&name, epoch, cx) else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        for (lane, run) in Lane::ALL.into_iter().zip(lanes).filter(|(_, run)| run.head > 0) {
            restore_keys(&mut self.keys, (epoch, lane), &run, State::Queued, cx.now);
            let mailbox = session.mailbox.get_or_insert_with(|| Box::new(Mailbox::new(epoch)));
            let outbox = restored(epoch, run, cx.now);
            self.stats.outbox_bytes += outbox.bytes() as u64;
            mailbox.restore(lane, outbox);
        }
        self.unlinked(id, cx.now.mono);
    }

    fn restore_topic(&mut self, stream: Stream, now: Now) {
        let Stream { name, epoch, lanes, .. } = stream;
        let [.., normal, _] = lanes;
        let state = State::DeliveredTo(0);
        restore_keys(&mut self.keys, (epoch, Lane::Normal), &normal, state, now);
        let outbox = restored(epoch, normal, now);
        self.stats.outbox_bytes += outbox.bytes() as u64;
        self.topics.restore(&name, outbox, now.mono);
    }
}

/// What was published under a key is still known to have been, as far as it is kept.
fn restore_keys(keys: &mut Keys, (epoch, lane): (Epoch, Lane), run: &Run, state: State, now: Now) {
    let first = run.head + 1 - run.entries.len() as u64;
    for (sequence, entry) in (first..).zip(&run.entries) {
        let Some(key) = Key::of_bytes(&entry.key) else { continue };
        let receipt = Receipt { lane, position: Position { epoch, sequence }, state, duplicate: false };
        keys.note(&key, Reply::Published(receipt), mono(entry.wall, now));
    }
}

fn restored(epoch: Epoch, run: Run, now: Now) -> Outbox {
    let Run { head, acknowledged, entries } = run;
    let entry = |Entry { wall, ttl_ms, class, body, .. }: Entry| {
        let at = mono(wall, now);
        outbox::Entry { at, body, class, ttl_ms }
    };
    let entries: VecDeque<outbox::Entry> = entries.into_iter().map(entry).collect();
    Outbox::restored(epoch, head, acknowledged, entries)
}

/// When it was `wall` on the clock for deadlines, as far as that goes back.
fn mono(wall: Wall, now: Now) -> Instant {
    let age = Duration::from_millis(now.wall.0.saturating_sub(wall.0));
    Instant(now.mono.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)))
}
