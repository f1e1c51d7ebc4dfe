//! Payloads that only a client and the gateway can read: AES-256-GCM (NIST SP 800-38D) with the client's name as
//! associated data, so that nobody's payload passes for another's. As JSON: `{"encrypted", "iv", "tag", "key_id"}`,
//! all but the last in base64 (RFC 4648, section 4).

use std::borrow::Cow;
use std::fmt;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::error::Error;
use crate::limits;
use crate::random::Random;

/// Bytes of a nonce, and of a tag.
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The keys of one shard, and where its nonces are.
pub(crate) struct Encryption {
    keys: Box<[(Box<str>, Aes256Gcm)]>,
    required: bool,
    /// Of this shard in this life. A key outlives both, and the clients draw nonces of their own, so that what
    /// keeps them apart is that all 96 bits are random.
    prefix: u32,
    counter: u64,
}

/// An encrypted payload as it is written.
#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    encrypted: Cow<'a, str>,
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    tag: Cow<'a, str>,
    #[serde(borrow)]
    key_id: Cow<'a, str>,
}

impl Encryption {
    /// The keys that `limits` names. One of another length than 32 bytes, which a configuration does not have, is
    /// left out.
    pub(crate) fn new(limits: &limits::Encryption, seed: u64) -> Encryption {
        let mut random = Random::new(seed);
        let usable = limits.keys.iter().filter(|key| key.secret.expose().len() == 32);
        let cipher =
            |key: &limits::PayloadKey| Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key.secret.expose()));
        Encryption {
            keys: usable.map(|key| (key.id.clone(), cipher(key))).collect(),
            required: limits.required,
            prefix: random.next() as u32,
            counter: random.next(),
        }
    }

    /// Whether a client's payloads are encrypted, who asks for it or not.
    ///
    /// # Errors
    /// It asks, and there is no key.
    pub(crate) fn agree(&self, asked: bool) -> Result<bool, Error> {
        if asked && self.keys.is_empty() {
            return Err(Error::malformed("encryption is asked for, and the server has no encryption.keys"));
        }
        Ok((asked || self.required) && !self.keys.is_empty())
    }

    /// The id of the key that encrypts.
    pub(crate) fn key_id(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// Appends `payload`, encrypted for `client`; null if there is no key.
    pub(crate) fn seal(&mut self, client: &str, payload: &[u8], out: &mut Vec<u8>) {
        self.counter = self.counter.wrapping_add(1);
        let mut iv = [0; IV_BYTES];
        iv[..4].copy_from_slice(&self.prefix.to_be_bytes());
        iv[4..].copy_from_slice(&self.counter.to_be_bytes());
        let mut bytes = payload.to_vec();
        let sealed = self.keys.first().and_then(|(id, cipher)| {
            let nonce = Nonce::from_slice(&iv);
            // Fails only for payloads of many gigabytes.
            Some((id, cipher.encrypt_in_place_detached(nonce, client.as_bytes(), &mut bytes).ok()?))
        });
        let Some((id, tag)) = sealed else { return out.extend_from_slice(b"null") };
        let [encrypted, iv, tag] = [&bytes[..], &iv[..], &tag[..]].map(|part| STANDARD.encode(part));
        // An id has no character that JSON would escape.
        let json = format!(r#"{{"encrypted":"{encrypted}","iv":"{iv}","tag":"{tag}","key_id":"{id}"}}"#);
        out.extend_from_slice(json.as_bytes());
    }

    /// The JSON that `client` has encrypted.
    ///
    /// # Errors
    /// `DecryptionFailed`; `Malformed` if what comes out is no JSON.
    pub(crate) fn open(&self, client: &str, payload: &str) -> Result<String, Error> {
        const FAILED: fn(&'static str) -> Error = |what| Error::DecryptionFailed { what };
        let sealed = serde_json::from_str::<Sealed<'_>>(payload)
            .map_err(|_| FAILED("it is no object with encrypted, iv, tag and key_id"))?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| FAILED("a field is not base64"));
        let (mut bytes, iv, tag) = (decode(&sealed.encrypted)?, decode(&sealed.iv)?, decode(&sealed.tag)?);
        if iv.len() != IV_BYTES || tag.len() != TAG_BYTES {
            return Err(FAILED("iv has 12 bytes, tag 16"));
        }
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(id, _)| **id == *sealed.key_id)
            .ok_or(FAILED("there is no key of that key_id"))?;
        let (nonce, tag) = (Nonce::from_slice(&iv), Tag::from_slice(&tag));
        cipher
            .decrypt_in_place_detached(nonce, client.as_bytes(), &mut bytes, tag)
            .map_err(|_| FAILED("it was changed, or encrypted with another key or for another client"))?;
        let text =
            String::from_utf8(bytes).map_err(|_| Error::malformed("what was encrypted is not UTF-8"))?;
        match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Error::malformed(format!("what was encrypted is not JSON: {error}"))),
        }
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{PayloadKey, Secret};

    fn key(id: &str, byte: u8) -> PayloadKey {
        PayloadKey { id: id.into(), secret: Secret::new([byte; 32]) }
    }

    fn encryption(keys: Vec<PayloadKey>) -> Encryption {
        Encryption::new(&limits::Encryption { keys, required: false }, 7)
    }

    fn sealed(encryption: &mut Encryption, client: &str, payload: &str) -> String {
        let mut out = Vec::new();
        encryption.seal(client, payload.as_bytes(), &mut out);
        String::from_utf8(out).expect("JSON")
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_for_its_client(client in ".{1,20}", text in ".{0,200}") {
            let mut encryption = encryption(vec![key("1", 1)]);
            let payload = serde_json::to_string(&text).expect("a string");
            let (one, other) = (sealed(&mut encryption, &client, &payload), sealed(&mut encryption, &client, &payload));
            prop_assert_ne!(&one, &other, "a nonce is used once");
            prop_assert_eq!(encryption.open(&client, &one), Ok(payload));
            let stranger = encryption.open(&format!("{client}x"), &other);
            let refused = matches!(stranger, Err(Error::DecryptionFailed { .. }));
            prop_assert!(refused);
        }

        /// Whatever character of it is another: it does not open, or says the same.
        #[test]
        fn what_was_changed_does_not_open(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9+/=\"{}:]") {
            let mut encryption = encryption(vec![key("1", 1)]);
            let mut text = sealed(&mut encryption, "a", "{\"n\":1}");
            let at = at.index(text.len());
            text.replace_range(at..=at, &to);
            let opened = encryption.open("a", &text);
            prop_assert!(opened.is_err() || opened == Ok("{\"n\":1}".to_owned()), "{text}");
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,100}", encrypted in "[A-Za-z0-9=]{0,40}", iv in "[A-Za-z0-9=]{0,20}") {
            let encryption = encryption(vec![key("1", 1)]);
            let _ = encryption.open("a", &text);
            let json = format!(r#"{{"encrypted":"{encrypted}","iv":"{iv}","tag":"{iv}","key_id":"1"}}"#);
            prop_assert!(encryption.open("a", &json).is_err());
        }
    }

    #[test]
    fn a_new_key_encrypts_while_the_old_one_still_decrypts() {
        let mut before = encryption(vec![key("old", 1)]);
        let old = sealed(&mut before, "a", "1");
        let mut now = encryption(vec![key("new", 2), key("old", 1)]);
        assert_eq!(now.key_id(), "new");
        assert_eq!(now.open("a", &old).as_deref(), Ok("1"));
        let new = sealed(&mut now, "a", "2");
        assert!(new.contains(r#""key_id":"new""#), "{new}");
        let what = "there is no key of that key_id";
        assert_eq!(before.open("a", &new), Err(Error::DecryptionFailed { what }));
    }

    #[test]
    fn who_asks_without_a_key_is_told() {
        assert!(matches!(encryption(Vec::new()).agree(true), Err(Error::Malformed { .. })));
        assert_eq!(encryption(Vec::new()).agree(false), Ok(false));
        assert_eq!(encryption(vec![key("1", 1)]).agree(true), Ok(true));
        assert_eq!(encryption(vec![key("1", 1)]).agree(false), Ok(false));
        let limits = limits::Encryption { keys: vec![key("1", 1)], required: true };
        assert_eq!(Encryption::new(&limits, 1).agree(false), Ok(true));
    }

    #[test]
    fn what_is_no_json_inside_is_refused() {
        let mut encryption = encryption(vec![key("1", 1)]);
        let text = sealed(&mut encryption, "a", "no JSON");
        assert!(matches!(encryption.open("a", &text), Err(Error::Malformed { .. })));
        assert!(!format!("{encryption:?}").contains("0101"));
    }
}
