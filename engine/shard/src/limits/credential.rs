//! What the gateway proves itself with to an upstream, beside the headers that are always the same.

use super::Secret;

/// Where access tokens for an upstream come from. The token of the gateway's own client never goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whom a token speaks for.
    pub grant: Grant,
    /// The token endpoint: https, or http to this machine.
    pub token_url: Box<str>,
    /// What the gateway is called there.
    pub client_id: Box<str>,
    /// What it proves that with (RFC 6749, section 2.3.1). None: it is a public client.
    pub client_secret: Option<Secret>,
    /// What the token is to allow.
    pub scope: Option<Box<str>>,
    /// Whom it is for, as authorization servers have it (RFC 8693, section 2.1).
    pub audience: Option<Box<str>>,
    /// The same as a URL (RFC 8707).
    pub resource: Option<Box<str>>,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The gateway itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// Whoever asks: his own token is exchanged for one that this upstream takes (RFC 8693).
    TokenExchange,
}
