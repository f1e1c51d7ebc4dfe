//! What an upstream speaks is found out once.

use super::*;

#[test]
fn one_probe_serves_all_who_wait() {
    let mut world = World::new(server(vec![http(1)]));
    let backings = [world.open(), world.open(), world.open()];
    let wire = world.accept();
    let request = world.written(wire);
    assert!(
        request.contains("Mcp-Method: server/discover\r\n")
            && request.contains("protocolVersion\":\"2026-07-28")
    );
    assert!(world.dialled.is_empty());
    world.receive(wire, json(200, DISCOVERED).as_bytes());
    assert_eq!(world.heard(), backings.map(Heard::Ready));
    assert_eq!(world.shard.backing(backings[2]).and_then(|b| b.era), Some(weir_transports::mcp::Era::Modern));
    let another = world.open();
    assert_eq!(world.heard(), [Heard::Ready(another)], "what is known is not asked again");
}

#[test]
fn what_is_not_modern_is_initialized() {
    for status in [200, 400, 404, 405] {
        let mut world = World::new(server(vec![http(1)]));
        let backing = world.open();
        let wire = world.accept();
        world.written(wire);
        let unknown = r#"{"jsonrpc":"2.0","id":"weir-discover","error":{"code":-32601,"message":"unknown"}}"#;
        world.receive(wire, json(status, unknown).as_bytes());
        let request = world.written(wire);
        for part in [
            r#""method":"initialize""#,
            r#""protocolVersion":"2025-11-25""#,
            r#""capabilities":{"roots":{}}"#,
        ] {
            assert!(request.contains(part), "{part} is not in {request}");
        }
        assert!(!request.contains("MCP-Protocol-Version"));
        world.receive(wire, events(&[&format!("data: {INITIALIZED}\n\n")], false).as_bytes());
        let wire = world.accept();
        assert!(world.written(wire).contains("notifications/initialized"));
        assert_eq!(world.heard(), [], "not before the server knows");
        world.receive(wire, ACCEPTED.as_bytes());
        assert!(world.dialled.len() == 1 && world.heard().is_empty(), "its stream is asked for");
        world.pass(Duration::from_millis(1_100));
        assert_eq!(world.heard(), [Heard::Ready(backing)], "and not waited for any longer");
    }
}

#[test]
fn a_probe_that_fails_is_tried_again_with_the_next_conversation() {
    let mut world = World::new(server(vec![http(1)]));
    let (first, second) = (world.open(), world.open());
    world.refuse();
    let refused = UpstreamFault::Refused(REFUSED);
    let mut heard = world.heard();
    heard.sort_by_key(|heard| matches!(heard, Heard::Lost(token, _) if *token == second));
    assert_eq!(heard, [Heard::Lost(first, refused.clone()), Heard::Lost(second, refused)]);
    let third = world.open();
    let wire = world.accept();
    world.receive(wire, json(503, "later").as_bytes());
    assert_eq!(world.heard(), [Heard::Lost(third, UpstreamFault::Http(503))]);
    world.open();
    assert!(world.written(wire).contains("server/discover"));
}

#[test]
fn a_revision_nobody_speaks_ends_the_conversation() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.open();
    let wire = world.accept();
    world.receive(wire, json(400, "").as_bytes());
    world.receive(wire, json(200, &INITIALIZED.replace("2025-06-18", "1999-01-01")).as_bytes());
    assert_eq!(world.heard(), [Heard::Lost(backing, UpstreamFault::Garbage)]);
}

#[test]
fn who_closes_while_the_probe_is_out_hears_nothing() {
    let mut world = World::new(server(vec![http(1)]));
    let (first, second) = (world.open(), world.open());
    world.act(|shard, cx| shard.close_backing(first, cx));
    let wire = world.accept();
    world.receive(wire, json(200, DISCOVERED).as_bytes());
    assert_eq!(world.heard(), [Heard::Ready(second)]);
}
