//! Presence of topics: rosters are kept at the topic's home, and told to the joins that are on them.

use std::sync::Arc;

use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::phoenix;

use crate::channels::Join;
use crate::channels::presence::{Diff, Seat};
use crate::channels::topics::TopicMessage;
use crate::downstream::connection::{Channel, Link, Presence};
use crate::downstream::fan_out::serializer;
use crate::error::Error;
use crate::mail::{Full, Mail, Reference, Subscriber, Tracking};
use crate::route;
use crate::turn::{Cx, Shard};

/// What a `presence_state` is wrapped in, at most: topic, event, frame header.
const STATE_OVERHEAD: usize = 512;

impl Shard {
    /// What a join says about presence. Without it, the join `before` that it ends is not seen any longer.
    pub(crate) fn tracking(
        &mut self,
        token: Token,
        link: &Link,
        join: &Join,
        before: Option<Channel>,
        cx: &mut Cx<'_>,
    ) -> Option<Box<Tracking>> {
        let session = link.session.and_then(|id| self.sessions.get(id));
        let (Some(fields), Some(session)) = (join.presence.fields(), session) else {
            if let Some(channel) = before {
                self.untrack(token, &channel, cx);
            }
            return None;
        };
        let replaces =
            before.filter(|channel| channel.presence != Presence::None).map(|channel| channel.ticket);
        Some(Box::new(Tracking { client: session.client.clone(), fields: fields.into(), replaces }))
    }

    /// The join of `channel` is over: it is not seen any longer.
    pub(crate) fn untrack(&mut self, token: Token, channel: &Channel, cx: &mut Cx<'_>) {
        if channel.presence == Presence::None {
            return;
        }
        let subscriber = Subscriber { token, ticket: channel.ticket };
        let topic = Arc::clone(&channel.topic);
        let home = route::home(&self.ring, &topic);
        self.send(home, Mail::Untrack { from: self.me, subscriber, topic }, cx);
    }

    /// At the topic's home: a join wants to be seen.
    pub(crate) fn track(
        &mut self,
        from: Member,
        subscriber: Subscriber,
        topic: &Arc<str>,
        tracking: &Tracking,
        cx: &Cx<'_>,
    ) -> Result<Reference, Full> {
        let reference = Reference(self.random.next());
        let seat = seat(from, subscriber);
        self.rosters.track(topic, seat, tracking, reference, cx.stamp.get())?;
        Ok(reference)
    }

    /// At the topic's home: who is there. Those who know already are told first what has changed.
    pub(crate) fn watch(&mut self, from: Member, subscriber: Subscriber, topic: Arc<str>, cx: &mut Cx<'_>) {
        if let Some(diff) = self.rosters.take_diff(&topic) {
            self.send_diff(&diff, cx);
        }
        let state = self.rosters.state(&topic);
        self.send(from, Mail::Watched { subscriber, topic, state }, cx);
    }

    /// At the watcher's shard: the home's answer. If it does not fit now, it is asked for again.
    pub(crate) fn watched(
        &mut self,
        subscriber: Subscriber,
        topic: &Arc<str>,
        state: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let token = subscriber.token;
        let Some(mut link) = self.lend_link(token) else { return };
        let channel = link.channel_mut(topic).filter(|channel| channel.ticket == subscriber.ticket);
        if let (Some(channel), Some(conn)) = (channel, self.conns.get(token)) {
            let len = state.len() + STATE_OVERHEAD;
            let fits =
                !conn.egress.is_blocked() && conn.egress.fits(cx.out, len, self.config.queue_bytes_max);
            channel.presence = if fits { Presence::Watching } else { Presence::Seen };
            if fits {
                let join_ref = channel.join_ref.clone();
                let mut push = Vec::with_capacity(len);
                let join_ref = join_ref.as_deref();
                phoenix::push(link.version(), &mut push, join_ref, topic, "presence_state", state, None);
                self.put_text(token, &link, &push, cx);
                // What others here still wait for, this one has in the state.
                self.watchers.add(topic, serializer(&link), token);
            }
            self.hungry.push(token);
        }
        self.return_link(token, link, cx);
    }

    /// At a watcher's shard: what has changed, kept for the end of the turn.
    pub(crate) fn presence_diff(&mut self, topic: &Arc<str>, frame: Arc<[u8]>, now: Instant) {
        // Not part of the topic's stream: no number.
        let message = TopicMessage { sequence: 0, body: frame, binary: false, except: None };
        self.watchers.enqueue(topic, vec![message], now);
    }

    /// The turn's changes leave for the shards of those who watch.
    pub(crate) fn send_diffs(&mut self, cx: &mut Cx<'_>) {
        while let Some(diff) = self.rosters.next_diff() {
            self.send_diff(&diff, cx);
        }
    }

    fn send_diff(&mut self, diff: &Diff, cx: &mut Cx<'_>) {
        for to in &diff.to {
            let (topic, frame) = (Arc::clone(&diff.topic), Arc::clone(&diff.frame));
            self.send(*to, Mail::PresenceDiff { topic, frame }, cx);
        }
    }
}

/// The place on a roster of a join on shard `member`.
pub(crate) fn seat(member: Member, subscriber: Subscriber) -> Seat {
    Seat { member, token: subscriber.token, ticket: subscriber.ticket }
}

/// The member `presence` of a join's reply: which meta is the client's own, or why it has none.
pub(crate) fn presence_json(present: Result<Reference, Full>) -> String {
    match present {
        Ok(Reference(n)) => format!(r#","presence":{{"phx_ref":"{n:016x}"}}"#),
        Err(Full) => {
            let mut error = Vec::new();
            Error::insufficient_resources().write_json(&mut error);
            format!(r#","presence":{}"#, String::from_utf8_lossy(&error))
        }
    }
}
