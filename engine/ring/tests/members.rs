//! Several rings, each on its thread: wake-ups and letters.

mod common;

use std::sync::mpsc;
use std::thread;

use common::meeting::{Meeting, sleep};
use weir_ring::clock::Clock;
use weir_ring::mesh::{Links, Push, connect};
use weir_ring::op::Completions;
use weir_ring::token::Member;
use weir_ring::uring::{Peer, Settings, SetupError, Uring};
use weir_ring::waker::Waker;

/// Letters go back and forth, each side asleep in its ring until the other's arrives. A lost wake-up
/// hangs.
#[test]
fn letters_wake_a_ring_that_sleeps() {
    const ROUNDS: u32 = 2_000;
    let meetings = Meeting::of(2);
    let threads: Vec<_> = connect::<u32>(2, 4)
        .into_iter()
        .zip(meetings)
        .map(|(mut links, meeting)| {
            thread::spawn(move || {
                let settings = Settings::new(Vec::new(), 8, Waker::new().expect("eventfd"));
                let mut uring = Uring::new(settings).expect("ring");
                let me = links.me();
                let other = Member(1 - me.0);
                meeting.join(me.0.into(), &mut uring);
                if me == Member(0) {
                    post(&mut links, &mut uring, other, 0);
                }
                let (mut inbox, mut last) = (Vec::new(), 0);
                while last < ROUNDS {
                    sleep(&mut uring);
                    links.receive(&mut inbox);
                    for letter in inbox.drain(..) {
                        last = letter + 1;
                        post(&mut links, &mut uring, other, last);
                    }
                }
                // The last wake-up is queued: let it go.
                uring.wait(Some(Clock::now().mono), Clock::now().mono).expect("wait");
                meeting.end.wait();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("member"));
}

fn post(links: &mut Links<u32>, uring: &mut Uring, to: Member, letter: u32) {
    if links.send(to, letter).expect("room") == Push::Wake {
        uring.wake(to);
    }
}

#[test]
fn a_waker_wakes_a_ring_again_and_again() {
    let waker = Waker::new().expect("eventfd");
    let mut uring = Uring::new(Settings::new(Vec::new(), 8, waker.clone())).expect("ring");
    // Before the ring has begun to watch, too.
    waker.wake();
    sleep(&mut uring);
    let (ask, asked) = mpsc::channel();
    let thread = thread::spawn(move || asked.iter().for_each(|()| waker.wake()));
    for _ in 0..1_000 {
        ask.send(()).expect("thread");
        sleep(&mut uring);
    }
    drop(ask);
    thread.join().expect("thread");
}

#[test]
fn a_ring_wakes_a_member_without_one() {
    let waker = Waker::new().expect("eventfd");
    let mut uring = Uring::new(Settings::new(Vec::new(), 8, Waker::new().expect("eventfd"))).expect("ring");
    uring.connect(vec![Peer::Ring(uring.fd()), Peer::Waker(waker.clone())]);
    uring.wake(Member(1));
    assert!(waker.clear());
}

#[test]
fn a_deadline_ends_the_wait() {
    let mut uring = Uring::new(Settings::new(Vec::new(), 8, Waker::new().expect("eventfd"))).expect("ring");
    let start = Clock::now().mono;
    let until = start.plus(std::time::Duration::from_millis(5));
    while Clock::now().mono < until {
        uring.wait(Some(until), Clock::now().mono).expect("wait");
        assert!(uring.completions().next().is_none());
    }
}

#[test]
fn a_table_beyond_the_limit_says_what_to_raise() {
    let settings = Settings::new(Vec::new(), 1 << 24, Waker::new().expect("eventfd"));
    match Uring::new(settings).err() {
        Some(error @ SetupError::Descriptors { sockets: 0x100_0000 }) => {
            assert!(error.to_string().contains("RLIMIT_NOFILE"));
        }
        other => panic!("unexpected {other:?}"),
    }
}
