//! The admin port's endpoints for access tokens.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::warn;
use weir_ring::clock::Clock;
use weir_ring::time::Wall;
use weir_shard::error::Error;
use weir_shard::policy::auth::{LIFE_MAX, mint, token_id};

use super::api::{Admin, refuse};
use super::revocations::Unrevoked;
use crate::minting::Order;

/// Longest name of a token, bytes; longer ones are not taken anyway.
const TOKEN_ID_BYTES_MAX: usize = 256;

/// Which token is not to be taken any more.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Revocation {
    /// This one, and those it was refreshed to.
    Token { token: String },
    /// The one of this name, for so many seconds, or as long as tokens live that are made here.
    Name { jti: String, expires_in: Option<u64> },
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let only_post = || async { refuse(&Error::MethodNotAllowed { allow: "POST" }) };
    Router::new()
        .route("/mcp/admin/token", post(make).fallback(only_post))
        .route("/mcp/admin/revoke", post(revoke).fallback(only_post))
}

async fn make(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let auth = admin.auth();
    let Some(signing) = &auth.signing else { return refuse(&Error::NoSigningKey) };
    let order: Order = match read(&body) {
        Ok(order) => order,
        Err(error) => return refuse(&error),
    };
    match order.claims(&auth, Clock::now().wall) {
        Ok(claims) => Json(claims.answer(&mint(&claims.grant(), signing))).into_response(),
        Err(error) => refuse(&Error::malformed(error.to_string())),
    }
}

async fn revoke(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let now = Clock::now().wall;
    let (token_id, until) = match read(&body) {
        Ok(Revocation::Name { jti, expires_in }) => {
            (jti.into(), after(now, expires_in.unwrap_or(LIFE_MAX.as_secs())))
        }
        // Who refreshed it has another that ends later, and has the same name.
        Ok(Revocation::Token { token }) => match token_id(&token) {
            Some((token_id, expires)) => (token_id, after(expires.max(now), LIFE_MAX.as_secs())),
            None => {
                return refuse(&Error::malformed("the token has no name (jti) by which it could be revoked"));
            }
        },
        Err(error) => return refuse(&error),
    };
    if token_id.is_empty() || token_id.len() > TOKEN_ID_BYTES_MAX {
        return refuse(&Error::malformed("a jti has 1 to 256 bytes"));
    }
    match admin.revoke(&token_id, until, now).await {
        Ok(()) => Json(json!({ "revoked": token_id, "until": until.0 / 1_000 })).into_response(),
        Err(Unrevoked::Full) => refuse(&Error::insufficient_resources()),
        Err(Unrevoked::Storage(error)) => {
            warn!("a token cannot be revoked, as the data folder refuses it: {error}");
            refuse(&Error::storage())
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::malformed(error.to_string()))
}

fn after(wall: Wall, seconds: u64) -> Wall {
    Wall(wall.0.saturating_add(seconds.saturating_mul(1_000)))
}
