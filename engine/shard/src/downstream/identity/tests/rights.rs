//! What roles and permissions allow.

use super::*;
use crate::limits::{Rate, RoleRules};

fn may(world: &mut World, who: &Value, request: &str) -> (u16, String) {
    let bearer = bearer(&token("u1", who.clone()));
    world.verdict(&request.replacen("Host: localhost\r\n", &format!("Host: localhost\r\n{bearer}"), 1))
}

#[test]
fn what_is_done_needs_its_permission() {
    let publish = r#"{"type":"t","data":1}"#;
    let table = [
        ("publish", post("/mcp/clients/u2/messages", "", publish)),
        ("publish", post("/mcp/topics/room:a/messages", "", publish)),
        ("publish", post("/mcp/ack", "", r#"{"client_id":"u2","epoch":"aaaaaaaa","sequence":1}"#)),
        ("observe", get("/mcp/stats", "")),
        ("observe", get("/mcp/health/u2", "")),
        ("observe", get("/mcp/events", "")),
        ("observe", get("/mcp/events?client=u2", "")),
        ("read", get("/mcp/events?client=u1", "")),
        ("read", get("/mcp/health/u1", "")),
        ("read", get("/mcp/sse", "")),
        ("read", get("/mcp/topics/room:a/presence", "")),
    ];
    for (needed, request) in table {
        let mut world = world(|_| {});
        let all = ["read", "write", "publish", "observe", "impersonate", "debug"];
        let others: Vec<&str> = all.into_iter().filter(|word| *word != needed).collect();
        // Of one's own `observe` is enough, too.
        let others: Vec<&str> =
            others.into_iter().filter(|word| needed != "read" || *word != "observe").collect();
        let refused = may(&mut world, &json!({"permissions": others}), &request);
        assert_eq!(refused, (403, "insufficient_scope".into()), "{request}");
        for who in [json!({"permissions": [needed]}), json!({"scope": format!("mcp:{needed}")})] {
            let (status, reason) = may(&mut world, &who, &request);
            assert!(status != 403 && status != 401, "{status} {reason}: {request}");
        }
        let (status, reason) = may(&mut world, &json!({"role": "admin"}), &request);
        assert!(status != 403 && status != 401, "{status} {reason}: {request}");
    }
}

#[test]
fn calling_a_tool_is_writing() {
    let modern = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let ask = |method: &str, headers: &str, params: &str| {
        let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{headers}");
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{modern}}}}}"#);
        post("/mcp", &headers, &body)
    };
    let list = ask("tools/list", "", "");
    let call = ask("tools/call", "Mcp-Name: now\r\n", r#""name":"now","arguments":{},"#);
    let mut world = world(|_| {});
    let reader = json!({"permissions": ["read"]});
    assert_eq!(may(&mut world, &reader, &list).0, 200);
    assert_eq!(may(&mut world, &reader, &call), (403, "insufficient_scope".into()));
    let writer = json!({"permissions": ["read", "write"]});
    assert_eq!(may(&mut world, &writer, &call).0, 200);
    assert_eq!(may(&mut world, &json!({"permissions": ["write"]}), &list).0, 403, "everything reads");
}

#[test]
fn a_role_has_its_own_rate() {
    let one = |auth: &mut Auth| {
        let roles = auth.roles.iter().map(|rules| match &*rules.name {
            "user" => RoleRules { rate: Rate::new(1.0, 2), ..rules.clone() },
            _ => rules.clone(),
        });
        auth.roles = roles.collect();
    };
    let mut world = world(one);
    let mut status = |client: &str, role: &str| {
        let bearer = bearer(&token(client, json!({"role": role})));
        world.verdict(&get(&format!("/mcp/health/{client}"), &bearer)).0
    };
    assert_eq!([(); 3].map(|()| status("u1", "user")), [404, 404, 429]);
    assert_eq!([(); 3].map(|()| status("u2", "premium")), [404, 404, 404]);
    assert_eq!(status("u3", "user"), 404, "each has a bucket of its own");
}

#[test]
fn rules_about_topics_hold_for_presence_and_publishing() {
    let rules = |auth: &mut Auth| {
        let roles = auth.roles.iter().map(|rules| RoleRules {
            topics_allow: patterns(&["room:*", "topic:{sub}"]),
            topics_deny: patterns(&["room:secret*"]),
            ..rules.clone()
        });
        auth.roles = roles.collect();
    };
    let mut world = world(rules);
    let who = json!({"permissions": ["read", "publish"]});
    let mut presence =
        |topic: &str| may(&mut world, &who, &get(&format!("/mcp/topics/{topic}/presence"), "")).0;
    assert_eq!(["room:a", "topic:u1", "topic:u2", "room:secret1"].map(&mut presence), [200, 200, 403, 403]);
    let mut publish = |topic: &str| {
        may(&mut world, &who, &post(&format!("/mcp/topics/{topic}/messages"), "", r#"{"type":"t","data":1}"#))
            .0
    };
    assert_eq!(["room:a", "topic:u2", "room:secret1"].map(&mut publish), [202, 403, 403]);
    let line = r#"{"topic":"room:secret1","type":"t","data":1}"#;
    let connection = world.accept();
    let sent = world.ask(connection, &post("/mcp/batch", &bearer(&token("u1", who.clone())), line));
    assert!(sent.contains("insufficient_scope"), "{sent}");
}

#[test]
fn guests_are_let_in_where_that_is_allowed_and_are_nobody_else() {
    let mut world = world(|auth| auth.mode = Mode::Optional);
    let (guest, sent) = open(&mut world, &get("/mcp/sse?client_id=u1", ""));
    assert!(sent.contains(r#""role":"guest""#), "{sent}");
    assert_eq!(world.verdict(&get("/mcp/stats", "")), (403, "insufficient_scope".into()));
    let (_, sent) = open(&mut world, &get("/mcp/sse", &bearer(&token("u1", json!({})))));
    assert!(sent.contains(r#""role":"user""#), "{sent}");
    assert!(world.read(guest).contains("event: error"), "who proves it is u1 is u1 alone");
    let again = get("/mcp/sse?client_id=u1", "");
    assert_eq!(world.verdict(&again), (401, "missing_token".into()));
}
