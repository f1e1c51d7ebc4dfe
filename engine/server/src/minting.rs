//! Making access tokens: what may be asked for, and what is made of it.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use weir_ring::time::Wall;
use weir_shard::limits::{Auth, Permissions};
use weir_shard::policy::auth::{Grant, LIFE, LIFE_MAX, is_subject};

use crate::gateway::random;

/// The role of a token for which none is asked.
const ROLE: &str = "user";

/// A token that is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Who is to have it.
    pub(crate) sub: String,
    /// None: `user`.
    pub(crate) role: Option<String>,
    /// None: `read` for a user, and what the role may for any other.
    pub(crate) permissions: Option<Vec<String>>,
    /// Seconds. None: an hour.
    pub(crate) expires_in: Option<u64>,
    /// None: the first that is configured.
    pub(crate) issuer: Option<String>,
    /// None: the first that is configured.
    pub(crate) audience: Option<String>,
}

/// Why a token is not made.
#[derive(Debug)]
pub(crate) enum OrderError {
    Subject,
    Role {
        name: String,
        known: Vec<String>,
    },
    Permission {
        word: String,
    },
    Life,
    /// The system gives no random number.
    System(io::Error),
}

/// What a token says, and what it stands on.
#[derive(Debug)]
pub(crate) struct Claims {
    order: Order,
    role: String,
    permissions: Option<Vec<String>>,
    issuer: String,
    audience: String,
    issued: u64,
    expires: u64,
    token_id: String,
}

impl Order {
    /// What the token says that is made now.
    ///
    /// # Errors
    /// No such token is made.
    pub(crate) fn claims(self, auth: &Auth, now: Wall) -> Result<Claims, OrderError> {
        if !is_subject(&self.sub) {
            return Err(OrderError::Subject);
        }
        let role = self.role.clone().unwrap_or_else(|| ROLE.into());
        if !auth.roles.iter().any(|rules| *rules.name == *role) {
            let known = auth.roles.iter().map(|rules| rules.name.to_string()).collect();
            return Err(OrderError::Role { name: role, known });
        }
        let read_only = || (role == ROLE).then(|| vec!["read".to_owned()]);
        let permissions = self.permissions.clone().or_else(read_only);
        let unknown = |word: &&String| Permissions::of_word(word).is_none();
        if let Some(word) = permissions.iter().flatten().find(unknown) {
            return Err(OrderError::Permission { word: word.clone() });
        }
        let life = Duration::from_secs(self.expires_in.unwrap_or(LIFE.as_secs()));
        if life.is_zero() || life > LIFE_MAX {
            return Err(OrderError::Life);
        }
        let first = |names: &[Box<str>]| names.first().map(|name| name.to_string()).unwrap_or_default();
        let issued = now.0 / 1_000;
        let random: [u8; 16] = random().map_err(OrderError::System)?;
        Ok(Claims {
            issuer: self.issuer.clone().unwrap_or_else(|| first(&auth.issuers)),
            audience: self.audience.clone().unwrap_or_else(|| first(&auth.audiences)),
            role,
            permissions,
            issued,
            expires: issued + life.as_secs(),
            token_id: hex(&random),
            order: self,
        })
    }
}

impl Claims {
    pub(crate) fn grant(&self) -> Grant<'_> {
        Grant {
            iss: &self.issuer,
            aud: &self.audience,
            sub: &self.order.sub,
            role: &self.role,
            permissions: self.permissions.as_deref(),
            iat: self.issued,
            exp: self.expires,
            jti: &self.token_id,
        }
    }

    /// The answer to who asked for `token`.
    pub(crate) fn answer(&self, token: &str) -> serde_json::Value {
        serde_json::json!({
            "token": token,
            "token_type": "Bearer",
            "expires_in": self.expires - self.issued,
            "expires_at": self.expires,
            "claims": self.grant(),
        })
    }
}

/// As so many hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrderError::Subject => f.write_str(
                "sub is the client's name: 1 to 128 bytes without control characters that do not begin with mcp:",
            ),
            OrderError::Role { name, known } => write!(
                f,
                "there is no role {name:?}, only {}; others need a section [auth.roles.NAME]",
                known.join(", ")
            ),
            OrderError::Permission { word } => {
                let known = Permissions::all_words().collect::<Vec<_>>().join(", ");
                write!(f, "there is no permission {word:?}, only {known}")
            }
            OrderError::Life => {
                write!(f, "a token lives from 1 second to {} days", LIFE_MAX.as_secs() / (24 * 3_600))
            }
            OrderError::System(error) => write!(f, "the system gives no random number: {error}"),
        }
    }
}

impl std::error::Error for OrderError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(order: &str) -> Result<serde_json::Value, String> {
        let order: Order = serde_json::from_str(order).map_err(|error| error.to_string())?;
        let claims = order.claims(&Auth::default(), Wall(1_000_999)).map_err(|error| error.to_string())?;
        serde_json::to_value(claims.grant()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_asked_for_is_little() {
        let mut said = claims(r#"{"sub": "u1"}"#).expect("right");
        let jti = said.as_object_mut().and_then(|claims| claims.remove("jti")).expect("a jti");
        assert_eq!(jti.as_str().map(str::len), Some(32));
        let wanted = serde_json::json!({"iss": "weir", "aud": "mcp-gateway", "sub": "u1", "role": "user",
            "permissions": ["read"], "iat": 1_000, "exp": 4_600});
        assert_eq!(said, wanted);
        let admin = claims(r#"{"sub": "u1", "role": "admin", "expires_in": 5}"#).expect("right");
        assert_eq!((&admin["permissions"], &admin["exp"]), (&serde_json::Value::Null, &1_005.into()));
    }

    #[test]
    fn what_is_not_made_says_why() {
        for (order, why) in [
            (r#"{"sub": ""}"#, "sub is the client's name"),
            (r#"{"sub": "mcp:events"}"#, "sub is the client's name"),
            (r#"{}"#, "missing field `sub`"),
            (r#"{"sub": "u1", "scopes": []}"#, "unknown field `scopes`"),
            (r#"{"sub": "u1", "role": "root"}"#, "only admin, premium, user, guest"),
            (r#"{"sub": "u1", "permissions": ["fly"]}"#, "there is no permission \"fly\", only read, write"),
            (r#"{"sub": "u1", "expires_in": 0}"#, "from 1 second to 30 days"),
            (r#"{"sub": "u1", "expires_in": 2592001}"#, "from 1 second to 30 days"),
        ] {
            let said = claims(order).expect_err(order);
            assert!(said.contains(why), "{order}: {said}");
        }
    }
}
