//! The error table: the same names, sentences and numbers on every transport.

mod row;
mod sentences;
mod violation;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use weir_transports::json;

pub use self::violation::Violation;
use crate::limits::Permissions;

/// Why something was refused. What was refused has had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The client sends faster than its limit.
    RateLimited { retry_after: Duration },
    /// The client uses one method more often than it may.
    MethodLimited { retry_after: Duration },
    /// The network address connects or asks faster than its limit.
    AddressLimited { retry_after: Duration },
    /// The network address has as many connections as it may.
    TooManyConnections { retry_after: Duration },
    /// A message, body or frame of more than `bytes_max` bytes.
    MessageTooLarge { bytes_max: usize },
    /// `field` is required and missing, or empty.
    MissingField { field: &'static str },
    /// `what` says in one clause which part has which fault.
    Malformed { what: Cow<'static, str> },
    /// Nothing in the request names the client.
    ClientIdRequired,
    /// Two parts of the request name different clients.
    ClientIdMismatch,
    /// Another connection has resumed in the place of this one.
    Superseded,
    /// A recovery token that was not made here, or was changed.
    RecoveryTokenInvalid,
    /// A recovery token that was good once.
    RecoveryTokenExpired,
    /// Nothing in the request proves who sends it.
    MissingToken,
    /// An access token, an API key or a ticket that proves nothing; `what` says in one clause why, about "it".
    InvalidToken { what: &'static str },
    /// An access token that was good once.
    TokenExpired,
    /// A message with what becomes script where a page shows it.
    PotentialInjection { pattern: &'static str },
    /// The rule of this name refuses it.
    PolicyViolation { rule: Arc<str>, why: Violation },
    /// A payload that is not encrypted as it must be; `what` says in one clause which part has which fault.
    DecryptionFailed { what: &'static str },
    /// The operator keeps this client or address out.
    Blacklisted,
    /// The client or its address behaves oddly and is kept out for a while.
    Suspicious { retry_after: Duration },
    /// An access token that was withdrawn.
    TokenRevoked,
    /// Who asks is known, and may not do it: it needs `wanted`.
    InsufficientScope { wanted: Permissions },
    /// His role may not use or join `what`.
    NotAllowed { what: &'static str },
    /// A web page that may not talk to the gateway.
    Origin,
    /// The gateway is not called so.
    Host,
    /// Memory, slots or queues are at their bounds.
    InsufficientResources { retry_after: Duration },
    /// There is so much to do that messages of this priority are refused.
    LoadShed { retry_after: Duration },
    /// No connection to an MCP server was free in time.
    PoolTimeout { retry_after: Duration },
    /// `what` has failed so often lately that it is left alone for a while.
    BreakerOpen { what: &'static str, retry_after: Duration },
    /// The endpoint that handles such messages did not answer.
    Handler { retry_after: Duration },
    /// The disk refuses what must be on it before it is accepted.
    Storage { retry_after: Duration },
    /// The server is stopping.
    Draining { retry_after: Duration },
    /// An idempotency key that stands for another message.
    KeyReused,
    /// What the idempotency key stands for is being done, and has no answer yet.
    KeyBusy { retry_after: Duration },
    /// There is no such path, client or topic: `what`.
    NotFound { what: &'static str },
    /// The client has not acknowledged in the time its publisher gave it; the message stays as it is.
    Unacknowledged,
    /// Changes are for operators, and these are on the machine itself until there is authentication.
    Loopback,
    /// A token is asked for, and there is nothing to sign it with.
    NoSigningKey,
    /// The path exists, for the methods in `allow` (RFC 9110, section 15.5.6).
    MethodNotAllowed { allow: &'static str },
}

impl Error {
    /// A message that cannot be read; `what` says in one clause which part has which fault.
    pub fn malformed(what: impl Into<Cow<'static, str>>) -> Error {
        Error::Malformed { what: what.into() }
    }

    /// At a bound; another try may find room soon.
    pub fn insufficient_resources() -> Error {
        Error::InsufficientResources { retry_after: Duration::from_secs(1) }
    }

    /// The endpoint did not answer; it may soon.
    pub fn handler() -> Error {
        Error::Handler { retry_after: Duration::from_secs(1) }
    }

    /// The disk refuses; it is tried again every second.
    pub fn storage() -> Error {
        Error::Storage { retry_after: Duration::from_secs(1) }
    }

    /// A disk is quick to say what has become of a message.
    pub fn key_busy() -> Error {
        Error::KeyBusy { retry_after: Duration::from_millis(100) }
    }

    /// Stopping; another process may be up soon.
    pub fn draining() -> Error {
        Error::Draining { retry_after: Duration::from_secs(1) }
    }

    /// The error's name: field `error`.
    pub const fn error(&self) -> &'static str {
        match self {
            Error::RateLimited { .. } | Error::MethodLimited { .. } | Error::AddressLimited { .. } => {
                "rate_limit_exceeded"
            }
            Error::MessageTooLarge { .. }
            | Error::MissingField { .. }
            | Error::Malformed { .. }
            | Error::PotentialInjection { .. } => "invalid_message",
            Error::PolicyViolation { .. } => "policy_violation",
            Error::DecryptionFailed { .. } => "decryption_failed",
            Error::ClientIdRequired => "client_id_required",
            Error::ClientIdMismatch
            | Error::Origin
            | Error::Host
            | Error::Loopback
            | Error::Blacklisted
            | Error::Suspicious { .. }
            | Error::InsufficientScope { .. }
            | Error::NotAllowed { .. } => "forbidden",
            Error::Unacknowledged => "timeout",
            Error::RecoveryTokenInvalid
            | Error::RecoveryTokenExpired
            | Error::MissingToken
            | Error::InvalidToken { .. }
            | Error::TokenExpired
            | Error::TokenRevoked => "authentication_failed",
            Error::Superseded | Error::KeyReused | Error::KeyBusy { .. } | Error::NoSigningKey => "conflict",
            Error::InsufficientResources { .. }
            | Error::LoadShed { .. }
            | Error::PoolTimeout { .. }
            | Error::BreakerOpen { .. }
            | Error::Handler { .. }
            | Error::Storage { .. }
            | Error::Draining { .. }
            | Error::TooManyConnections { .. } => "unavailable",
            Error::NotFound { .. } => "not_found",
            Error::MethodNotAllowed { .. } => "method_not_allowed",
        }
    }

    /// The name of the cause: field `reason`. An error with one cause only is its own.
    pub fn reason(&self) -> &str {
        match self {
            Error::RateLimited { .. } => "client",
            Error::MethodLimited { .. } => "method",
            Error::AddressLimited { .. } => "ip",
            Error::TooManyConnections { .. } => "too_many_connections_from_ip",
            Error::MessageTooLarge { .. } => "message_too_large",
            Error::MissingField { .. } => "missing_fields",
            Error::Malformed { .. } => "malformed",
            Error::PotentialInjection { .. } => "potential_injection",
            Error::PolicyViolation { rule, .. } => rule,
            Error::Blacklisted => "blacklisted",
            Error::Suspicious { .. } => "suspicious_behavior",
            Error::ClientIdMismatch => "client_id_mismatch",
            Error::Origin => "origin",
            Error::Host => "host",
            Error::Superseded => "superseded",
            Error::Loopback | Error::InsufficientScope { .. } | Error::NotAllowed { .. } => {
                "insufficient_scope"
            }
            Error::KeyReused => "idempotency_key",
            Error::KeyBusy { .. } => "in_progress",
            Error::NoSigningKey => "no_signing_key",
            Error::MissingToken => "missing_token",
            Error::RecoveryTokenInvalid | Error::InvalidToken { .. } => "invalid_token",
            Error::RecoveryTokenExpired | Error::TokenExpired => "token_expired",
            Error::TokenRevoked => "token_revoked",
            Error::InsufficientResources { .. } | Error::Storage { .. } => "insufficient_resources",
            Error::LoadShed { .. } => "load_shed",
            Error::PoolTimeout { .. } => "pool_timeout",
            Error::BreakerOpen { .. } => "breaker_open",
            Error::Handler { .. } => "handler",
            Error::Draining { .. } => "draining",
            Error::ClientIdRequired
            | Error::DecryptionFailed { .. }
            | Error::Unacknowledged
            | Error::NotFound { .. }
            | Error::MethodNotAllowed { .. } => self.error(),
        }
    }

    /// The HTTP status (RFC 9110, section 15; 429: RFC 6585).
    pub const fn http_status(&self) -> u16 {
        match self {
            Error::MissingField { .. }
            | Error::Malformed { .. }
            | Error::PotentialInjection { .. }
            | Error::DecryptionFailed { .. }
            | Error::ClientIdRequired => 400,
            Error::RecoveryTokenInvalid
            | Error::RecoveryTokenExpired
            | Error::MissingToken
            | Error::InvalidToken { .. }
            | Error::TokenExpired
            | Error::TokenRevoked => 401,
            Error::ClientIdMismatch
            | Error::Origin
            | Error::Host
            | Error::Loopback
            | Error::Blacklisted
            | Error::Suspicious { .. }
            | Error::InsufficientScope { .. }
            | Error::NotAllowed { .. } => 403,
            Error::NotFound { .. } => 404,
            Error::MethodNotAllowed { .. } => 405,
            Error::Superseded | Error::KeyReused | Error::KeyBusy { .. } | Error::NoSigningKey => 409,
            Error::MessageTooLarge { .. } => 413,
            Error::RateLimited { .. }
            | Error::MethodLimited { .. }
            | Error::AddressLimited { .. }
            | Error::PolicyViolation { why: Violation::Throttled { .. }, .. } => 429,
            Error::PolicyViolation { .. } => 403,
            Error::InsufficientResources { .. }
            | Error::LoadShed { .. }
            | Error::PoolTimeout { .. }
            | Error::BreakerOpen { .. }
            | Error::Handler { .. }
            | Error::Storage { .. }
            | Error::Draining { .. }
            | Error::TooManyConnections { .. } => 503,
            Error::Unacknowledged => 504,
        }
    }

    /// A sentence for people: what is wrong, where, and what to do.
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Error::RateLimited { .. } => sentences::RATE_LIMITED.into(),
            Error::MethodLimited { .. } => sentences::METHOD_LIMITED.into(),
            Error::AddressLimited { .. } => sentences::ADDRESS_LIMITED.into(),
            Error::TooManyConnections { .. } => sentences::TOO_MANY_CONNECTIONS.into(),
            Error::MessageTooLarge { bytes_max } => {
                format!("The message is larger than the limit of {bytes_max} bytes; split it.").into()
            }
            Error::MissingField { field } => {
                format!("The field \"{field}\" is missing or empty; add it.").into()
            }
            Error::Malformed { what } => format!("The message cannot be read: {what}.").into(),
            Error::PotentialInjection { pattern } => format!(
                "The message has what a page that shows it would run (pattern {pattern}); escape it for HTML, or \
                 have the operator set rules.injection."
            )
            .into(),
            Error::PolicyViolation { rule, why } => why.message(rule).into(),
            Error::DecryptionFailed { what } => {
                format!("The payload cannot be decrypted: {what}; see that key, key_id and client_id are right.")
                    .into()
            }
            Error::Blacklisted => sentences::BLACKLISTED.into(),
            Error::Suspicious { .. } => sentences::SUSPICIOUS.into(),
            Error::ClientIdRequired => sentences::CLIENT_ID_REQUIRED.into(),
            Error::ClientIdMismatch => sentences::CLIENT_ID_MISMATCH.into(),
            Error::Superseded => sentences::SUPERSEDED.into(),
            Error::RecoveryTokenInvalid => sentences::RECOVERY_TOKEN_INVALID.into(),
            Error::RecoveryTokenExpired => sentences::RECOVERY_TOKEN_EXPIRED.into(),
            Error::MissingToken => sentences::MISSING_TOKEN.into(),
            Error::InvalidToken { what } => {
                format!("The credential is not accepted: {what}. Get a new one from who issued it.").into()
            }
            Error::TokenExpired => sentences::TOKEN_EXPIRED.into(),
            Error::TokenRevoked => sentences::TOKEN_REVOKED.into(),
            Error::InsufficientScope { wanted } => {
                let words = wanted.words().collect::<Vec<_>>().join(" ");
                format!("Who asks may not do this, which needs the permission {words}; get a token that has it.").into()
            }
            Error::NotAllowed { what } => {
                format!("The role of who asks may not use this {what}; use another, or ask the operator.").into()
            }
            Error::Origin => sentences::ORIGIN.into(),
            Error::Host => sentences::HOST.into(),
            Error::InsufficientResources { .. } => sentences::INSUFFICIENT_RESOURCES.into(),
            Error::LoadShed { .. } => sentences::LOAD_SHED.into(),
            Error::PoolTimeout { .. } => sentences::POOL_TIMEOUT.into(),
            Error::BreakerOpen { what, .. } => {
                format!("The breaker of {what} is open after too many failures; wait for retry_after milliseconds.")
                    .into()
            }
            Error::Handler { .. } => sentences::HANDLER.into(),
            Error::Storage { .. } => sentences::STORAGE.into(),
            Error::Draining { .. } => sentences::DRAINING.into(),
            Error::Unacknowledged => sentences::UNACKNOWLEDGED.into(),
            Error::Loopback => sentences::LOOPBACK.into(),
            Error::KeyReused => sentences::KEY_REUSED.into(),
            Error::KeyBusy { .. } => sentences::KEY_BUSY.into(),
            Error::NoSigningKey => sentences::NO_SIGNING_KEY.into(),
            Error::NotFound { what } => format!("There is no such {what}; check its name.").into(),
            Error::MethodNotAllowed { allow } => {
                format!("This path does not know the request's method; use {allow}.").into()
            }
        }
    }

    /// When trying again may help; `None`: not with the same request.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::RateLimited { retry_after }
            | Error::MethodLimited { retry_after }
            | Error::AddressLimited { retry_after }
            | Error::TooManyConnections { retry_after }
            | Error::Suspicious { retry_after }
            | Error::PolicyViolation { why: Violation::Throttled { retry_after }, .. }
            | Error::InsufficientResources { retry_after }
            | Error::LoadShed { retry_after }
            | Error::PoolTimeout { retry_after }
            | Error::BreakerOpen { retry_after, .. }
            | Error::Handler { retry_after }
            | Error::Storage { retry_after }
            | Error::KeyBusy { retry_after }
            | Error::Draining { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The value of the header `Retry-After` (RFC 9110, section 10.2.3): seconds, rounded up.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        Some(self.retry_after()?.as_nanos().div_ceil(1_000_000_000) as u64)
    }

    /// Appends `{"error", "reason", "message", "retry_after"}`, the last in milliseconds, rounded up, or
    /// null.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        for (name, value) in [
            ("{\"error\":", self.error()),
            (",\"reason\":", self.reason()),
            (",\"message\":", &self.message()),
        ] {
            out.extend_from_slice(name.as_bytes());
            json::write_str(out, value);
        }
        out.extend_from_slice(b",\"retry_after\":");
        match self.retry_after() {
            Some(after) => {
                let millis = after.as_nanos().div_ceil(1_000_000) as u64;
                out.extend_from_slice(itoa::Buffer::new().format(millis).as_bytes());
            }
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const WAIT: Duration = Duration::from_micros(1_500_500);

    fn violation(why: Violation) -> Error {
        Error::PolicyViolation { rule: "no-spam".into(), why }
    }

    fn table() -> [(Error, &'static str, &'static str, u16); 42] {
        [
            (Error::RateLimited { retry_after: WAIT }, "rate_limit_exceeded", "client", 429),
            (Error::MethodLimited { retry_after: WAIT }, "rate_limit_exceeded", "method", 429),
            (Error::AddressLimited { retry_after: WAIT }, "rate_limit_exceeded", "ip", 429),
            (
                Error::TooManyConnections { retry_after: WAIT },
                "unavailable",
                "too_many_connections_from_ip",
                503,
            ),
            (Error::MessageTooLarge { bytes_max: 7 }, "invalid_message", "message_too_large", 413),
            (Error::MissingField { field: "type" }, "invalid_message", "missing_fields", 400),
            (Error::malformed(r#"it is not "JSON" \o/"#), "invalid_message", "malformed", 400),
            (
                Error::PotentialInjection { pattern: "template" },
                "invalid_message",
                "potential_injection",
                400,
            ),
            (violation(Violation::Denied), "policy_violation", "no-spam", 403),
            (violation(Violation::Throttled { retry_after: WAIT }), "policy_violation", "no-spam", 429),
            (violation(Violation::Lacks { field: "a".into() }), "policy_violation", "no-spam", 403),
            (violation(Violation::TooLarge { bytes_max: 7 }), "policy_violation", "no-spam", 403),
            (Error::DecryptionFailed { what: "x" }, "decryption_failed", "decryption_failed", 400),
            (Error::Blacklisted, "forbidden", "blacklisted", 403),
            (Error::Suspicious { retry_after: WAIT }, "forbidden", "suspicious_behavior", 403),
            (Error::ClientIdRequired, "client_id_required", "client_id_required", 400),
            (Error::ClientIdMismatch, "forbidden", "client_id_mismatch", 403),
            (Error::Superseded, "conflict", "superseded", 409),
            (Error::RecoveryTokenInvalid, "authentication_failed", "invalid_token", 401),
            (Error::RecoveryTokenExpired, "authentication_failed", "token_expired", 401),
            (Error::MissingToken, "authentication_failed", "missing_token", 401),
            (Error::InvalidToken { what: "it is none" }, "authentication_failed", "invalid_token", 401),
            (Error::TokenExpired, "authentication_failed", "token_expired", 401),
            (Error::TokenRevoked, "authentication_failed", "token_revoked", 401),
            (Error::InsufficientScope { wanted: Permissions::WRITE }, "forbidden", "insufficient_scope", 403),
            (Error::NotAllowed { what: "tool" }, "forbidden", "insufficient_scope", 403),
            (Error::Origin, "forbidden", "origin", 403),
            (Error::Host, "forbidden", "host", 403),
            (Error::Loopback, "forbidden", "insufficient_scope", 403),
            (Error::Unacknowledged, "timeout", "timeout", 504),
            (
                Error::InsufficientResources { retry_after: WAIT },
                "unavailable",
                "insufficient_resources",
                503,
            ),
            (Error::LoadShed { retry_after: WAIT }, "unavailable", "load_shed", 503),
            (Error::PoolTimeout { retry_after: WAIT }, "unavailable", "pool_timeout", 503),
            (Error::BreakerOpen { what: "websocket", retry_after: WAIT }, "unavailable", "breaker_open", 503),
            (Error::Handler { retry_after: WAIT }, "unavailable", "handler", 503),
            (Error::Storage { retry_after: WAIT }, "unavailable", "insufficient_resources", 503),
            (Error::Draining { retry_after: WAIT }, "unavailable", "draining", 503),
            (Error::KeyReused, "conflict", "idempotency_key", 409),
            (Error::KeyBusy { retry_after: WAIT }, "conflict", "in_progress", 409),
            (Error::NoSigningKey, "conflict", "no_signing_key", 409),
            (Error::NotFound { what: "client" }, "not_found", "not_found", 404),
            (Error::MethodNotAllowed { allow: "GET" }, "method_not_allowed", "method_not_allowed", 405),
        ]
    }

    #[test]
    fn bodies_follow_the_table() {
        for (error, name, reason, status) in table() {
            let mut body = Vec::new();
            error.write_json(&mut body);
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let retry_after = error.retry_after().map_or(Value::Null, |_| json!(1_501));
            let message = error.message();
            assert_eq!(
                body,
                json!({"error": name, "reason": reason, "message": message, "retry_after": retry_after})
            );
            assert_eq!(error.http_status(), status);
            let counted = match &error {
                Error::PolicyViolation { .. } => (name, "rule"),
                Error::Storage { .. } => (name, "storage"),
                _ => (name, reason),
            };
            assert_eq!(Error::ROWS[error.row()], counted);
            assert_eq!(error.retry_after_seconds(), error.retry_after().map(|_| 2));
            assert!(message.ends_with('.') && !message.contains("  "), "{message}");
        }
    }
}
