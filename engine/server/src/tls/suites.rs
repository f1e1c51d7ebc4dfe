//! The suites of TLS 1.3, with keys that are small while nothing is sent.
//!
//! A key that ring has expanded takes 544 bytes, a connection has two, and nearly all connections rest. These keep the
//! 32 bytes that a key is made of, and expand them for each record, which takes a tenth of a microsecond.

use std::sync::LazyLock;

use ring::aead::{self, Aad, LessSafeKey, UnboundKey};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter, Nonce,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::crypto::{CipherSuiteCommon, CryptoProvider};
use rustls::{
    CipherSuite, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion, SupportedCipherSuite,
    Tls13CipherSuite,
};

/// Bytes of the longest key.
const KEY_BYTES: usize = 32;

/// The provider of all connections: that of ring, with these suites.
pub(super) fn provider() -> CryptoProvider {
    static SUITES: LazyLock<Vec<SupportedCipherSuite>> =
        LazyLock::new(|| rustls::crypto::ring::ALL_CIPHER_SUITES.iter().copied().map(slim).collect());
    CryptoProvider { cipher_suites: SUITES.clone(), ..rustls::crypto::ring::default_provider() }
}

/// The same suite with slim keys; of TLS 1.2, itself.
fn slim(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite13) = suite else { return suite };
    let CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit } = suite13.common;
    let aead_alg: &'static Slim = match name {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => &AES_256_GCM,
        CipherSuite::TLS13_AES_128_GCM_SHA256 => &AES_128_GCM,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => &CHACHA20_POLY1305,
        _ => return suite,
    };
    // Made once in the life of the process, as the library wants suites to live as long.
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit },
        hkdf_provider: suite13.hkdf_provider,
        aead_alg,
        quic: None,
    })))
}

static AES_256_GCM: Slim = Slim(&aead::AES_256_GCM);
static AES_128_GCM: Slim = Slim(&aead::AES_128_GCM);
static CHACHA20_POLY1305: Slim = Slim(&aead::CHACHA20_POLY1305);

/// An algorithm whose keys are slim.
struct Slim(&'static aead::Algorithm);

impl Tls13AeadAlgorithm for Slim {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(SlimKey::new(self.0, &key, iv))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(SlimKey::new(self.0, &key, iv))
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(&self, _: AeadKey, _: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// A key as it was derived, for one direction.
struct SlimKey {
    algorithm: &'static aead::Algorithm,
    key: [u8; KEY_BYTES],
    iv: Iv,
}

impl SlimKey {
    fn new(algorithm: &'static aead::Algorithm, from: &AeadKey, iv: Iv) -> SlimKey {
        let mut key = [0; KEY_BYTES];
        key.iter_mut().zip(from.as_ref()).for_each(|(to, from)| *to = *from);
        SlimKey { algorithm, key, iv }
    }

    fn expanded(&self) -> Option<LessSafeKey> {
        let key = self.key.get(..self.algorithm.key_len())?;
        UnboundKey::new(self.algorithm, key).ok().map(LessSafeKey::new)
    }

    fn nonce(&self, sequence: u64) -> aead::Nonce {
        aead::Nonce::assume_unique_for_key(Nonce::new(&self.iv, sequence).0)
    }
}

impl MessageEncrypter for SlimKey {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        sequence: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let len = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(len);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&message.typ.to_array());
        let key = self.expanded().ok_or(Error::EncryptError)?;
        let sealed =
            key.seal_in_place_append_tag(self.nonce(sequence), Aad::from(make_tls13_aad(len)), &mut payload);
        sealed.map_err(|_| Error::EncryptError)?;
        // Application data of TLS 1.2, as all records of 1.3 look from outside (RFC 8446, section 5.2).
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + self.algorithm.tag_len()
    }
}

impl MessageDecrypter for SlimKey {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        sequence: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let aad = Aad::from(make_tls13_aad(message.payload.len()));
        let key = self.expanded().ok_or(Error::DecryptError)?;
        let opened = key.open_in_place(self.nonce(sequence), aad, &mut message.payload);
        let len = opened.map_err(|_| Error::DecryptError)?.len();
        message.payload.truncate(len);
        message.into_tls13_unpadded_message()
    }
}
