//! Phoenix frames of one connection: what a frame asks for is planned by `channels`, and done here.

use weir_ring::token::Token;
use weir_transports::phoenix::{self, Frame, Payload, Status, Version};
use weir_transports::websocket::close;

use crate::acks::Named;
use crate::channels::{self, Membership, Plan};
use crate::downstream::connection::Link;
use crate::downstream::encryption::with_payload;
use crate::downstream::identity::of_plan;
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::idempotency::{Key, Scope, key_in};
use crate::lane::Lane;
use crate::limits::{Mode, Permissions};
use crate::mail::{PushRef, ReplyTo};
use crate::message::{Publish, Receipt, TopicContent, TopicPublish};
use crate::policy::rules::Message;
use crate::span::TraceLink;
use crate::turn::{Cx, Shard};
use crate::vsm::{Step, Topic};

/// The answer to a topic nobody can join or has joined, as Phoenix words it.
pub(crate) const UNMATCHED: &[u8] = br#"{"reason":"unmatched topic"}"#;

impl Shard {
    pub(crate) fn phoenix_text(
        &mut self,
        token: Token,
        link: &mut Link,
        version: Version,
        text: &str,
        cx: &mut Cx<'_>,
    ) -> Flow {
        match phoenix::decode_text(version, text) {
            Ok(frame) => self.frame(token, link, &frame, Some(text), cx),
            Err(e) => {
                self.link_offends(token, link, cx.now);
                self.close_link(token, close::INVALID_PAYLOAD, &e.to_string(), cx)
            }
        }
    }

    pub(crate) fn phoenix_binary(
        &mut self,
        token: Token,
        link: &mut Link,
        bytes: &[u8],
        cx: &mut Cx<'_>,
    ) -> Flow {
        match phoenix::decode_binary(bytes) {
            Ok(frame) => self.frame(token, link, &frame, None, cx),
            Err(e) => {
                self.link_offends(token, link, cx.now);
                self.close_link(token, close::UNSUPPORTED_DATA, &e.to_string(), cx)
            }
        }
    }

    fn frame(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        text: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Flow {
        let plan = channels::plan(frame, membership(link, frame));
        let plan = match plan {
            // Where nobody is asked who they are, it is a push like any other.
            Plan::Refresh { payload } if self.config.auth.mode == Mode::Off => {
                Plan::Push { event: "refresh", payload }
            }
            plan => plan,
        };
        if let Some(kind) = plan.kind() {
            self.stats.messages.received(kind);
        }
        let told = matches!(plan, Plan::Push { .. } | Plan::Publish { .. });
        match told {
            true => self.trace_session(link.session, &frame.event, cx),
            false => drop(self.tracer.take_up(None)),
        }
        if let Err(error) = self.allow_plan(token, link, frame, &plan, cx) {
            self.deny_frame(token, link, frame, &error, cx);
            return self.disproved(token, link, &error, cx);
        }
        if let Err(error) = self.charge_plan(token, link, &plan, cx) {
            self.deny_frame(token, link, frame, &error, cx);
            return Flow::Go;
        }
        let opened = match self.open_payload(link, &plan, cx) {
            Ok(opened) => opened,
            Err(error) => {
                self.deny_frame(token, link, frame, &error, cx);
                return Flow::Go;
            }
        };
        let plan = with_payload(plan, opened.as_deref());
        if let Err(breach) = self.judge_plan(token, link, &frame.topic, &plan, cx) {
            self.trace_session_denied(link.session, &frame.event, &breach.error(), cx);
            return self.refuse_frame(token, link, frame, &breach, cx);
        }
        if told {
            self.trace_step(Step::Allowed, None, cx);
        }
        let flow = self.do_plan(token, link, frame, (plan, text), cx);
        if told {
            self.trace_end(Step::Answered, None, cx);
        }
        flow
    }

    /// Does what a frame asks for.
    fn do_plan(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        (plan, text): (Plan<'_>, Option<&str>),
        cx: &mut Cx<'_>,
    ) -> Flow {
        match plan {
            Plan::JoinGateway(join) => return self.join_gateway(token, link, frame, &join, text, cx),
            Plan::JoinMcp(join) => return self.join_mcp(token, link, frame, &join, text, cx),
            Plan::Rpc { payload } => self.channel_rpc(token, link, frame, payload, cx),
            Plan::JoinTopic(join) => self.join_topic(token, link, frame, &join, cx),
            Plan::Leave => self.leave(token, link, frame, cx),
            Plan::Heartbeat | Plan::LeaveNothing => {
                self.reply_to_frame(token, link, frame, Status::Ok, b"{}", cx);
            }
            Plan::Ping => self.pong(token, link, frame, cx),
            Plan::Acknowledge(named) => {
                let outcome = self.acknowledge_link(link, &named, cx);
                self.reply_receipt(token, link, frame, outcome, cx);
            }
            Plan::Refresh { payload } => return self.refresh_link(token, link, frame, payload, cx),
            Plan::Push { event, payload } => self.client_push(token, link, frame, event, payload, cx),
            Plan::Publish { event, payload } => self.client_publish(token, link, frame, event, payload, cx),
            Plan::Ignore => {}
            Plan::Unmatched => self.reply_to_frame(token, link, frame, Status::Error, UNMATCHED, cx),
            Plan::Refuse(error) => self.reply_error(token, link, frame, &error, cx),
        }
        Flow::Go
    }

    /// Refuses a frame.
    fn deny_frame(&mut self, token: Token, link: &Link, frame: &Frame<'_>, error: &Error, cx: &mut Cx<'_>) {
        self.trace_session_denied(link.session, &frame.event, error, cx);
        self.reply_error(token, link, frame, error, cx);
    }

    /// Whether who is at the other end may do this; a join may say who that is.
    fn allow_plan(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        plan: &Plan<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        match plan {
            Plan::JoinGateway(join) => {
                self.prove_join(token, link, join, cx)?;
                let room = join.room.as_ref().map(|room| format!("room:{room}"));
                room.map_or(Ok(()), |room| self.may_join(link.proof.who(), &room))
            }
            Plan::JoinMcp(join) => self.prove_join(token, link, join, cx),
            Plan::JoinTopic(join) => {
                self.prove_join(token, link, join, cx)?;
                if Topic::of_channel(&frame.topic).is_some() {
                    self.may_watch(link.proof.who())?;
                }
                self.may_join(link.proof.who(), &frame.topic)
            }
            plan => match of_plan(plan) {
                Permissions::NONE => Ok(()),
                wanted => self.may(link.proof.standing(), wanted),
            },
        }
    }

    /// Heartbeats, pings, acknowledgements, resumes and leaves are free.
    fn charge_plan(&mut self, token: Token, link: &Link, plan: &Plan<'_>, cx: &Cx<'_>) -> Result<(), Error> {
        let (Plan::JoinTopic(_) | Plan::Push { .. } | Plan::Publish { .. }, Some(id)) = (plan, link.session)
        else {
            return Ok(());
        };
        self.charge(id, link.proof.standing(), cx)?;
        self.charge_peer(token, cx)?;
        match plan {
            Plan::Push { event, payload } if !self.config.method_limits.is_empty() => {
                self.charge_session_method(id, &Message::Event { event, payload }.kind(), cx)
            }
            Plan::Publish { event, .. } => self.charge_session_method(id, event, cx),
            _ => Ok(()),
        }
    }

    fn pong(&mut self, token: Token, link: &Link, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let body = format!(r#"{{"timestamp":{}}}"#, cx.now.wall.0);
        let mut push = Vec::new();
        phoenix::push(link.version(), &mut push, None, &frame.topic, "pong", body.as_bytes(), None);
        self.put_text(token, link, &push, cx);
        self.reply_to_frame(token, link, frame, Status::Ok, body.as_bytes(), cx);
    }

    /// An acknowledgement; without an epoch it speaks of the present one.
    fn acknowledge_link(&mut self, link: &Link, named: &Named, cx: &mut Cx<'_>) -> Result<Receipt, Error> {
        let id = link.session.ok_or(Error::NotFound { what: "client" })?;
        let present = self.sessions.get(id).map(|session| session.epoch);
        self.acknowledge_session(id, named.ack(present)?, cx)
    }

    fn reply_receipt(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        outcome: Result<Receipt, Error>,
        cx: &mut Cx<'_>,
    ) {
        match outcome {
            Ok(receipt) => {
                let mut body = Vec::new();
                receipt.write_json(&mut body);
                self.reply_to_frame(token, link, frame, Status::Ok, &body, cx);
            }
            Err(error) => self.reply_error(token, link, frame, &error, cx),
        }
    }

    /// An event for everyone else on a topic. The reply comes from the topic's home.
    fn client_publish(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        event: &str,
        payload: Payload<'_>,
        cx: &mut Cx<'_>,
    ) {
        let session = link.session.and_then(|id| self.sessions.get(id));
        let client = session.map(|session| &*session.client);
        let key = match event_key(client, &frame.topic, event, payload) {
            Ok(key) => key.map(Box::new),
            Err(error) => return self.reply_error(token, link, frame, &error, cx),
        };
        let publisher = (self.me, token);
        let event = event.into();
        let content = match payload {
            Payload::Json(payload) => TopicContent::Event { event, payload: payload.into(), publisher },
            Payload::Binary(payload) => TopicContent::Binary { event, payload: payload.into(), publisher },
        };
        let topic: Box<str> = (&*frame.topic).into();
        self.trace_step(Step::Dispatched, Some(&topic), cx);
        let trace = self.tracer.passed_on().map_or(TraceLink::None, TraceLink::Journey);
        let reply_to = match &frame.reference {
            None => ReplyTo::Nobody,
            Some(reference) => ReplyTo::Push {
                connection: token,
                push: Box::new(PushRef {
                    join_ref: frame.join_ref.as_deref().map(Into::into),
                    reference: (&**reference).into(),
                    topic: topic.clone(),
                    traced: self.tracer.take_up(None),
                }),
            },
        };
        let publish = Publish::Topic(Box::new(TopicPublish { topic, content, key, trace }));
        let sent = self.check_pressure(Lane::Normal).and_then(|()| self.send_publish(publish, reply_to, cx));
        if let Err(error) = sent {
            self.reply_error(token, link, frame, &error, cx);
        }
    }

    /// Answers a frame; frames without a reference want no answer.
    pub(crate) fn reply_to_frame(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        status: Status,
        body: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Some(reference) = frame.reference.as_deref() else { return };
        let to = Addressee { join_ref: frame.join_ref.as_deref(), reference, topic: &frame.topic };
        self.reply(token, link, to, status, body, cx);
    }

    pub(crate) fn reply_error(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        error: &Error,
        cx: &mut Cx<'_>,
    ) {
        let body = self.error_body(link, error, cx);
        self.reply_to_frame(token, link, frame, Status::Error, &body, cx);
    }

    /// The error's fields; for a limit, also where the client stands with it.
    pub(crate) fn error_body(&mut self, link: &Link, error: &Error, cx: &Cx<'_>) -> Vec<u8> {
        self.stats.refuse(error);
        let mut body = Vec::new();
        error.write_json(&mut body);
        let session = link.session.and_then(|id| self.sessions.get(id));
        let rate = self.rate_of(link.proof.standing(), self.config.client_rate);
        if matches!(error, Error::RateLimited { .. })
            && let Some(session) = session
            && let Some(at) = session.bucket.standing(&rate, cx.now.mono)
        {
            body.pop();
            let (limit, remaining, reset) = (at.limit, at.remaining, at.reset_seconds);
            let fields = format!(r#","limit":{limit},"remaining":{remaining},"reset":{reset}}}"#);
            body.extend_from_slice(fields.as_bytes());
        }
        body
    }

    pub(crate) fn reply(
        &mut self,
        token: Token,
        link: &Link,
        to: Addressee<'_>,
        status: Status,
        body: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Addressee { join_ref, reference, topic } = to;
        let mut frame = std::mem::take(&mut self.reply);
        frame.clear();
        phoenix::reply(link.version(), &mut frame, join_ref, Some(reference), topic, status, body);
        self.put_text(token, link, &frame, cx);
        self.reply = frame;
    }
}

/// What a reply must name.
pub(crate) struct Addressee<'a> {
    /// Reference of the join.
    pub join_ref: Option<&'a str>,
    /// Reference of the push.
    pub reference: &'a str,
    /// The topic.
    pub topic: &'a str,
}

/// How the frame's topic stands on this connection. A frame without a join reference is current.
fn membership(link: &Link, frame: &Frame<'_>) -> Membership {
    match (link.channel(&frame.topic), &frame.join_ref) {
        (None, _) => Membership::None,
        (Some(channel), Some(named)) if channel.join_ref.as_deref() != Some(named) => Membership::Stale,
        (Some(_), _) => Membership::Current,
    }
}

/// The idempotency key of what a client pushes to a topic; a binary payload has none.
fn event_key(
    client: Option<&str>,
    topic: &str,
    event: &str,
    payload: Payload<'_>,
) -> Result<Option<Key>, Error> {
    let Payload::Json(payload) = payload else { return Ok(None) };
    let Some(text) = key_in(payload)? else { return Ok(None) };
    let scope = Scope::Event { topic, client: client.ok_or(Error::ClientIdRequired)? };
    Key::new(scope, &text, [event.as_bytes(), payload.as_bytes()]).map(Some)
}
