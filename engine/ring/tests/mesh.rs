//! The mesh against a model, and on real threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use weir_ring::mesh::{Push, channel, connect};
use weir_ring::token::Member;

proptest! {
    /// Any sequence of pushes, pops and looks at the room does what a bounded `VecDeque` does.
    #[test]
    fn behaves_like_a_bounded_deque(capacity in 1_usize..9, steps in prop::collection::vec(0_u8..3, 0..200)) {
        let (mut sender, mut receiver) = channel::<usize>(capacity);
        let bound = capacity.next_power_of_two();
        let mut model = VecDeque::new();
        for (letter, step) in steps.into_iter().enumerate() {
            match step {
                0 if model.len() == bound => prop_assert_eq!(sender.push(letter), Err(letter)),
                0 => {
                    let push = if model.is_empty() { Push::Wake } else { Push::Awake };
                    prop_assert_eq!(sender.push(letter), Ok(push));
                    model.push_back(letter);
                }
                1 => prop_assert_eq!(receiver.pop(), model.pop_front()),
                _ => prop_assert_eq!(sender.room(), bound - model.len()),
            }
        }
    }
}

#[test]
fn unread_letters_are_dropped_with_the_queue() {
    let mark = Arc::new(());
    let (mut sender, mut receiver) = channel(4);
    for _ in 0..4 {
        assert!(sender.push(mark.clone()).is_ok());
    }
    assert!(sender.push(mark.clone()).is_err());
    drop(receiver.pop());
    drop((sender, receiver));
    assert_eq!(Arc::strong_count(&mark), 1);
}

#[test]
fn members_reach_each_other_and_not_themselves() {
    let mut links = connect::<(u16, u32)>(3, 8);
    for (from, link) in links.iter_mut().enumerate() {
        for to in 0..3 {
            assert_eq!(link.room(Member(to)), if from == usize::from(to) { 0 } else { 8 });
            let sent = link.send(Member(to), (from as u16, 0));
            assert_eq!(sent.is_err(), from == usize::from(to));
        }
        assert!(link.send(Member(3), (0, 0)).is_err(), "nobody of that name");
    }
    for (me, link) in links.iter_mut().enumerate() {
        assert_eq!((usize::from(link.me().0), link.members()), (me, 3));
        let mut inbox = Vec::new();
        link.receive(&mut inbox);
        let others: Vec<_> = (0..3).filter(|from| usize::from(*from) != me).map(|from| (from, 0)).collect();
        assert_eq!(inbox, others);
    }
}

/// A hundred thousand letters through eight slots: none lost, none twice, all in order. The receiver
/// sleeps by `park`, whose pending wake-up is that of the ring, so a lost one would hang here.
#[test]
fn threads_exchange_every_letter_in_order() {
    const LETTERS: u32 = 100_000;
    let (mut sender, mut receiver) = channel::<u32>(8);
    let reader = thread::spawn(move || {
        let mut expected = 0;
        while expected < LETTERS {
            match receiver.pop() {
                Some(letter) => {
                    assert_eq!(letter, expected);
                    expected += 1;
                }
                None => thread::park(),
            }
        }
    });
    for letter in 0..LETTERS {
        let mut pending = letter;
        loop {
            match sender.push(pending) {
                Ok(Push::Wake) => break reader.thread().unpark(),
                Ok(Push::Awake) => break,
                Err(back) => pending = back,
            }
            thread::yield_now();
        }
    }
    reader.join().expect("reader");
}
