//! Sockets and channels: what a join proves, and what may be done on it.

use super::*;

const PHOENIX: &str = "/mcp/ws/websocket?vsn=2.0.0";

/// A socket that `who` has opened.
fn socket(world: &mut World, who: &str) -> Token {
    world.upgrade(&format!("{PHOENIX}&token={who}"), "")
}

fn join(world: &mut World, socket: Token, topic: &str, payload: &str) -> String {
    world.push(socket, topic, "phx_join", payload).concat()
}

#[test]
fn the_socket_says_who_joins() {
    let mut world = world(|_| {});
    let of_u1 = token("u1", json!({}));
    let socket = socket(&mut world, &of_u1);
    let joined = join(&mut world, socket, "mcp:gateway", "{}");
    assert!(joined.contains(r#""status":"ok""#) && joined.contains(r#""client_id":"u1""#), "{joined}");
    let other = join(&mut world, socket, "mcp:gateway", r#"{"client_id":"u2"}"#);
    assert!(other.contains(r#""reason":"client_id_mismatch""#), "{other}");
    let strange = format!(r#"{{"token":"{}"}}"#, token("u2", json!({})));
    let other = join(&mut world, socket, "room:a", &strange);
    assert!(other.contains(r#""reason":"client_id_mismatch""#), "{other}");
    let bad = join(&mut world, socket, "room:a", r#"{"token":"nonsense"}"#);
    assert!(bad.contains(r#""reason":"invalid_token""#), "{bad}");
    let same = format!(r#"{{"token":"{of_u1}"}}"#);
    assert!(join(&mut world, socket, "room:a", &same).contains(r#""status":"ok""#));
}

#[test]
fn the_subprotocol_of_phoenix_carries_the_token_and_is_not_repeated() {
    let mut world = world(|_| {});
    let token = token("u1", json!({}));
    let carried = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&token);
    let header = format!("Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx.{carried}\r\n");
    let (socket, sent) = open(&mut world, &upgrade(PHOENIX, &header));
    assert!(
        sent.starts_with("HTTP/1.1 101") && sent.contains("Sec-WebSocket-Protocol: phoenix\r\n"),
        "{sent}"
    );
    assert!(join(&mut world, socket, "mcp:gateway", "{}").contains(r#""client_id":"u1""#));
}

#[test]
fn a_join_proves_who_it_is_where_sockets_may_be_opened_without_a_proof() {
    let mut world = world(|auth| auth.join_token = true);
    let bare = world.upgrade(&format!("{PHOENIX}&client_id=u1"), "");
    let refused = join(&mut world, bare, "mcp:gateway", "{}");
    assert!(refused.contains(r#""reason":"missing_token""#), "{refused}");
    for (topic, event) in [("room:a", "phx_join"), ("mcp:tools", "phx_join")] {
        let refused = world.push(bare, topic, event, r#"{"client_id":"u1"}"#).concat();
        assert!(refused.contains(r#""reason":"missing_token""#), "{topic} {event}: {refused}");
    }
    let strange = format!(r#"{{"token":"{}"}}"#, token("u2", json!({})));
    let refused = join(&mut world, bare, "mcp:gateway", &strange);
    assert!(refused.contains(r#""reason":"client_id_mismatch""#), "{refused}");
    let bare = world.upgrade(PHOENIX, "");
    let joined = join(&mut world, bare, "mcp:gateway", &strange);
    assert!(joined.contains(r#""status":"ok""#) && joined.contains(r#""client_id":"u2""#), "{joined}");
    let raw = "Sec-WebSocket-Protocol: mcp\r\n";
    assert_eq!(world.verdict(&upgrade("/mcp/ws", raw)), (401, "missing_token".into()), "has no join");
}

#[test]
fn a_socket_brings_only_so_many_bad_tokens() {
    let mut world = world(|auth| auth.join_token = true);
    let bare = world.upgrade(PHOENIX, "");
    for _ in 0..20 {
        assert!(
            join(&mut world, bare, "mcp:gateway", "{}").contains("missing_token"),
            "none is not a bad one"
        );
    }
    let mut tried = 0;
    while !world.closed(bare) && tried < 20 {
        tried += 1;
        join(&mut world, bare, "mcp:gateway", r#"{"token":"nonsense"}"#);
        world.wait(Duration::from_secs(3));
    }
    assert_eq!(tried, 10);
}

#[test]
fn nothing_is_inflated_before_somebody_is_known() {
    let mut world = world(|auth| auth.join_token = true);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (_, sent) = open(&mut world, &upgrade(PHOENIX, offer));
    assert!(sent.starts_with("HTTP/1.1 101") && !sent.contains("permessage-deflate"), "{sent}");
    let (_, sent) =
        open(&mut world, &upgrade(PHOENIX, &format!("{offer}{}", bearer(&token("u1", json!({}))))));
    assert!(sent.contains("permessage-deflate"), "{sent}");
}

#[test]
fn pushing_is_writing_and_joining_is_reading() {
    let mut world = world(|_| {});
    let reader = socket(&mut world, &token("u1", json!({"permissions": ["read"]})));
    assert!(join(&mut world, reader, "mcp:gateway", "{}").contains(r#""status":"ok""#));
    assert!(join(&mut world, reader, "room:a", "{}").contains(r#""status":"ok""#));
    for (topic, event) in [("mcp:gateway", "message"), ("room:a", "said")] {
        let refused = world.push(reader, topic, event, "{}").concat();
        assert!(refused.contains(r#""reason":"insufficient_scope""#), "{topic}: {refused}");
    }
    assert!(world.push(reader, "mcp:gateway", "ping", "{}").concat().contains("pong"), "telling time is not");
    let writer = socket(&mut world, &token("u2", json!({"permissions": ["write"]})));
    let refused = join(&mut world, writer, "room:a", "{}");
    assert!(refused.contains(r#""reason":"insufficient_scope""#), "{refused}");
}

#[test]
fn a_role_joins_what_its_rules_allow() {
    let mut world = world(|auth| {
        let narrow = auth.roles.iter().map(|rules| crate::limits::RoleRules {
            topics_allow: patterns(&["room:*"]),
            topics_deny: patterns(&["room:secret"]),
            ..rules.clone()
        });
        auth.roles = narrow.collect();
    });
    let socket = socket(&mut world, &token("u1", json!({})));
    assert!(join(&mut world, socket, "room:a", "{}").contains(r#""status":"ok""#));
    for (topic, payload) in
        [("room:secret", "{}"), ("topic:a", "{}"), ("mcp:gateway", r#"{"room":"secret"}"#)]
    {
        let refused = join(&mut world, socket, topic, payload);
        assert!(refused.contains(r#""reason":"insufficient_scope""#), "{topic}: {refused}");
    }
}

#[test]
fn tools_over_a_channel_are_writing_too() {
    let mut world = world(|_| {});
    let socket = socket(&mut world, &token("u1", json!({"permissions": ["read"]})));
    assert!(join(&mut world, socket, "mcp:tools", "{}").contains(r#""status":"ok""#));
    let rpc = |id: u32, rest: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#);
    let initialize = rpc(1, r#""method":"initialize","params":{"protocolVersion":"2025-06-18"}"#);
    assert!(world.push(socket, "mcp:tools", "mcp", &initialize).concat().contains("serverInfo"));
    let call = rpc(2, r#""method":"tools/call","params":{"name":"now","arguments":{}}"#);
    let refused = world.push(socket, "mcp:tools", "mcp", &call).concat();
    assert!(refused.contains(r#""code":403"#) && refused.contains("insufficient_scope"), "{refused}");
}

#[test]
fn an_event_named_refresh_is_a_push_like_any_other_where_nobody_is_asked() {
    let mut world = World::with(|_| {});
    let socket = world.upgrade(&format!("{PHOENIX}&client_id=u1"), "");
    join(&mut world, socket, "mcp:gateway", r#"{"token":{"of":"the application"}}"#);
    let pushed = world.push(socket, "mcp:gateway", "refresh", "{}").concat();
    assert!(pushed.contains(r#""accepted":true"#), "{pushed}");
}
