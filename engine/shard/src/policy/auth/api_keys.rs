//! API keys: what backends send that cannot fetch tokens. Only their hashes are known here.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Denied, Principal, sha256};
use crate::limits::{Auth, Permissions};

/// What API keys begin with, so that a `Bearer` credential is known to be one, and one that leaked is known to
/// be ours.
pub const API_KEY_PREFIX: &str = "weir_";

/// Longest API key, bytes.
const KEY_BYTES_MAX: usize = 512;

/// The hash by which a key is known: SHA-256. A key is random, so nobody can try all of them.
pub fn hash(key: &str) -> [u8; 32] {
    sha256(key.as_bytes())
}

/// All API keys.
#[derive(Debug)]
pub(super) struct ApiKeys(Box<[Known]>);

#[derive(Debug)]
struct Known {
    hash: [u8; 32],
    principal: Arc<Principal>,
}

impl ApiKeys {
    pub(super) fn new(auth: &Auth) -> ApiKeys {
        let known = auth.api_keys.iter().map(|key| {
            let permissions = key.permissions.unwrap_or(auth.rules(key.role).permissions);
            let principal = Principal {
                subject: key.name.clone(),
                role: key.role,
                permissions,
                scopes: scopes(permissions),
                expires: None,
                token_id: Some(id(&key.hash)),
                issuer: None,
                audience: Box::default(),
                bearer: None,
            };
            Known { hash: key.hash, principal: Arc::new(principal) }
        });
        ApiKeys(known.collect())
    }

    /// Whether what has proved `principal` is still one of them, for the same.
    pub(super) fn has(&self, principal: &Principal) -> bool {
        self.0.iter().any(|known| {
            let Principal { subject, role, permissions, token_id, .. } = &*known.principal;
            (subject, token_id) == (&principal.subject, &principal.token_id)
                && (*role, *permissions) == (principal.role, principal.permissions)
        })
    }

    /// Whose key it is. All hashes are compared, whichever is right.
    pub(super) fn find(&self, key: &str) -> Result<Arc<Principal>, Denied> {
        let unknown = Denied::Invalid("it is no API key that is known here");
        if key.len() > KEY_BYTES_MAX {
            return Err(unknown);
        }
        let hash = hash(key);
        let same = |known: &&Known| bool::from(known.hash.ct_eq(&hash));
        let found = self.0.iter().filter(same).fold(None, |found, known| found.or(Some(known)));
        found.map(|known| known.principal.clone()).ok_or(unknown)
    }
}

/// What tells a key from the one that follows it under the same name: not enough to know it by.
fn id(hash: &[u8; 32]) -> Box<str> {
    use std::fmt::Write;
    let mut id = String::from("key:");
    for byte in &hash[..8] {
        // A String takes all that is written to it.
        let _ = write!(id, "{byte:02x}");
    }
    id.into()
}

/// The words of the permissions, as a token's scopes.
pub(super) fn scopes(permissions: Permissions) -> Box<[Box<str>]> {
    permissions.words().map(Box::from).collect()
}
