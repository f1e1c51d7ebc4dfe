//! What the gateway is to OAuth: a protected resource (RFC 9728).

/// A resource that clients get tokens for from somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The URL of `/mcp` as clients have it: what their tokens are meant for. None: as each request calls the
    /// gateway.
    pub url: Option<Box<str>>,
    /// Who gives out tokens: the URLs of authorization servers. Without one the gateway says nothing of itself,
    /// and clients have their tokens from elsewhere. Default none.
    pub authorization_servers: Box<[Box<str>]>,
}
