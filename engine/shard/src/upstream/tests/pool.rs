//! Connections are used again, and there are only so many.

use super::*;

fn small() -> Upstream {
    let mut config = server(vec![http(1)]);
    (config.pool.size, config.pool.overflow, config.pool.queue) = (1, 1, 1);
    config
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    for _ in 0..5 {
        let leg = world.call(backing);
        assert!(world.dialled.is_empty());
        let (wire, _) = world.shard.conns.iter().next().expect("one");
        world.receive(wire, json(200, &result(leg)).as_bytes());
        assert_eq!(world.heard(), [Heard::Leg(leg, result(leg))]);
    }
}

#[test]
fn there_are_as_many_connections_and_waiting_requests_as_configured() {
    let mut world = World::new(small());
    let backing = world.modern();
    let legs: Vec<Token> = (0..4).map(|_| world.call(backing)).collect();
    assert_eq!(world.heard(), [Heard::Failed(legs[3], UpstreamFault::Overloaded)]);
    let overflow = world.accept();
    assert!(world.dialled.is_empty(), "the third waits");
    world.receive(overflow, json(200, &result(legs[1])).as_bytes());
    assert!(
        world.written(overflow).contains(&wire_id::of(legs[2]).to_string()),
        "for the first that is free"
    );
    world.receive(overflow, json(200, &result(legs[2])).as_bytes());
    assert_eq!(world.closed, [overflow], "and what is beyond the pool's size goes");
    assert_eq!(world.heard().len(), 2);
}

#[test]
fn who_waits_too_long_is_told() {
    let mut world = World::new(small());
    let backing = world.modern();
    let legs: Vec<Token> = (0..3).map(|_| world.call(backing)).collect();
    world.accept();
    world.pass(Duration::from_millis(5_100));
    let heard = world.heard();
    assert!(heard.contains(&Heard::Failed(legs[2], UpstreamFault::Overloaded)), "{heard:?}");
}

#[test]
fn a_response_that_closes_is_the_connections_last() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.call(backing);
    let (wire, _) = world.shard.conns.iter().next().expect("one");
    let response = json(200, &result(leg)).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    world.receive(wire, response.as_bytes());
    assert_eq!((world.heard(), &*world.closed), (vec![Heard::Leg(leg, result(leg))], &[wire][..]));
    world.call(backing);
    assert_eq!(world.dialled.len(), 1);
}

#[test]
fn idle_connections_are_closed_when_the_server_would() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.call(backing);
    let (wire, _) = world.shard.conns.iter().next().expect("one");
    let response = json(200, &result(leg)).replacen("\r\n", "\r\nKeep-Alive: timeout=5\r\n", 1);
    world.receive(wire, response.as_bytes());
    world.pass(Duration::from_millis(3_900));
    assert!(world.closed.is_empty());
    world.pass(Duration::from_millis(200));
    assert_eq!(world.closed, [wire]);
    world.turn();
    assert_eq!(world.shard.upstream.wires, 0);
}

#[test]
fn a_silent_address_is_given_up() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.open();
    world.pass(Duration::from_millis(5_100));
    assert_eq!(world.heard(), [Heard::Lost(backing, UpstreamFault::Refused(Errno(110)))]);
    let late = world.accept();
    assert_eq!(world.closed, [late]);
    world.turn();
    assert_eq!((world.shard.conns.len(), world.shard.stats.connections), (0, 0));
}
