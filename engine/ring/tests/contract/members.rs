//! Several drivers, each on its thread: wake-ups and letters.

use std::sync::mpsc;
use std::thread;

use super::common::meeting::{Meeting, sleep};
use super::driver;
use weir_ring::clock::Clock;
use weir_ring::driver::Driver;
use weir_ring::landing::Landing;
use weir_ring::mesh::{Links, Push, connect};
use weir_ring::op::Completions;
use weir_ring::peer::Peer;
use weir_ring::settings::{Settings, SetupError};
use weir_ring::token::Member;
use weir_ring::waker::Waker;

/// Letters go back and forth, each side asleep in its driver until the other's arrives. A lost wake-up
/// hangs.
#[test]
fn letters_wake_a_driver_that_sleeps() {
    const ROUNDS: u32 = 2_000;
    let meetings = Meeting::of(2);
    let threads: Vec<_> = connect::<u32>(2, 4)
        .into_iter()
        .zip(meetings)
        .map(|(mut links, meeting)| {
            thread::spawn(move || {
                let mut driver = driver(Waker::new().expect("eventfd"));
                let me = links.me();
                let other = Member(1 - me.0);
                meeting.join(me.0.into(), &mut driver);
                if me == Member(0) {
                    post(&mut links, &mut driver, other, 0);
                }
                let (mut inbox, mut last) = (Vec::new(), 0);
                while last < ROUNDS {
                    sleep(&mut driver);
                    links.receive(&mut inbox);
                    for letter in inbox.drain(..) {
                        last = letter + 1;
                        post(&mut links, &mut driver, other, last);
                    }
                }
                // The last wake-up is queued: let it go.
                driver.wait(Some(Clock::now().mono), Clock::now().mono).expect("wait");
                meeting.end.wait();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("member"));
}

fn post(links: &mut Links<u32>, driver: &mut Driver, to: Member, letter: u32) {
    if links.send(to, letter).expect("room") == Push::Wake {
        driver.wake(to);
    }
}

#[test]
fn a_waker_wakes_a_driver_again_and_again() {
    let waker = Waker::new().expect("eventfd");
    let mut driver = driver(waker.clone());
    // Before the driver has begun to watch, too.
    waker.wake();
    sleep(&mut driver);
    let (ask, asked) = mpsc::channel();
    let thread = thread::spawn(move || asked.iter().for_each(|()| waker.wake()));
    for _ in 0..1_000 {
        ask.send(()).expect("thread");
        sleep(&mut driver);
    }
    drop(ask);
    thread.join().expect("thread");
}

#[test]
fn a_driver_wakes_a_member_without_one() {
    let waker = Waker::new().expect("eventfd");
    let mut driver = driver(Waker::new().expect("eventfd"));
    driver.connect(vec![driver.peer(), Peer::Landing(Landing::new(waker.clone()).0)]);
    driver.wake(Member(1));
    assert!(waker.clear());
}

#[test]
fn a_deadline_ends_the_wait() {
    let mut driver = driver(Waker::new().expect("eventfd"));
    let start = Clock::now().mono;
    let until = start.plus(std::time::Duration::from_millis(5));
    while Clock::now().mono < until {
        driver.wait(Some(until), Clock::now().mono).expect("wait");
        assert!(driver.completions().next().is_none());
    }
}

#[test]
fn a_table_beyond_the_limit_says_what_to_raise() {
    let settings = Settings::new(Vec::new(), 1 << 24, Waker::new().expect("eventfd"));
    match Driver::new(crate::DRIVER, settings).err() {
        Some(error @ SetupError::Descriptors { sockets: 0x100_0000 }) => {
            assert!(error.to_string().contains("RLIMIT_NOFILE"));
        }
        other => panic!("unexpected {other:?}"),
    }
}
