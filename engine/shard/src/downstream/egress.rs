//! What waits to leave on one connection. While the peer keeps up this is a range of the turn's
//! arena, or one shared frame, and one send. A queue exists only after a short send.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_ring::op::{Output, Source};

use crate::tls::{Exhausted, Tls};

/// Bytes given to one `Drain`, roughly.
const DRAIN_BYTES: usize = 256 << 10;

/// Bytes one turn's arena may hold: offsets are 32 bits.
const ARENA_BYTES_MAX: usize = 1 << 30;

/// Outbound state of one connection.
#[derive(Debug, Default)]
pub(crate) struct Egress {
    pending: Pending,
    queue: Option<Box<Queue>>,
}

/// This turn's send, in 8 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// Where it starts in the arena, or which frame it is.
    at: u32,
    /// Bytes in the arena, 0: nothing, or [`FRAME`].
    len: u32,
}

/// In place of a length: no arena is as long.
const FRAME: u32 = u32::MAX;

/// Waiting for the peer to read.
#[derive(Debug, Default)]
struct Queue {
    /// Handed to the driver, as far as it counts.
    in_flight: usize,
    /// Something is with the driver.
    draining: bool,
    /// Rest of the send that came short; may begin inside a message, so it leaves first. Of TLS, ciphertext.
    tail: Vec<u8>,
    /// Pings, pongs and heartbeats: they overtake messages and do not count.
    control: Vec<u8>,
    /// Whole messages.
    chunks: VecDeque<Chunk>,
    /// Bytes of `tail` and `chunks`.
    bytes: usize,
    /// What the shard has counted of it.
    counted: usize,
}

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

/// Why what waits cannot be handed to the driver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// See [`Overflow`].
    Overflow,
    /// See [`Exhausted`].
    Exhausted,
}

/// The queue is full: the connection cannot keep up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

/// What a write did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// The first of this turn: the connection must be flushed.
    First,
    /// Joined what was there.
    More,
}

impl Egress {
    /// The peer is behind: writes go to the queue.
    pub(crate) fn is_blocked(&self) -> bool {
        self.queue.is_some()
    }

    /// Nothing waits, neither in this turn nor for the peer.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_nothing() && self.queue.is_none()
    }

    /// Something is with the driver, whose end goes on with what waits.
    pub(crate) fn is_draining(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.draining)
    }

    /// Bytes waiting for the peer.
    pub(crate) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |q| q.bytes + q.in_flight)
    }

    /// What the queue may hold, if it may hold `max` by itself and all queues may grow by `left`. While there is none,
    /// the peer keeps up, and what others wait for does not matter.
    pub(crate) fn bound(&self, max: usize, left: usize) -> usize {
        if self.is_blocked() { max.min(self.queued() + left) } else { max }
    }

    /// Brings the shard's sum of all queues up to date with this one.
    pub(crate) fn count(&mut self, sum: &mut usize) {
        if let Some(queue) = &mut self.queue {
            let queued = queue.bytes + queue.in_flight;
            *sum = *sum - queue.counted + queued;
            queue.counted = queued;
        }
    }

    /// Takes this queue out of the sum: it goes, or is about to change.
    pub(crate) fn uncount(&mut self, sum: &mut usize) {
        if let Some(queue) = &mut self.queue {
            *sum -= std::mem::take(&mut queue.counted);
        }
    }

    /// Appends a whole message, written by `write`, within `max` bytes of queue.
    pub(crate) fn message(
        &mut self,
        out: &mut Output,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Wrote, Overflow> {
        let Some(queue) = &mut self.queue else { return self.in_arena(out, max, write) };
        let mut message = Vec::new();
        write(&mut message);
        queue.push(Chunk::Owned(message), max)?;
        Ok(Wrote::More)
    }

    /// Appends a control message, which overtakes queued messages and is exempt from the bound.
    pub(crate) fn control(
        &mut self,
        out: &mut Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Wrote, Overflow> {
        match &mut self.queue {
            None => self.in_arena(out, ARENA_BYTES_MAX, write),
            Some(queue) => {
                write(&mut queue.control);
                Ok(Wrote::More)
            }
        }
    }

    /// Appends frame `index` of the turn, shared with other connections if it is all that leaves.
    pub(crate) fn shared(&mut self, out: &mut Output, index: u32, max: usize) -> Result<Wrote, Overflow> {
        let frame = &out.frames[index as usize];
        if let Some(queue) = &mut self.queue {
            queue.push(Chunk::Shared(Arc::clone(frame)), max)?;
            return Ok(Wrote::More);
        }
        if self.pending.is_nothing() {
            self.pending = Pending { at: index, len: FRAME };
            return Ok(Wrote::First);
        }
        let frame = Arc::clone(frame);
        self.in_arena(out, max, |bytes| bytes.extend_from_slice(&frame))
    }

    fn in_arena(
        &mut self,
        out: &mut Output,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Wrote, Overflow> {
        if out.arena.len() > ARENA_BYTES_MAX {
            return Err(Overflow);
        }
        let first = self.pending.is_nothing();
        let start = self.last_in_arena(out);
        write(&mut out.arena);
        let len = out.arena.len() - start;
        if len > max && !first {
            return Err(Overflow);
        }
        self.pending = Pending { at: start as u32, len: len as u32 };
        Ok(if first { Wrote::First } else { Wrote::More })
    }

    /// Makes what is pending the arena's last range and says where it starts.
    fn last_in_arena(&self, out: &mut Output) -> usize {
        let end = out.arena.len();
        match self.pending.source() {
            None => end,
            Some(Source::Arena { start, len }) if (start + len) as usize == end => start as usize,
            Some(Source::Arena { start, len }) => {
                out.arena.extend_from_within(start as usize..(start + len) as usize);
                end
            }
            Some(Source::Frame(index)) => {
                let frame = Arc::clone(&out.frames[index as usize]);
                out.arena.extend_from_slice(&frame);
                end
            }
        }
    }

    /// What this turn sends, encrypted where it is to be.
    ///
    /// # Errors
    /// The keys may encrypt nothing more.
    pub(crate) fn pending(
        &mut self,
        tls: Option<&mut Tls>,
        out: &mut Output,
    ) -> Result<Option<Source>, Exhausted> {
        match tls {
            None => Ok(self.take_pending()),
            // Records leave in the order they were made in: what TLS itself has to say waits, too.
            Some(_) if self.is_draining() => Ok(None),
            Some(tls) => tls.seal_source(self.take_pending(), out),
        }
    }

    /// A send came short: from now on the peer sets the pace. The bytes go to a `Drain`, behind them
    /// what this turn has already written.
    ///
    /// # Errors
    /// The queue is full, or the keys may encrypt nothing more.
    pub(crate) fn unsent(
        &mut self,
        tail: &[u8],
        out: &Output,
        max: usize,
        mut tls: Option<&mut Tls>,
    ) -> Result<Vec<u8>, Stuck> {
        let source = self.take_pending();
        let pending = source.map_or(&[][..], |source| out.bytes(source));
        let queue = self.queue.get_or_insert_default();
        if queue.in_flight + queue.bytes + tail.len() + pending.len() > max {
            return Err(Stuck::Overflow);
        }
        queue.tail.extend_from_slice(tail);
        match &mut tls {
            None => queue.tail.extend_from_slice(pending),
            Some(tls) => tls.seal(pending, &mut queue.tail).map_err(|Exhausted| Stuck::Exhausted)?,
        }
        queue.bytes += queue.tail.len();
        queue.next_drain(tls).map_err(|Exhausted| Stuck::Exhausted)
    }

    /// What this turn would send, as bytes: for a connection that has no socket.
    pub(crate) fn take(&mut self, out: &Output) -> Vec<u8> {
        self.take_pending().map_or_else(Vec::new, |source| out.bytes(source).to_vec())
    }

    /// From now on writes wait for [`Egress::release`], behind `bytes`.
    pub(crate) fn hold(&mut self, bytes: Vec<u8>) {
        self.queue = Some(Box::new(Queue { bytes: bytes.len(), tail: bytes, ..Queue::default() }));
    }

    /// Ends [`Egress::hold`] and gives out what has waited.
    pub(crate) fn release(&mut self) -> Vec<u8> {
        let Some(queue) = self.queue.take() else { return Vec::new() };
        let mut bytes = queue.tail;
        for chunk in &queue.chunks {
            bytes.extend_from_slice(chunk.bytes());
        }
        bytes
    }

    fn take_pending(&mut self) -> Option<Source> {
        std::mem::take(&mut self.pending).source()
    }

    /// Whether `len` more bytes can join what this turn sends. A turn that has sent nothing yet has
    /// room for one message of any size.
    pub(crate) fn fits(&self, out: &Output, len: usize, max: usize) -> bool {
        self.pending.source().is_none_or(|source| out.bytes(source).len() + len <= max)
    }

    /// Whether `len` more bytes can be written within `max`, now or in the queue.
    pub(crate) fn takes(&self, out: &Output, len: usize, max: usize) -> bool {
        match &self.queue {
            Some(queue) => queue.in_flight + queue.bytes + len <= max,
            None => self.fits(out, len, max),
        }
    }

    /// A `Drain` is through: what to drain next, or `None` and the peer has caught up, though its handshake may
    /// hold it.
    ///
    /// # Errors
    /// The keys may encrypt nothing more.
    pub(crate) fn drained(&mut self, tls: Option<&mut Tls>) -> Result<Option<Vec<u8>>, Exhausted> {
        let Some(queue) = &mut self.queue else { return Ok(None) };
        let held = tls.as_ref().is_some_and(|tls| tls.is_handshaking());
        let next = queue.next_drain(tls)?;
        if next.is_empty() && !held {
            self.queue = None;
        }
        Ok(Some(next).filter(|next| !next.is_empty()))
    }

    /// Forgets everything: the connection is being closed.
    pub(crate) fn discard(&mut self) {
        *self = Egress::default();
    }
}

impl Queue {
    fn push(&mut self, chunk: Chunk, max: usize) -> Result<(), Overflow> {
        let len = chunk.bytes().len();
        if self.in_flight + self.bytes + len > max {
            return Err(Overflow);
        }
        self.bytes += len;
        self.chunks.push_back(chunk);
        Ok(())
    }

    fn next_drain(&mut self, tls: Option<&mut Tls>) -> Result<Vec<u8>, Exhausted> {
        let mut next = std::mem::take(&mut self.tail);
        let mut counted = next.len();
        match tls {
            None => counted += self.next_messages(&mut next),
            Some(tls) => {
                let mut plain = Vec::new();
                if !tls.is_handshaking() {
                    counted += self.next_messages(&mut plain);
                }
                tls.seal(&plain, &mut next)?;
            }
        }
        self.bytes -= counted;
        self.in_flight = counted;
        self.draining = !next.is_empty();
        Ok(next)
    }

    /// Moves what leaves next behind `next`, and says how many bytes of it count.
    fn next_messages(&mut self, next: &mut Vec<u8>) -> usize {
        let mut counted = 0;
        next.append(&mut self.control);
        while next.len() < DRAIN_BYTES {
            let Some(chunk) = self.chunks.pop_front() else { break };
            counted += chunk.bytes().len();
            next.extend_from_slice(chunk.bytes());
        }
        counted
    }
}

impl Pending {
    fn is_nothing(self) -> bool {
        self.len == 0
    }

    fn source(self) -> Option<Source> {
        match self.len {
            0 => None,
            FRAME => Some(Source::Frame(self.at)),
            len => Some(Source::Arena { start: self.at, len }),
        }
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Owned(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(egress: &mut Egress, out: &mut Output, bytes: &[u8]) -> Result<Wrote, Overflow> {
        egress.message(out, 100, |b| b.extend_from_slice(bytes))
    }

    fn sent(egress: &mut Egress, out: &mut Output) -> Vec<u8> {
        let source = egress.pending(None, out).unwrap().expect("something to send");
        out.bytes(source).to_vec()
    }

    fn drained(egress: &mut Egress) -> Vec<u8> {
        egress.drained(None).unwrap().expect("something to drain")
    }

    #[test]
    fn one_send_per_turn_whatever_is_written_between() {
        let (mut a, mut b, mut out) = (Egress::default(), Egress::default(), Output::default());
        out.frames.push(Arc::from(&b"shared"[..]));
        assert_eq!(put(&mut a, &mut out, b"one "), Ok(Wrote::First));
        assert_eq!(b.shared(&mut out, 0, 100), Ok(Wrote::First));
        assert_eq!(put(&mut a, &mut out, b"two"), Ok(Wrote::More));
        assert_eq!(put(&mut b, &mut out, b" and own"), Ok(Wrote::More));
        assert_eq!(a.shared(&mut out, 0, 100), Ok(Wrote::More));
        assert_eq!(sent(&mut a, &mut out), b"one twoshared");
        assert_eq!(sent(&mut b, &mut out), b"shared and own");
        assert!(a.is_empty());
    }

    #[test]
    fn a_lone_shared_frame_is_not_copied() {
        let (mut egress, mut out) = (Egress::default(), Output::default());
        out.frames.push(Arc::from(&b"shared"[..]));
        egress.shared(&mut out, 0, 100).unwrap();
        assert_eq!(egress.pending(None, &mut out), Ok(Some(Source::Frame(0))));
        assert!(out.arena.is_empty());
    }

    #[test]
    fn control_overtakes_messages_but_not_the_tail() {
        let (mut egress, mut out) = (Egress::default(), Output::default());
        put(&mut egress, &mut out, b"pending").unwrap();
        assert_eq!(egress.unsent(b"tail", &out, 100, None).unwrap(), b"tailpending");
        put(&mut egress, &mut out, b"message").unwrap();
        egress.control(&mut out, |b| b.extend_from_slice(b"pong")).unwrap();
        assert_eq!(drained(&mut egress), b"pongmessage");
        assert_eq!(egress.drained(None), Ok(None));
        assert!(egress.is_empty());
    }

    #[test]
    fn what_is_held_waits_for_its_release() {
        let (mut egress, mut out) = (Egress::default(), Output::default());
        assert_eq!(put(&mut egress, &mut out, b"one "), Ok(Wrote::First));
        let taken = egress.take(&out);
        egress.hold(taken);
        assert!(egress.is_blocked());
        assert_eq!(put(&mut egress, &mut out, b"two"), Ok(Wrote::More));
        assert_eq!(put(&mut egress, &mut out, &[0; 94]), Err(Overflow));
        assert_eq!(egress.release(), b"one two");
        assert!(egress.is_empty());
    }

    #[test]
    fn the_sum_of_all_queues_is_bounded() {
        let (mut a, mut b, mut out, mut sum) = (Egress::default(), Egress::default(), Output::default(), 0);
        assert_eq!(b.bound(100, 0), 100, "it keeps up");
        a.unsent(&[0; 60], &out, 100, None).unwrap();
        b.unsent(&[0; 30], &out, 100, None).unwrap();
        a.count(&mut sum);
        b.count(&mut sum);
        assert_eq!((sum, a.bound(100, 10), a.bound(65, 10)), (90, 70, 65));
        put(&mut a, &mut out, &[1; 10]).unwrap();
        a.count(&mut sum);
        assert_eq!(sum, 100);
        a.uncount(&mut sum);
        drained(&mut a);
        a.count(&mut sum);
        assert_eq!(sum, 40);
        for egress in [&mut a, &mut b] {
            egress.uncount(&mut sum);
        }
        assert_eq!(sum, 0);
    }

    #[test]
    fn the_queue_is_bounded_and_control_is_exempt() {
        let (mut egress, mut out) = (Egress::default(), Output::default());
        egress.unsent(&[0; 60], &out, 100, None).unwrap();
        assert_eq!(put(&mut egress, &mut out, &[1; 41]), Err(Overflow));
        assert_eq!(put(&mut egress, &mut out, &[1; 40]), Ok(Wrote::More));
        assert_eq!(egress.queued(), 100);
        egress.control(&mut out, |b| b.extend_from_slice(&[2; 9])).unwrap();
        assert_eq!(put(&mut egress, &mut out, &[1; 1]), Err(Overflow));
        assert_eq!(drained(&mut egress).len(), 49);
    }
}
