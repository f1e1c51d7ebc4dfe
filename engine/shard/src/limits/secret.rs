//! What must not be seen: never in a log, an error, a metric or debug output.

use std::fmt;

use subtle::ConstantTimeEq;

/// Bytes that prove something, such as a key that signs tokens.
#[derive(Clone, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Secret {
        Secret(bytes.into())
    }

    /// The bytes, for whoever computes with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `bytes` are the same, in a time that tells nothing but their number.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.0.ct_eq(bytes).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(&other.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_not_shown() {
        let secret = Secret::new(*b"the secret");
        assert!(secret.matches(b"the secret"));
        assert!(!secret.matches(b"the secre") && !secret.matches(b"the secreT") && !secret.matches(b""));
        assert_eq!(format!("{secret:?}"), "***");
    }
}
