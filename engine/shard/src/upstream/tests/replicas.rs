//! Replicas, retries and the breaker.

use super::*;
use crate::limits::Breaker;

fn port(address: &Address) -> u16 {
    match address {
        Address::Tcp(address) => address.port(),
        Address::Local(_) => 0,
    }
}

/// A modern conversation with a server of three replicas, and its home.
fn three() -> (World, Token, u16) {
    let mut world = World::new(server(vec![http(1), http(2), http(3)]));
    let backing = world.open();
    let home = port(&world.dialled[0].1);
    let wire = world.accept();
    let closing = json(200, DISCOVERED).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    world.receive(wire, closing.as_bytes());
    assert_eq!(world.heard(), [Heard::Ready(backing)]);
    (world, backing, home)
}

#[test]
fn what_does_no_harm_is_asked_again_elsewhere() {
    let (mut world, backing, home) = three();
    let home_again = {
        world.ask(backing, true, false);
        port(&world.refuse())
    };
    let second = port(&world.dialled[0].1);
    assert!(home_again != second && world.shard.stats.upstream.retries == 1);
    let wire = world.accept();
    let request = world.written(wire);
    assert!(
        request.starts_with(&format!("POST /mcp HTTP/1.1\r\nHost: server:{second}\r\nAccept: ")),
        "{request}"
    );
    // The end of the connection before any byte of an answer is no answer either.
    world.end(wire);
    let third = port(&world.refuse());
    assert!(![home_again, second].contains(&third) && home != 0);
    let heard = world.heard();
    assert!(matches!(&*heard, [Heard::Failed(_, UpstreamFault::Refused(_))]), "{heard:?}");
    assert!(world.dialled.is_empty());
}

#[test]
fn what_may_have_been_done_is_not_asked_again() {
    let (mut world, backing, _) = three();
    let leg = world.call(backing);
    let wire = world.accept();
    world.end(wire);
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Broken)]);
    let leg = world.ask(backing, true, false);
    let wire = world.accept();
    world.receive(wire, b"HTTP/1.1 200 OK\r\n");
    world.end(wire);
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Broken)], "the answer had begun");
}

#[test]
fn a_replica_that_fails_is_passed_over_until_it_answers() {
    let (mut world, backing, _) = three();
    let mut home = 0;
    for _ in 0..3 {
        world.call(backing);
        home = port(&world.refuse());
    }
    world.call(backing);
    assert_ne!(port(&world.dialled[0].1), home);
    world.accept();
    world.pass(Duration::from_millis(10_100));
    assert_eq!(port(&world.refuse()), home, "the check");
    world.pass(Duration::from_millis(10_100));
    assert_eq!(port(&world.dialled[0].1), home);
    let wire = world.accept();
    let back = json(400, "").replacen("\r\n", "\r\nConnection: close\r\n", 1);
    world.receive(wire, back.as_bytes());
    world.call(backing);
    assert_eq!(port(&world.dialled[0].1), home);
}

#[test]
fn the_breaker_refuses_without_asking() {
    let mut config = server(vec![http(1)]);
    config.breaker = Breaker { minimum: 3, probes: 1, ..config.breaker };
    let mut world = World::new(config);
    let backing = world.modern();
    for n in 0..2 {
        let leg = world.call(backing);
        if n == 0 {
            let (wire, _) = world.shard.conns.iter().next().expect("one");
            world.end(wire);
        } else {
            world.refuse();
        }
        let heard = world.heard();
        assert!(matches!(&*heard, [Heard::Failed(of, _)] if *of == leg), "{heard:?}");
    }
    assert_eq!(world.shard.stats.upstream.breaker_opened, 1);
    let leg = world.call(backing);
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::BreakerOpen)]);
    world.pass(Duration::from_secs(31));
    let (trial, another) = (world.call(backing), world.call(backing));
    assert_eq!(world.heard(), [Heard::Failed(another, UpstreamFault::BreakerOpen)]);
    let wire = world.accept();
    world.receive(wire, json(200, &result(trial)).as_bytes());
    world.heard();
    world.call(backing);
    assert_eq!(world.heard(), []);
}

#[test]
fn a_stale_connection_tells_nothing_of_its_replica() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let (wire, _) = world.shard.conns.iter().next().expect("one");
    let leg = world.ask(backing, true, false);
    world.end(wire);
    let fresh = world.accept();
    world.receive(fresh, json(200, &result(leg)).as_bytes());
    assert_eq!(world.heard(), [Heard::Leg(leg, result(leg))]);
}

#[test]
fn a_session_whose_replica_is_gone_is_lost() {
    let mut world = World::new(server(vec![http(1), http(2)]));
    let backing = world.legacy();
    let leg = world.ask(backing, true, false);
    let (wire, _) = world.shard.conns.iter().find(|(_, conn)| conn.speaks()).expect("one");
    let home = world.written(wire);
    world.end(wire);
    let again = world.accept();
    assert_eq!(world.written(again), home, "the same replica: it alone knows the session");
    world.end(again);
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Broken)]);
    let leg = world.ask(backing, true, false);
    world.refuse();
    let lost = UpstreamFault::SessionLost;
    assert_eq!(world.heard(), [Heard::Failed(leg, lost.clone()), Heard::Lost(backing, lost)]);
}
