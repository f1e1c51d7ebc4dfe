//! Requests: nobody comes in without a proof, and nobody is anybody else.

use super::*;

/// One request to every endpoint.
fn everything() -> Vec<String> {
    let rpc = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let publish = r#"{"type":"t","data":1}"#;
    vec![
        post("/mcp", "", rpc),
        get("/mcp", "Mcp-Session-Id: x\r\n"),
        "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: x\r\n\r\n".into(),
        get("/sse", ""),
        post("/messages?sessionId=x", "", rpc),
        get("/mcp/sse?client_id=u1", ""),
        get("/mcp/events", ""),
        upgrade("/mcp/ws", ""),
        upgrade("/mcp/ws", "Sec-WebSocket-Protocol: mcp\r\n"),
        upgrade("/mcp/ws/websocket?vsn=2.0.0&client_id=u1", ""),
        get("/mcp/ws/longpoll?vsn=2.0.0&client_id=u1", ""),
        post("/mcp/clients/u1/messages", "", publish),
        post("/mcp/topics/room:a/messages", "", publish),
        get("/mcp/topics/room:a/presence", ""),
        post("/mcp/batch", "", publish),
        post("/mcp/ack", "", r#"{"client_id":"u1","epoch":"aaaaaaaa","sequence":1}"#),
        get("/mcp/stats", ""),
        get("/mcp/health/u1", ""),
        post("/mcp/ticket", "", ""),
        post("/mcp/token/refresh", "", ""),
    ]
}

#[test]
fn nobody_comes_in_without_a_proof() {
    let mut world = world(|_| {});
    for request in everything() {
        assert_eq!(world.verdict(&request), (401, "missing_token".into()), "{request}");
    }
    assert_eq!(world.shard.stats.denied, everything().len() as u64);
    assert_eq!(world.shard.sessions.len(), 0, "nobody left anything behind");
}

#[test]
fn a_bad_proof_is_refused_even_where_none_is_needed() {
    for mode in [Mode::Optional, Mode::Required] {
        let mut world = world(|auth| auth.mode = mode);
        let bad = bearer(&format!("{}x", token("u1", json!({}))));
        for request in everything() {
            let request = request.replacen("Host: localhost\r\n", &format!("Host: localhost\r\n{bad}"), 1);
            assert_eq!(world.verdict(&request), (401, "invalid_token".into()), "{request}");
        }
    }
}

#[test]
fn where_nobody_is_asked_nothing_is_read() {
    let mut world = World::with(|config| config.auth = auth(Mode::Off));
    let (_, sent) = open(&mut world, &get("/mcp/sse?client_id=u1", &bearer("nonsense")));
    assert!(sent.contains(r#""client_id":"u1""#) && sent.contains(r#""role":"user""#), "{sent}");
    assert_eq!(world.verdict(&get("/mcp/stats", "X-API-Key: nonsense\r\n")).0, 200);
    let off = world.verdict(&post("/mcp/ticket", "", ""));
    assert_eq!(off, (404, "not_found".into()), "there is nothing to prove");
    assert_eq!(world.verdict(&post("/mcp/token/refresh", "", "")), (404, "not_found".into()));
}

#[test]
fn the_subject_is_the_client() {
    let mut world = world(|_| {});
    let of_u1 = token("u1", json!({"role": "premium"}));
    let (_, sent) = open(&mut world, &get("/mcp/sse", &bearer(&of_u1)));
    assert!(sent.contains(r#""client_id":"u1""#) && sent.contains(r#""role":"premium""#), "{sent}");
    let (_, sent) = open(&mut world, &get(&format!("/mcp/sse?client_id=u1&token={of_u1}"), ""));
    assert!(sent.contains(r#""client_id":"u1""#), "{sent}");
    for request in [
        get("/mcp/sse?client_id=u2", &bearer(&of_u1)),
        get(&format!("/mcp/sse?client_id=u2&token={of_u1}"), ""),
        get("/mcp/sse", &format!("X-Client-ID: u2\r\n{}", bearer(&of_u1))),
        upgrade(&format!("/mcp/ws/websocket?vsn=2.0.0&client_id=u2&token={of_u1}"), ""),
        post("/mcp", &format!("X-Client-ID: u2\r\n{}", bearer(&of_u1)), "{}"),
    ] {
        assert_eq!(world.verdict(&request), (403, "client_id_mismatch".into()), "{request}");
    }
    let speaker = token("desk", json!({"permissions": ["read", "impersonate"]}));
    let (_, sent) = open(&mut world, &get("/mcp/sse?client_id=u2", &bearer(&speaker)));
    assert!(sent.contains(r#""client_id":"u2""#) && sent.contains(r#""user_id":"desk""#), "{sent}");
}

#[test]
fn tokens_in_urls_can_be_switched_off() {
    let mut world = world(|auth| auth.query_token = false);
    let token = token("u1", json!({}));
    for target in ["/mcp/sse?", "/mcp/events?", "/mcp/ws/websocket?vsn=2.0.0&", "/mcp/ws/longpoll?vsn=2.0.0&"]
    {
        let request = upgrade(&format!("{target}token={token}"), "");
        assert_eq!(world.verdict(&request), (401, "missing_token".into()), "{target}");
    }
}

#[test]
fn mcp_takes_no_token_from_a_url() {
    let mut world = world(|_| {});
    let token = token("u1", json!({}));
    for target in ["/mcp", "/sse", "/mcp/stats"] {
        let request = get(&format!("{target}?token={token}"), "Mcp-Session-Id: x\r\n");
        assert_eq!(world.verdict(&request), (401, "missing_token".into()), "{target}");
    }
}

#[test]
fn a_session_is_its_principals_alone() {
    let mut world = world(|_| {});
    let (one, other) = (bearer(&token("u1", json!({}))), bearer(&token("u2", json!({}))));
    let initialize =
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let (connection, sent) = open(&mut world, &post("/mcp", &one, initialize));
    let (_, id) = sent.split_once("Mcp-Session-Id: ").expect("a session");
    let id = id.split_once("\r\n").expect("a header").0;
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let with = |who: &str| format!("Mcp-Session-Id: {id}\r\n{who}");
    assert_eq!(world.verdict(&post("/mcp", &with(&other), ping)).0, 404);
    assert_eq!(world.verdict(&get("/mcp", &with(&other))).0, 404);
    let delete = format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{}\r\n", with(&other));
    assert_eq!(world.verdict(&delete).0, 404);
    assert!(world.ask(connection, &post("/mcp", &with(&one), ping)).starts_with("HTTP/1.1 200"));
    let newer = bearer(&token("u1", json!({"exp": START + 7_200})));
    assert_eq!(world.verdict(&post("/mcp", &with(&newer), ping)).0, 200, "a newer token of the same");
}

#[test]
fn the_server_half_of_http_sse_is_its_principals_alone() {
    let mut world = world(|_| {});
    let (one, other) = (bearer(&token("u1", json!({}))), bearer(&token("u2", json!({}))));
    let (_, sent) = open(&mut world, &get("/sse", &one));
    let (_, endpoint) = sent.split_once("data: ").expect("an endpoint");
    let endpoint = endpoint.split_once("\n").expect("a line").0.trim_end();
    let initialize =
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}"#;
    assert_eq!(world.verdict(&post(endpoint, &other, initialize)).0, 404);
    assert_eq!(world.verdict(&post(endpoint, &one, initialize)).0, 202);
}

#[test]
fn a_ticket_opens_one_stream_once() {
    let mut world = world(|_| {});
    let ticket = |world: &mut World, who: &str| {
        let (_, sent) = open(world, &post("/mcp/ticket", &bearer(who), ""));
        let (_, body) = sent.split_once("\r\n\r\n").expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["expires_in"], 30, "{body}");
        body["ticket"].as_str().expect("a ticket").to_owned()
    };
    let of_u1 = token("u1", json!({}));
    let first = ticket(&mut world, &of_u1);
    let other = get(&format!("/mcp/sse?client_id=u2&ticket={first}"), "");
    assert_eq!(world.verdict(&other), (403, "client_id_mismatch".into()));
    let (_, sent) = open(&mut world, &get(&format!("/mcp/sse?ticket={first}"), ""));
    assert!(sent.contains(r#""client_id":"u1""#), "{sent}");
    for request in [
        get(&format!("/mcp/sse?ticket={first}"), ""),
        upgrade(&format!("/mcp/ws/websocket?vsn=2.0.0&ticket={first}"), ""),
        get(&format!("/mcp/ws/longpoll?vsn=2.0.0&ticket={first}"), ""),
    ] {
        assert_eq!(world.verdict(&request), (401, "invalid_token".into()), "{request}");
    }
    let second = ticket(&mut world, &of_u1);
    for target in ["/mcp/stats", "/mcp/events", "/mcp"] {
        let request = get(&format!("{target}?ticket={second}"), "");
        assert_eq!(world.verdict(&request), (401, "missing_token".into()), "{target}");
    }
    let third = ticket(&mut world, &of_u1);
    world.wait(Duration::from_secs(30));
    let late = upgrade(&format!("/mcp/ws/websocket?vsn=2.0.0&ticket={third}"), "");
    assert_eq!(world.verdict(&late), (401, "token_expired".into()));
    let admin = token("root", json!({"role": "admin"}));
    let (_, sent) = open(&mut world, &post("/mcp/ticket?client_id=u9", &bearer(&admin), ""));
    let (_, body) = sent.split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let fourth = body["ticket"].as_str().expect("a ticket");
    let elsewhere = get(&format!("/mcp/sse?client_id=u8&ticket={fourth}"), "");
    assert_eq!(world.verdict(&elsewhere), (403, "client_id_mismatch".into()), "it is for u9 alone");
    let (_, sent) = open(&mut world, &get(&format!("/mcp/sse?ticket={fourth}"), ""));
    assert!(sent.contains(r#""client_id":"u9""#), "{sent}");
}
