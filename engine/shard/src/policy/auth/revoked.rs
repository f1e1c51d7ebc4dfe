//! Tokens that were withdrawn before their time, by `jti`.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Wall;

use crate::limits::Revocation;

/// Most tokens that are withdrawn at a time.
const TOKENS_MAX: usize = 65_536;

/// Longest `jti`, bytes; those of tokens are not longer (see `claims`).
pub(super) const TOKEN_ID_BYTES_MAX: usize = 256;

/// Withdrawn tokens, each until it would have expired anyway.
#[derive(Debug)]
pub(super) struct Revoked(HashMap<Box<str>, Wall, FixedState>);

impl Revoked {
    pub(super) fn new(first: &[Revocation], seed: u64) -> Revoked {
        let mut revoked = Revoked(HashMap::with_hasher(FixedState::with_seed(seed)));
        for Revocation { token_id, until } in first {
            revoked.insert(token_id, *until, Wall(0));
        }
        revoked
    }

    /// Remembers `token_id` until `until`. `false`: there is no room, or it is no token's.
    pub(super) fn insert(&mut self, token_id: &str, until: Wall, now: Wall) -> bool {
        if token_id.len() > TOKEN_ID_BYTES_MAX {
            return false;
        }
        if self.0.len() >= TOKENS_MAX && !self.0.contains_key(token_id) {
            self.0.retain(|_, until| *until > now);
            if self.0.len() >= TOKENS_MAX {
                return false;
            }
        }
        let known = self.0.entry_ref(token_id).or_insert(until);
        *known = until.max(*known);
        true
    }

    pub(super) fn contains(&self, token_id: &str, now: Wall) -> bool {
        !self.0.is_empty() && self.0.get(token_id).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_revoked_until_it_would_expire() {
        let mut revoked = Revoked::new(&[], 1);
        assert!(!revoked.contains("a", Wall(0)));
        assert!(revoked.insert("a", Wall(10), Wall(0)));
        assert!(revoked.contains("a", Wall(9)) && !revoked.contains("a", Wall(10)));
        assert!(!revoked.contains("b", Wall(9)));
        assert!(revoked.insert("a", Wall(5), Wall(0)) && revoked.contains("a", Wall(9)), "never shorter");
    }

    #[test]
    fn those_that_expired_make_room() {
        let mut revoked = Revoked::new(&[], 1);
        for number in 0..TOKENS_MAX {
            assert!(revoked.insert(&number.to_string(), Wall(10), Wall(0)));
        }
        assert!(!revoked.insert("one too many", Wall(10), Wall(9)));
        assert!(revoked.insert("7", Wall(20), Wall(9)), "one that is known takes no room");
        assert!(revoked.insert("one too many", Wall(20), Wall(10)));
        assert_eq!(revoked.0.len(), 2);
        assert!(!revoked.insert(&"x".repeat(257), Wall(20), Wall(10)));
    }
}
