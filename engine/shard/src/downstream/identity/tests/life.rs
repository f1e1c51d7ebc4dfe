//! What lasts ends with what proved it, unless that is renewed.

use super::*;
use crate::mail::Mail;
use weir_ring::time::Wall;

/// A token that is good for so many seconds from the start.
fn brief(sub: &str, seconds: u64) -> String {
    token(sub, json!({"exp": START + seconds}))
}

fn after(world: &mut World, seconds: u64) {
    world.wait(Duration::from_secs(seconds));
}

/// A socket on its own stream.
fn joined(world: &mut World, who: &str) -> Token {
    let socket = world.upgrade(&format!("/mcp/ws/websocket?vsn=2.0.0&token={who}"), "");
    assert!(world.push(socket, "mcp:gateway", "phx_join", "{}").concat().contains(r#""status":"ok""#));
    socket
}

#[test]
fn a_socket_is_told_and_then_closed() {
    let mut world = world(|_| {});
    let socket = joined(&mut world, &brief("u1", 100));
    after(&mut world, 78);
    assert!(!world.texts(socket).concat().contains("token_expiring"), "more than a fifth is left");
    after(&mut world, 3);
    let told = world.texts(socket).concat();
    assert!(told.contains("connection_status") && told.contains(r#""status":"token_expiring""#), "{told}");
    after(&mut world, 10);
    assert!(!world.texts(socket).concat().contains("token_expiring"), "once");
    after(&mut world, 11);
    let last = world.texts(socket).concat();
    assert!(last.contains("token_expired"), "{last}");
    after(&mut world, 3);
    assert!(world.closed(socket));
}

#[test]
fn a_stream_is_told_and_then_ended() {
    let mut world = world(|_| {});
    let (stream, _) = open(&mut world, &get("/mcp/sse", &bearer(&brief("u1", 1_000))));
    after(&mut world, 935);
    assert!(!world.read(stream).contains("token_expiring"), "at the earliest a minute before");
    after(&mut world, 6);
    assert!(world.read(stream).contains("token_expiring"));
    after(&mut world, 60);
    let last = world.read(stream);
    assert!(last.contains("event: error") && last.contains("token_expired"), "{last}");
    after(&mut world, 3);
    assert!(world.closed(stream));
}

#[test]
fn a_poll_ends_too() {
    let mut world = world(|_| {});
    let (_, sent) =
        open(&mut world, &get(&format!("/mcp/ws/longpoll?vsn=2.0.0&token={}", brief("u1", 20)), ""));
    let (_, shown) = sent.split_once(r#""token":""#).expect("a session");
    let shown = shown.split_once('"').expect("its end").0.to_owned();
    let request = get(&format!("/mcp/ws/longpoll?vsn=2.0.0&token={shown}"), "");
    after(&mut world, 21);
    let (_, sent) = open(&mut world, &request);
    assert!(sent.contains(r#""status":410"#), "the session is gone: {sent}");
}

#[test]
fn a_stream_of_mcp_ends_and_its_session_does_not() {
    let mut world = world(|_| {});
    let initialize =
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let first = bearer(&brief("u1", 20));
    let (_, sent) = open(&mut world, &post("/mcp", &first, initialize));
    let (_, id) = sent.split_once("Mcp-Session-Id: ").expect("a session");
    let id = id.split_once("\r\n").expect("a header").0;
    let (stream, sent) = open(&mut world, &get("/mcp", &format!("Mcp-Session-Id: {id}\r\n{first}")));
    assert!(sent.starts_with("HTTP/1.1 200"), "{sent}");
    after(&mut world, 36);
    assert!(world.read(stream).ends_with("0\r\n\r\n"), "the last chunk");
    let newer = format!("Mcp-Session-Id: {id}\r\n{}", bearer(&brief("u1", 3_600)));
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    assert_eq!(world.verdict(&post("/mcp", &newer, ping)).0, 200);
}

#[test]
fn a_socket_goes_on_with_a_newer_token() {
    let mut world = world(|_| {});
    let socket = joined(&mut world, &brief("u1", 100));
    let refresh = |world: &mut World, token: &str| {
        world.push(socket, "mcp:gateway", "refresh", &format!(r#"{{"token":"{token}"}}"#)).concat()
    };
    let other = refresh(&mut world, &brief("u2", 900));
    assert!(other.contains(r#""reason":"client_id_mismatch""#), "{other}");
    assert!(refresh(&mut world, "nonsense").contains(r#""reason":"invalid_token""#));
    assert!(world.push(socket, "mcp:gateway", "refresh", "{}").concat().contains(r#""reason":"malformed""#));
    let newer = refresh(&mut world, &brief("u1", 300));
    assert!(newer.contains(r#""status":"ok""#) && newer.contains(r#""expires_in":3"#), "{newer}");
    after(&mut world, 200);
    assert!(!world.closed(socket), "the old token is forgotten");
    after(&mut world, 101);
    assert!(world.texts(socket).concat().contains("token_expired"), "the new one is not");
}

#[test]
fn a_refresh_over_http_prolongs_the_connections_of_its_subject() {
    let mut world = world(|_| {});
    let old = brief("u1", 100);
    let narrow = token("u1", json!({"exp": START + 100, "permissions": ["read"], "jti": "narrow"}));
    let (socket, other) = (joined(&mut world, &old), joined(&mut world, &narrow));
    let refresh = |world: &mut World| {
        let (_, sent) = open(world, &post("/mcp/token/refresh", &bearer(&old), ""));
        let (_, body) = sent.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str::<Value>(body).expect("JSON")
    };
    let early = refresh(&mut world);
    assert_eq!((&early["token"], &early["refreshed"]), (&json!(old), &json!(false)), "{early}");
    after(&mut world, 85);
    let late = refresh(&mut world);
    assert_eq!((&late["refreshed"], &late["expires_in"]), (&json!(true), &json!(100)), "{late}");
    after(&mut world, 30);
    assert!(!world.closed(socket) && !world.texts(socket).concat().contains("token_expired"));
    assert!(world.texts(other).concat().contains("token_expired"), "it allowed less, and would allow more");
    after(&mut world, 80);
    assert!(world.texts(socket).concat().contains("token_expired"));
}

#[test]
fn a_revoked_token_ends_what_came_with_it() {
    let mut world = world(|_| {});
    let (one, other) = (joined(&mut world, &brief("u1", 3_600)), joined(&mut world, &brief("u2", 3_600)));
    let (stream, _) = open(&mut world, &get("/mcp/sse", &bearer(&brief("u1", 3_600))));
    let until = Wall((START + 3_600) * 1_000);
    world.post.inbox.push(Mail::Revoke { token_id: "of u1".into(), until });
    world.turn();
    assert_eq!(world.verdict(&get("/mcp/sse", &bearer(&brief("u1", 3_600)))), (401, "token_revoked".into()));
    after(&mut world, 11);
    assert!(world.texts(one).concat().contains("token_revoked"));
    assert!(world.read(stream).contains("token_revoked"));
    assert!(!world.texts(other).concat().contains("token_revoked"));
    after(&mut world, 3);
    assert!(world.closed(one) && world.closed(stream) && !world.closed(other));
}
