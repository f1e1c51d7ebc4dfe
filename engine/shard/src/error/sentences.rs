//! What errors say that say the same each time: what is wrong, where, and what to do.

pub(super) const RATE_LIMITED: &str =
    "The client has used up its request limit; wait for retry_after milliseconds.";
pub(super) const METHOD_LIMITED: &str =
    "The client has used up its limit of this method; wait for retry_after milliseconds.";
pub(super) const ADDRESS_LIMITED: &str =
    "This network address connects or asks faster than one may; wait for retry_after milliseconds.";
pub(super) const TOO_MANY_CONNECTIONS: &str =
    "This network address has as many connections as one may; close one, or wait and try again.";
pub(super) const BLACKLISTED: &str =
    "The operator of this server keeps this client or address out; ask there.";
pub(super) const SUSPICIOUS: &str = "The client or its address has lately sent too much that is wrong or too often reconnected; wait for \
    retry_after milliseconds.";
pub(super) const CLIENT_ID_REQUIRED: &str = "The request names no client; send the header X-Client-ID, the query parameter client_id or the join \
    payload's client_id.";
pub(super) const CLIENT_ID_MISMATCH: &str = "The request names a client other than the one its connection, path or token belongs to; use one \
    client_id.";
pub(super) const SUPERSEDED: &str =
    "The client has resumed elsewhere with the recovery token of this connection, which ends.";
pub(super) const RECOVERY_TOKEN_INVALID: &str =
    "The recovery token was not issued by this server, or was changed; connect without it.";
pub(super) const RECOVERY_TOKEN_EXPIRED: &str =
    "The recovery token is too old; connect without it to be given a new one.";
pub(super) const MISSING_TOKEN: &str = "The request does not prove who sends it; send the header Authorization: Bearer with an access token \
    or an API key.";
pub(super) const TOKEN_EXPIRED: &str = "The access token has expired; get a new one and send it.";
pub(super) const TOKEN_REVOKED: &str = "The access token was revoked; only a new one will do.";
pub(super) const ORIGIN: &str = "The request comes from a web page of another origin (scheme, host and port); add that to \
    security.origins if the page may talk to the server.";
pub(super) const HOST: &str = "The request is for a host that this server is not known by; add the name to security.hosts if it \
    should be.";
pub(super) const INSUFFICIENT_RESOURCES: &str =
    "The server is at its limit of memory or connections; wait and try again.";
pub(super) const LOAD_SHED: &str = "The server has more to do than it can, and refuses messages of this priority so that more urgent ones \
    are in time; wait for retry_after milliseconds.";
pub(super) const POOL_TIMEOUT: &str =
    "All connections to the server behind are in use; wait for retry_after milliseconds.";
pub(super) const STORAGE: &str = "The server's disk is full or fails, so that nothing can be accepted that must outlive the server; \
    tell its operator, wait and try again.";
pub(super) const HANDLER: &str =
    "The endpoint that handles these messages does not answer or fails; try again, or ask its operator.";
pub(super) const DRAINING: &str = "The server is stopping and takes nothing new; wait and connect again.";
pub(super) const UNACKNOWLEDGED: &str = "The client has not acknowledged the message in timeout_ms; it is in the state this answer names, and \
    stays there.";
pub(super) const LOOPBACK: &str = "Changes are taken from this machine only, as long as there is no authentication; send the request to \
    a loopback address.";
pub(super) const KEY_REUSED: &str =
    "The idempotency key was used for another message a short while ago; use a new one.";
pub(super) const KEY_BUSY: &str = "The message with this idempotency key is on its way to the disk; ask again after retry_after \
    milliseconds.";
pub(super) const NO_SIGNING_KEY: &str =
    "This gateway has no secret to sign tokens with; set JWT_SECRET, or get tokens from their issuer.";
