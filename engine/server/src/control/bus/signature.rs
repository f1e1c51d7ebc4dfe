//! How requests to hooks are signed: HMAC-SHA256 (RFC 2104) over the time, a dot and the body, so that neither can be
//! changed and an old request can be told from a new one.

use ring::hmac;
use weir_ring::time::Wall;
use weir_shard::limits::Secret;

/// The header with the time of the request, seconds since the Unix epoch.
pub(in crate::control) const TIMESTAMP: &str = "X-Weir-Timestamp";

/// The header with the signature.
pub(in crate::control) const SIGNATURE: &str = "X-Weir-Signature";

/// The values of both headers.
pub(in crate::control) fn sign(secret: &Secret, now: Wall, body: &[u8]) -> (String, String) {
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
}
