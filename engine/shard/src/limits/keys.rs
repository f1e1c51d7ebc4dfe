//! Keys that tokens are checked with. Each serves one issuer and one algorithm.

use std::fmt;

use super::secret::Secret;

/// Which computation a token's signature is (RFC 7518, 3.1; RFC 8037). There are no others: `none` is no
/// signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256; keys of 2,048 to 8,192 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// The name in a token's header, letter by letter.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name; its letters are large and small as they are.
    pub fn of_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// What a signature is checked with.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// Shared with the issuer: HS256.
    Secret(Secret),
    /// Modulus and exponent, big-endian without leading zeros: RS256.
    Rsa { modulus: Box<[u8]>, exponent: Box<[u8]> },
    /// An uncompressed point (SEC 1, 2.3.3): ES256.
    P256(Box<[u8; 65]>),
    /// EdDSA.
    Ed25519([u8; 32]),
}

impl Material {
    /// The only algorithm it serves.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.algorithm().name())
    }
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose tokens it checks. None: those of every issuer in [`super::Auth::issuers`].
    pub issuer: Option<Box<str>>,
    /// Its name among the issuer's keys (RFC 7517, 4.5), which is compared and nothing else. None: it is tried
    /// whatever name a token gives.
    pub kid: Option<Box<str>>,
    /// What it computes with, and thus its algorithm.
    pub material: Material,
}

/// All keys that hold at one time, by (issuer, kid, algorithm).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    /// At most [`KeySet::KEYS_MAX`].
    keys: Box<[Key]>,
}

impl KeySet {
    /// Most keys of one set; those beyond are left out.
    pub const KEYS_MAX: usize = 1_024;

    /// The set of these.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> KeySet {
        KeySet { keys: keys.into_iter().take(KeySet::KEYS_MAX).collect() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}
