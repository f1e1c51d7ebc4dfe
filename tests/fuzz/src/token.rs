//! A gateway that takes tokens of one issuer.

use std::sync::Arc;

use weir_ring::time::{Instant, Now, Wall};
use weir_shard::limits::{Auth, Key, KeySet, Material, Mode, Secret};
use weir_shard::policy::auth::{Authenticator, Credential, Principal};

/// What the issuer `weir` signs with.
pub const SECRET: &[u8; 32] = b"nobody who is fuzzing knows this";

/// When tokens are looked at: 2026-01-01.
pub const NOW: Wall = Wall(1_767_225_600_000);

/// Whom the tokens prove, looked at one after the other.
pub fn proved<const N: usize>(tokens: [&str; N]) -> [Option<Arc<Principal>>; N] {
    let key = Key { issuer: None, kid: None, material: Material::Secret(Secret::new(*SECRET)) };
    let auth = Auth { mode: Mode::Required, keys: Arc::new(KeySet::new([key])), ..Auth::default() };
    let mut authenticator = Authenticator::new(&auth, 7);
    let now = Now { mono: Instant(1), wall: NOW };
    tokens.map(|token| authenticator.authenticate(Credential::Bearer(token), &auth, now).ok())
}
