//! All interleavings of the mesh's two ends, by loom:
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p weir-ring --release --test loom_mesh`.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::Notify;
use loom::thread;
use weir_ring::mesh::{Push, channel, connect};
use weir_ring::token::Member;

/// The pump's protocol: take all, look again, sleep. `Notify` stands for the ring's wake-up, which
/// stays pending if it comes before the sleep. A lost wake-up is a deadlock, which loom reports.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (mut sender, mut receiver) = channel::<u32>(2);
        let notify = Arc::new(Notify::new());
        let bell = notify.clone();
        let producer = thread::spawn(move || {
            for letter in 0..2 {
                if sender.push(letter) == Ok(Push::Wake) {
                    bell.notify();
                }
            }
        });
        let mut taken = Vec::new();
        loop {
            taken.extend(std::iter::from_fn(|| receiver.pop()));
            if taken.len() == 2 {
                break;
            }
            notify.wait();
        }
        assert_eq!(taken, [0, 1]);
        producer.join().expect("producer");
    });
}

/// Two senders ring the same bell; nothing is lost between their queues.
#[test]
fn no_wake_up_is_lost_among_several_senders() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mut links = connect::<u16>(3, 1);
        let notify = Arc::new(Notify::new());
        let mut receiver = links.remove(0);
        let producers: Vec<_> = links
            .into_iter()
            .map(|mut link| {
                let bell = notify.clone();
                thread::spawn(move || {
                    if link.send(Member(0), link.me().0) == Ok(Push::Wake) {
                        bell.notify();
                    }
                })
            })
            .collect();
        let mut inbox = Vec::new();
        loop {
            receiver.receive(&mut inbox);
            if inbox.len() == 2 {
                break;
            }
            notify.wait();
        }
        inbox.sort_unstable();
        assert_eq!(inbox, [1, 2]);
        for producer in producers {
            producer.join().expect("producer");
        }
    });
}

/// Slots change sides without a race, also when the queue is full and wraps; what is not taken is
/// dropped once.
#[test]
fn letters_keep_order_and_are_dropped_once() {
    loom::model(|| {
        let alive = Arc::new(());
        let (mut sender, mut receiver) = channel::<(u32, Arc<()>)>(1);
        let mark = alive.clone();
        let producer = thread::spawn(move || {
            let mut next = 0;
            for _ in 0..2 {
                if sender.push((next, mark.clone())).is_ok() {
                    next += 1;
                }
            }
        });
        let mut expected = 0;
        for _ in 0..2 {
            if let Some((letter, _)) = receiver.pop() {
                assert_eq!(letter, expected);
                expected += 1;
            }
        }
        producer.join().expect("producer");
        drop(receiver);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}
