//! Clients that watch the gateway: what they watch is published to topics of theirs (`vsm:NAME`), where the shards
//! number, keep and deliver it as they do any topic's messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use weir_ring::token::{Member, Token};
use weir_shard::hash_ring::HashRing;
use weir_shard::mail::{Mail, ReplyTo};
use weir_shard::message::{TopicContent, TopicPublish};
use weir_shard::span::TraceLink;
use weir_shard::vsm::{Topic, Topics};

use super::{Bus, Heard, Published, Subscription};
use crate::control::mailbox::Mailbox;

/// What everything said is called where clients watch it.
const EVENT: &str = "vsm_update";

/// How long it goes on for those who come back once the last has left.
const LINGER: Duration = Duration::from_secs(300);

/// A client that is watched is traced for so long, and again while it is.
const TRACE: Duration = Duration::from_secs(60);
const TRACE_AGAIN: Duration = Duration::from_secs(30);

/// A topic that is watched, or not any more: its channel, as the topic's home says.
pub(in crate::control) type Change = (Arc<str>, bool);

/// Publishes what is watched.
pub(in crate::control) struct Audience {
    mailbox: Mailbox,
    ring: HashRing,
    subscription: Subscription,
    /// By channel: the topic, and until when; none: somebody watches.
    watched: BTreeMap<Arc<str>, (Topic, Option<Instant>)>,
}

impl Audience {
    pub(in crate::control) fn new(bus: &Bus, mailbox: Mailbox, ring: HashRing) -> Audience {
        let subscription = bus.subscribe(Topics::everything());
        Audience { mailbox, ring, subscription, watched: BTreeMap::new() }
    }

    /// Serves those who watch, as `changes` says, until the bus is gone.
    pub(in crate::control) async fn run(mut self, mut changes: UnboundedReceiver<Change>) {
        let mut again = tokio::time::interval(TRACE_AGAIN);
        loop {
            tokio::select! {
                Some((channel, watched)) = changes.recv() => self.change(channel, watched, Instant::now()).await,
                _ = again.tick() => self.trace_watched().await,
                heard = self.subscription.next() => match heard {
                    Some(Heard::Published(published)) => self.show(&published).await,
                    Some(Heard::Missed(count)) => self.confess(count).await,
                    None => return,
                },
            }
        }
    }

    async fn change(&mut self, channel: Arc<str>, watched: bool, now: Instant) {
        let Some(topic) = Topic::of_channel(&channel) else { return };
        let until = (!watched).then(|| now + LINGER);
        if watched {
            self.trace(&topic).await;
        }
        self.watched.insert(channel, (topic, until));
        self.watched.retain(|_, (_, until)| until.is_none_or(|until| now < until));
    }

    async fn show(&self, published: &Published) {
        let now = Instant::now();
        let watches = |(topic, until): &(Topic, Option<Instant>)| {
            topic == published.topic() && until.is_none_or(|until| now < until)
        };
        for (channel, _) in self.watched.iter().filter(|(_, state)| watches(state)) {
            self.publish(channel, published.text()).await;
        }
    }

    /// Clients that somebody watches are traced.
    async fn trace_watched(&self) {
        for (topic, _) in self.watched.values().filter(|(_, until)| until.is_none()) {
            self.trace(topic).await;
        }
    }

    /// On every shard: what is for a client comes in anywhere.
    async fn trace(&self, topic: &Topic) {
        let Topic::Client(client) = topic else { return };
        for shard in (0..self.mailbox.shards()).map(Member) {
            self.mailbox.send(shard, Mail::Trace { client: client.clone(), time: TRACE }).await;
        }
    }

    /// Tells everyone that there was too much to tell.
    async fn confess(&self, count: u64) {
        for (channel, (topic, _)) in &self.watched {
            let text =
                format!(r#"{{"system":"{}","event":"missed","data":{{"count":{count}}}}}"#, topic.system());
            self.publish(channel, &text).await;
        }
    }

    async fn publish(&self, channel: &str, text: &str) {
        let from = Member(self.mailbox.shards());
        // It takes nothing itself that could be held back from it.
        let publisher = (from, Token { index: 0, generation: 0 });
        let content = TopicContent::Event { event: EVENT.into(), payload: text.into(), publisher };
        let publish =
            Box::new(TopicPublish { topic: channel.into(), content, key: None, trace: TraceLink::None });
        let home = Member(self.ring.home(channel.as_bytes()));
        self.mailbox.send(home, Mail::PublishTopic { from, reply_to: ReplyTo::Nobody, publish }).await;
    }
}
