//! Requests to endpoints that the operator has named, webhooks and handlers. They are signed by HMAC-SHA256 (RFC 2104) over
//! the time, a dot and the body, so that neither can be changed and an old request can be told from a new one.

use std::fmt;

use ring::hmac;
use ureq::Agent;
use weir_ring::clock::Clock;
use weir_ring::time::Wall;
use weir_shard::limits::Secret;

use crate::config::Hook;

/// Bytes of the longest answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The header with the time of the request, seconds since the Unix epoch.
const TIMESTAMP: &str = "X-Weir-Timestamp";

/// The header with the signature.
const SIGNATURE: &str = "X-Weir-Signature";

/// Why a request did not do what it should.
#[derive(Debug)]
pub(super) enum Untaken {
    /// There was no answer.
    Http(ureq::Error),
    /// There was this one.
    Status(u16),
}

/// Posts `body`, which is JSON, and answers with the body of a 2xx answer.
///
/// # Errors
/// There was none.
pub(super) fn post(
    agent: &Agent,
    hook: &Hook,
    body: &[u8],
    headers: &[(&str, String)],
) -> Result<Vec<u8>, Untaken> {
    let mut request = agent.post(&*hook.url).header("Content-Type", "application/json");
    if let Some(secret) = &hook.secret {
        let (timestamp, signature) = sign(secret, Clock::now().wall, body);
        request = request.header(TIMESTAMP, timestamp).header(SIGNATURE, signature);
    }
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut answer = request.send(body).map_err(Untaken::Http)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    if (200..300).contains(&status) { body.map_err(Untaken::Http) } else { Err(Untaken::Status(status)) }
}

impl Untaken {
    /// Whether trying again is of no use.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Untaken::Http(_) => false,
            Untaken::Status(status) => !matches!(status, 408 | 425 | 429 | 500..),
        }
    }
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Untaken::Http(error) => write!(f, "{error}"),
            Untaken::Status(status) => write!(f, "it answers {status}"),
        }
    }
}

/// The values of both headers.
fn sign(secret: &Secret, now: Wall, body: &[u8]) -> (String, String) {
    let timestamp = (now.0 / 1_000).to_string();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    (timestamp, format!("sha256={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_others_compute() {
        // printf '1750000000.{}' | openssl dgst -sha256 -hmac 'sixteen bytes or more'
        let signed = sign(&Secret::new(*b"sixteen bytes or more"), Wall(1_750_000_000_999), b"{}");
        let expected = "sha256=fb098eeb583520413ba31c454c7248216a3c5d3735c94558900f0d4ee5cb0229";
        assert_eq!(signed, ("1750000000".to_owned(), expected.to_owned()));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, is_final) in
            [(302, true), (400, true), (404, true), (410, true), (429, false), (500, false), (503, false)]
        {
            assert_eq!(Untaken::Status(status).is_final(), is_final, "{status}");
        }
    }
}
