//! Letters between members: one bounded lock-free queue for each ordered pair, each with one sender
//! and one receiver, and nothing shared beyond that.
//!
//! Sleeping and waking, in one rule: a push says [`Push::Wake`] when the receiver had taken all that
//! was there before, and the sender then sends one wake-up. A receiver may sleep after its `pop` said
//! `None`. Both sides write their index, then pass a sequentially consistent fence, then read the
//! other's: so either the push sees that all was taken, and wakes, or the pop sees the push.

use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use self::sync::{Arc, AtomicUsize, Ordering, UnsafeCell, fence};
use crate::token::Member;

/// What a push asks of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Push {
    /// The queue was empty: the receiver may be asleep and needs one wake-up.
    Wake,
    /// The receiver has yet to take earlier letters, or is about to look again.
    Awake,
}

/// A queue of at least `capacity` letters, rounded up to a power of two.
///
/// # Panics
/// If `capacity` is 0 or beyond 2^31.
pub fn channel<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!((1..=1 << 31).contains(&capacity), "capacity {capacity} is not in 1..=2^31");
    let slots = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let queue = Arc::new(Queue {
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        slots,
    });
    (Sender { queue: queue.clone(), tail: 0, head: 0 }, Receiver { queue, head: 0, tail: 0 })
}

/// Indices count up and wrap; `tail - head` letters lie in the queue, never more than there are slots.
/// Slots in `head..tail` are initialized and belong to the receiver, the others to the sender.
struct Queue<T> {
    /// The next letter to take. Written by the receiver alone.
    head: CachePadded<AtomicUsize>,
    /// The next slot to fill. Written by the sender alone.
    tail: CachePadded<AtomicUsize>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: the sender touches only slots outside `head..tail`, the receiver only slots inside; each
// slot changes sides by a release store of one index that the other side reads with acquire. There is
// one `Sender` and one `Receiver`, neither can be cloned, and letters themselves may change threads.
unsafe impl<T: Send> Sync for Queue<T> {}
// SAFETY: as above; the queue owns its letters.
unsafe impl<T: Send> Send for Queue<T> {}

impl<T> Queue<T> {
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[index & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        let (mut head, tail) = (self.head.load(Ordering::Relaxed), self.tail.load(Ordering::Relaxed));
        while head != tail {
            // SAFETY: both ends are gone, so nobody else looks at the slot, and it lies in
            // `head..tail`, so it holds a letter, which is dropped once as `head` moves on.
            self.slot(head).with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(1);
        }
    }
}

/// The end that pushes.
pub struct Sender<T> {
    queue: Arc<Queue<T>>,
    /// Own copy of `queue.tail`.
    tail: usize,
    /// `queue.head` as last seen: the true one is there or further.
    head: usize,
}

impl<T> Sender<T> {
    /// Appends `letter`.
    ///
    /// # Errors
    /// The queue is full: the letter comes back.
    pub fn push(&mut self, letter: T) -> Result<Push, T> {
        let queue = &*self.queue;
        if self.tail.wrapping_sub(self.head) == queue.slots.len() {
            self.head = queue.head.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head) == queue.slots.len() {
                return Err(letter);
            }
        }
        // SAFETY: `tail - head` is less than the number of slots, so the slot at `tail` lies outside
        // `head..tail` and is ours; the acquire load of `head` came after the receiver's last use.
        queue.slot(self.tail).with_mut(|slot| unsafe {
            (*slot).write(letter);
        });
        let before = self.tail;
        self.tail = before.wrapping_add(1);
        queue.tail.store(self.tail, Ordering::Release);
        fence(Ordering::SeqCst);
        self.head = queue.head.load(Ordering::Acquire);
        Ok(if self.head == before { Push::Wake } else { Push::Awake })
    }

    /// How many letters the queue can take now, at least.
    pub fn room(&mut self) -> usize {
        self.head = self.queue.head.load(Ordering::Acquire);
        self.queue.slots.len() - self.tail.wrapping_sub(self.head)
    }
}

/// The end that pops.
pub struct Receiver<T> {
    queue: Arc<Queue<T>>,
    /// Own copy of `queue.head`.
    head: usize,
    /// `queue.tail` as last seen: the true one is there or further.
    tail: usize,
}

impl<T> Receiver<T> {
    /// Takes the oldest letter. After `None`, the next push says [`Push::Wake`].
    pub fn pop(&mut self) -> Option<T> {
        let queue = &*self.queue;
        if self.head == self.tail {
            fence(Ordering::SeqCst);
            self.tail = queue.tail.load(Ordering::Acquire);
            if self.head == self.tail {
                return None;
            }
        }
        // SAFETY: `head` lies before a `tail` that was read with acquire, so the sender has filled the
        // slot and left it alone since; the letter is moved out once, as `head` moves on below.
        let letter = queue.slot(self.head).with(|slot| unsafe { (*slot).assume_init_read() });
        self.head = self.head.wrapping_add(1);
        queue.head.store(self.head, Ordering::Release);
        Some(letter)
    }
}

/// One member's ends of all its queues.
pub struct Links<T> {
    me: Member,
    /// By receiver; none to oneself.
    senders: Vec<Option<Sender<T>>>,
    /// By sender, oneself left out.
    receivers: Vec<Receiver<T>>,
}

/// Connects `members`, each with each other, by queues of `capacity` letters. Hand each thread its own
/// links, in the order of [`Member`].
///
/// # Panics
/// If `capacity` is 0 or beyond 2^31.
pub fn connect<T: Send>(members: u16, capacity: usize) -> Vec<Links<T>> {
    let mut links: Vec<Links<T>> =
        (0..members).map(|me| Links { me: Member(me), senders: Vec::new(), receivers: Vec::new() }).collect();
    for from in 0..usize::from(members) {
        for to in 0..usize::from(members) {
            let sender = (from != to).then(|| {
                let (sender, receiver) = channel(capacity);
                links[to].receivers.push(receiver);
                sender
            });
            links[from].senders.push(sender);
        }
    }
    links
}

impl<T> Links<T> {
    /// Whose links these are.
    pub fn me(&self) -> Member {
        self.me
    }

    /// How many members there are, oneself included.
    pub fn members(&self) -> u16 {
        self.senders.len() as u16
    }

    /// Sends `letter` to `to`, who must be another member.
    ///
    /// # Errors
    /// The queue is full: the letter comes back.
    pub fn send(&mut self, to: Member, letter: T) -> Result<Push, T> {
        match self.senders.get_mut(usize::from(to.0)) {
            Some(Some(sender)) => sender.push(letter),
            _ => Err(letter),
        }
    }

    /// Appends to `inbox` all that has arrived, in order per sender. Afterwards one may sleep.
    pub fn receive(&mut self, inbox: &mut Vec<T>) {
        for receiver in &mut self.receivers {
            inbox.extend(std::iter::from_fn(|| receiver.pop()));
        }
    }

    /// How many letters `to` can take now, at least; 0 for oneself and for nobody.
    pub fn room(&mut self, to: Member) -> u32 {
        match self.senders.get_mut(usize::from(to.0)) {
            Some(Some(sender)) => sender.room() as u32,
            _ => 0,
        }
    }
}

#[cfg(loom)]
mod sync {
    pub(super) use loom::cell::UnsafeCell;
    pub(super) use loom::sync::Arc;
    pub(super) use loom::sync::atomic::{AtomicUsize, Ordering, fence};
}

#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::Arc;
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering, fence};

    /// `std`'s cell under loom's interface.
    pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(super) fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline]
        pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}
