//! Spans as OTLP has them.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};
use opentelemetry_proto::tonic::{resource, trace};
use prost::Message;
use weir_ring::clock::Clock;
use weir_ring::time::Instant;
use weir_shard::span::{Span, Stage};

use super::queue::Recorded;

/// Bytes of a text that goes into a span.
const TEXT_BYTES_MAX: usize = 256;

/// `Span.flags`: recorded.
const SAMPLED: u32 = 0x001;
/// It is known whether the parent is in another process.
const HAS_IS_REMOTE: u32 = 0x100;
/// It is.
const IS_REMOTE: u32 = 0x200;

/// An error's type where it has none (semantic conventions, `error.type`).
const OTHER: &str = "_OTHER";

/// What the gateway is to OpenTelemetry.
#[derive(Debug)]
pub(super) struct Resource(resource::v1::Resource);

impl Resource {
    /// This life of the gateway, which a random number tells from others.
    pub(super) fn new(life: [u8; 16]) -> Resource {
        let instance = format!("{:032x}", u128::from_be_bytes(life));
        let attributes = vec![
            text("service.name", "weir"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &instance),
        ];
        Resource(resource::v1::Resource { attributes, ..Default::default() })
    }
}

/// The clocks now, from which times of shards become times of day.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    mono: Instant,
    unix_nanos: u64,
}

impl Anchor {
    fn now() -> Anchor {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Anchor { mono: Clock::now().mono, unix_nanos: since.as_nanos() as u64 }
    }

    fn unix_nanos(self, at: Instant) -> u64 {
        self.unix_nanos.saturating_sub(self.mono.0.saturating_sub(at.0))
    }
}

/// A request that exports `spans`.
pub(super) fn encode(resource: &Resource, spans: Vec<Recorded>) -> Vec<u8> {
    let anchor = Anchor::now();
    let spans = spans.into_iter().map(|(shard, span)| exported(shard, span, anchor)).collect();
    let (name, version) = ("weir".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let scope = Some(InstrumentationScope { name, version, ..Default::default() });
    let scope_spans = vec![ScopeSpans { scope, spans, ..Default::default() }];
    let resource = Some(resource.0.clone());
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// How many spans the collector says it has not taken, and why.
pub(super) fn rejected(answer: &[u8]) -> (u64, String) {
    let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.map_or((0, String::new()), |partial| {
        (u64::try_from(partial.rejected_spans).unwrap_or_default(), short(&partial.error_message).to_owned())
    })
}

fn exported(shard: u16, span: Span, anchor: Anchor) -> trace::v1::Span {
    let kind = match span.stage {
        Stage::Accept => SpanKind::Server,
        Stage::Auth | Stage::Route => SpanKind::Internal,
        Stage::Upstream => SpanKind::Client,
        Stage::Delivery => SpanKind::Producer,
    };
    let remote = if span.stage == Stage::Accept && span.parent.is_some() { IS_REMOTE } else { 0 };
    let mut attributes = vec![text("weir.message.type", &span.kind), number("weir.shard", shard.into())];
    attributes.extend(span.client.as_deref().map(|client| text("weir.client", client)));
    attributes.extend(span.detail.as_deref().map(|detail| text("weir.destination", detail)));
    attributes.extend(span.error.as_deref().map(|error| text("error.type", error_type(error))));
    let status = span
        .error
        .as_deref()
        .map(|error| Status { code: StatusCode::Error.into(), message: short(error).to_owned() });
    trace::v1::Span {
        trace_id: span.trace.to_bytes().to_vec(),
        span_id: span.id.to_bytes().to_vec(),
        parent_span_id: span.parent.map(|parent| parent.to_bytes().to_vec()).unwrap_or_default(),
        trace_state: span.state.as_deref().unwrap_or_default().to_owned(),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
        name: span.stage.name().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: anchor.unix_nanos(span.begun),
        end_time_unix_nano: anchor.unix_nanos(span.ended),
        attributes,
        status,
        ..Default::default()
    }
}

/// A reason is one of few words; a sentence is not.
fn error_type(error: &str) -> &str {
    if error.contains(' ') { OTHER } else { error }
}

/// As much of a text as goes into a span.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(short(value).to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
