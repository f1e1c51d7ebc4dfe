//! Spans that wait for the end of the turn.

use weir_transports::trace_context::SpanId;

use super::journey::{Journey, Passed};
use super::{Span, Stage};
use crate::random::Random;

/// Spans that wait; more are counted and left out.
const SPANS_MAX: usize = 1_024;

/// Where spans are written down.
#[derive(Debug)]
pub(crate) struct Recorder {
    spans: Vec<Span>,
    /// Left out since it was last said.
    dropped: u64,
    /// Names spans.
    random: Random,
}

/// Whose message a span is of, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'a> {
    pub(crate) client: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) detail: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
}

impl Recorder {
    /// Nothing is written down. `seed` is of the shard's randomness.
    pub(crate) fn new(seed: u64) -> Recorder {
        Recorder { spans: Vec::new(), dropped: 0, random: Random::new(seed) }
    }

    /// A name for the next span.
    pub(crate) fn next(&mut self) -> SpanId {
        SpanId::new(self.random.next())
    }

    /// Writes down a stage of `journey`.
    pub(crate) fn passed(&mut self, journey: &Journey, passed: Passed, told: Told<'_>) {
        let id = if passed.stage == Stage::Accept { journey.accept() } else { self.next() };
        self.note(journey, id, passed, told);
    }

    /// Writes down a stage whose span was named before.
    pub(crate) fn note(&mut self, journey: &Journey, id: SpanId, passed: Passed, told: Told<'_>) {
        if self.spans.len() >= SPANS_MAX {
            self.dropped += 1;
            return;
        }
        let Passed { stage, begun, ended } = passed;
        let named = |text: &str| (!text.is_empty()).then(|| text.into());
        self.spans.push(Span {
            trace: journey.trace(),
            id,
            parent: journey.parent_of(stage),
            state: journey.state(),
            stage,
            begun,
            ended,
            client: named(told.client),
            kind: told.kind.into(),
            detail: told.detail.map(Into::into),
            error: told.error.map(Into::into),
        });
    }

    /// Spans that wait. None is left out before some do.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// What waits, and how many were left out.
    pub(crate) fn take(&mut self) -> (Vec<Span>, u64) {
        (std::mem::take(&mut self.spans), std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use weir_ring::time::Instant;
    use weir_transports::trace_context::TraceId;

    use super::*;

    #[test]
    fn too_many_spans_are_counted_and_left_out() {
        let mut recorder = Recorder::new(1);
        let journey = Journey::root(TraceId::new(7), SpanId::new(1), Instant(10));
        let at = journey.at(Instant(11)).expect("in its first stage");
        assert_eq!(recorder.len(), 0);
        for _ in 0..SPANS_MAX + 5 {
            recorder.passed(&journey, at, Told { kind: "chat", ..Told::default() });
        }
        let (spans, dropped) = recorder.take();
        assert_eq!((spans.len(), dropped), (SPANS_MAX, 5));
        assert_eq!((spans[0].parent, spans[0].client.as_deref()), (Some(SpanId::new(1)), None));
        assert_ne!(spans[0].id, spans[1].id);
        assert_eq!(recorder.len(), 0);
    }
}
