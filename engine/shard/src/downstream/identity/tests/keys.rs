//! Tokens whose key is not here yet.

use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::limits::KeyUrl;
use crate::mail::Mail;

const ISSUER: &str = "https://id.example";

fn asking() -> World {
    world(|auth| {
        auth.key_urls = [KeyUrl { issuer: ISSUER.into(), url: "https://id.example/jwks".into() }].into();
    })
}

/// Signed with a key of `ISSUER` that is called `new`.
fn unknown(sub: &str) -> String {
    let claims = json!({"iss": ISSUER, "aud": "mcp-gateway", "sub": sub, "role": "user", "exp": START + 900});
    let text = unsigned(&claims, Algorithm::EdDsa, Some("new"));
    let signature = pair().sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key")
}

/// What the control thread finds.
fn keys(kid: &str) -> Mail {
    let material = Material::Ed25519(pair().public_key().as_ref().try_into().expect("32 bytes"));
    let key = Key { issuer: Some(ISSUER.into()), kid: Some(kid.into()), material };
    Mail::Keys(Arc::new(KeySet::new([key])))
}

/// How often the control thread was asked.
fn asked(world: &mut World) -> usize {
    let letters = std::mem::take(&mut world.post.outbox);
    letters.iter().filter(|(_, letter)| matches!(letter, Mail::KeysWanted { .. })).count()
}

#[test]
fn a_request_waits_for_its_key() {
    let mut world = asking();
    let request = get("/mcp/health/u1", &bearer(&unknown("u1")));
    let (one, sent) = open(&mut world, &request);
    assert_eq!(sent, "");
    let (other, _) = open(&mut world, &post("/mcp/ticket", &bearer(&unknown("u1")), ""));
    assert_eq!(asked(&mut world), 1, "once for all who wait");
    assert_eq!(world.ask(one, &request), "", "one request after the other");
    world.post.inbox.push(keys("new"));
    world.turn();
    let both = world.read(one);
    assert_eq!(both.matches("HTTP/1.1 404").count(), 2, "{both}");
    assert!(world.read(other).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_key_that_is_nowhere_is_waited_for_once() {
    let mut world = asking();
    let (one, _) = open(&mut world, &get("/mcp/sse", &bearer(&unknown("u1"))));
    world.post.inbox.push(keys("other"));
    world.turn();
    assert!(world.read(one).starts_with("HTTP/1.1 401"));
    let (two, sent) = open(&mut world, &get("/mcp/sse", &bearer(&unknown("u1"))));
    assert_eq!(sent, "");
    world.wait(Duration::from_secs(3));
    let sent = world.read(two);
    assert!(sent.starts_with("HTTP/1.1 401") && sent.contains("invalid_token"), "nobody answered: {sent}");
}

#[test]
fn who_hangs_up_is_forgotten() {
    let mut world = asking();
    let (one, _) = open(&mut world, &get("/mcp/sse", &bearer(&unknown("u1"))));
    world.end(one);
    assert!(world.shard.parked.is_empty());
    world.post.inbox.push(keys("new"));
    world.turn();
    assert!(world.closed(one));
}

#[test]
fn only_so_many_wait() {
    let mut world = asking();
    let request = get("/mcp/sse", &bearer(&unknown("u1")));
    let waiting: Vec<_> = (0..256).map(|_| open(&mut world, &request).0).collect();
    assert_eq!(world.verdict(&request).0, 503);
    world.end(waiting[7]);
    let (_, sent) = open(&mut world, &request);
    assert_eq!(sent, "");
}
