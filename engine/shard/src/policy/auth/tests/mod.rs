//! Tokens, keys and principals, as a whole. `corpus` has the tokens that must not be taken.

mod corpus;
mod fixtures;
mod keys;
mod lifetime;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use weir_ring::time::{Instant, Now, Wall};

use super::{Authenticator, Credential, Denied, Principal, hash_api_key, jwks, signature};
use crate::limits::{ApiKey, Auth, Key, KeySet, KeyUrl, Material, Permissions, Role, Secret, Signing};

/// Seconds since 1970 at which the tests play.
const NOW: u64 = 1_800_000_000;

/// The issuer whose keys stand in `fixtures`.
const ISSUER: &str = "https://id.example";

fn secret() -> Secret {
    Secret::new(*b"a secret of thirty-two bytes 012")
}

/// HS256 by the secret for `weir`, and the keys of the fixtures for their issuer.
fn auth() -> Auth {
    let own = Key { issuer: None, kid: None, material: Material::Secret(secret()) };
    let (others, left_out) = jwks(fixtures::JWKS.as_bytes(), ISSUER).expect("a set");
    assert_eq!((others.len(), left_out), (4, 0));
    Auth {
        keys: Arc::new(KeySet::new([own].into_iter().chain(others))),
        key_urls: [KeyUrl { issuer: ISSUER.into(), url: "https://id.example/jwks".into() }].into(),
        signing: Some(Signing { secret: secret(), issuer: "weir".into(), audience: "mcp-gateway".into() }),
        ..Auth::default()
    }
}

fn at(seconds: u64) -> Now {
    Now { mono: Instant(seconds * 1_000_000_000), wall: Wall(seconds * 1_000) }
}

/// What `weir token mint` would say for u1.
fn claims() -> Value {
    json!({"iss": "weir", "aud": "mcp-gateway", "sub": "u1", "role": "user", "permissions": ["read"],
        "iat": NOW - 10, "exp": NOW + 3_590, "jti": "token-1"})
}

/// The claims with `changes`; null takes one away.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// HS256 over these two texts, whatever they are.
fn sign(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = signature::hs256(&secret(), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn token(claims: &Value) -> String {
    sign(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

fn verify(token: &str) -> Result<Arc<Principal>, Denied> {
    let auth = auth();
    Authenticator::new(&auth, 1).authenticate(Credential::Bearer(token), &auth, at(NOW))
}

/// Why the token is not taken.
#[track_caller]
fn refused(token: &str) -> &'static str {
    match verify(token) {
        Err(Denied::Invalid(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_says_who_has_it_and_what_he_may_do() {
    let principal = verify(&token(&claims())).expect("right");
    let wanted = Principal {
        subject: "u1".into(),
        role: Role(2),
        permissions: Permissions::READ,
        scopes: ["read".into()].into(),
        expires: Some(Wall((NOW + 3_590 + 5) * 1_000)),
        token_id: Some("token-1".into()),
        issuer: Some("weir".into()),
        audience: ["mcp-gateway".into()].into(),
        bearer: None,
    };
    assert_eq!(*principal, wanted);
    assert!(principal.standing().require(Permissions::READ).is_ok());
    let error = principal.standing().require(Permissions::WRITE).expect_err("not his");
    assert_eq!((error.reason(), error.http_status()), ("insufficient_scope", 403));
    assert!(error.message().contains("the permission write"), "{}", error.message());
}

#[test]
fn each_algorithm_has_its_key() {
    for token in [fixtures::RS256, fixtures::ES256, fixtures::EDDSA] {
        let principal = verify(token).expect("right");
        assert_eq!((&*principal.subject, principal.role), ("u1", Role(1)));
        assert_eq!(principal.issuer.as_deref(), Some(ISSUER));
    }
}

#[test]
fn permissions_are_the_tokens_or_else_its_roles() {
    let both = Permissions::READ | Permissions::WRITE;
    for (changes, role, permissions) in [
        (json!({"permissions": null}), 2, both),
        (json!({"permissions": null, "role": "admin"}), 0, Permissions::ADMIN),
        (json!({"permissions": null, "role": "root"}), 3, Permissions::READ),
        (json!({"permissions": null, "role": null}), 2, Permissions::READ),
        (json!({"role": null, "permissions": ["publish"]}), 2, Permissions::PUBLISH),
        (json!({"permissions": []}), 2, Permissions::NONE),
        (json!({"permissions": ["fly", "READ"]}), 2, Permissions::NONE),
        (json!({"permissions": "read write"}), 2, both),
        (json!({"role": "admin"}), 0, Permissions::READ),
        (json!({"permissions": ["read"], "scope": "write"}), 2, Permissions::READ),
        (json!({"permissions": null, "scope": "mcp:read openid"}), 2, Permissions::READ),
        (json!({"permissions": null, "scope": "openid email"}), 2, both),
        (
            json!({"permissions": null, "scope": ["mcp:read", "publish"]}),
            2,
            Permissions::READ | Permissions::PUBLISH,
        ),
    ] {
        let principal = verify(&token(&with(changes.clone()))).expect("right");
        assert_eq!((principal.role, principal.permissions), (Role(role), permissions), "{changes}");
    }
    let scopes =
        verify(&token(&with(json!({"scope": "mcp:read tools:call"})))).expect("right").scopes.clone();
    assert_eq!(*scopes, ["read".into(), "mcp:read".into(), "tools:call".into()]);
}

#[test]
fn an_api_key_is_known_by_its_hash() {
    let key = ApiKey {
        name: "billing".into(),
        hash: hash_api_key("weir_0123"),
        role: Role(1),
        permissions: Some(Permissions::PUBLISH),
    };
    let plain = ApiKey { name: "old".into(), hash: hash_api_key("plain"), role: Role(2), permissions: None };
    assert!(!format!("{key:?}").contains("hash"));
    let auth = Auth { api_keys: [key, plain].into(), ..auth() };
    let mut authenticator = Authenticator::new(&auth, 1);
    let mut find = |credential| authenticator.authenticate(credential, &auth, at(NOW));
    for credential in [Credential::Bearer("weir_0123"), Credential::ApiKey("weir_0123")] {
        let principal = find(credential).expect("right");
        assert_eq!((&*principal.subject, principal.role), ("billing", Role(1)));
        assert_eq!((principal.permissions, principal.expires), (Permissions::PUBLISH, None));
    }
    let principal = find(Credential::ApiKey("plain")).expect("right");
    assert_eq!(principal.permissions, Permissions::READ | Permissions::WRITE);
    let long = "weir_".repeat(1_000);
    for key in ["", "weir_", "weir_0124", "weir_0123 ", "weir_01234", &long] {
        let denied = find(Credential::ApiKey(key)).expect_err(key);
        assert_eq!(denied, Denied::Invalid("it is no API key that is known here"));
    }
    assert!(find(Credential::Bearer("plain")).is_err(), "without its first letters it is taken for a token");
}
