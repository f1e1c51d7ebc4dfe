use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens to a list, some of it while a round is under way.
#[derive(Clone, Debug)]
enum Step {
    /// A connection joins, in the group of this number.
    Join(u32, usize),
    /// It leaves.
    Leave(u32),
    /// It closes.
    Close(u32),
    /// A message comes.
    Message,
    /// So many are served.
    Serve(usize),
}

/// A connection as it should be: its group, its messages, and how many of them it has been sent.
struct Joined {
    group: usize,
    messages: Vec<u64>,
    sent: usize,
}

/// The list and what it should do.
struct World {
    list: Subscribers,
    topic: Arc<str>,
    joined: BTreeMap<u32, Joined>,
    sequence: u64,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u32..12, 0_usize..3).prop_map(|(who, group)| Step::Join(who, group)),
        1 => (0_u32..12).prop_map(Step::Leave),
        1 => (0_u32..12).prop_map(Step::Close),
        2 => Just(Step::Message),
        2 => (1_usize..6).prop_map(Step::Serve),
    ]
}

fn token(index: u32) -> Token {
    Token { index, generation: 0 }
}

fn message(sequence: u64) -> TopicMessage {
    TopicMessage { sequence, body: [].into(), binary: false, except: None }
}

impl World {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join(who, group) if !self.joined.contains_key(&who) => {
                self.list.add(&self.topic, SERIALIZERS[group], token(who));
                self.joined.insert(who, Joined { group, messages: Vec::new(), sent: 0 });
            }
            Step::Leave(who) => {
                if let Some(Joined { group, .. }) = self.joined.remove(&who) {
                    self.list.remove(&self.topic, SERIALIZERS[group], token(who));
                }
            }
            Step::Close(who) if self.joined.remove(&who).is_some() => {
                let World { list, topic, joined, .. } = self;
                list.forget(topic, |other| joined.contains_key(&other.index));
            }
            Step::Message => {
                self.sequence += 1;
                self.list.enqueue(&self.topic, vec![message(self.sequence)], Instant(self.sequence));
                self.joined.values_mut().for_each(|it| it.messages.push(self.sequence));
            }
            Step::Serve(most) => drop(self.serve(most)),
            Step::Join(..) | Step::Close(_) => {}
        }
    }

    /// False: there is nothing to be sent.
    fn serve(&mut self, most: usize) -> bool {
        let Some((topic, mut local)) = self.list.next_waiting() else { return false };
        let mut round = local.next_round().expect("a list that waits for nothing");
        if let Some((group, part)) = round.next_part(most) {
            assert!(part.len() <= most);
            for token in &local.groups[group][part] {
                // Closed ones stand on the list until it is swept.
                let Some(joined) = self.joined.get_mut(&token.index) else { continue };
                for message in &round.messages {
                    assert_eq!(joined.messages.get(joined.sent), Some(&message.sequence), "to {token:?}");
                    joined.sent += 1;
                }
            }
        }
        let joined = &self.joined;
        self.list.put_back(topic, local, round, |token| joined.contains_key(&token.index));
        true
    }
}

proptest! {
    /// Whoever joins, leaves or closes while a round is under way: each gets what came while it was there, once, in order.
    #[test]
    fn each_gets_what_came_while_it_was_there(steps in prop::collection::vec(step(), 1..120)) {
        let (list, topic) = (Subscribers::new(1), "topic:a".into());
        let mut world = World { list, topic, joined: BTreeMap::new(), sequence: 0 };
        // A connection that has closed does not come back: tokens are of one life.
        let mut closed = Vec::new();
        for step in &steps {
            match step {
                Step::Close(who) => closed.push(*who),
                Step::Join(who, _) if closed.contains(who) => continue,
                _ => {}
            }
            world.step(step);
        }
        while world.serve(3) {}
        for (who, joined) in &world.joined {
            prop_assert_eq!(joined.sent, joined.messages.len(), "{}", who);
        }
        prop_assert!(world.list.is_done() && world.list.bytes() == 0 && world.list.waiting_since().is_none());
    }
}

#[test]
fn topics_take_turns() {
    let mut subscribers = Subscribers::new(1);
    let topics: [Arc<str>; 2] = ["topic:large".into(), "topic:small".into()];
    for index in 0..9 {
        subscribers.add(&topics[usize::from(index == 8)], SERIALIZERS[0], token(index));
    }
    let mut served = Vec::new();
    topics.iter().for_each(|topic| subscribers.enqueue(topic, vec![message(1)], Instant(5)));
    while let Some((topic, mut local)) = subscribers.next_waiting() {
        let mut round = local.next_round().expect("something waits");
        served.push((topic.clone(), round.next_part(3).map_or(0, |(_, part)| part.len())));
        subscribers.put_back(topic, local, round, |_| true);
    }
    let [large, small] = topics;
    assert_eq!(served, [(large.clone(), 3), (small, 1), (large.clone(), 3), (large, 2)]);
}

#[test]
fn who_closes_while_the_list_is_lent_takes_nobody_along() {
    let (slow, other) = (token(1), token(2));
    let topic: Arc<str> = "topic:a".into();
    let mut subscribers = Subscribers::new(1);
    for token in [slow, other] {
        subscribers.add(&topic, SERIALIZERS[0], token);
    }
    let serve = |subscribers: &mut Subscribers, open: &[Token]| {
        subscribers.enqueue(&topic, vec![message(1)], Instant(1));
        let (name, mut lent) = subscribers.next_waiting().expect("a list");
        let mut round = lent.next_round().expect("a message");
        subscribers.forget(&topic, |token| open.contains(&token));
        let (_, part) = round.next_part(9).expect("somebody");
        let served = lent.groups[0][part].to_vec();
        subscribers.put_back(name, lent, round, |token| open.contains(&token));
        served
    };
    serve(&mut subscribers, &[other]);
    assert!(serve(&mut subscribers, &[]).contains(&other));
    assert!(subscribers.topics.is_empty());
}
