//! What the gateway hands to clients and must recognise when it comes back: sealed, so that nobody can
//! make or change it. AES-256-GCM under the process's secret, which all its shards share.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_ring::token::Member;

/// Bytes of a nonce, which stands before what it sealed.
const NONCE_BYTES: usize = 12;

/// Largest text that is looked at, bytes.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// What a sealed text is for. One that was made for another purpose does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// MCP's `requestState`.
    RequestState,
    /// The token a client resumes with.
    Recovery,
    /// The token of a LongPoll session.
    Poll,
    /// What a browser puts into a URL instead of its access token.
    Ticket,
}

impl Purpose {
    /// The associated data (NIST SP 800-38D) that is authenticated beside the bytes.
    const fn data(self) -> &'static [u8] {
        match self {
            Purpose::RequestState => b"requestState",
            Purpose::Recovery => b"recovery",
            Purpose::Poll => b"poll",
            Purpose::Ticket => b"ticket",
        }
    }
}

/// Seals and opens. No nonce is used twice: it is the shard's number and a counter that begins at a random
/// place.
pub(crate) struct Seal {
    cipher: Aes256Gcm,
    shard: u16,
    counter: u64,
}

impl Seal {
    pub(crate) fn new(secret: &[u8; 32], me: Member, start: u64) -> Seal {
        let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(secret));
        Seal { cipher, shard: me.0, counter: start }
    }

    /// Seals `bytes` into a text of base64url.
    pub(crate) fn seal(&mut self, purpose: Purpose, bytes: &[u8]) -> String {
        let nonce = self.nonce();
        // Fails only for texts of many gigabytes.
        let payload = Payload { msg: bytes, aad: purpose.data() };
        let mut sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), payload).unwrap_or_default();
        sealed.splice(..0, nonce);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens what [`Seal::seal`] made under this secret for this purpose. `None`: it was not, or was changed.
    pub(crate) fn open(&self, purpose: Purpose, text: &str) -> Option<Vec<u8>> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        self.cipher.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: purpose.data() }).ok()
    }

    /// 128 bits that nobody can guess, as 32 hexadecimal digits.
    pub(crate) fn name(&mut self) -> String {
        let nonce = self.nonce();
        let sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), &[0; 16][..]).unwrap_or_default();
        sealed.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn nonce(&mut self) -> [u8; NONCE_BYTES] {
        self.counter = self.counter.wrapping_add(1);
        let mut nonce = [0; NONCE_BYTES];
        nonce[..2].copy_from_slice(&self.shard.to_be_bytes());
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        nonce
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("shard", &self.shard).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_opens() {
        let mut seal = Seal::new(&[7; 32], Member(1), 9);
        let text = seal.seal(Purpose::RequestState, b"state");
        assert_eq!(seal.open(Purpose::RequestState, &text).as_deref(), Some(&b"state"[..]));
        assert_ne!(seal.seal(Purpose::RequestState, b"state"), text, "a nonce is used once");
        assert_eq!(seal.open(Purpose::Recovery, &text), None, "made for something else");
        let other = Seal::new(&[8; 32], Member(1), 9);
        assert_eq!(other.open(Purpose::RequestState, &text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                seal.open(Purpose::RequestState, std::str::from_utf8(&changed).unwrap()),
                None,
                "byte {at}"
            );
        }
        assert_eq!(seal.open(Purpose::RequestState, ""), None);
    }

    #[test]
    fn names_differ() {
        let mut seal = Seal::new(&[7; 32], Member(0), 0);
        let (one, other) = (seal.name(), seal.name());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
