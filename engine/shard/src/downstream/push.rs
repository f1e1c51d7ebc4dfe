//! What clients push on their own stream: for an endpoint that handles messages of their type, or for the backends that
//! read pushes.

use std::borrow::Cow;

use serde_json::value::RawValue;
use weir_ring::token::Token;
use weir_transports::json;
use weir_transports::phoenix::{Frame, Status};

use crate::downstream::connection::Link;
use crate::downstream::phoenix::Addressee;
use crate::error::Error;
use crate::idempotency::{Key, Reply, Scope, key_in};
use crate::lane::Lane;
use crate::limits::Pattern;
use crate::mail::{Errand, Mail, PushRef, ReplyTo};
use crate::message::{ClientPublish, Publish, Target};
use crate::metrics::Feature;
use crate::policy::rules::Message;
use crate::route;
use crate::span::TraceLink;
use crate::turn::{Cx, Shard};
use crate::vsm::Step;

impl Shard {
    /// A push on the client's own stream: for the backends that read pushes.
    pub(crate) fn client_push(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        event: &str,
        payload: &str,
        cx: &mut Cx<'_>,
    ) {
        let session = link.session.and_then(|id| self.sessions.get(id));
        let client = session.map(|session| &*session.client);
        let key = match push_key(client, event, payload) {
            Ok(key) => key,
            Err(error) => return self.reply_error(token, link, frame, &error, cx),
        };
        let began = self.meter.begin();
        let found = key.as_ref().map(|key| self.keys.find(key, cx.now.mono));
        self.meter.end(Feature::Idempotency, began);
        match found {
            Some(Ok(Some(Reply::Pushed { handlers }))) => {
                self.stats.duplicates += 1;
                return self.reply_accepted(token, link, frame, handlers, cx);
            }
            Some(Err(refusal)) => return self.reply_error(token, link, frame, &refusal.into(), cx),
            Some(Ok(_)) | None => {}
        }
        if let Some(handler) = self.handler_of(event, payload) {
            let Some(client) = client else { return };
            let ask = (handler, push_json(client, event, payload));
            return match self.hand_to(ask, token, frame, cx) {
                Ok(()) => {
                    if let Some(key) = &key {
                        self.keys.note(key, Reply::Pushed { handlers: 1 }, cx.now.mono);
                    }
                }
                Err(error) => self.reply_error(token, link, frame, &error, cx),
            };
        }
        if self.handlers > 0
            && let Some(client) = client
        {
            let data = push_json(client, event, payload);
            let publish = Publish::Client(Box::new(ClientPublish {
                client: route::EVENTS.into(),
                kind: "push".into(),
                data,
                target: Target::Auto,
                lane: Lane::Normal,
                ttl_ms: 0,
                wait: None,
                key: None,
                trace: TraceLink::None,
            }));
            let sent = self
                .check_pressure(Lane::Normal)
                .and_then(|()| self.send_publish(publish, ReplyTo::Nobody, cx));
            if let Err(error) = sent {
                return self.reply_error(token, link, frame, &error, cx);
            }
        }
        let handlers = self.handlers;
        self.trace_step(Step::Dispatched, Some("events"), cx);
        if let Some(key) = &key {
            self.keys.note(key, Reply::Pushed { handlers }, cx.now.mono);
        }
        self.reply_accepted(token, link, frame, handlers, cx);
    }

    fn reply_accepted(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        handlers: u32,
        cx: &mut Cx<'_>,
    ) {
        let body = format!(r#"{{"accepted":true,"handlers":{handlers}}}"#);
        self.reply_to_frame(token, link, frame, Status::Ok, body.as_bytes(), cx);
    }

    /// Which of the configured handlers takes such a message: the first that names its type.
    fn handler_of(&self, event: &str, payload: &str) -> Option<u16> {
        if self.config.handlers.is_empty() {
            return None;
        }
        let kind = Message::Event { event, payload }.kind();
        let takes = |types: &[Pattern]| types.iter().any(|pattern| pattern.matches(&kind, ""));
        self.config.handlers.iter().position(|types| takes(types)).map(|at| at as u16)
    }

    /// Hands a push to its handler, by way of the control thread. Its answer is the push's reply.
    ///
    /// # Errors
    /// Too much waits there: nothing was accepted.
    fn hand_to(
        &mut self,
        (handler, body): (u16, Box<RawValue>),
        token: Token,
        frame: &Frame<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        if !self.control_keeps_up(cx) {
            return Err(Error::insufficient_resources());
        }
        self.trace_step(Step::Dispatched, Some("handler"), cx);
        let trace = self.tracer.ask_handler(cx.now.mono);
        let push = frame.reference.as_deref().map(|reference| {
            Box::new(PushRef {
                join_ref: frame.join_ref.as_deref().map(Into::into),
                reference: reference.into(),
                topic: (&*frame.topic).into(),
                traced: self.tracer.take_up(None),
            })
        });
        if push.is_some() {
            self.errands.push(token);
        }
        let errand = Errand { from: self.me, connection: token, push, handler, body, trace };
        self.send(self.control(), Mail::Handle(Box::new(errand)), cx);
        Ok(())
    }

    /// A handler has answered a push, or has not.
    pub(crate) fn push_handled(
        &mut self,
        token: Token,
        push: &PushRef,
        outcome: Result<Box<str>, Error>,
        cx: &mut Cx<'_>,
    ) {
        if let Some(at) = self.errands.iter().position(|other| *other == token) {
            self.errands.swap_remove(at);
        }
        self.answer_push(token, push, outcome.map(|answer| answer.into_boxed_bytes().into_vec()), cx);
    }

    /// Answers a push that waited, if its join is not over: a reply after its `phx_close` is nobody's.
    pub(crate) fn answer_push(
        &mut self,
        token: Token,
        push: &PushRef,
        outcome: Result<Vec<u8>, Error>,
        cx: &mut Cx<'_>,
    ) {
        let Some(link) = self.lend_link(token) else { return };
        let joined = link.channel(&push.topic);
        if joined.is_some_and(|channel| push.join_ref.is_none() || channel.join_ref == push.join_ref) {
            let (status, body) = match &outcome {
                Ok(body) => (Status::Ok, Cow::Borrowed(&**body)),
                Err(error) => (Status::Error, Cow::Owned(self.error_body(&link, error, cx))),
            };
            let (reference, topic) = (&*push.reference, &*push.topic);
            let to = Addressee { join_ref: push.join_ref.as_deref(), reference, topic };
            self.reply(token, &link, to, status, &body, cx);
            self.tracer.take_up(push.traced.clone());
            self.trace_end(Step::Answered, outcome.as_ref().err().map(Error::reason), cx);
        }
        self.return_link(token, link, cx);
    }
}

/// The idempotency key of what a client pushes for backends.
fn push_key(client: Option<&str>, event: &str, payload: &str) -> Result<Option<Key>, Error> {
    let Some(text) = key_in(payload)? else { return Ok(None) };
    let client = client.ok_or(Error::ClientIdRequired)?;
    Key::new(Scope::Push { client }, &text, [event.as_bytes(), payload.as_bytes()]).map(Some)
}

/// A push as backends read it.
fn push_json(client: &str, event: &str, payload: &str) -> Box<RawValue> {
    let mut json = Vec::with_capacity(payload.len() + 96);
    json.extend_from_slice(b"{\"client_id\":");
    json::write_str(&mut json, client);
    json.extend_from_slice(b",\"type\":");
    json::write_str(&mut json, &Message::Event { event, payload }.kind());
    json.extend_from_slice(b",\"payload\":");
    json.extend_from_slice(payload.as_bytes());
    json.push(b'}');
    let text = String::from_utf8(json).unwrap_or_default();
    RawValue::from_string(text).unwrap_or_default()
}
