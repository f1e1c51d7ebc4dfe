//! Letters between members: on one thread, and there and back between two.

use std::hint::{black_box, spin_loop};
use std::thread;

use criterion::Criterion;
use weir_ring::mesh::{Sender, channel};

/// Letters a queue takes.
const CAPACITY: usize = 1024;

pub(crate) fn benches(c: &mut Criterion) {
    push_and_pop(c);
    round_trip(c);
}

fn push_and_pop(c: &mut Criterion) {
    let (mut sender, mut receiver) = channel::<u64>(CAPACITY);
    c.benchmark_group("mesh").bench_function("push and pop", |b| {
        b.iter(|| {
            let push = sender.push(black_box(7));
            assert_eq!((push.is_ok(), receiver.pop()), (true, Some(7)));
        });
    });
}

/// Both threads look without pause, so this is what the queues and the caches cost, without a wake-up.
fn round_trip(c: &mut Criterion) {
    let (mut there, mut inbox) = channel::<bool>(CAPACITY);
    let (mut back, mut answers) = channel::<bool>(CAPACITY);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut open = true;
            while open {
                let Some(letter) = inbox.pop() else {
                    spin_loop();
                    continue;
                };
                open = letter;
                send(&mut back, letter);
            }
        });
        let mut ask = |letter| {
            send(&mut there, letter);
            while answers.pop().is_none() {
                spin_loop();
            }
        };
        c.benchmark_group("mesh").bench_function("round trip of two threads", |b| b.iter(|| ask(true)));
        ask(false);
    });
}

/// Nobody sleeps here, so nobody is woken.
fn send(to: &mut Sender<bool>, letter: bool) {
    assert!(to.push(letter).is_ok(), "one letter is under way");
}
