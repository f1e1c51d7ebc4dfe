//! `GET /mcp`: the session's own stream, or the rest of one whose connection broke. `DELETE /mcp`: the end.

use weir_transports::mcp::Version;

use crate::downstream::exchange::Outcome;
use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::headers::accepts;
use crate::downstream::mcp::pending::{EventId, Form, Source};
use crate::downstream::mcp::post::Request;
use crate::turn::{Cx, Shard};

impl Shard {
    /// Opens the session's own stream, or goes on with the stream that `Last-Event-ID` is of.
    ///
    /// # Errors
    /// As the servers of the official SDKs have it: 409 for a second own stream, 400 for an id that names
    /// no stream (any more). A resume is no second stream: it replaces the connection that it is about.
    pub(crate) fn get_stream<'a>(
        &mut self,
        request: &mut Request<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        refuse_stateless(request)?;
        if request.headers.accept.is_none()
            || !accepts(request.head.headers("accept"), "text", "event-stream")
        {
            return Err(Fault::http(406, "Accept must allow text/event-stream."));
        }
        let Some(session) = self.named_session(request, cx)? else { return Ok(Outcome::Gone) };
        let resume = match request.headers.last_event_id {
            None => None,
            Some(id) => Some(EventId::parse(id).ok_or_else(unknown_event)?),
        };
        let number = resume.map_or(0, |event| event.stream);
        let stream = self.stream(session, number).ok_or_else(unknown_event)?;
        let cursor = resume.map_or(stream.delivered, |event| event.sequence);
        if cursor > stream.head() {
            return Err(unknown_event());
        }
        let before = stream.carrier;
        if resume.is_none() && before.is_some() {
            return Err(Fault::http(409, "The session has its stream already: one GET at a time."));
        }
        stream.carrier = Some(request.token);
        if let Some(before) = before {
            self.close(before, cx);
        }
        request.form = Form::Sse;
        let mut pending = request.pending(Source::Stream { session, stream: number, cursor });
        self.begin_stream(request.token, &mut pending, cx);
        self.serving.request = Some((request.token, pending));
        self.pull_stream(session, number, cx);
        Ok(self.asked_hub(request.token, cx))
    }

    /// Ends a session on its client's wish.
    pub(crate) fn delete_session<'a>(
        &mut self,
        request: &mut Request<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        refuse_stateless(request)?;
        let Some(session) = self.named_session(request, cx)? else { return Ok(Outcome::Gone) };
        self.end_session(session, cx);
        self.respond_as(request.token, 200, &[], b"", request.terms, cx);
        Ok(Outcome::Done)
    }
}

/// Without sessions there are neither streams of their own nor ends of them.
fn refuse_stateless<'a>(request: &Request<'_>) -> Result<(), Fault<'a>> {
    // Dates compare as text.
    match request.headers.version {
        Some(version) if version >= Version::V2026_07_28.as_str() => {
            Err(Fault::http(405, "Since 2026-07-28 there is only POST."))
        }
        _ => Ok(()),
    }
}

fn unknown_event<'a>() -> Fault<'a> {
    Fault::http(400, "Last-Event-ID names no stream that is kept; begin without it.")
}
