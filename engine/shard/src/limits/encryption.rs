//! Encryption of payloads.

use super::Secret;

/// With which keys payloads are encrypted, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// All of them decrypt, the first one encrypts. Default none: nobody can ask for it.
    pub keys: Vec<PayloadKey>,
    /// Every client's payloads are encrypted, whether it asks for it or not. Default false.
    pub required: bool,
}

/// A key of AES-256-GCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadKey {
    /// What it is called beside what it encrypted.
    pub id: Box<str>,
    /// 32 bytes.
    pub secret: Secret,
}
