//! Any order of publishes, answers of the disk, and deaths of the process.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish { client: u8, topic: bool },
    Writes,
    Refuses { part: usize },
    Dies { part: usize },
    Waits,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..3_u8, any::<bool>()).prop_map(|(client, topic)| Step::Publish { client, topic }),
        8 => Just(Step::Writes),
        1 => (0..600_usize).prop_map(|part| Step::Refuses { part }),
        2 => (0..600_usize).prop_map(|part| Step::Dies { part }),
        1 => Just(Step::Waits),
    ]
}

/// What a stream's retained messages are, by number.
fn kept(world: &World, client: u8, topic: bool) -> Vec<(Position, String)> {
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).expect("text");
    let all = |outbox: &crate::outbox::Outbox| {
        let epoch = outbox.epoch();
        let entries = outbox.entries_from(outbox.floor());
        entries.map(|(sequence, entry)| (Position { epoch, sequence }, text(&entry.body))).collect()
    };
    if topic {
        return world
            .shard
            .topics
            .get(&topic_name(client))
            .map(|topic| all(topic.outbox()))
            .unwrap_or_default();
    }
    let session = world.shard.sessions.find(&client_name(client)).and_then(|id| world.shard.sessions.get(id));
    let stream = session.and_then(|it| it.mailbox.as_ref()).and_then(|mailbox| mailbox.lane(Lane::Normal));
    stream.map(|stream| all(&stream.outbox)).unwrap_or_default()
}

fn client_name(client: u8) -> String {
    format!("client-{client}")
}

fn topic_name(client: u8) -> String {
    format!("room:{client}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Everything that was acknowledged is there after every start, under its number, once; nothing that was
    /// refused is, unless the process died before the disk worked again.
    #[test]
    fn what_was_acknowledged_is_there(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::with(Durability { segment_bytes: 2_000, bytes_max: 1 << 20 });
        let mut published: Vec<(u8, bool)> = Vec::new();
        let mut waiting: VecDeque<usize> = VecDeque::new();
        let mut acknowledged: Vec<(usize, Position)> = Vec::new();
        for step in steps {
            match step {
                Step::Publish { client, topic } => {
                    waiting.push_back(published.len());
                    let data = format!("\"message {}.\"", published.len());
                    published.push((client, topic));
                    if topic { world.publish_topic(&topic_name(client), &data) } else { world.publish(&client_name(client), &data) }
                }
                Step::Writes if world.append.is_some() => world.disk_writes(),
                Step::Refuses { part } if world.append.is_some() => world.disk_refuses(part),
                Step::Writes | Step::Refuses { .. } => {}
                Step::Dies { part } => {
                    waiting.clear();
                    let report = world.restart(part).report;
                    prop_assert_eq!((report.holes, report.streams_lost), (0, 0));
                }
                Step::Waits => world.wait(Duration::from_secs(1)),
            }
            for outcome in world.receipts() {
                let at = waiting.pop_front();
                if let Ok(receipt) = outcome {
                    acknowledged.push((at.expect("one waits"), receipt.position));
                }
            }
        }
        world.settle();
        world.receipts();
        world.restart(0);
        for (at, position) in acknowledged {
            let (client, topic) = published[at];
            let kept = kept(&world, client, topic);
            let here: Vec<_> = kept.iter().filter(|(_, body)| body.contains(&format!("message {at}."))).collect();
            prop_assert_eq!(here.len(), 1, "message {} of {:?}", at, kept);
            prop_assert_eq!(here[0].0, position);
        }
    }
}
