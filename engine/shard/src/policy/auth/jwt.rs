//! JSON Web Tokens (RFC 7519) as RFC 8725 would have them checked: which key, and so which algorithm, is for the
//! gateway to say, never for the token. `jku`, `jwk`, `x5u` and `x5c` are not read.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use weir_ring::time::Wall;

use super::cache::Checked;
use super::claims::Claims;
use super::{Denied, signature};
use crate::limits::{Algorithm, Auth, Key, KeySet};

/// Longest token, bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Longest header of a token, bytes of its base64url.
const HEADER_BYTES_MAX: usize = 2 << 10;

/// Keys that are tried for one token that does not say which.
const TRIES_MAX: usize = 8;

/// The members of a header (RFC 7515, 4.1) that are used. One that stands there twice is refused.
#[derive(Deserialize)]
struct Header {
    alg: Box<str>,
    kid: Option<Box<str>>,
    /// Extensions that must be understood. None is.
    crit: Option<IgnoredAny>,
}

/// A token in its three parts.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// What is signed: header and payload as they came.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn split(token: &'a str) -> Result<Parts<'a>, Denied> {
        let not_three = Denied::Invalid("it has not the three parts of a JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or(not_three)?;
        let (header, payload) = signed.split_once('.').ok_or(not_three)?;
        if payload.contains('.') {
            return Err(not_three);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(Denied::Invalid("its header is longer than 2 KiB"));
        }
        Ok(Parts { header, payload, signature, signed })
    }

    /// The payload as it stands.
    pub(super) fn payload<T: DeserializeOwned>(&self) -> Result<T, Denied> {
        object(self.payload).ok_or(Denied::Invalid("its payload is not a JSON object with each claim once"))
    }

    /// Whether it is signed with this key.
    pub(super) fn is_signed_with(&self, key: &Key) -> bool {
        let bytes = decode(self.signature);
        bytes.is_some_and(|bytes| signature::verifies(&key.material, self.signed.as_bytes(), &bytes))
    }
}

/// Whose token it is, if it is signed by an issuer whose tokens are taken, for us. Not looked at: the time.
///
/// # Errors
/// It is no such token.
pub(super) fn check(token: &str, auth: &Auth, keys: &KeySet) -> Result<Checked, Denied> {
    let parts = Parts::split(token)?;
    let header: Header = object(parts.header)
        .ok_or(Denied::Invalid("its header is not a JSON object with an alg and each member once"))?;
    let algorithm = Algorithm::of_name(&header.alg)
        .filter(|algorithm| auth.algorithms.contains(algorithm))
        .ok_or(Denied::Invalid("its algorithm (alg) is not one that is taken here"))?;
    if header.crit.is_some() {
        return Err(Denied::Invalid("it asks for an extension (crit) that is unknown here"));
    }
    let claims: Claims = parts.payload()?;
    let issuer = claims.issuer().ok_or(Denied::Invalid("it names no issuer (iss)"))?;
    let signed = Signed { issuer, kid: header.kid.as_deref(), algorithm };
    signed.check(&parts, auth, keys)?;
    let not_before = claims.not_before()?;
    Ok(Checked { principal: Arc::new(claims.principal(auth)?), not_before })
}

/// The name of a token (`jti`) and its end, whoever made it: for an operator who wants it revoked.
pub fn token_id(token: &str) -> Option<(Box<str>, Wall)> {
    let claims: Claims = Parts::split(token).ok()?.payload().ok()?;
    claims.token_id()
}

/// What a token says about the key it is signed with.
struct Signed<'a> {
    issuer: &'a str,
    kid: Option<&'a str>,
    algorithm: Algorithm,
}

impl Signed<'_> {
    /// # Errors
    /// There is no such key, or it is not signed with it.
    fn check(&self, parts: &Parts<'_>, auth: &Auth, keys: &KeySet) -> Result<(), Denied> {
        let fetched = auth.key_urls.iter().any(|from| *from.issuer == *self.issuer);
        let has_keys = || keys.iter().any(|key| key.issuer.as_deref() == Some(self.issuer));
        if !fetched && !is_issuer(auth, self.issuer) && !has_keys() {
            return Err(Denied::Invalid("its issuer (iss) is not one whose tokens are taken here"));
        }
        let mut fitting = keys.iter().filter(|key| self.fits(key, auth)).take(TRIES_MAX).peekable();
        if fitting.peek().is_none() {
            // What is fetched is public, and so no secret.
            let unknown = fetched && self.algorithm != Algorithm::Hs256;
            let no_key = Denied::Invalid("no key here is its issuer's (iss) and fits its alg and kid");
            return Err(if unknown { Denied::UnknownKey } else { no_key });
        }
        if fitting.any(|key| parts.is_signed_with(key)) {
            Ok(())
        } else {
            Err(Denied::Invalid("its signature is wrong"))
        }
    }

    fn fits(&self, key: &Key, auth: &Auth) -> bool {
        let issuer = match &key.issuer {
            Some(issuer) => **issuer == *self.issuer,
            None => is_issuer(auth, self.issuer),
        };
        let kid = match (&key.kid, self.kid) {
            (Some(known), Some(kid)) => **known == *kid,
            _ => true,
        };
        issuer && kid && key.material.algorithm() == self.algorithm
    }
}

/// Whether keys that belong to no one issuer are this one's.
fn is_issuer(auth: &Auth, issuer: &str) -> bool {
    auth.issuers.iter().any(|known| **known == *issuer)
}

/// A part that is a JSON object.
fn object<T: DeserializeOwned>(part: &str) -> Option<T> {
    let bytes = decode(part)?;
    // A list would do as a struct, too, for serde.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

/// Base64url, in the one way in which bytes can be written: no padding, no bits to spare (RFC 7515, 2).
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
