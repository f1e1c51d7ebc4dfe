//! Topics of one connection: joined and left here, their past asked of the topic's home.

use std::sync::Arc;

use weir_ring::token::{Member, Token};
use weir_transports::phoenix::{self, Frame, Status};
use weir_transports::websocket::close;

use crate::channels::Join;
use crate::channels::topics::Past;
use crate::downstream::connection::{Channel, Joined, Link, Presence, Speaks};
use crate::downstream::control::Circuit;
use crate::downstream::fan_out::{is_open, serializer};
use crate::downstream::phoenix::Addressee;
use crate::downstream::presence::presence_json;
use crate::downstream::stream::gap_json;
use crate::downstream::websocket::Flow;
use crate::durable::begin_topic;
use crate::error::Error;
use crate::lane::Lane;
use crate::mail::{Mail, PushRef, Subscriber, Tracking};
use crate::message::{Receipt, State};
use crate::metrics::Sent;
use crate::route;
use crate::stream::Position;
use crate::turn::{Cx, Shard};
use crate::vsm::Topic;

/// Bytes of a topic's past sent to a subscriber at once.
const PAST_BYTES: usize = 64 << 10;

/// How Phoenix refuses a topic too many.
const TOO_MANY: &[u8] = br#"{"reason":"too many channels joined"}"#;

impl Link {
    /// A channel more. Links join seldom and rest long: there is room for no more than they have.
    pub(crate) fn enter(&mut self, channel: Channel) {
        let mut channels = std::mem::take(&mut self.channels).into_vec();
        channels.reserve_exact(1);
        channels.push(channel);
        self.channels = channels.into_boxed_slice();
    }

    /// A channel less.
    fn depart(&mut self, topic: &str) -> Option<Channel> {
        let at = self.channels.iter().position(|channel| &*channel.topic == topic)?;
        let mut channels = std::mem::take(&mut self.channels).into_vec();
        let channel = channels.swap_remove(at);
        self.channels = channels.into_boxed_slice();
        Some(channel)
    }
}

impl Shard {
    pub(crate) fn join_topic(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        join: &Join,
        cx: &mut Cx<'_>,
    ) {
        match self.identify(token, link, join, None, cx) {
            Ok(Flow::Go) => {}
            Ok(_) => return,
            Err(error) => return self.reply_error(token, link, frame, &error, cx),
        }
        let before = self.leave_if_joined(token, link, &frame.topic, cx);
        if link.channels.len() >= self.config.topics_per_connection_max {
            return self.reply_to_frame(token, link, frame, Status::Error, TOO_MANY, cx);
        }
        let asking = Asking {
            reference: frame.reference.as_deref().map(Into::into),
            join_ref: frame.join_ref.as_deref().map(Into::into),
            resume: join.position(),
            tracking: self.tracking(token, link, join, before, cx),
        };
        self.ask_topic(token, link, &frame.topic, asking, cx);
    }

    /// The room that a join of the gateway named: no reply of its own.
    pub(crate) fn join_room(&mut self, token: Token, link: &mut Link, room: &str, cx: &mut Cx<'_>) {
        let topic = format!("room:{room}");
        if route::is_topic(&topic) && link.channel(&topic).is_none() {
            self.ask_topic(token, link, &topic, Asking::default(), cx);
        }
    }

    /// A topic that was joined in another process, and read there up to `at`: the client knows nothing of a new join.
    pub(crate) fn resume_topic(
        &mut self,
        token: Token,
        link: &mut Link,
        topic: &str,
        (join_ref, at): (Option<Box<str>>, Position),
        cx: &mut Cx<'_>,
    ) {
        let asking = Asking { join_ref, resume: Some(at), ..Asking::default() };
        self.ask_topic(token, link, topic, asking, cx);
        if let Some(channel) = link.channel_mut(topic) {
            channel.state = Joined::CatchingUp { from: at, asked: true };
        }
    }

    fn ask_topic(&mut self, token: Token, link: &mut Link, topic: &str, asking: Asking, cx: &mut Cx<'_>) {
        let Asking { join_ref, reference, resume, tracking } = asking;
        let topic: Arc<str> = topic.into();
        let ticket = self.next_ticket();
        let state = Joined::Asked { reference };
        let presence = if tracking.is_some() { Presence::Told } else { Presence::None };
        link.enter(Channel { topic: Arc::clone(&topic), join_ref, ticket, presence, state });
        let subscriber = Subscriber { token, ticket };
        let home = route::home(&self.ring, &topic);
        self.send(home, Mail::Subscribe { from: self.me, subscriber, topic, resume, tracking }, cx);
    }

    /// At the topic's home: a part of the past, and the present once nothing is missing. What this turn
    /// has already numbered leaves first, so that the subscriber's shard sees everything in order.
    pub(crate) fn subscribe(
        &mut self,
        from: Member,
        subscriber: Subscriber,
        topic: Arc<str>,
        (resume, tracking): (Option<Position>, Option<Box<Tracking>>),
        cx: &mut Cx<'_>,
    ) {
        if self.is_handing_over() && self.topics.get(&topic).is_none() {
            // It would begin here, and the successor not know it. Who asks comes to the successor before it is answered.
            return self.shelve(Mail::Subscribe { from, subscriber, topic, resume, tracking });
        }
        let present = tracking.map(|tracking| self.track(from, subscriber, &topic, &tracking, cx));
        self.send_fresh(&topic, cx);
        if Topic::of_channel(&topic).is_some() {
            self.tell_audience(Arc::clone(&topic), true, cx);
        }
        let Shard { topics, random, journal, .. } = self;
        let owned = topics.open(&topic, || begin_topic(random, journal, &topic), cx.now.mono);
        let part = PAST_BYTES.min(self.config.queue_bytes_max / 4);
        let past = Box::new(Past { present, ..owned.subscribe(from, resume, part) });
        self.send(from, Mail::Subscribed { subscriber, topic, past }, cx);
    }

    /// At the subscriber's shard: the home's answer.
    pub(crate) fn subscribed(
        &mut self,
        subscriber: Subscriber,
        topic: Arc<str>,
        past: Past,
        cx: &mut Cx<'_>,
    ) {
        let token = subscriber.token;
        if self.watch_answered(token, &topic) {
            return;
        }
        let lent = self.lend_link(token);
        let current = lent.as_ref().is_some_and(|link| {
            link.channel(&topic).is_some_and(|channel| channel.ticket == subscriber.ticket)
        });
        if !current && past.live {
            let home = route::home(&self.ring, &topic);
            self.send(home, Mail::Unsubscribe { from: self.me, topic: Arc::clone(&topic) }, cx);
        }
        let Some(mut link) = lent else { return };
        if current {
            self.join_answered(token, &mut link, &topic, past, cx);
        }
        self.return_link(token, link, cx);
    }

    fn join_answered(
        &mut self,
        token: Token,
        link: &mut Link,
        topic: &Arc<str>,
        past: Past,
        cx: &mut Cx<'_>,
    ) {
        let from = Position { epoch: past.epoch, sequence: past.at };
        let state = if past.live { Joined::Live } else { Joined::CatchingUp { from, asked: false } };
        let Some(channel) = link.channel_mut(topic) else { return };
        let before = std::mem::replace(&mut channel.state, state);
        if let Some(present) = past.present {
            channel.presence = present.map_or(Presence::None, |_| Presence::Seen);
        }
        let join_ref = channel.join_ref.clone();
        if matches!(before, Joined::CatchingUp { from, .. } if from.epoch != past.epoch) {
            // Its messages would have other numbers within one join.
            self.close_link(token, close::SERVICE_RESTART, "the topic has begun anew: come back", cx);
            return;
        }
        if let Joined::Asked { reference: Some(reference) } = before {
            let body = joined_json(&past);
            let to = Addressee { join_ref: join_ref.as_deref(), reference: &reference, topic };
            self.reply(token, link, to, Status::Ok, &body, cx);
        }
        if let Some(gap) = past.gap {
            self.stats.missed.told(gap);
            let payload = gap_json(past.epoch, Lane::Normal, gap);
            let mut push = Vec::new();
            phoenix::push(link.version(), &mut push, None, topic, "gap", &payload, None);
            self.put_text(token, link, &push, cx);
        }
        self.send_past(token, link, topic, &past, cx);
        self.hungry.push(token);
    }

    /// Sends a part of a topic's past. What does not fit this turn is asked for again.
    fn send_past(&mut self, token: Token, link: &mut Link, topic: &Arc<str>, past: &Past, cx: &mut Cx<'_>) {
        let serializer = serializer(link);
        let mut frames = Vec::new();
        for message in &past.messages {
            if link.encrypted {
                self.seal_past(link, message, &mut frames);
            } else {
                self.encode(serializer, message, &mut frames);
            }
        }
        let max = self.config.queue_bytes_max;
        let Some(conn) = self.conns.get(token) else { return };
        if !frames.is_empty() && (conn.egress.is_blocked() || !conn.egress.fits(cx.out, frames.len(), max)) {
            let sequence = past.messages.first().map_or(past.at, |message| message.sequence - 1);
            let from = Position { epoch: past.epoch, sequence };
            if let Some(channel) = link.channel_mut(topic) {
                channel.state = Joined::CatchingUp { from, asked: false };
            }
            if past.live {
                let home = route::home(&self.ring, topic);
                self.send(home, Mail::Unsubscribe { from: self.me, topic: Arc::clone(topic) }, cx);
            }
            return;
        }
        link.traffic(&mut self.stats).messages_out += past.messages.len() as u64;
        self.stats.messages.sent(Sent::Event, past.messages.len() as u64);
        if !frames.is_empty() {
            self.put(token, cx, |out| out.extend_from_slice(&frames));
        }
        if past.live {
            // What others here still wait for, this one has in its past.
            self.subscribers.add(topic, serializer, token);
            self.subscribers.note_reached(topic, Position { epoch: past.epoch, sequence: past.at });
        }
    }

    /// Asks for what a joined topic is still to be sent, who is there or the next part of its past, once
    /// what came before has left. One at a time: each answer asks for the next.
    pub(crate) fn catch_up(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Shard { conns, ring, me, .. } = self;
        let Some(conn) = conns.get_mut(token) else { return };
        if conn.egress.is_blocked() {
            return;
        }
        let Some(link) = conn.stage.link_mut() else { return };
        let next = link.channels.iter_mut().find_map(|channel| {
            let letter = channel.next_question(*me, token)?;
            Some((route::home(ring, &channel.topic), letter))
        });
        if let Some((home, letter)) = next {
            self.send(home, letter, cx);
        }
    }

    /// `phx_leave` of a joined topic.
    pub(crate) fn leave(&mut self, token: Token, link: &mut Link, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let Some(channel) = self.part(token, link, &frame.topic, cx) else { return };
        self.untrack(token, &channel, cx);
        self.reply_to_frame(token, link, frame, Status::Ok, b"{}", cx);
        self.close_channel(token, link, &channel, cx);
    }

    /// A second join of a topic ends the first, and may take its place on the topic's roster.
    pub(crate) fn leave_if_joined(
        &mut self,
        token: Token,
        link: &mut Link,
        topic: &str,
        cx: &mut Cx<'_>,
    ) -> Option<Channel> {
        let channel = self.part(token, link, topic, cx)?;
        self.close_channel(token, link, &channel, cx);
        Some(channel)
    }

    /// Tells the client that a join is over. Without the join's own reference it would take its live
    /// channel for closed.
    fn close_channel(&mut self, token: Token, link: &Link, channel: &Channel, cx: &mut Cx<'_>) {
        let Some(join_ref) = &channel.join_ref else { return };
        let mut frame = Vec::new();
        phoenix::close(link.version(), &mut frame, join_ref, &channel.topic);
        self.put_text(token, link, &frame, cx);
    }

    /// Ends a join on this side.
    fn part(&mut self, token: Token, link: &mut Link, topic: &str, cx: &mut Cx<'_>) -> Option<Channel> {
        let channel = link.depart(topic)?;
        if channel.presence == Presence::Watching {
            self.watchers.remove(topic, serializer(link), token);
        }
        match channel.state {
            Joined::Gateway => {
                link.gateway = false;
                if let Some(id) = link.session {
                    self.unlink(token, id, link.parting(), cx);
                }
            }
            Joined::Live => {
                self.subscribers.remove(topic, serializer(link), token);
                let home = route::home(&self.ring, topic);
                let topic = Arc::clone(&channel.topic);
                self.send(home, Mail::Unsubscribe { from: self.me, topic }, cx);
            }
            Joined::Mcp { session } => self.forget_rpc(session),
            // An answer under way finds no such join and is undone then.
            Joined::Asked { .. } | Joined::CatchingUp { .. } => {}
        }
        Some(channel)
    }

    /// A WebSocket has ended: its topics and its session learn of it.
    pub(crate) fn forget_link(&mut self, token: Token, mut link: Link, cx: &mut Cx<'_>) {
        link.traffic(&mut self.stats).connections -= 1;
        self.tell_connection(false, link.transport(), link.session, cx);
        if !link.lasted && !matches!(link.speaks, Speaks::Polled(_)) {
            self.circuit_ended(Circuit::WebSocket, true, cx);
        }
        for channel in std::mem::take(&mut link.channels) {
            if let Joined::Mcp { session } = channel.state {
                self.forget_rpc(session);
            }
            self.untrack(token, &channel, cx);
            if channel.presence == Presence::Watching {
                let Shard { watchers, conns, .. } = self;
                watchers.forget(&channel.topic, |other| is_open(conns, other));
            }
            if channel.state != Joined::Live {
                continue;
            }
            let Shard { subscribers, conns, .. } = self;
            subscribers.forget(&channel.topic, |other| is_open(conns, other));
            let home = route::home(&self.ring, &channel.topic);
            self.send(home, Mail::Unsubscribe { from: self.me, topic: channel.topic }, cx);
        }
        self.forget_rpc(link.rpc.as_deref().copied());
        if link.speaks == Speaks::Mcp {
            self.abandon_link(token);
        }
        if let (Speaks::Polled(_), Some(marks)) = (link.speaks, &mut link.marks) {
            marks.unwritten();
        }
        if let Some(id) = link.session {
            if let Some(session) = self.sessions.get_mut(id) {
                session.named -= 1;
            }
            self.unlink(token, id, link.parting(), cx);
        }
    }

    /// A client's own publish was decided.
    pub(crate) fn push_published(
        &mut self,
        token: Token,
        push: &PushRef,
        outcome: Result<Receipt, Error>,
        cx: &mut Cx<'_>,
    ) {
        self.answer_push(token, push, outcome.map(delivered_json), cx);
    }
}

/// A join of a topic, as its home and its answer need it.
#[derive(Default)]
struct Asking {
    join_ref: Option<Box<str>>,
    /// Of the join; the answer goes there.
    reference: Option<Box<str>>,
    resume: Option<Position>,
    tracking: Option<Box<Tracking>>,
}

impl Channel {
    /// What the topic's home is to be asked next.
    fn next_question(&mut self, from: Member, token: Token) -> Option<Mail> {
        let subscriber = Subscriber { token, ticket: self.ticket };
        let topic = || Arc::clone(&self.topic);
        if self.presence == Presence::Seen {
            self.presence = Presence::Asked;
            return Some(Mail::Watch { from, subscriber, topic: topic() });
        }
        match &mut self.state {
            Joined::CatchingUp { from: at, asked } if !*asked => {
                *asked = true;
                let resume = Some(*at);
                Some(Mail::Subscribe { from, subscriber, topic: topic(), resume, tracking: None })
            }
            _ => None,
        }
    }
}

/// The reply to a topic's join.
fn joined_json(past: &Past) -> Vec<u8> {
    // Where the subscriber goes on: before the first message of the past, if there is one.
    let sequence = past.messages.first().map_or(past.at, |message| message.sequence - 1);
    let epoch = String::from_utf8_lossy(&past.epoch.letters()).into_owned();
    let presence = past.present.map_or(String::new(), presence_json);
    format!(r#"{{"epoch":"{epoch}","sequence":{sequence},"recovered":{}{presence}}}"#, past.recovered)
        .into_bytes()
}

fn delivered_json(receipt: Receipt) -> Vec<u8> {
    let State::DeliveredTo(count) = receipt.state else { return b"{}".to_vec() };
    let epoch = String::from_utf8_lossy(&receipt.position.epoch.letters()).into_owned();
    let sequence = receipt.position.sequence;
    format!(r#"{{"delivered_to":{count},"epoch":"{epoch}","sequence":{sequence}}}"#).into_bytes()
}
