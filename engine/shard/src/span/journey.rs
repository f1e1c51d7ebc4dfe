//! A sampled message on its way: which stage it is in and since when.

use std::sync::Arc;

use weir_ring::time::Instant;
use weir_transports::trace_context::{SpanId, TraceId, TraceParent};

use super::{Stage, TraceContext};

/// A sampled message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    trace: TraceId,
    /// The span of its arrival, which all others are part of.
    accept: SpanId,
    /// The sender's span.
    parent: Option<SpanId>,
    state: Option<Arc<str>>,
    begun: Instant,
    /// The stage it is in; `Accept`: further ones are another shard's to write down.
    stage: Stage,
    /// Since when.
    since: Instant,
    /// Its arrival is another shard's to write down.
    foreign: bool,
    /// What is asked of a handler.
    pub(crate) upward: Option<Upward>,
}

/// Something asked of a server, and not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upward {
    /// Its span.
    pub(crate) span: SpanId,
    /// When it was asked.
    pub(crate) begun: Instant,
}

/// A stage that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) stage: Stage,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
}

impl Upward {
    /// It is answered now.
    pub(crate) fn until(self, now: Instant) -> Passed {
        Passed { stage: Stage::Upstream, begun: self.begun, ended: now }
    }
}

impl Journey {
    /// One that begins a trace.
    pub(crate) fn root(trace: TraceId, accept: SpanId, now: Instant) -> Journey {
        let (parent, state) = (None, None);
        let (stage, since, foreign, upward) = (Stage::Auth, now, false, None);
        Journey { trace, accept, parent, state, begun: now, stage, since, foreign, upward }
    }

    /// It turns out to be part of another trace. Nothing of it may have been written down yet.
    pub(crate) fn join(self, context: TraceContext) -> Journey {
        let TraceContext { parent, state } = context;
        Journey { trace: parent.trace, parent: Some(parent.span), state, ..self }
    }

    /// The message is passed on to another shard, which has it from here.
    pub(crate) fn passed_on(&mut self) -> Journey {
        let onward = Journey { foreign: true, ..self.clone() };
        self.stage = Stage::Accept;
        onward
    }

    /// The stage at hand is over, and the next is `to`; what is over, if that is another.
    pub(crate) fn enter(&mut self, to: Stage, now: Instant) -> Option<Passed> {
        if self.stage == to || self.stage == Stage::Accept {
            return None;
        }
        let stage = std::mem::replace(&mut self.stage, to);
        let begun = std::mem::replace(&mut self.since, now);
        Some(Passed { stage, begun, ended: now })
    }

    /// The stage at hand is not to begin before now: what was waited for has come.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.since = now;
    }

    /// The stage at hand, if it ended now.
    pub(crate) fn at(&self, now: Instant) -> Option<Passed> {
        let Journey { stage, since: begun, .. } = *self;
        (stage != Stage::Accept).then_some(Passed { stage, begun, ended: now })
    }

    /// Its arrival, answered now; nothing where that is for another shard to say.
    pub(crate) fn whole(&self, now: Instant) -> Option<Passed> {
        (!self.foreign).then_some(Passed { stage: Stage::Accept, begun: self.begun, ended: now })
    }

    /// The trace.
    pub(crate) fn trace(&self) -> TraceId {
        self.trace
    }

    /// What vendors have added to it.
    pub(crate) fn state(&self) -> Option<Arc<str>> {
        self.state.clone()
    }

    /// The span that a stage's is part of.
    pub(crate) fn parent_of(&self, stage: Stage) -> Option<SpanId> {
        if stage == Stage::Accept { self.parent } else { Some(self.accept) }
    }

    /// The span of its arrival.
    pub(crate) fn accept(&self) -> SpanId {
        self.accept
    }

    /// What whoever is asked in `span` is told.
    pub(crate) fn context(&self, span: SpanId) -> TraceContext {
        let parent = TraceParent { trace: self.trace, span, sampled: true };
        TraceContext { parent, state: self.state.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journey() -> Journey {
        Journey::root(TraceId::new(7), SpanId::new(1), Instant(10))
    }

    #[test]
    fn each_stage_begins_where_the_one_before_ended() {
        let mut journey = journey();
        assert_eq!(journey.enter(Stage::Auth, Instant(11)), None);
        let passed =
            |stage, begun, ended| Some(Passed { stage, begun: Instant(begun), ended: Instant(ended) });
        assert_eq!(journey.enter(Stage::Route, Instant(12)), passed(Stage::Auth, 10, 12));
        assert_eq!(journey.enter(Stage::Delivery, Instant(15)), passed(Stage::Route, 12, 15));
        journey.resume(Instant(20));
        assert_eq!(journey.at(Instant(21)), passed(Stage::Delivery, 20, 21));
        assert_eq!(journey.whole(Instant(21)), passed(Stage::Accept, 10, 21));
    }

    #[test]
    fn what_is_passed_on_is_written_down_once() {
        let mut journey = journey();
        journey.enter(Stage::Route, Instant(12));
        let mut onward = journey.passed_on();
        assert_eq!((journey.enter(Stage::Delivery, Instant(20)), journey.at(Instant(20))), (None, None));
        assert!(journey.whole(Instant(20)).is_some() && onward.whole(Instant(20)).is_none());
        let route = onward.enter(Stage::Delivery, Instant(15));
        assert_eq!(route, Some(Passed { stage: Stage::Route, begun: Instant(12), ended: Instant(15) }));
    }

    #[test]
    fn a_trace_is_joined_with_its_state() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(Some(text), Some("a=b")).expect("valid");
        let joined = journey().join(context);
        assert_eq!(joined.parent_of(Stage::Accept), Some(SpanId::new(0xb7ad6b7169203331)));
        assert_eq!(joined.parent_of(Stage::Auth), Some(SpanId::new(1)));
        let onward = joined.context(SpanId::new(2));
        assert_eq!(onward.parent.to_string(), "00-0af7651916cd43dd8448eb211c80319c-0000000000000002-01");
        assert_eq!(onward.state.as_deref(), Some("a=b"));
    }
}
