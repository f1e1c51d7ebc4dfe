//! What a principal may do: a set of seven words.

use std::fmt;
use std::ops::BitOr;

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u8);

/// Every permission with its word.
const WORDS: [(Permissions, &str); 7] = [
    (Permissions::READ, "read"),
    (Permissions::WRITE, "write"),
    (Permissions::PUBLISH, "publish"),
    (Permissions::OBSERVE, "observe"),
    (Permissions::IMPERSONATE, "impersonate"),
    (Permissions::DEBUG, "debug"),
    (Permissions::ADMIN, "admin"),
];

impl Permissions {
    /// None of them.
    pub const NONE: Permissions = Permissions(0);
    /// One's own stream, joins, lists of MCP.
    pub const READ: Permissions = Permissions(1);
    /// Pushes, publishing on a topic one has joined, MCP's tools.
    pub const WRITE: Permissions = Permissions(2);
    /// Publishing to clients and topics as a backend.
    pub const PUBLISH: Permissions = Permissions(4);
    /// What others push, their health, the figures.
    pub const OBSERVE: Permissions = Permissions(8);
    /// Being another client than one's own `sub`.
    pub const IMPERSONATE: Permissions = Permissions(16);
    /// Debug events.
    pub const DEBUG: Permissions = Permissions(32);
    /// Everything.
    pub const ADMIN: Permissions = Permissions(64);

    /// Whether all of `wanted` are in the set, or `admin` is.
    pub const fn allow(self, wanted: Permissions) -> bool {
        self.0 & wanted.0 == wanted.0 || self.0 & Permissions::ADMIN.0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permission of that word, as configurations and tokens have it.
    pub fn of_word(word: &str) -> Option<Permissions> {
        WORDS.into_iter().find_map(|(permission, name)| (name == word).then_some(permission))
    }

    /// The words of the set, in the order of [`Permissions::READ`] and those after it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.into_iter().filter_map(move |(one, word)| (self.0 & one.0 != 0).then_some(word))
    }

    /// All words there are.
    pub fn all_words() -> impl Iterator<Item = &'static str> {
        WORDS.into_iter().map(|(_, word)| word)
    }

    /// The set as a number, for what is sealed and comes back.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The reverse of [`Permissions::bits`].
    pub const fn of_bits(bits: u8) -> Permissions {
        Permissions(bits & 127)
    }
}

impl BitOr for Permissions {
    type Output = Permissions;

    fn bitor(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_permissions_and_back() {
        for word in Permissions::all_words() {
            let permission = Permissions::of_word(word).expect("a word of the list");
            assert_eq!(permission.words().collect::<Vec<_>>(), [word]);
            assert_eq!(Permissions::of_bits(permission.bits()), permission);
        }
        assert_eq!(Permissions::of_word("Read"), None);
        assert_eq!(Permissions::of_word(""), None);
    }

    #[test]
    fn admin_implies_all_and_nothing_implies_admin() {
        let both = Permissions::READ | Permissions::WRITE;
        assert!(both.allow(Permissions::READ) && both.allow(both) && both.allow(Permissions::NONE));
        assert!(!Permissions::READ.allow(both) && !both.allow(Permissions::ADMIN));
        assert!(Permissions::ADMIN.allow(both) && Permissions::ADMIN.allow(Permissions::IMPERSONATE));
        assert_eq!(format!("{both:?}"), r#"{"read", "write"}"#);
    }
}
