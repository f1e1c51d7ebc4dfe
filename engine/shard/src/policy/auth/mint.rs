//! Making tokens: for the command line, the admin port, and clients whose token comes to its end.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value, json};
use weir_ring::time::Wall;

use super::jwt::Parts;
use super::{Denied, signature};
use crate::limits::{Algorithm, Key, Material, Signing};

/// How long a token is good that is made without saying so.
pub const LIFE: Duration = Duration::from_secs(3_600);

/// The longest life of a token that is made here.
pub const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A token is renewed when so many parts of its life are left, or fewer: 20 %.
const RENEWED_AT: u64 = 5;

/// What a token is made of, in the order of its claims.
#[derive(Clone, Debug, Serialize)]
pub struct Grant<'a> {
    /// By whom.
    pub iss: &'a str,
    /// For whom.
    pub aud: &'a str,
    /// Who has it: a client's name.
    pub sub: &'a str,
    /// What he is.
    pub role: &'a str,
    /// What he may do. None: what his role may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<&'a [String]>,
    /// When it was made; seconds since 1970.
    pub iat: u64,
    /// When it ends; seconds since 1970.
    pub exp: u64,
    /// By which it is revoked: random, so that no two are the same.
    pub jti: &'a str,
}

/// A token as it was or a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// None: the one that came is good for long enough.
    pub token: Option<String>,
    /// When the one to use from now on ends (`exp`).
    pub expires: Wall,
}

/// A token of `grant`, HS256.
pub fn mint(grant: &Grant<'_>, signing: &Signing) -> String {
    signed(unsigned(grant, Algorithm::Hs256, None), signing)
}

/// Header and payload of a token, to which a dot and the signature must be added.
pub fn unsigned(claims: &impl Serialize, algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    // Texts and numbers are always JSON.
    let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let payload = serde_json::to_vec(claims).unwrap_or_default();
    format!("{}.{}", part(header.to_string().into_bytes()), part(payload))
}

/// The same token with the life it had, beginning now, if its end is near. `token` was authenticated. Its `jti`
/// stays, so that who is revoked does not escape by it.
///
/// # Errors
/// Its end is near, and it was not made here.
pub(super) fn refresh(token: &str, signing: Option<&Signing>, now: Wall) -> Result<Refreshed, Denied> {
    let parts = Parts::split(token)?;
    let mut claims: Map<String, Value> = parts.payload()?;
    let seconds = |claims: &Map<String, Value>, name| claims.get(name).and_then(Value::as_f64);
    let now = now.0 / 1_000;
    let exp = seconds(&claims, "exp").unwrap_or_default() as u64;
    let life = match seconds(&claims, "iat") {
        Some(iat) => exp.saturating_sub(iat as u64),
        None => LIFE.as_secs(),
    };
    let life = life.min(LIFE_MAX.as_secs());
    let left = exp.saturating_sub(now);
    if left.saturating_mul(RENEWED_AT) > life {
        return Ok(Refreshed { token: None, expires: Wall(exp.saturating_mul(1_000)) });
    }
    let ours = |signing: &&Signing| {
        let key = Key { issuer: None, kid: None, material: Material::Secret(signing.secret.clone()) };
        parts.is_signed_with(&key)
    };
    let signing = signing
        .filter(ours)
        .ok_or(Denied::Invalid("it was not made here, so a new one must come from its issuer"))?;
    claims.remove("nbf");
    claims.insert("iat".into(), now.into());
    claims.insert("exp".into(), (now + life).into());
    let token = signed(unsigned(&claims, Algorithm::Hs256, None), signing);
    Ok(Refreshed { token: Some(token), expires: Wall((now + life).saturating_mul(1_000)) })
}

fn signed(mut token: String, signing: &Signing) -> String {
    let tag = signature::hs256(&signing.secret, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
    token
}
