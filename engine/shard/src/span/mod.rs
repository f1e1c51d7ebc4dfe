//! Spans: what a sampled message goes through, as OpenTelemetry has it. A shard decides which messages those are and writes
//! down when each of their stages began and ended; the control thread makes OTLP of it. Times are those of turns: what
//! happens in one turn takes none.

mod journey;
mod recorder;
mod sampler;

use std::sync::Arc;

use weir_ring::time::Instant;
use weir_transports::trace_context::{SpanId, TraceId, TraceParent, state};

pub use self::journey::Journey;
pub(crate) use self::journey::Upward;
pub(crate) use self::recorder::{Recorder, Told};
pub(crate) use self::sampler::Sampler;

/// What has been recorded of a sampled message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// It.
    pub id: SpanId,
    /// The span that it is part of.
    pub parent: Option<SpanId>,
    /// What vendors have added to the trace.
    pub state: Option<Arc<str>>,
    /// What it was.
    pub stage: Stage,
    /// When it began.
    pub begun: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Whose message it is, or is for, if that has a name.
    pub client: Option<Box<str>>,
    /// The message's type, or its method.
    pub kind: Box<str>,
    /// Whom it went to: a server, topic or lane.
    pub detail: Option<Box<str>>,
    /// Why it failed, if it did.
    pub error: Option<Box<str>>,
}

/// What a sampled message goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From its arrival until it is answered: all others are part of it.
    Accept,
    /// Who sends it, and whether that may: limits, permissions, rules.
    Auth,
    /// Where it goes: the server, found and ready, or the core that is home to its receiver.
    Route,
    /// A server's or a handler's answer.
    Upstream,
    /// On to the client it is for, or whose answer it is.
    Delivery,
}

/// The span by which a message came, as its sender says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The span.
    pub parent: TraceParent,
    /// What vendors have added to it.
    pub state: Option<Arc<str>>,
}

/// The trace that a publish is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TraceLink {
    /// Nobody has said.
    #[default]
    None,
    /// As its publisher says.
    Parent(Box<TraceContext>),
    /// It is sampled, and this far.
    Journey(Box<Journey>),
}

impl Stage {
    /// The span's name.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Accept => "accept",
            Stage::Auth => "auth",
            Stage::Route => "route",
            Stage::Upstream => "upstream",
            Stage::Delivery => "delivery",
        }
    }
}

impl TraceContext {
    /// What `traceparent` and `tracestate` say; nothing unless the first names a span.
    pub fn parse(parent: Option<&str>, vendors: Option<&str>) -> Option<TraceContext> {
        let parent = TraceParent::parse(parent?)?;
        Some(TraceContext { parent, state: vendors.and_then(state).map(Arc::from) })
    }
}
