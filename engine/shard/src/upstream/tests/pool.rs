//! Connections are used again, and there are only so many.

use super::*;
use crate::vsm::Cause;

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
fn who_was_told_does_not_wait_any_more() {
    let mut world = World::new(small());
    let backing = world.modern();
    for _ in 0..3 {
        world.call(backing);
    }
    world.accept();
    world.pass(Duration::from_millis(5_100));
    world.heard();
    assert_eq!(world.shard.pools(world.now)[0].queue_length, 0);
    world.call(backing);
    assert_eq!(world.heard(), [], "the queue, which is for one, has room for the next");
}

#[test]
fn who_waits_has_a_connection_once_there_may_be_more() {
    let mut world = World::new(small());
    let backing = world.modern();
    for _ in 0..3 {
        world.call(backing);
    }
    world.accept();
    assert!(world.dialled.is_empty(), "the third waits");
    world.shard.hold_pool("server", |server| &mut server.size, Some(2), Instant(u64::MAX));
    world.act(|shard, cx| shard.serve_queues(cx));
    assert_eq!(world.dialled.len(), 1);
    let view = &world.shard.pools(world.now)[0];
    assert_eq!((view.status, view.in_use, view.queue_length), ("overflow", 3, 0));
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

/// Two servers, at ports 1 and 2, that may have four connections together, the second with three times the weight.
fn shared() -> (World, [Token; 2]) {
    let mut world = World::new(server(vec![http(1)]));
    let named =
        |port: u16, weight| Upstream { weight, name: format!("s{port}").into(), ..server(vec![http(port)]) };
    let mut config = Config { upstreams: vec![named(1, 1), named(2, 3)], ..Config::default() };
    config.control.pool_total = 4;
    world.shard = Shard::new(Arc::new(config), Member(0), 7);
    world.shard.upstream.heard = Some(Vec::new());
    world.turn();
    let backings = [UpstreamId(0), UpstreamId(1)].map(|upstream| world.modern_at(upstream));
    (world, backings)
}

fn ports(world: &World) -> Vec<u16> {
    let port = |(_, address): &(Token, Address)| match address {
        Address::Tcp(address) => address.port(),
        Address::Local(_) => 0,
    };
    world.dialled.iter().map(port).collect()
}

#[test]
fn pools_with_a_bound_together_use_what_others_leave() {
    let (mut world, [first, _]) = shared();
    let (lazy, _) = world.shard.conns.iter().last().expect("the second's connection");
    for _ in 0..6 {
        world.call(first);
    }
    assert_eq!(ports(&world), [1, 1, 1], "four with the one there was");
    assert_eq!(world.closed, [lazy], "the other server's had nothing to do");
    let pools = world.shard.pools(world.now);
    let counted: Vec<_> = pools.iter().map(|pool| (pool.in_use, pool.queue_length, pool.allocated)).collect();
    assert_eq!(counted, [(4, 2, Some(4)), (0, 0, Some(0))]);
}

#[test]
fn a_connection_that_is_free_goes_to_who_has_least_of_what_it_is_due() {
    let (mut world, [first, second]) = shared();
    let (wire, _) = world.shard.conns.iter().next().expect("the first's connection");
    let legs: Vec<Token> = (0..6).map(|_| world.call(first)).collect();
    let mut wires = vec![wire];
    wires.extend((0..3).map(|_| world.accept()));
    for _ in 0..3 {
        world.call(second);
    }
    assert!(world.dialled.is_empty(), "all four are at work");
    for (n, wire) in wires.iter().enumerate().take(3) {
        world.receive(*wire, json(200, &result(legs[n])).as_bytes());
        assert_eq!(ports(&world), vec![2; n + 1], "three of four are the second's");
    }
    world.receive(wires[3], json(200, &result(legs[3])).as_bytes());
    assert!(world.written(wires[3]).contains(&wire_id::of(legs[4]).to_string()), "and one is the first's");
    assert_eq!(ports(&world), [2, 2, 2]);
    world.shard.hold_pool("s1", |server| &mut server.weight, Some(100), Instant(u64::MAX));
    let answered = world.accept();
    let leg = Token { index: 6, generation: 3 };
    world.call(second);
    world.receive(answered, json(200, &result(leg)).as_bytes());
    assert_eq!(ports(&world), [2, 2, 1], "an operator has changed his mind");
}

#[test]
fn a_full_pool_hurts_until_a_connection_is_free() {
    let mut world = World::new(small());
    let backing = world.modern();
    let legs: Vec<Token> = (0..4).map(|_| world.call(backing)).collect();
    assert_eq!(world.shard.stats.control.pool_exhausted, 1);
    let pain = Cause::Pool("server".into());
    assert!(world.shard.pains.contains(&pain));
    let overflow = world.accept();
    for leg in &legs[1..3] {
        world.receive(overflow, json(200, &result(*leg)).as_bytes());
    }
    assert!(world.shard.pains.is_empty());
    let view = world.shard.pools(world.now);
    assert_eq!((view[0].status, view[0].size, view[0].in_use, view[0].overflow), ("ready", 1, 1, 0));
}
