//! What a token says, and what that makes of who has it.

use serde::Deserialize;
use weir_ring::time::Wall;

use super::revoked::TOKEN_ID_BYTES_MAX;
use super::{Denied, Principal, plus};
use crate::limits::{Auth, Permissions, Role};
use crate::route;

/// Seconds since 1970 beyond which a date is none: the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// The claims that are used (RFC 7519, 4.1; RFC 8693, 4.2). One that stands there twice is refused, as readers
/// differ in which of the two they take.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: Option<Box<str>>,
    sub: Option<Box<str>>,
    aud: Option<Words>,
    exp: Option<f64>,
    nbf: Option<f64>,
    jti: Option<Box<str>>,
    role: Option<Box<str>>,
    permissions: Option<Words>,
    scope: Option<Words>,
}

/// One text or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(Box<str>),
    Many(Box<[Box<str>]>),
}

impl Words {
    fn as_slice(&self) -> &[Box<str>] {
        match self {
            Words::One(one) => std::slice::from_ref(one),
            Words::Many(many) => many,
        }
    }

    /// Every word; a text may have several with blanks between (RFC 6749, 3.3).
    fn words(&self) -> impl Iterator<Item = &str> {
        self.as_slice().iter().flat_map(|text| text.split_ascii_whitespace())
    }

    fn permissions(&self) -> Permissions {
        let known =
            self.words().filter_map(|word| Permissions::of_word(word.strip_prefix("mcp:").unwrap_or(word)));
        known.fold(Permissions::NONE, |all, one| all | one)
    }
}

impl Claims {
    /// Whose token it claims to be: only to find the key that proves it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.iss.as_deref()
    }

    /// Its name, and when it ends.
    pub(super) fn token_id(self) -> Option<(Box<str>, Wall)> {
        Some((self.jti?, wall(self.exp?)?))
    }

    /// Not before this it is good.
    pub(super) fn not_before(&self) -> Result<Option<Wall>, Denied> {
        self.nbf.map(|seconds| wall(seconds).ok_or(Denied::Invalid("its nbf is no date"))).transpose()
    }

    /// Who has it. Not looked at: the time, and what is known of its issuer.
    ///
    /// # Errors
    /// It lacks what every token must have, or was made for somebody else.
    pub(super) fn principal(self, auth: &Auth) -> Result<Principal, Denied> {
        let expires = self.exp.ok_or(Denied::Invalid("it has no end (exp)"))?;
        let expires = wall(expires).ok_or(Denied::Invalid("its exp is no date"))?;
        let audience = self.aud.as_ref().map(Words::as_slice).unwrap_or_default();
        if !audience.iter().any(|name| auth.audiences.contains(name)) {
            return Err(Denied::Invalid("it is meant for somebody else (aud)"));
        }
        let subject = self.sub.as_deref().ok_or(Denied::Invalid("it names nobody (sub)"))?;
        if !is_subject(subject) {
            return Err(Denied::Invalid("its sub is no client's name of 1 to 128 bytes"));
        }
        if self.jti.as_ref().is_some_and(|jti| jti.len() > TOKEN_ID_BYTES_MAX) {
            return Err(Denied::Invalid("its jti is longer than 256 bytes"));
        }
        let role = self.role.as_deref().map(|name| auth.role(name));
        Ok(Principal {
            subject: subject.into(),
            // Tokens of authorization servers name none, and who has one is no stranger.
            role: role.unwrap_or(Role::USER),
            permissions: self.permissions(auth, role),
            scopes: [&self.permissions, &self.scope]
                .into_iter()
                .flatten()
                .flat_map(Words::words)
                .map(Box::from)
                .collect(),
            expires: Some(plus(expires, auth.leeway)),
            token_id: self.jti,
            issuer: self.iss,
            audience: audience.into(),
            bearer: None,
        })
    }

    /// `permissions` says it all; a scope that has none of our words is about something else. A token that says nothing
    /// of what it is for is for reading.
    fn permissions(&self, auth: &Auth, role: Option<Role>) -> Permissions {
        match (&self.permissions, &self.scope) {
            (Some(words), _) => words.permissions(),
            (None, Some(words)) if !words.permissions().is_empty() => words.permissions(),
            _ => auth.rules(role.unwrap_or(Role::GUEST)).permissions,
        }
    }
}

/// Whether a token may have this `sub`: it is a client's name.
pub fn is_subject(name: &str) -> bool {
    route::check_client_id(name).is_ok()
}

/// A NumericDate (RFC 7519, 2).
fn wall(seconds: f64) -> Option<Wall> {
    (0.0..=SECONDS_MAX).contains(&seconds).then_some(Wall((seconds * 1_000.0) as u64))
}
