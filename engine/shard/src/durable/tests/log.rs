//! How the log grows, and how it is kept small.

use super::*;

/// Segments of about ten messages.
const SMALL: Durability = Durability { segment_bytes: 3_000, bytes_max: 9_000 };

#[test]
fn a_full_segment_is_followed_by_the_next() {
    let mut world = World::with(Durability { bytes_max: 1 << 20, ..SMALL });
    for at in 0..40 {
        world.publish("ann", &at.to_string());
        world.settle();
    }
    assert!(world.disk.len() >= 3, "{} segments", world.disk.len());
    assert!(world.disk.values().all(|bytes| bytes.len() < 4_000));
    let recovered = world.restart(0);
    let run = &recovered.streams[0].lanes[Lane::Normal as usize];
    assert_eq!((run.head, run.entries.len()), (40, 40));
}

#[test]
fn old_segments_go_once_all_is_said_again() {
    let mut world = World::with(Durability { bytes_max: 1 << 20, ..SMALL });
    world.listen("ann", None);
    world.publish("bob", "1");
    for at in 0..30 {
        world.publish("ann", &at.to_string());
        world.settle();
    }
    let epoch = world.position("bob").expect("a session").epoch;
    let before = world.disk.len();
    world.wait(world.config.outbox.age_max + Duration::from_secs(60));
    world.publish("ann", "30");
    world.settle();
    assert!(before >= 3 && world.disk.len() == 1, "{before} segments, then {}", world.disk.len());
    world.restart(0);
    assert_eq!(world.position("ann").map(|it| it.sequence), Some(31));
    // Its session is long forgotten; what is left of it is no more than a name.
    assert_ne!(world.position("bob").map(|it| it.epoch), Some(epoch));
}

#[test]
fn too_many_bytes_push_out_the_oldest() {
    let mut world = World::with(SMALL);
    world.publish("bob", "1");
    for at in 0..200 {
        world.publish("ann", &at.to_string());
        world.settle();
    }
    let total: usize = world.disk.values().map(Vec::len).sum();
    assert!(total <= 12_000, "{total} bytes");
    let bob = world.position("bob");
    let recovered = world.restart(0);
    assert_eq!(recovered.report.holes, 0);
    assert_eq!(world.position("ann").map(|it| it.sequence), Some(200));
    assert_eq!(world.position("bob"), bob, "its message is gone, its number is not");
    let (_, told) = world.listen("bob", None);
    assert!(told.contains("event: gap") && told.contains(r#""reason":"evicted""#), "{told}");
}

#[test]
fn many_streams_are_said_again_in_many_batches() {
    let mut world = World::with(Durability { segment_bytes: 300_000, bytes_max: 1 << 30 });
    for at in 0..3_000 {
        world.publish(&format!("client-{at}"), "1");
    }
    world.settle();
    let large = format!("\"{}\"", "x".repeat(1_000));
    for _ in 0..300 {
        world.publish("ann", &large);
        world.settle();
    }
    world.wait(Duration::from_secs(301));
    world.publish("ann", "1");
    world.settle();
    assert_eq!(world.disk.len(), 1);
}

/// However much there is to write, what must be said again gets its part of each batch.
#[test]
fn a_busy_log_rotates_too() {
    let mut world = World::with(Durability { segment_bytes: 1 << 20, bytes_max: 4 << 20 });
    for at in 0..500 {
        world.publish(&format!("client-{at}"), "1");
    }
    let large = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..100 {
        world.publish("ann", &large);
        world.publish("bob", &large);
        if world.append.is_some() {
            world.disk_writes();
        }
    }
    world.settle();
    let total: usize = world.disk.values().map(Vec::len).sum();
    assert!(total < 6 << 20, "{total} bytes");
    let recovered = world.restart(0);
    assert_eq!(recovered.streams.len(), 502);
}

/// A disk that is full of old segments is not full for ever.
#[test]
fn old_segments_go_from_a_full_disk() {
    let mut world = World::with(Durability { segment_bytes: 3_000, bytes_max: 1 << 20 });
    world.listen("ann", None);
    for at in 0..30 {
        world.publish("ann", &at.to_string());
        world.settle();
    }
    let before = world.disk.len();
    world.publish("ann", r#""refused""#);
    world.disk_refuses(0);
    world.disk_refuses(0);
    world.wait(world.config.outbox.age_max + Duration::from_secs(60));
    assert!(before >= 3 && world.disk.len() < before, "{before} segments, then {}", world.disk.len());
    world.settle();
    world.publish("ann", "30");
    world.settle();
    assert_eq!(world.receipts().into_iter().filter(Result::is_ok).count(), 31);
    world.restart(0);
    assert_eq!(world.position("ann").map(|it| it.sequence), Some(31));
}

#[test]
fn a_slow_disk_bounds_what_is_taken() {
    let mut world = World::new();
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    for at in 0..40 {
        world.publish(&format!("client-{at}"), &large);
    }
    let refused = world.receipts();
    assert!(!refused.is_empty() && refused.iter().all(|it| *it == Err(Error::insufficient_resources())));
    world.settle();
    assert_eq!(world.accepted().len(), 40 - refused.len());
}
