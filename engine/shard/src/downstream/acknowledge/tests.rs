//! Acknowledgements, retries and dead letters of one client, turn by turn.

use std::time::Duration;

use serde_json::Value;
use weir_ring::token::{Member, Token};

use crate::acks::Job;
use crate::dead::MessageId;
use crate::downstream::mcp::tests::World;
use crate::lane::Lane;
use crate::limits::Config;
use crate::mail::{Ack, Answer, DeadQuestion, Mail, Question, ReplyTo};
use crate::message::{Publish, Receiver};
use crate::stream::{Epoch, Position, Sequence};

/// Longer than any wait for an acknowledgement.
const LONG: Duration = Duration::from_secs(40);

/// Longer than the first wait, shorter than the second.
const ONE_WAIT: Duration = Duration::from_millis(1_300);

/// A joined client that acknowledges.
struct Client {
    world: World,
    token: Token,
    epoch: Epoch,
}

impl Client {
    fn join(change: impl FnOnce(&mut Config)) -> Client {
        let mut world = World::with(|config| {
            config.websocket.ping_interval = Duration::from_secs(3_600);
            change(config);
        });
        let token = world.upgrade("/mcp/ws/websocket?vsn=2.0.0&client_id=u1", "");
        world.push(token, "mcp:gateway", "phx_join", r#"{"ack":true}"#);
        let id = world.shard.sessions.find("u1").expect("a session");
        let epoch = world.shard.sessions.get(id).expect("a session").epoch;
        Client { world, token, epoch }
    }

    fn come_back(&mut self) {
        self.token = self.world.upgrade("/mcp/ws/websocket?vsn=2.0.0&client_id=u1", "");
        self.world.push(self.token, "mcp:gateway", "phx_join", r#"{"ack":true}"#);
    }

    fn publish(&mut self, body: &str) {
        let publish = Publish::parse(Receiver::Client("u1"), None, body.as_bytes()).expect("a publish");
        let Publish::Client(publish) = publish else { panic!("for a client") };
        self.world.post.inbox.push(Mail::Publish { from: Member(1), reply_to: ReplyTo::Nobody, publish });
        self.world.turn();
    }

    fn publish_many(&mut self, count: u64) {
        for n in 1..=count {
            self.publish(&format!(r#"{{"type":"t","data":{n}}}"#));
        }
    }

    fn acknowledge(&mut self, ack: Ack) {
        let letter =
            Mail::Acknowledge { from: Member(1), reply_to: ReplyTo::Nobody, client: "u1".into(), ack };
        self.world.post.inbox.push(letter);
        self.world.turn();
    }

    fn id(&self, sequence: Sequence) -> MessageId {
        MessageId { epoch: self.epoch, lane: Lane::Normal, sequence }
    }

    /// What the client was sent since it was last asked: event and payload.
    fn told(&mut self) -> Vec<(String, Value)> {
        let texts = self.world.texts(self.token);
        let frames = texts.iter().map(|text| serde_json::from_str::<Value>(text).expect("a frame"));
        frames.map(|frame| (frame[3].as_str().unwrap_or_default().to_owned(), frame[4].clone())).collect()
    }

    /// The numbers of the messages among it, those that are marked as redeliveries negative.
    fn numbers(&mut self) -> Vec<i64> {
        let told = self.told();
        let messages = told.iter().filter(|(event, _)| event == "message").map(|(_, payload)| payload);
        let number = |payload: &Value| payload["sequence"].as_i64().unwrap_or_default();
        messages.map(|it| if it["redelivery"] == true { -number(it) } else { number(it) }).collect()
    }

    fn job(&mut self, sequence: Sequence) -> Job {
        let id = self.world.shard.sessions.find("u1").expect("a session");
        self.world.shard.acks(id).expect("it acknowledges").job(Lane::Normal, sequence)
    }

    fn is_dead(&self, sequence: Sequence) -> bool {
        self.world.shard.dead.get(self.id(sequence)).is_some()
    }

    fn pending(&self) -> u64 {
        self.world.shard.stats.delivery.pending
    }

    fn ask(&mut self, question: DeadQuestion) -> Answer {
        let question = Question::Dead(question);
        self.world.post.inbox.push(Mail::Ask { from: Member(1), ask: 7, question });
        self.world.turn();
        let answered = self.world.post.outbox.drain(..).find_map(|(_, letter)| match letter {
            Mail::Answer { ask: 7, answer } => Some(answer),
            _ => None,
        });
        answered.expect("an answer")
    }
}

/// Invariant 13: in flight, acknowledged or dead, never two of them; no more attempts than allowed; and where there
/// is no room for the dead, what would be one stays in flight.
#[test]
fn a_message_is_in_flight_or_acknowledged_or_dead() {
    let mut client = Client::join(|config| config.delivery.dead_messages_max = 1);
    client.publish_many(3);
    assert_eq!((client.numbers(), client.pending()), (vec![1, 2, 3], 3));
    client.acknowledge(Ack::One(client.id(2)));
    let mut copies = Vec::new();
    for _ in 0..6 {
        client.world.wait(LONG);
        copies.extend(client.numbers());
        let jobs = [1, 2, 3].map(|sequence| client.job(sequence));
        let flights = jobs.iter().filter(|job| matches!(job, Job::Flight(_))).count() as u64;
        assert_eq!(flights, client.pending());
        let dead = [1, 2, 3].map(|sequence| client.is_dead(sequence));
        assert_eq!(jobs.map(|job| job == Job::Dead), dead);
        assert_eq!(jobs[1], Job::Acknowledged);
    }
    copies.sort_unstable();
    assert_eq!(copies, [-3, -3, -3, -3, -1, -1, -1, -1], "five attempts each, the first of them above");
    let dead = if client.is_dead(1) { 1 } else { 3 };
    let stats = client.world.shard.stats.delivery;
    assert_eq!((client.pending(), stats.dead, stats.retried), (1, 1, 8));
    assert!(stats.refused > 0, "there was no room for the other");
    assert!(
        matches!(client.ask(DeadQuestion::Purge(client.id(dead))), Answer::Dead(gone) if gone.len() == 1)
    );
    client.world.wait(LONG);
    assert!(client.is_dead(4 - dead) && client.pending() == 0);
    assert!(client.numbers().is_empty(), "no further attempt");
}

/// A dead letter stays known to a client that comes back from before it.
#[test]
fn who_comes_back_is_told_what_died_meanwhile() {
    let mut client = Client::join(|config| config.delivery.attempts_max = 1);
    client.publish_many(2);
    client.acknowledge(Ack::One(client.id(1)));
    client.world.wait(LONG);
    client.publish(r#"{"type":"t","data":3}"#);
    client.acknowledge(Ack::One(client.id(3)));
    client.world.end(client.token);
    client.token = client.world.upgrade("/mcp/ws/websocket?vsn=2.0.0&client_id=u1", "");
    let epoch = String::from_utf8_lossy(&client.epoch.letters()).into_owned();
    let join = format!(r#"{{"ack":true,"resume":{{"epoch":"{epoch}","sequence":1}}}}"#);
    let frames = client.world.push(client.token, "mcp:gateway", "phx_join", &join).join("\n");
    assert!(frames.contains(r#""recovered":true"#), "{frames}");
    assert!(frames.contains(r#""from":2,"to":2,"reason":"dead""#), "{frames}");
    assert!(frames.contains(r#""from":3,"to":3,"reason":"acknowledged""#), "{frames}");
}

/// What nobody could receive is no attempt.
#[test]
fn time_stands_still_while_the_client_is_away() {
    let mut client = Client::join(|_| {});
    client.publish_many(1);
    client.world.end(client.token);
    client.world.wait(LONG);
    client.world.wait(LONG);
    assert_eq!((client.pending(), client.world.shard.stats.delivery.retried), (1, 0));
    client.come_back();
    assert!(client.numbers().is_empty(), "it goes on where it was");
    client.world.wait(ONE_WAIT);
    assert_eq!(client.numbers(), [-1]);
}

/// What is in flight is not held back for being in flight: a client that comes back may wait for just that.
#[test]
fn who_is_sent_only_what_is_urgent_still_gets_what_it_lost() {
    let mut client = Client::join(|config| {
        (config.backpressure.slow_down, config.backpressure.critical_only) = (1, 2);
    });
    client.publish_many(4);
    assert_eq!(client.numbers(), [1, 2, 3], "the fourth waits");
    client.world.end(client.token);
    client.token = client.world.upgrade("/mcp/ws/websocket?vsn=2.0.0&client_id=u1", "");
    let epoch = String::from_utf8_lossy(&client.epoch.letters()).into_owned();
    let join = format!(r#"{{"ack":true,"resume":{{"epoch":"{epoch}","sequence":0}}}}"#);
    let frames = client.world.push(client.token, "mcp:gateway", "phx_join", &join).join("\n");
    assert_eq!(frames.matches(r#""redelivery":true"#).count(), 3, "{frames}");
    let position = Position { epoch: client.epoch, sequence: 3 };
    client.acknowledge(Ack::Through { lane: Lane::Normal, position });
    assert_eq!(client.numbers(), [4]);
}

/// Invariant 8: what goes for a bound while it is in flight is told.
#[test]
fn what_the_outbox_drops_in_flight_is_told() {
    let mut client = Client::join(|config| config.outbox.messages_max = 2);
    client.publish_many(4);
    let told = client.told();
    let gaps = told.iter().filter(|(event, _)| event == "gap");
    let gaps: Vec<String> =
        gaps.map(|(_, gap)| format!("{} {} {}", gap["from"], gap["to"], gap["reason"])).collect();
    assert_eq!(gaps, [r#"1 1 "evicted""#, r#"2 2 "evicted""#]);
    assert_eq!(client.pending(), 2);
    client.world.wait(ONE_WAIT);
    assert_eq!(client.numbers(), [-3, -4]);
}

/// A letter on its way is the dead letter's own, and nobody's loss: it is dead again when the client is forgotten.
#[test]
fn a_redriven_letter_comes_back_when_its_client_is_forgotten() {
    let mut client = Client::join(|config| config.delivery.attempts_max = 1);
    client.publish_many(1);
    client.world.wait(LONG);
    assert!(client.is_dead(1));
    client.world.end(client.token);
    let letter = client.id(1);
    let Answer::Dead(views) = client.ask(DeadQuestion::Redrive(letter)) else { panic!("a list") };
    assert_eq!(views[0].state, "redriven");
    for _ in 0..20 {
        client.world.wait(LONG);
    }
    assert_eq!(client.world.shard.sessions.len(), 0, "the client is forgotten");
    let Answer::Dead(views) = client.ask(DeadQuestion::Show(letter)) else { panic!("a list") };
    assert_eq!(views[0].state, "dead");
    // In its next life it has another epoch, and gets the letter under its old id.
    client.ask(DeadQuestion::Redrive(letter));
    client.come_back();
    client.world.wait(Duration::from_millis(50));
    assert_eq!(client.numbers(), [-1]);
    client.acknowledge(Ack::One(letter));
    assert!(!client.is_dead(1) && client.world.shard.dead.len() == 0);
}
