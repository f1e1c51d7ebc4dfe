//! Who may do what, asked of a shard whose world is written by hand.

mod channels;
mod keys;
mod life;
mod requests;
mod rights;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};
use weir_ring::token::Token;

use crate::downstream::mcp::tests::World;
use crate::limits::{Algorithm, Auth, Key, KeySet, Material, Mode, Pattern, Secret, Signing};
use crate::policy::auth::unsigned;

const SECRET: &[u8; 32] = b"the secret of these tests, 32 by";

/// Its wall clock at the start, seconds.
const START: u64 = 1_700_000_001;

fn signing() -> Signing {
    Signing { secret: Secret::new(*SECRET), issuer: "weir".into(), audience: "mcp-gateway".into() }
}

fn auth(mode: Mode) -> Auth {
    let key = Key { issuer: None, kid: None, material: Material::Secret(Secret::new(*SECRET)) };
    let keys = Arc::new(KeySet::new([key]));
    Auth { mode, keys, signing: Some(signing()), leeway: Duration::ZERO, ..Auth::default() }
}

/// A shard that wants to know who asks.
fn world(change: impl FnOnce(&mut Auth)) -> World {
    let mut auth = auth(Mode::Required);
    change(&mut auth);
    World::with(|config| {
        config.auth = auth;
        // Nobody here answers pings.
        config.websocket.ping_interval = Duration::from_secs(100_000);
    })
}

/// A token of `sub`, good for an hour; `claims` are added, or replace others.
fn token(sub: &str, claims: Value) -> String {
    let mut all = json!({
        "iss": "weir", "aud": "mcp-gateway", "sub": sub, "role": "user", "iat": START, "exp": START + 3_600,
        "jti": format!("of {sub}"),
    });
    for (name, value) in claims.as_object().expect("an object") {
        all[name] = value.clone();
    }
    signed(&all)
}

/// Any claims, signed as `weir token mint` does.
fn signed(claims: &Value) -> String {
    let text = unsigned(claims, Algorithm::Hs256, None);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A request without a body.
fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{headers}\r\n")
}

fn post(target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn upgrade(target: &str, headers: &str) -> String {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    get(target, &format!("{upgrade}{headers}"))
}

/// Begins what lasts; the connection and what it is sent at first.
fn open(world: &mut World, request: &str) -> (Token, String) {
    let connection = world.accept();
    let sent = world.ask(connection, request);
    (connection, sent)
}

/// A pattern that is one.
fn patterns(texts: &[&str]) -> Box<[Pattern]> {
    texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
}
