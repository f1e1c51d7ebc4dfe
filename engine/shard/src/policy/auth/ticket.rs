//! Tickets: what a browser puts into a URL instead of its token, good for one connection that is made soon.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use weir_ring::time::Wall;

use super::{Denied, Principal, sha256};
use crate::limits::{Permissions, Role};
use crate::seal::{Purpose, Seal};

/// Tickets that one shard remembers as used: until their short time is over.
const SPENT_MAX: usize = 65_536;

const UNKNOWN: Denied = Denied::Invalid("the ticket was not made by this server, or was changed");
const USED: Denied = Denied::Invalid("the ticket was used before; each is good for one connection");

/// A ticket that was made here and is not too old.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) principal: Principal,
    /// SHA-256 of its text.
    name: [u8; 32],
    until: Wall,
}

/// A principal as it is sealed.
#[derive(Deserialize, Serialize)]
struct Sealed {
    until: u64,
    subject: Box<str>,
    role: u8,
    permissions: u8,
    scopes: Box<[Box<str>]>,
    expires: Option<u64>,
    token_id: Option<Box<str>>,
    issuer: Option<Box<str>>,
    audience: Box<[Box<str>]>,
}

/// A ticket for `principal`, good until `until`.
pub(super) fn issue(principal: &Principal, until: Wall, seal: &mut Seal) -> String {
    let principal = principal.clone();
    let sealed = Sealed {
        until: until.0,
        subject: principal.subject,
        role: principal.role.0,
        permissions: principal.permissions.bits(),
        scopes: principal.scopes,
        expires: principal.expires.map(|expires| expires.0),
        token_id: principal.token_id,
        issuer: principal.issuer,
        audience: principal.audience,
    };
    // Texts and numbers are always JSON.
    seal.seal(Purpose::Ticket, &serde_json::to_vec(&sealed).unwrap_or_default())
}

/// Reads a ticket.
pub(super) fn open(text: &str, seal: &Seal, now: Wall) -> Result<Ticket, Denied> {
    let bytes = seal.open(Purpose::Ticket, text).ok_or(UNKNOWN)?;
    let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|_| UNKNOWN)?;
    if sealed.until <= now.0 {
        return Err(Denied::Expired);
    }
    let principal = Principal {
        subject: sealed.subject,
        role: Role(sealed.role),
        permissions: Permissions::of_bits(sealed.permissions),
        scopes: sealed.scopes,
        expires: sealed.expires.map(Wall),
        token_id: sealed.token_id,
        issuer: sealed.issuer,
        audience: sealed.audience,
        bearer: None,
    };
    Ok(Ticket { principal, name: sha256(text.as_bytes()), until: Wall(sealed.until) })
}

/// The tickets that were used, while they would still be good.
#[derive(Debug)]
pub(super) struct Spent(HashMap<[u8; 32], Wall, FixedState>);

impl Spent {
    pub(super) fn new(seed: u64) -> Spent {
        Spent(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    /// Uses a ticket up.
    ///
    /// # Errors
    /// It was used before; or so many were that it cannot be remembered.
    pub(super) fn spend(&mut self, ticket: &Ticket, now: Wall) -> Result<(), Denied> {
        if self.0.len() >= SPENT_MAX {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.contains_key(&ticket.name) || self.0.len() >= SPENT_MAX {
            return Err(USED);
        }
        self.0.insert(ticket.name, ticket.until);
        Ok(())
    }
}
