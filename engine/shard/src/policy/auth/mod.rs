//! Who asks, and what he may do. Tokens and API keys are checked here; where they are carried, and what
//! needs which permission, others know. Nothing here reads a clock, a file or the network.

mod api_keys;
mod cache;
mod claims;
mod jwt;
mod keys;
mod mint;
mod revoked;
mod signature;
#[cfg(test)]
mod tests;
mod ticket;

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use weir_ring::time::{Now, Wall};

pub use self::api_keys::{API_KEY_PREFIX, hash as hash_api_key};
pub use self::claims::is_subject;
pub use self::jwt::token_id;
pub use self::keys::{KeyFault, jwks, public_key};
pub use self::mint::{Grant, LIFE, LIFE_MAX, Refreshed, mint, unsigned};

use self::api_keys::ApiKeys;
use self::cache::{Cache, Checked};
use self::revoked::Revoked;
use self::ticket::Spent;
use crate::error::Error;
use crate::limits::{Auth, KeySet, Permissions, Role, Secret};
use crate::seal::Seal;

/// Who asks, as proved. Shared by all that came with the same credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `sub`, the client's name; of an API key its configured name.
    pub subject: Box<str>,
    /// What he is.
    pub role: Role,
    /// What he may do.
    pub permissions: Permissions,
    /// Every word of `scope` and `permissions`, as MCP's scopes are compared.
    pub scopes: Box<[Box<str>]>,
    /// When the credential ends, by `exp` and the leeway. None: it does not.
    pub expires: Option<Wall>,
    /// `jti`; of an API key a part of its hash.
    pub token_id: Option<Box<str>>,
    /// `iss`; none for an API key.
    pub issuer: Option<Box<str>>,
    /// Every `aud`.
    pub audience: Box<[Box<str>]>,
    /// The token itself, where it may have to be exchanged for another.
    pub bearer: Option<Bearer>,
}

/// A token that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Its SHA-256.
    pub hash: [u8; 32],
    /// It.
    pub token: Secret,
}

impl Principal {
    /// One who proves nothing, where that is allowed: a guest, without a name of his own.
    pub fn guest(auth: &Auth) -> Principal {
        let permissions = auth.rules(Role::GUEST).permissions;
        Principal {
            subject: Box::default(),
            role: Role::GUEST,
            permissions,
            scopes: api_keys::scopes(permissions),
            expires: None,
            token_id: None,
            issuer: None,
            audience: Box::default(),
            bearer: None,
        }
    }

    /// Whether he may do what needs all of `wanted`.
    pub fn may(&self, wanted: Permissions) -> bool {
        self.permissions.allow(wanted)
    }

    /// What each of his messages is judged by.
    pub fn standing(&self) -> Standing {
        Standing { role: self.role, permissions: self.permissions }
    }
}

/// As much of a principal as each message is asked for. A connection keeps a copy of its own: the principal lies
/// elsewhere in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What he is.
    pub role: Role,
    /// What he may do.
    pub permissions: Permissions,
}

impl Standing {
    /// As [`Principal::may`].
    ///
    /// # Errors
    /// `InsufficientScope`: he may not.
    pub fn require(self, wanted: Permissions) -> Result<(), Error> {
        if self.permissions.allow(wanted) { Ok(()) } else { Err(Error::InsufficientScope { wanted }) }
    }
}

/// What proves who asks. Tickets are [`Authenticator::redeem`]'s.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A JWT; or an API key, if it begins with `weir_`.
    Bearer(&'a str),
    /// An API key.
    ApiKey(&'a str),
}

/// Why a credential proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is none.
    Missing,
    /// It is none, or none that is taken here: one clause that says what is wrong, about "it".
    Invalid(&'static str),
    /// It was good once.
    Expired,
    /// It was withdrawn.
    Revoked,
    /// It will be good.
    NotYet,
    /// No key here has its name; one that is fetched from its issuer might.
    UnknownKey,
}

impl Denied {
    /// What the client is told.
    pub const fn error(self) -> Error {
        match self {
            Denied::Missing => Error::MissingToken,
            Denied::Invalid(what) => Error::InvalidToken { what },
            Denied::Expired => Error::TokenExpired,
            Denied::Revoked => Error::TokenRevoked,
            Denied::NotYet => Error::InvalidToken { what: "its time (nbf) has not come yet" },
            Denied::UnknownKey => {
                Error::InvalidToken { what: "its issuer has no key of the name it gives (kid)" }
            }
        }
    }
}

/// The keys, and what was checked with them; one for each shard.
#[derive(Debug)]
pub struct Authenticator {
    keys: Arc<KeySet>,
    cache: Cache,
    api_keys: ApiKeys,
    revoked: Revoked,
    spent: Spent,
    /// New keys were asked for and have not come.
    asked: bool,
}

impl Authenticator {
    /// With the keys that `auth` has from the start.
    pub fn new(auth: &Auth, seed: u64) -> Authenticator {
        Authenticator {
            keys: auth.keys.clone(),
            cache: Cache::new(auth.cache_ttl, seed),
            api_keys: ApiKeys::new(auth),
            revoked: Revoked::new(&auth.revoked, seed),
            spent: Spent::new(seed),
            asked: false,
        }
    }

    /// Who the credential proves. That a token's signature is right is remembered; whether it has expired or
    /// was revoked is looked at every time.
    ///
    /// # Errors
    /// It proves nothing.
    pub fn authenticate(
        &mut self,
        credential: Credential<'_>,
        auth: &Auth,
        now: Now,
    ) -> Result<Arc<Principal>, Denied> {
        match credential {
            Credential::ApiKey(key) => self.api_keys.find(key),
            Credential::Bearer(key) if key.starts_with(API_KEY_PREFIX) => self.api_keys.find(key),
            Credential::Bearer(token) => self.token(token, auth, now),
        }
    }

    /// Whether what proved `principal` still holds.
    ///
    /// # Errors
    /// `Expired` or `Revoked`.
    pub fn still(&self, principal: &Principal, now: Wall) -> Result<(), Denied> {
        if principal.expires.is_some_and(|expires| expires <= now) {
            return Err(Denied::Expired);
        }
        match &principal.token_id {
            Some(token_id) if self.revoked.contains(token_id, now) => Err(Denied::Revoked),
            // A token has an issuer.
            Some(_) if principal.issuer.is_none() && !self.api_keys.has(principal) => Err(Denied::Revoked),
            _ => Ok(()),
        }
    }

    /// What `auth` says holds from now on, except for its keys, which come by themselves. Tokens are checked again.
    pub fn renew(&mut self, auth: &Auth) {
        self.api_keys = ApiKeys::new(auth);
        self.cache.renew(auth.cache_ttl);
    }

    /// Whether new keys are to be asked for: `false` while an answer is awaited.
    pub fn wants_keys(&mut self) -> bool {
        !std::mem::replace(&mut self.asked, true)
    }

    /// From now on these are all keys. What was checked with others is checked again.
    pub fn replace_keys(&mut self, keys: Arc<KeySet>) {
        self.asked = false;
        if *keys != *self.keys {
            self.cache.clear();
            self.keys = keys;
        }
    }

    /// The token of this `jti` is not taken any more; remembered until `until`.
    pub fn revoke(&mut self, token_id: &str, until: Wall, now: Wall) {
        self.revoked.insert(token_id, until, now);
    }

    /// A token that is good for longer; the same one while more than 20 % of its life is left.
    ///
    /// # Errors
    /// It is not good now, or was not made here.
    pub fn refresh(&mut self, token: &str, auth: &Auth, now: Now) -> Result<Refreshed, Denied> {
        self.token(token, auth, now)?;
        mint::refresh(token, auth.signing.as_ref(), now.wall)
    }

    /// A ticket with which `principal` can come once, within `life`.
    pub(crate) fn ticket(principal: &Principal, life: Duration, now: Wall, seal: &mut Seal) -> String {
        ticket::issue(principal, plus(now, life), seal)
    }

    /// Who a ticket names, without using it up: to learn where he is at home.
    ///
    /// # Errors
    /// It was not made here, or is too old.
    pub(crate) fn read_ticket(&self, text: &str, seal: &Seal, now: Wall) -> Result<Principal, Denied> {
        let ticket = ticket::open(text, seal, now)?;
        self.still(&ticket.principal, now)?;
        Ok(ticket.principal)
    }

    /// Who a ticket names. It is used up, on this shard: to be asked on its client's home.
    ///
    /// # Errors
    /// It was not made here, is too old, or was used.
    pub(crate) fn redeem(&mut self, text: &str, seal: &Seal, now: Wall) -> Result<Arc<Principal>, Denied> {
        let ticket = ticket::open(text, seal, now)?;
        self.still(&ticket.principal, now)?;
        self.spent.spend(&ticket, now)?;
        Ok(Arc::new(ticket.principal))
    }

    fn token(&mut self, token: &str, auth: &Auth, now: Now) -> Result<Arc<Principal>, Denied> {
        if token.len() > jwt::TOKEN_BYTES_MAX {
            return Err(Denied::Invalid("it is longer than 8 KiB"));
        }
        let name = sha256(token.as_bytes());
        let known = self.cache.get(&name, now.mono);
        let (fresh, checked) = match known {
            Some(checked) => (false, checked),
            None => (true, jwt::check(token, auth, &self.keys)?),
        };
        let mut checked = checked;
        if fresh && auth.keeps_tokens {
            let bearer = Bearer { hash: name, token: Secret::new(token.as_bytes()) };
            Arc::make_mut(&mut checked.principal).bearer = Some(bearer);
        }
        self.holds(&checked, auth.leeway, now.wall)?;
        let principal = checked.principal.clone();
        if fresh {
            self.cache.insert(name, checked, now.mono);
        }
        Ok(principal)
    }

    /// What is looked at every time.
    fn holds(&self, checked: &Checked, leeway: Duration, now: Wall) -> Result<(), Denied> {
        self.still(&checked.principal, now)?;
        match checked.not_before {
            Some(not_before) if not_before > plus(now, leeway) => Err(Denied::NotYet),
            _ => Ok(()),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 has 32 bytes.
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// So much later, at most the end of time.
fn plus(wall: Wall, after: Duration) -> Wall {
    Wall(wall.0.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
}
