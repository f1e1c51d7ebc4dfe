//! What is told of single messages: their steps, for clients that are traced, and refusals of others, as far as there
//! are not too many.

use weir_ring::token::Token;

use crate::error::Error;
use crate::lane::Lane;
use crate::message::Publish;
use crate::metrics::Feature;
use crate::operation::Traced;
use crate::stream::Sequence;
use crate::turn::{Cx, Shard};
use crate::vsm::{Event, Step};

impl Shard {
    /// A message was accepted, of `client` or for it.
    pub(crate) fn trace_received(&mut self, client: Option<&str>, kind: &str, cx: &Cx<'_>) {
        let began = self.meter.begin();
        let Shard { tracer, herald, .. } = self;
        if let Some(traced) = tracer.begin(client, kind) {
            herald.say(cx.now.wall, || step(traced, Step::Received, None));
        }
        self.meter.end(Feature::Tracing, began);
    }

    /// The same for a message of a session's client.
    pub(crate) fn trace_session(&mut self, session: Option<Token>, kind: &str, cx: &Cx<'_>) {
        let began = self.meter.begin();
        let Shard { tracer, herald, sessions, .. } = self;
        let session = session.filter(|_| !tracer.is_idle()).and_then(|id| sessions.get(id));
        if let Some(traced) = tracer.begin(session.map(|session| &*session.client), kind) {
            herald.say(cx.now.wall, || step(traced, Step::Received, None));
        }
        self.meter.end(Feature::Tracing, began);
    }

    /// The operation at hand has got further. `detail` says where to or with what.
    pub(crate) fn trace_step(&mut self, to: Step, detail: Option<&str>, cx: &Cx<'_>) {
        let began = self.meter.begin();
        let Shard { tracer, herald, .. } = self;
        if let Some(traced) = tracer.at_hand() {
            herald.say(cx.now.wall, || step(traced, to, detail));
        }
        self.meter.end(Feature::Tracing, began);
    }

    /// The operation at hand is over.
    pub(crate) fn trace_end(&mut self, to: Step, detail: Option<&str>, cx: &Cx<'_>) {
        self.trace_step(to, detail, cx);
        self.tracer.take_up(None);
    }

    /// The operation at hand, or else that of `client`, was refused.
    pub(crate) fn trace_denied(&mut self, client: Option<&str>, kind: &str, error: &Error, cx: &Cx<'_>) {
        let Shard { tracer, herald, .. } = self;
        match (tracer.take_up(None), client) {
            (Some(traced), _) => {
                herald.say(cx.now.wall, || step(&traced, Step::Denied, Some(error.reason())));
            }
            (None, Some(client)) if tracer.tells_errors(cx.now.mono) => {
                let operation = tracer.next();
                herald.say(cx.now.wall, || {
                    let traced = Traced { client: client.into(), operation, kind: kind.into() };
                    step(&traced, Step::Denied, Some(error.reason()))
                });
            }
            (None, _) => {}
        }
    }

    /// The same for a session's client.
    pub(crate) fn trace_session_denied(
        &mut self,
        session: Option<Token>,
        kind: &str,
        error: &Error,
        cx: &Cx<'_>,
    ) {
        let session = session.and_then(|id| self.sessions.get(id)).filter(|session| !session.is_minted());
        let client = session.map(|session| session.client.clone());
        self.trace_denied(client.as_deref(), kind, error, cx);
    }

    /// A publish was refused where it came in, before its receiver's home heard of it.
    pub(crate) fn trace_unpublished(&mut self, publish: &Publish, error: &Error, cx: &Cx<'_>) {
        let Publish::Client(publish) = publish else { return };
        self.trace_received(Some(&publish.client), &publish.kind, cx);
        self.trace_denied(Some(&publish.client), &publish.kind, error, cx);
    }

    /// More of a client's stream may have been written.
    pub(crate) fn trace_delivered(&mut self, session: Token, cx: &Cx<'_>) {
        if self.tracer.is_idle() {
            return;
        }
        let Shard { tracer, herald, sessions, .. } = self;
        let Some(session) = sessions.get(session) else { return };
        let Some(mailbox) = session.mailbox.as_deref() else { return };
        let written = Lane::ALL.map(|lane| mailbox.lane(lane).map_or(0, |stream| stream.written));
        for traced in tracer.delivered(&session.client, &written) {
            herald.say(cx.now.wall, || step(&traced, Step::Delivered, None));
        }
    }

    /// A client has acknowledged what `has` says yes to.
    pub(crate) fn trace_acknowledged(
        &mut self,
        session: Token,
        has: impl Fn(Lane, Sequence) -> bool,
        cx: &Cx<'_>,
    ) {
        if self.tracer.is_idle() {
            return;
        }
        let Shard { tracer, herald, sessions, .. } = self;
        let Some(session) = sessions.get(session) else { return };
        for traced in tracer.acknowledged(&session.client, has) {
            herald.say(cx.now.wall, || step(&traced, Step::Acknowledged, None));
        }
    }
}

fn step(traced: &Traced, step: Step, detail: Option<&str>) -> Event {
    let Traced { client, operation, kind } = traced.clone();
    Event::Step { client, operation, step, kind, detail: detail.map(Into::into) }
}
