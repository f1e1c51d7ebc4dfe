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

/// The clock is somebody's who sets it, if it is off by so much.
const SET_NANOS: u64 = 1_000_000;

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

/// Both clocks at once, from which times of shards become times of day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    mono: Instant,
    unix_nanos: u64,
}

impl Anchor {
    pub(super) fn now() -> Anchor {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Anchor { mono: Clock::now().mono, unix_nanos: since.as_nanos() as u64 }
    }

    /// This one, so that what ends as another begins does so in every batch, unless somebody has set the clock.
    pub(super) fn kept(self) -> Anchor {
        let now = Anchor::now();
        let off = self.unix_nanos(now.mono).abs_diff(now.unix_nanos);
        if off < SET_NANOS { self } else { now }
    }

    fn unix_nanos(self, at: Instant) -> u64 {
        let since = at.0 as i64 - self.mono.0 as i64;
        self.unix_nanos.saturating_add_signed(since)
    }
}

/// A request that exports `spans`.
pub(super) fn encode(resource: &Resource, spans: Vec<Recorded>, anchor: Anchor) -> Vec<u8> {
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

#[cfg(test)]
pub(super) mod tests {
    use weir_shard::span::TraceContext;

    use super::*;

    /// A span of the specification's example.
    pub(in crate::control::telemetry) fn span(stage: Stage) -> Span {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(Some(text), Some("a=b")).expect("valid");
        Span {
            trace: context.parent.trace,
            id: context.parent.span,
            parent: Some(context.parent.span),
            state: context.state,
            stage,
            begun: Instant(1_000),
            ended: Instant(3_000),
            client: Some("u1".into()),
            kind: "é".repeat(200).into(),
            detail: None,
            error: Some("the server x does not answer".into()),
        }
    }

    #[test]
    fn a_span_says_what_it_is() {
        let anchor = Anchor { mono: Instant(5_000), unix_nanos: 1_750_000_000_000_005_000 };
        let it = exported(3, span(Stage::Accept), anchor);
        assert_eq!(
            (it.trace_id.len(), &*it.span_id),
            (16, &[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31][..])
        );
        let times = (it.start_time_unix_nano, it.end_time_unix_nano);
        assert_eq!(times, (1_750_000_000_000_001_000, 1_750_000_000_000_003_000));
        assert_eq!((&*it.name, it.kind, it.flags), ("accept", SpanKind::Server as i32, 0x301));
        let found: Vec<&str> = it.attributes.iter().map(|pair| &*pair.key).collect();
        assert_eq!(found, ["weir.message.type", "weir.shard", "weir.client", "error.type"]);
        assert_eq!(it.attributes[0], text("weir.message.type", &"é".repeat(128)));
        assert_eq!(it.attributes[3], text("error.type", "_OTHER"));
        assert_eq!(it.status.map(|status| status.message).as_deref(), Some("the server x does not answer"));
        assert_eq!(exported(3, span(Stage::Route), anchor).flags, 0x101);
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        let now = Anchor::now();
        assert_eq!(now.kept().unix_nanos, now.unix_nanos);
        let set = Anchor { unix_nanos: now.unix_nanos - 3_600_000_000_000, ..now };
        assert!(set.kept().unix_nanos >= now.unix_nanos);
    }

    #[test]
    fn a_partial_success_is_read() {
        assert_eq!(rejected(b""), (0, String::new()));
        assert_eq!(rejected(b"\xff\xff"), (0, String::new()));
        // partial_success { rejected_spans: 2, error_message: "no" }
        assert_eq!(rejected(b"\x0a\x06\x08\x02\x12\x02no"), (2, "no".to_owned()));
    }
}
