//! The headers that MCP looks at.

use weir_transports::http1::Head;
use weir_transports::trace_context::{TRACEPARENT, TRACESTATE};

use crate::span::TraceContext;

/// What one request's head says to MCP, found in one pass.
#[derive(Debug, Default)]
pub(crate) struct Headers<'a> {
    pub(crate) accept: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    pub(crate) session: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) last_event_id: Option<&'a str>,
    /// `Mcp-Param-*`, `traceparent`, `tracestate` and `baggage`: they go on to the upstream.
    pub(crate) passed: Vec<(Box<str>, Box<str>)>,
}

impl<'a> Headers<'a> {
    /// Of a header that is there twice, the first counts.
    pub(crate) fn of(head: &Head<'a>) -> Headers<'a> {
        let mut headers = Headers::default();
        for (name, value) in head.all_headers() {
            if let Some(slot) = headers.slot(name) {
                slot.get_or_insert(value);
            } else if is_passed(name) {
                headers.passed.push((name.into(), value.into()));
            }
        }
        headers
    }

    /// By which span the request comes.
    pub(crate) fn trace_context(&self) -> Option<TraceContext> {
        let passed = |known: &str| {
            let found = self.passed.iter().find(|(name, _)| name.eq_ignore_ascii_case(known));
            found.map(|(_, value)| &**value)
        };
        TraceContext::parse(passed(TRACEPARENT), passed(TRACESTATE))
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        // The length tells most names apart.
        let (known, slot) = match name.len() {
            6 => ("accept", &mut self.accept),
            8 => ("mcp-name", &mut self.name),
            10 => ("mcp-method", &mut self.method),
            11 => ("x-client-id", &mut self.client),
            12 => ("content-type", &mut self.content_type),
            13 => ("last-event-id", &mut self.last_event_id),
            14 => ("mcp-session-id", &mut self.session),
            20 => ("mcp-protocol-version", &mut self.version),
            _ => return None,
        };
        name.eq_ignore_ascii_case(known).then_some(slot)
    }
}

fn is_passed(name: &str) -> bool {
    const PREFIX: &str = "mcp-param-";
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        || is(TRACEPARENT)
        || is(TRACESTATE)
        || is("baggage")
}

/// Whether a client that sent `accept` (RFC 9110 section 12.5.1) takes `kind/subkind`. Weights are not
/// looked at, except that 0 is a no.
pub(crate) fn accepts<'a>(accept: impl Iterator<Item = &'a str>, kind: &str, subkind: &str) -> bool {
    let mut named = false;
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if media.is_empty() || parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
            continue;
        }
        named = true;
        let (left, right) = media.split_once('/').unwrap_or((media, ""));
        if left == "*"
            || left.eq_ignore_ascii_case(kind) && (right == "*" || right.eq_ignore_ascii_case(subkind))
        {
            return true;
        }
    }
    !named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ranges_are_matched() {
        let json = |accept: &[&str]| accepts(accept.iter().copied(), "application", "json");
        assert!(json(&[]) && json(&["*/*"]) && json(&["application/*;q=0.1"]));
        assert!(json(&["text/event-stream, Application/JSON"]) && json(&["text/html", "application/json"]));
        assert!(!json(&["text/event-stream"]) && !json(&["application/json;q=0, text/html"]));
    }

    #[test]
    fn every_header_has_its_place_whatever_its_case() {
        let head = b"POST /mcp HTTP/1.1\r\nHOST: h\r\nAccept: a\r\naccept: b\r\n\
                     mcp-SESSION-id: s\r\nMcp-Protocol-Version: v\r\nMcp-Param-Region: r\r\nTraceparent: t\r\n\
                     X-Other: x\r\n\r\n";
        let limits = weir_transports::http1::Limits { head_bytes_max: 4096, line_bytes_max: 1024 };
        let head = weir_transports::http1::parse_head(head, &limits).expect("valid").expect("whole");
        let headers = Headers::of(&head);
        assert_eq!((headers.accept, headers.content_type), (Some("a"), None));
        assert_eq!((headers.session, headers.version, headers.name), (Some("s"), Some("v"), None));
        let passed: Vec<_> = headers.passed.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(passed, [("Mcp-Param-Region", "r"), ("Traceparent", "t")]);
    }
}
