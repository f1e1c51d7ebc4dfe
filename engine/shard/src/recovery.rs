//! Recovery tokens: who brings one back goes on as the same logical connection of its client.

use weir_ring::time::Wall;
use weir_ring::token::Token;

use crate::error::Error;
use crate::seal::{Purpose, Seal};
use crate::stream::Epoch;

/// One logical connection of a client through all its resumes. At most one connection has it at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lineage(u64);

impl Lineage {
    /// The lineage that begins with the connection in slot `root`. `salt` is of the shard's life, so that a
    /// token from before a restart names no connection of now.
    pub(crate) const fn of_root(root: Token, salt: u64) -> Lineage {
        Lineage((((root.index as u64) << 32) | root.generation as u64) ^ salt)
    }

    /// As it goes to another process.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// As it came from one.
    pub(crate) const fn of_bits(bits: u64) -> Lineage {
        Lineage(bits)
    }
}

/// What a recovery token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Whose connection it was.
    pub(crate) client: Box<str>,
    /// Which of the client's it was.
    pub(crate) lineage: Lineage,
    /// The life of the client's stream at that time.
    pub(crate) epoch: Epoch,
    /// Until when it is good.
    pub(crate) expiry: Wall,
}

impl Recovery {
    /// The token: the fields one after the other, big-endian, the name last, sealed.
    pub(crate) fn seal(&self, seal: &mut Seal) -> String {
        let mut bytes = Vec::with_capacity(24 + self.client.len());
        bytes.extend_from_slice(&self.lineage.0.to_be_bytes());
        bytes.extend_from_slice(&self.expiry.0.to_be_bytes());
        bytes.extend_from_slice(&self.epoch.letters());
        bytes.extend_from_slice(self.client.as_bytes());
        seal.seal(Purpose::Recovery, &bytes)
    }

    /// Reads a token that `client` brings.
    ///
    /// # Errors
    /// It was not made here, is another client's, or too old.
    pub(crate) fn open(text: &str, client: &str, now: Wall, seal: &Seal) -> Result<Recovery, Error> {
        let bytes = seal.open(Purpose::Recovery, text).ok_or(Error::RecoveryTokenInvalid)?;
        let recovery = Recovery::read(&bytes).ok_or(Error::RecoveryTokenInvalid)?;
        if *recovery.client != *client {
            return Err(Error::ClientIdMismatch);
        }
        if recovery.expiry < now {
            return Err(Error::RecoveryTokenExpired);
        }
        Ok(recovery)
    }

    fn read(bytes: &[u8]) -> Option<Recovery> {
        let (lineage, rest) = bytes.split_first_chunk()?;
        let (expiry, rest) = rest.split_first_chunk()?;
        let (epoch, client) = rest.split_first_chunk::<8>()?;
        Some(Recovery {
            client: str::from_utf8(client).ok()?.into(),
            lineage: Lineage(u64::from_be_bytes(*lineage)),
            epoch: Epoch::parse(epoch)?,
            expiry: Wall(u64::from_be_bytes(*expiry)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_ring::token::Member;

    use super::*;

    fn seal() -> Seal {
        Seal::new(&[3; 32], Member(0), 0)
    }

    fn recovery(client: &str, expiry: u64) -> Recovery {
        let lineage = Lineage::of_root(Token { index: 5, generation: 6 }, 7);
        Recovery { client: client.into(), lineage, epoch: Epoch::from_random(8), expiry: Wall(expiry) }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(client in "\\PC{1,40}", lineage: u64, epoch: u64, expiry: u64) {
            let epoch = Epoch::from_random(epoch);
            let made = Recovery { client: client.as_str().into(), lineage: Lineage(lineage), epoch, expiry: Wall(expiry) };
            let token = made.seal(&mut seal());
            prop_assert_eq!(Recovery::open(&token, &client, Wall(expiry), &seal()), Ok(made));
        }

        #[test]
        fn a_changed_token_is_none(at: prop::sample::Index, letter in "[A-Za-z0-9_=-]") {
            let mut token = recovery("u1", 9).seal(&mut seal());
            let at = at.index(token.len());
            prop_assume!(token[at..=at] != letter);
            token.replace_range(at..=at, &letter);
            prop_assert_eq!(Recovery::open(&token, "u1", Wall(0), &seal()), Err(Error::RecoveryTokenInvalid));
        }

        #[test]
        fn garbage_is_no_token(bytes: Vec<u8>, text in "\\PC{0,60}") {
            let sealed = seal().seal(Purpose::Recovery, &bytes[..bytes.len().min(23)]);
            prop_assert_eq!(Recovery::open(&sealed, "u1", Wall(0), &seal()), Err(Error::RecoveryTokenInvalid));
            prop_assert_eq!(Recovery::open(&text, "u1", Wall(0), &seal()), Err(Error::RecoveryTokenInvalid));
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let token = recovery("u1", 1_000).seal(&mut seal());
        let open = |client, now| Recovery::open(&token, client, Wall(now), &seal());
        assert!(open("u1", 1_000).is_ok());
        assert_eq!(open("u1", 1_001), Err(Error::RecoveryTokenExpired));
        assert_eq!(open("u2", 1_001), Err(Error::ClientIdMismatch), "before its age is told");
        let stranger = Seal::new(&[4; 32], Member(0), 0);
        assert_eq!(Recovery::open(&token, "u1", Wall(0), &stranger), Err(Error::RecoveryTokenInvalid));
        let state = seal().seal(Purpose::RequestState, b"something else that was sealed here");
        assert_eq!(Recovery::open(&state, "u1", Wall(0), &seal()), Err(Error::RecoveryTokenInvalid));
    }
}
