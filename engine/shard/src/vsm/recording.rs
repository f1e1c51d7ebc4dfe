//! What is recorded of the message at hand, if it is sampled: each of its stages as a span.

use std::time::Duration;

use weir_ring::time::Instant;

use super::event::Step;
use super::trace::{Tracer, traced};
use crate::operation::Traced;
use crate::span::{Journey, Span, Stage, Told, TraceContext, Upward};

/// How long spans wait for others, so that the control thread is not woken for each.
const PAUSE: Duration = Duration::from_millis(100);

/// So many do not wait.
const SPANS_TOLD: usize = 256;

/// What a handler is called in spans.
const HANDLER: &str = "handler";

impl Tracer {
    /// Whether spans are recorded at all.
    pub(crate) fn samples(&self) -> bool {
        self.sampler.is_on()
    }

    /// From now on this part of the messages is sampled, 0 to 1.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.sampler.set_rate(rate);
    }

    /// The trace that the message at hand is part of, if it is sampled.
    pub(crate) fn trace_id(&self) -> Option<Box<str>> {
        let journey = self.at_hand()?.journey.as_ref()?;
        Some(journey.trace().to_string().into())
    }

    /// A message has come that another shard may be home to: it is at hand if it is sampled. It is no operation yet.
    pub(crate) fn sample(
        &mut self,
        client: &str,
        kind: &str,
        parent: impl FnOnce() -> Option<TraceContext>,
        now: Instant,
    ) {
        self.close(None, now);
        let journey = self.sampler.decide(parent, now);
        self.at_hand = journey.map(|journey| Box::new(traced(Some(client), kind, (None, Some(journey)))));
    }

    /// A sampled message has come from the shard that took it: it is at hand.
    pub(crate) fn pass(&mut self, journey: Box<Journey>, kind: &str) {
        self.at_hand = Some(Box::new(traced(None, kind, (None, Some(journey)))));
    }

    /// The message at hand goes to another shard: what that begins with, if it is sampled.
    pub(crate) fn passed_on(&mut self) -> Option<Box<Journey>> {
        let journey = self.at_hand.as_mut()?.journey.as_mut()?;
        Some(Box::new(journey.passed_on()))
    }

    /// The message at hand has got further. `detail` says where to, or why not.
    pub(crate) fn reach(&mut self, to: Step, detail: Option<&str>, now: Instant) {
        let Tracer { at_hand, recorder, .. } = self;
        let Some(Traced { journey: Some(journey), client, kind, .. }) = at_hand.as_deref_mut() else {
            return;
        };
        let told = Told { client, kind, detail: None, error: None };
        match to {
            Step::Received | Step::Delivered | Step::Acknowledged => {}
            Step::Allowed => {
                if let Some(passed) = journey.enter(Stage::Route, now) {
                    recorder.passed(journey, passed, told);
                }
            }
            Step::Dispatched => {
                if let Some(passed) = journey.enter(Stage::Delivery, now) {
                    recorder.passed(journey, passed, Told { detail, ..told });
                }
            }
            Step::Denied => {
                if let Some(passed) = journey.at(now) {
                    recorder.passed(journey, passed, Told { error: detail, ..told });
                }
                self.close(detail, now);
            }
            Step::Answered => {
                if let Some(upward) = journey.upward.take() {
                    let told = Told { detail: Some(HANDLER), error: detail, ..told };
                    recorder.note(journey, upward.span, upward.until(now), told);
                    journey.resume(now);
                }
                // Nobody was asked: what was kept, or the gateway itself, has answered.
                if let Some(passed) = journey.enter(Stage::Delivery, now) {
                    recorder.passed(journey, passed, told);
                }
                if let Some(passed) = journey.at(now) {
                    recorder.passed(journey, passed, told);
                }
                self.close(detail, now);
            }
        }
    }

    /// The message at hand is done with, for the reason `error` if it failed.
    pub(crate) fn close(&mut self, error: Option<&str>, now: Instant) {
        let Some(traced) = self.take_up(None) else { return };
        let Traced { journey: Some(journey), client, kind, .. } = &*traced else { return };
        if let Some(whole) = journey.whole(now) {
            self.recorder.passed(journey, whole, Told { client, kind, detail: None, error });
        }
    }

    /// A message has reached its client.
    pub(crate) fn arrived(&mut self, traced: &Traced, now: Instant) {
        let Traced { journey: Some(journey), client, kind, .. } = traced else { return };
        if let Some(passed) = journey.at(now) {
            self.recorder.passed(journey, passed, Told { client, kind, ..Told::default() });
        }
    }

    /// Something is asked of a server for `journey`: the span of that, and what the server is told of it.
    pub(crate) fn ask(&mut self, journey: &Journey, now: Instant) -> (Upward, TraceContext) {
        let upward = Upward { span: self.recorder.next(), begun: now };
        (upward, journey.context(upward.span))
    }

    /// The same of a handler, for the message at hand.
    pub(crate) fn ask_handler(&mut self, now: Instant) -> Option<TraceContext> {
        let mut traced = self.take_up(None)?;
        let context = traced.journey.as_mut().map(|journey| {
            let (upward, context) = self.ask(journey, now);
            journey.upward = Some(upward);
            context
        });
        self.take_up(Some(traced));
        context
    }

    /// A server has answered what was asked for `traced`, or has not.
    pub(crate) fn asked(&mut self, traced: &mut Traced, upward: Upward, told: Told<'_>, now: Instant) {
        let Traced { journey: Some(journey), client, .. } = traced else { return };
        self.recorder.note(journey, upward.span, upward.until(now), Told { client, ..told });
        journey.resume(now);
    }

    /// When waiting spans are told.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waits_since.map(|since| since.plus(PAUSE))
    }

    /// Whether spans are to be told now: enough of them wait, or long enough, or they are the `last`.
    pub(crate) fn tells_spans(&mut self, last: bool, now: Instant) -> bool {
        if self.recorder.len() == 0 {
            return false;
        }
        let since = *self.waits_since.get_or_insert(now);
        last || self.recorder.len() >= SPANS_TOLD || now >= since.plus(PAUSE)
    }

    /// There is no room for them: they wait again.
    pub(crate) fn hold_spans(&mut self, now: Instant) {
        self.waits_since = Some(now);
    }

    /// Those spans, and how many were left out.
    pub(crate) fn take_spans(&mut self) -> (Vec<Span>, u64) {
        self.waits_since = None;
        self.recorder.take()
    }

    /// Messages that were not sampled only because there were too many.
    pub(crate) fn left_out(&self) -> u64 {
        self.sampler.left_out()
    }
}
