//! Doors for the fuzz targets in `tests/fuzz` to readers that no other crate sees. They are there under
//! `--cfg fuzzing` only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use weir_ring::time::Wall;
use weir_ring::token::Member;

use crate::durable::batch::{HEADER, Writer, seal};
use crate::durable::record::Records;
use crate::error::Error;
use crate::idempotency::{self, Key};
use crate::recovery::Recovery;
use crate::seal::{Purpose, Seal};

fn sealer() -> Seal {
    Seal::new(&[7; 32], Member(0), 0)
}

/// A token of `header` and `payload` as they stand, with the signature that `secret` gives it.
pub fn token(header: &str, payload: &str, secret: &[u8]) -> String {
    let signed = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    [signed, URL_SAFE_NO_PAD.encode(tag)].join(".")
}

/// Whether a text that nobody sealed passes for a recovery token.
pub fn opens(text: &str) -> bool {
    Recovery::open(text, "u1", Wall(0), &sealer()).is_ok()
}

/// What a recovery token that was sealed of `bytes` says to `client`, sealed and opened once more. `None`: it says
/// nothing, or is not this client's.
pub fn recovery(bytes: &[u8], client: &str) -> Option<Vec<u8>> {
    let mut sealer = sealer();
    let token = sealer.seal(Purpose::Recovery, bytes);
    let again = Recovery::open(&token, client, Wall(0), &sealer).ok()?.seal(&mut sealer);
    sealer.open(Purpose::Recovery, &again)
}

/// The idempotency key of a push.
///
/// # Errors
/// There is one that is no text.
pub fn idempotency_key(payload: &str) -> Result<Option<String>, Error> {
    idempotency::key_in(payload)
}

/// An idempotency key that was read from the log, as it would be written there.
pub fn logged_key(bytes: &[u8]) -> Option<Vec<u8>> {
    Key::of_bytes(bytes).map(|key| key.to_bytes().to_vec())
}

/// The records that a batch holds, as they would be written. `None`: one of them is none.
pub fn records(payload: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::new();
    for record in Records::new(payload) {
        record.ok()?.write(&mut written);
    }
    Some(written)
}

/// A segment: an empty batch, as each begins with one, then one for each payload.
pub fn log(payloads: &[&[u8]]) -> Vec<u8> {
    let mut segment = Vec::new();
    for (payload, lsn) in [&[][..]].iter().chain(payloads).zip(1..) {
        let mut batch = vec![0; HEADER];
        batch.extend_from_slice(payload);
        seal(&mut batch, Writer { run: 1, salt: 0x5eed }, lsn);
        segment.append(&mut batch);
    }
    segment
}
