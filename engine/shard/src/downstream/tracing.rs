//! What is told and recorded of single messages: their steps, for clients that are followed, and refusals of others, as far as
//! there are not too many; spans, for those that are sampled.

use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::http1::Head;
use weir_transports::trace_context::{TRACEPARENT, TRACESTATE};

use crate::error::Error;
use crate::lane::Lane;
use crate::mail::Mail;
use crate::message::{Publish, TopicPublish};
use crate::metrics::Feature;
use crate::span::{TraceContext, TraceLink};
use crate::stream::Sequence;
use crate::turn::{Cx, Shard};
use crate::vsm::{Event, Step};

impl Shard {
    /// A client is followed from now on, for so long at least; zero: not any more.
    pub(crate) fn follow(&mut self, client: &str, time: Duration, cx: &Cx<'_>) {
        self.tracer.trace(client, time, cx.now.mono);
        if let Some(session) = self.sessions.find(client).and_then(|id| self.sessions.get_mut(id)) {
            session.followed = self.tracer.follows(client);
        }
    }

    /// A message was accepted, of `client` or for it; `parent` says by which span it came.
    pub(crate) fn trace_received(
        &mut self,
        client: Option<&str>,
        kind: &str,
        parent: impl FnOnce() -> Option<TraceContext>,
        cx: &Cx<'_>,
    ) {
        let began = self.meter.begin();
        let Shard { tracer, herald, .. } = self;
        if let Some(traced) = tracer.begin(|_| client, kind, parent, cx.now.mono) {
            herald.say_step(traced, Step::Received, None, cx.now.wall);
        }
        self.meter.end(Feature::Tracing, began);
    }

    /// The same for a message of a session's client, which can say nothing of spans.
    pub(crate) fn trace_session(&mut self, session: Option<Token>, kind: &str, cx: &Cx<'_>) {
        let began = self.meter.begin();
        let Shard { tracer, herald, sessions, .. } = self;
        let all = tracer.follows_all();
        let client = |sampled: bool| {
            let session = sessions.get(session?)?;
            (sampled || all || session.followed).then_some(&*session.client)
        };
        if let Some(traced) = tracer.begin(client, kind, || None, cx.now.mono) {
            herald.say_step(traced, Step::Received, None, cx.now.wall);
        }
        self.meter.end(Feature::Tracing, began);
    }

    /// A publish that this shard's client asks for, where it comes in. Its receiver's home tells its steps.
    pub(crate) fn trace_publish(&mut self, publish: &mut Publish, head: Option<&Head<'_>>, cx: &Cx<'_>) {
        if !self.tracer.samples() {
            return;
        }
        let (client, kind, link) = publish.told();
        let own = match std::mem::take(link) {
            TraceLink::Parent(context) => Some(*context),
            TraceLink::None | TraceLink::Journey(_) => None,
        };
        let parent = || own.or_else(|| head.and_then(context_of));
        self.tracer.sample(client, kind, parent, cx.now.mono);
    }

    /// A publish goes to its receiver's home.
    pub(crate) fn trace_sent(&mut self, publish: &mut Publish, cx: &Cx<'_>) {
        self.trace_step(Step::Allowed, None, cx);
        if let Some(journey) = self.tracer.passed_on() {
            *publish.told().2 = TraceLink::Journey(journey);
        }
    }

    /// A publish has come from the shard that took it.
    pub(crate) fn trace_resumed(&mut self, client: &str, kind: &str, link: &TraceLink, cx: &Cx<'_>) {
        let Shard { tracer, herald, .. } = self;
        let journey = match link {
            TraceLink::Journey(journey) => Some(journey.clone()),
            TraceLink::None | TraceLink::Parent(_) => None,
        };
        if let Some(traced) = tracer.resume(client, kind, journey) {
            herald.say_step(traced, Step::Received, None, cx.now.wall);
        }
    }

    /// A topic's home has appended a publish, or has not. All its subscribers are one delivery.
    pub(crate) fn trace_topic(&mut self, publish: &TopicPublish, error: Option<&Error>, cx: &Cx<'_>) {
        let TraceLink::Journey(journey) = &publish.trace else { return };
        self.tracer.pass(journey.clone(), publish.content.kind());
        match error {
            None => {
                self.trace_step(Step::Dispatched, Some(&publish.topic), cx);
                self.trace_end(Step::Answered, None, cx);
            }
            Some(error) => self.trace_end(Step::Denied, Some(error.reason()), cx),
        }
    }

    /// The operation at hand has got further. `detail` says where to or with what.
    pub(crate) fn trace_step(&mut self, to: Step, detail: Option<&str>, cx: &Cx<'_>) {
        if self.tracer.at_hand().is_none() {
            return;
        }
        let began = self.meter.begin();
        let Shard { tracer, herald, .. } = self;
        if let Some(traced) = tracer.at_hand() {
            herald.say_step(traced, to, detail, cx.now.wall);
            tracer.reach(to, detail, cx.now.mono);
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
        let told = self.tracer.at_hand().is_some_and(|traced| traced.told.is_some());
        self.trace_end(Step::Denied, Some(error.reason()), cx);
        let Shard { tracer, herald, .. } = self;
        if !told
            && let Some(client) = client
            && tracer.tells_errors(cx.now.mono)
        {
            let operation = tracer.next();
            herald.say(cx.now.wall, || {
                let (client, kind, detail) = (client.into(), kind.into(), Some(error.reason().into()));
                Event::Step { client, operation, step: Step::Denied, kind, detail, trace_id: None }
            });
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
        // What is recorded of it is its sender's, which goes on.
        let at_hand = self.tracer.take_up(None);
        self.trace_resumed(&publish.client, &publish.kind, &TraceLink::None, cx);
        self.trace_denied(Some(&publish.client), &publish.kind, error, cx);
        self.tracer.take_up(at_hand);
    }

    /// A request was answered before anybody looked at what it asks for.
    pub(crate) fn trace_turned_away(&mut self, head: &Head<'_>, error: &Error, cx: &Cx<'_>) {
        if self.tracer.samples() {
            self.tracer.sample("", "request", || context_of(head), cx.now.mono);
            self.trace_end(Step::Denied, Some(error.reason()), cx);
        }
    }

    /// A message got this place in a client's stream.
    pub(crate) fn trace_placed(&mut self, session: Token, lane: Lane, sequence: Sequence, cx: &Cx<'_>) {
        if self.tracer.placed(lane, sequence, cx.now.mono)
            && let Some(mailbox) = self.sessions.get_mut(session).and_then(|it| it.mailbox.as_deref_mut())
        {
            mailbox.traced = true;
        }
    }

    /// More of a client's stream may have been written.
    pub(crate) fn trace_delivered(&mut self, session: Token, cx: &Cx<'_>) {
        let Shard { tracer, herald, sessions, .. } = self;
        if tracer.is_idle() {
            return;
        }
        let Some(session) = sessions.get_mut(session) else { return };
        let Some(mailbox) = session.mailbox.as_deref_mut().filter(|mailbox| mailbox.traced) else { return };
        let written = Lane::ALL.map(|lane| mailbox.lane(lane).map_or(0, |stream| stream.written));
        for traced in tracer.delivered(&session.client, &written) {
            herald.say_step(&traced, Step::Delivered, None, cx.now.wall);
            tracer.arrived(&traced, cx.now.mono);
        }
        mailbox.traced = tracer.remembers(&session.client);
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
            herald.say_step(&traced, Step::Acknowledged, None, cx.now.wall);
        }
    }

    /// The spans of the turn, while the control thread keeps up.
    pub(crate) fn tell_spans(&mut self, cx: &mut Cx<'_>) {
        // What was at hand in this turn is in nobody's hands any more: a notification, say.
        self.tracer.close(None, cx.now.mono);
        let last = self.draining.is_some();
        if !self.tracer.tells_spans(last, cx.now.mono) {
            return;
        }
        if !self.control_keeps_up(cx) {
            return self.tracer.hold_spans(cx.now.mono);
        }
        let (spans, dropped) = self.tracer.take_spans();
        self.send(self.control(), Mail::Spans { from: self.me, spans, dropped }, cx);
    }
}

/// By which span a request comes.
pub(crate) fn context_of(head: &Head<'_>) -> Option<TraceContext> {
    let parent = head.header(TRACEPARENT)?;
    TraceContext::parse(Some(parent), head.header(TRACESTATE))
}
