//! What publishers and clients see of the log.

use super::*;
use crate::durable::Kind;
use crate::mail::{Ack, DrainOrder, Subscriber};

#[test]
fn nothing_is_told_before_it_is_on_the_disk() {
    let mut world = World::new();
    let (client, _) = world.listen("ann", None);
    world.settle();
    world.publish("ann", "1");
    world.publish("ann", "2");
    assert!(world.receipts().is_empty() && numbers(&world.read(client)).is_empty());
    world.disk_writes();
    assert_eq!((world.accepted(), numbers(&world.read(client))), (vec![1], vec![1]), "the first batch");
    world.disk_writes();
    assert_eq!((world.accepted(), numbers(&world.read(client))), (vec![2], vec![2]), "what was collected");
}

#[test]
fn messages_of_a_turn_are_one_batch() {
    let mut world = World::new();
    world.publish("ann", "0");
    for data in ["1", "2", "3"] {
        world.publish("bob", data);
    }
    world.disk_writes();
    assert_eq!(world.accepted(), [1]);
    world.disk_writes();
    assert_eq!(world.accepted(), [1, 2, 3]);
    assert!(world.append.is_none());
}

#[test]
fn a_refused_batch_never_happened() {
    let mut world = World::new();
    let (client, _) = world.listen("ann", None);
    world.settle();
    world.publish("ann", "1");
    world.disk_writes();
    world.publish("ann", r#""refused""#);
    world.publish("ann", r#""behind it""#);
    world.accepted();
    world.disk_refuses(usize::MAX);
    let refused = vec![Err(Error::storage()), Err(Error::storage())];
    assert_eq!(world.receipts(), refused);
    assert_eq!(numbers(&world.read(client)), [1]);
    world.publish("ann", r#""taken""#);
    assert_eq!(world.append.as_ref().expect("an append").0, 2, "a new segment begins");
    world.settle();
    assert_eq!(world.accepted(), [2], "the number is given again");
    let told = world.read(client);
    assert!(told.contains("taken") && !told.contains("refused") && !told.contains("behind"), "{told}");
    let epoch = world.position("ann").expect("a session").epoch;
    let recovered = world.restart(0);
    assert_eq!((recovered.report.holes, recovered.report.torn_bytes), (0, 0));
    assert_eq!(world.position("ann"), Some(Position { epoch, sequence: 2 }));
    let (_, told) = world.listen("ann", None);
    assert!(told.contains("taken") && !told.contains("refused") && !told.contains("behind"), "{told}");
}

#[test]
fn a_disk_that_refuses_is_tried_every_second() {
    let mut world = World::new();
    world.publish("ann", "1");
    world.disk_refuses(3);
    world.publish("ann", "2");
    world.disk_refuses(0);
    world.publish("ann", "3");
    assert_eq!(world.receipts(), vec![Err(Error::storage()); 3]);
    assert!(world.append.is_none());
    world.wait(Duration::from_millis(999));
    assert!(world.append.is_none());
    world.wait(Duration::from_millis(1));
    world.publish("ann", "4");
    assert_eq!(world.receipts(), [Err(Error::storage())], "it is not known yet whether the disk takes it");
    world.disk_writes();
    world.publish("ann", "5");
    world.settle();
    assert_eq!(world.accepted(), [1]);
    let recovered = world.restart(0);
    assert_eq!((recovered.report.holes, recovered.streams.len()), (0, 1));
    assert_eq!(recovered.streams[0].lanes[Lane::Normal as usize].entries.len(), 1);
}

#[test]
fn a_client_goes_on_where_it_was() {
    let mut world = World::new();
    let (client, _) = world.listen("ann", None);
    for data in ["1", "2", "3"] {
        world.publish("ann", data);
    }
    world.settle();
    let told = world.read(client);
    let second = told.lines().filter_map(|line| line.strip_prefix("id: ")).nth(1).expect("an id").to_owned();
    world.publish("ann", "4");
    world.settle();
    world.restart(0);
    let (client, told) = world.listen("ann", Some(&second));
    assert!(told.contains(r#""recovered":true"#), "{told}");
    assert_eq!(numbers(&told), [3, 4]);
    assert_eq!(told.matches(r#"{"redelivery":true,"#).count(), 2, "nobody knows what was received: {told}");
    world.publish("ann", "5");
    world.settle();
    let told = world.read(client);
    assert_eq!(numbers(&told), [5]);
    assert!(!told.contains("redelivery"), "{told}");
}

#[test]
fn lanes_ttl_and_acknowledgements_come_back() {
    let mut world = World::new();
    world.publish("ann", "1");
    world.publish_as("ann", Lane::Urgent, "1");
    world.publish_as("ann", Lane::Low, "1");
    world.settle();
    let epoch = world.position("ann").expect("a session").epoch;
    let letter = Mail::Acknowledge {
        from: BACKEND,
        reply_to: ReplyTo::Nobody,
        client: "ann".into(),
        ack: Ack::Through { lane: Lane::Normal, position: Position { epoch, sequence: 1 } },
    };
    world.post.inbox.push(letter);
    world.turn();
    assert!(world.append.is_none(), "an acknowledgement waits for company");
    world.wait(Duration::from_secs(1));
    world.settle();
    world.restart(0);
    let (_, told) = world.listen("ann", None);
    assert_eq!(numbers(&told), [1, 1], "{told}");
    assert!(told.contains(r#""lane":"urgent""#) && told.contains(r#""lane":"low""#), "{told}");
}

/// A client that nobody has sent anything still finds its epoch, or is told.
#[test]
fn an_empty_stream_keeps_its_epoch() {
    let mut world = World::new();
    let (_, told) = world.listen("ann", None);
    world.wait(Duration::from_secs(1));
    world.settle();
    let epoch = world.position("ann").expect("a session").epoch;
    world.restart(0);
    assert_eq!(world.position("ann"), Some(Position { epoch, sequence: 0 }), "{told}");
}

#[test]
fn a_topic_is_fanned_out_from_the_disk() {
    let mut world = World::of(2, Durability::default());
    let subscriber = Subscriber { token: Token { index: 1, generation: 1 }, ticket: 1 };
    let topic: Arc<str> = "room:7".into();
    let subscribe = Mail::Subscribe {
        from: BACKEND,
        subscriber,
        topic: Arc::clone(&topic),
        resume: None,
        tracking: None,
    };
    world.post.inbox.push(subscribe);
    world.turn();
    world.publish_topic("room:7", "1");
    let fanned = |world: &mut World| {
        let letters: Vec<Mail> = world.letters.drain(..).collect();
        let sequences = letters.iter().flat_map(|letter| match letter {
            Mail::Fanout { messages, .. } => messages.iter().map(|message| message.sequence).collect(),
            _ => Vec::new(),
        });
        (sequences.collect::<Vec<_>>(), letters.iter().any(|letter| matches!(letter, Mail::Published { .. })))
    };
    assert_eq!(fanned(&mut world), (vec![], false));
    world.publish_topic("room:7", "2");
    world.disk_writes();
    assert_eq!(fanned(&mut world), (vec![1], true));
    world.disk_refuses(0);
    assert_eq!(fanned(&mut world), (vec![], true));
    world.publish_topic("room:7", "3");
    world.settle();
    assert_eq!(fanned(&mut world), (vec![2], true));
    let topic = &world.recover().streams[0];
    let run = &topic.lanes[Lane::Normal as usize];
    assert_eq!((topic.kind, run.head, run.entries.len()), (Kind::Topic, 2, 2));
}

#[test]
fn a_drain_waits_for_the_disk() {
    let mut world = World::new();
    world.publish("ann", "1");
    world.post.inbox.push(Mail::Drain(DrainOrder::default()));
    world.turn();
    assert!(!world.shard.is_drained());
    world.settle();
    assert!(world.shard.is_drained() && world.accepted() == [1]);
    world.restart(0);
    assert_eq!(numbers(&world.listen("ann", None).1), [1]);
}
