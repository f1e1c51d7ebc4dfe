//! Children and their pipes.

use super::*;

const UNKNOWN: &str =
    "{\"jsonrpc\":\"2.0\",\"id\":\"weir-discover\",\"error\":{\"code\":-32601,\"message\":\"\"}}\n";

fn line(text: &str) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}

/// A conversation with a legacy child, ready, and its pipe.
fn legacy(world: &mut World) -> (Token, Token) {
    let backing = world.open();
    let wire = world.accept();
    world.receive(wire, UNKNOWN.as_bytes());
    world.receive(wire, &line(INITIALIZED));
    assert_eq!(world.heard(), [Heard::Ready(backing)]);
    (backing, wire)
}

#[test]
fn the_first_child_is_probed_and_the_next_are_not() {
    let mut world = World::new(server(vec![child()]));
    let backing = world.open();
    let wire = world.accept();
    assert!(
        world
            .written(wire)
            .starts_with(r#"{"jsonrpc":"2.0","id":"weir-discover","method":"server/discover""#)
    );
    world.receive(wire, UNKNOWN.as_bytes());
    assert!(world.written(wire).contains(r#""method":"initialize""#), "on the same pipe");
    world.receive(wire, &line(INITIALIZED));
    assert_eq!(world.written(wire), "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    assert_eq!(world.heard(), [Heard::Ready(backing)]);
    world.open();
    let other = world.accept();
    assert!(other != wire && world.written(other).contains(r#""method":"initialize""#));
}

#[test]
fn a_silent_child_is_a_legacy_one_and_its_late_answer_is_nothing() {
    let mut world = World::new(server(vec![child()]));
    let backing = world.open();
    let wire = world.accept();
    world.pass(Duration::from_millis(2_900));
    world.written(wire);
    world.pass(Duration::from_millis(200));
    assert!(world.written(wire).contains(r#""method":"initialize""#));
    world.receive(wire, UNKNOWN.as_bytes());
    world.receive(wire, &line(INITIALIZED));
    assert_eq!(world.heard(), [Heard::Ready(backing)]);
}

#[test]
fn a_child_that_dies_of_the_probe_is_started_again_without_it() {
    let mut world = World::new(server(vec![child()]));
    let backing = world.open();
    let wire = world.accept();
    world.end(wire);
    world.pass(Duration::from_millis(150));
    let wire = world.accept();
    assert!(world.written(wire).starts_with(r#"{"jsonrpc":"2.0","id":"weir-initialize""#));
    world.receive(wire, &line(INITIALIZED));
    assert_eq!(world.heard(), [Heard::Ready(backing)]);
}

#[test]
fn a_modern_child_serves_all() {
    let mut world = World::new(server(vec![child()]));
    let backings = [world.open(), world.open()];
    let wire = world.accept();
    world.receive(wire, &line(DISCOVERED));
    assert_eq!(world.heard(), backings.map(Heard::Ready));
    assert!(world.dialled.is_empty());
    let (one, two) = (world.call(backings[0]), world.call(backings[1]));
    world.receive(wire, &[line(&result(two)), line(&result(one))].concat());
    assert_eq!(world.heard(), [Heard::Leg(two, result(two)), Heard::Leg(one, result(one))]);
    world.act(|shard, cx| shard.close_backing(backings[0], cx));
    assert!(world.closed.is_empty(), "it stays");
    let leg = world.ask(backings[1], false, true);
    let id = wire_id::of(leg);
    let acknowledged = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    );
    world.receive(wire, &line(&acknowledged));
    assert_eq!(world.heard(), [Heard::Leg(leg, acknowledged)]);
    world.written(wire);
    world.act(|shard, cx| shard.cancel_leg(backings[1], leg, cx));
    assert!(world.written(wire).contains("notifications/cancelled"));
    world.end(wire);
    assert_eq!(world.heard(), [Heard::Lost(backings[1], UpstreamFault::Exited)]);
    world.open();
    let next = world.accept();
    assert!(world.written(next).contains("server/discover"), "it may be another program now");
}

#[test]
fn lines_find_their_leg_and_the_rest_their_conversation() {
    let mut world = World::new(server(vec![child()]));
    let (backing, wire) = legacy(&mut world);
    let leg = world.call(backing);
    let id = wire_id::of(leg);
    let progress =
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id}}}}}"#);
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let roots = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;
    let stray = result(Token { index: 50, generation: 0 });
    let text =
        [&*progress, "Server is running!", "", changed, roots, &stray, &result(leg)].join("\n") + "\r\n";
    let garbage = world.shard.stats.upstream.garbage;
    world.receive_in_pieces(wire, text.as_bytes(), 7);
    assert_eq!(
        world.heard(),
        [
            Heard::Leg(leg, progress),
            Heard::Backing(backing, changed.into()),
            Heard::Backing(backing, roots.into()),
            Heard::Leg(leg, result(leg))
        ]
    );
    assert_eq!(world.shard.stats.upstream.garbage - garbage, 2);
    world.receive(wire, &line(&result(leg)));
    assert_eq!(world.heard(), [], "a second answer is nothing");
}

#[test]
fn line_ends_inside_of_a_message_do_not_cut_it() {
    let mut world = World::new(server(vec![child()]));
    let (backing, wire) = legacy(&mut world);
    world.written(wire);
    world.act(|shard, cx| shard.tell_upstream(backing, b"{\"jsonrpc\":\"2.0\",\r\n\"method\":\"x\"}", cx));
    assert_eq!(world.written(wire), "{\"jsonrpc\":\"2.0\",  \"method\":\"x\"}\n");
}

#[test]
fn the_end_of_a_child_fails_its_legs_and_ends_the_conversation() {
    let mut world = World::new(server(vec![child()]));
    let (backing, wire) = legacy(&mut world);
    let legs = [world.call(backing), world.call(backing)];
    world.end(wire);
    let exited = UpstreamFault::Exited;
    let failed = legs.map(|leg| Heard::Failed(leg, exited.clone()));
    assert_eq!(world.heard(), [&failed[..], &[Heard::Lost(backing, exited)]].concat());
    assert_eq!(world.closed, [wire]);
    world.turn();
    assert_eq!((world.shard.conns.len(), world.shard.upstream.servers[0].children), (0, 0));
}

#[test]
fn children_that_fail_are_started_later_and_later() {
    let mut world = World::new(server(vec![child()]));
    let (backing, _) = legacy(&mut world);
    world.act(|shard, cx| shard.close_backing(backing, cx));
    assert_eq!(world.closed.len(), 1, "its pipe");
    for wait in [0, 100, 200, 400] {
        let backing = world.open();
        world.pass(Duration::from_millis(wait * 3 / 4).saturating_sub(Duration::from_millis(40)));
        assert_eq!(world.dialled.is_empty(), wait > 0, "{wait}");
        world.pass(Duration::from_millis(wait / 4 + 60));
        world.refuse();
        assert_eq!(world.heard(), [Heard::Lost(backing, UpstreamFault::Refused(REFUSED))]);
    }
    for _ in 0..3 {
        world.open();
        world.pass(Duration::from_millis(3_300));
        world.refuse();
    }
    assert_eq!(world.try_open(), Err(UpstreamFault::Exited), "too long to wait for");
}

#[test]
fn there_are_as_many_children_as_configured() {
    let mut config = server(vec![child()]);
    config.pool.size = 1;
    let mut world = World::new(config);
    legacy(&mut world);
    let backing = world.open();
    assert_eq!(world.heard(), [Heard::Lost(backing, UpstreamFault::Overloaded)]);
}

#[test]
fn a_call_that_takes_too_long_is_cancelled() {
    let mut world = World::new(server(vec![child()]));
    let (backing, wire) = legacy(&mut world);
    let leg = world.call(backing);
    world.written(wire);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::TimedOut)]);
    let cancelled = world.written(wire);
    assert!(
        cancelled.contains("notifications/cancelled") && cancelled.contains(&wire_id::of(leg).to_string())
    );
    assert!(world.closed.is_empty(), "the child goes on");
}
