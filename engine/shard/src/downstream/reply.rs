//! HTTP answers: JSON bodies, limits in headers, errors as the table has them.

use weir_ring::token::Token;
use weir_transports::http1::response;

use crate::downstream::cors::Sharing;
use crate::downstream::longpoll::error_with_status;
use crate::error::Error;
use crate::policy::Standing;
use crate::turn::{Cx, Shard};

/// What decides an answer's headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// The connection goes on.
    pub keep_alive: bool,
    /// Where the requester stands with its limit.
    pub standing: Option<Standing>,
    /// Which pages may read it.
    pub sharing: Sharing,
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");

impl Shard {
    /// Answers the request under way on `token`.
    pub(crate) fn respond(&mut self, token: Token, status: u16, body: &[u8], terms: Terms, cx: &mut Cx<'_>) {
        self.respond_as(token, status, &[JSON, NO_STORE], body, terms, cx);
    }

    /// Answers with an error of the table.
    pub(crate) fn respond_error(&mut self, token: Token, error: &Error, terms: Terms, cx: &mut Cx<'_>) {
        let mut body = Vec::new();
        error.write_json(&mut body);
        self.respond_error_as(token, error, &body, terms, cx);
    }

    /// Answers with an error in words of the path's own.
    pub(crate) fn respond_error_as(
        &mut self,
        token: Token,
        error: &Error,
        body: &[u8],
        terms: Terms,
        cx: &mut Cx<'_>,
    ) {
        self.stats.refuse(error);
        if error.error() == "rate_limit_exceeded" {
            self.stats.limited += 1;
        }
        let mut headers = vec![JSON, NO_STORE];
        let retry_after = error.retry_after_seconds().map(|seconds| seconds.to_string());
        if let Some(seconds) = &retry_after {
            headers.push(("Retry-After", seconds));
        }
        if let Error::MethodNotAllowed { allow } = error {
            headers.push(("Allow", allow));
        }
        let challenge = self.challenge(error);
        if let Some(challenge) = &challenge {
            headers.push(("WWW-Authenticate", challenge));
        }
        self.respond_as(token, error.http_status(), &headers, body, terms, cx);
    }

    /// Answers with other headers than the usual ones.
    pub(crate) fn respond_as(
        &mut self,
        token: Token,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
        terms: Terms,
        cx: &mut Cx<'_>,
    ) {
        self.stats.http_requests += 1;
        self.put_head(token, headers, &terms, cx, |out, headers| {
            response::write(out, status, headers, body, terms.keep_alive);
        });
    }

    /// Refuses a connection before it has said anything, or for what it said: it may be a poll.
    pub(crate) fn refuse_and_finish(&mut self, token: Token, error: &Error, cx: &mut Cx<'_>) {
        self.respond_error_as(token, error, &error_with_status(error), Terms::default(), cx);
        self.finish(token, cx);
    }
}
