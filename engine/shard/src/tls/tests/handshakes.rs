//! Handshakes that are many, slow or never end.

use rustls::version::TLS13;

use super::super::STEPS_PER_TURN;
use super::*;

#[test]
fn a_turn_takes_few_handshakes_and_the_next_one_is_due_at_once() {
    let keys = Keys::new("localhost");
    let config = keys.client(&TLS13);
    let mut world = World::new(1, &keys, keys.server(None));
    let mut clients: Vec<Client> = (0..11).map(|_| Client::new(&mut world, 0, &config)).collect();
    for client in &mut clients {
        let mut hello = Vec::new();
        client.tls.write_tls(&mut hello).expect("a vector has room");
        world.receive(client.line, &hello);
    }
    let answered = |world: &World| world.lines.iter().filter(|line| !line.sent.is_empty()).count();
    for turn in 1..=2 {
        world.turn(0);
        assert_eq!(answered(&world), turn * STEPS_PER_TURN as usize);
        assert!(world.nodes[0].due.0 <= world.now, "the next turn is due");
    }
    world.settle();
    for client in &mut clients {
        assert!(client.ask(&mut world, REQUEST).starts_with("HTTP/1.1 404 "));
    }
}

#[test]
fn a_handshake_has_as_long_as_a_head() {
    let keys = Keys::new("localhost");
    let mut world = World::new(1, &keys, keys.server(None));
    let silent = world.connect(0);
    let mut client = Client::new(&mut world, 0, &keys.client(&TLS13));
    let mut hello = Vec::new();
    client.tls.write_tls(&mut hello).expect("a vector has room");
    for byte in hello.iter().take(4) {
        world.receive(client.line, &[*byte]);
        world.pass(Duration::from_secs(1));
    }
    assert!(!world.lines[silent].closed && !world.lines[client.line].closed);
    world.pass(Duration::from_secs(2));
    assert!(world.lines[silent].closed && world.lines[client.line].closed);
    assert_eq!(world.nodes[0].shard.stats.tls.failed, 2);
}

#[test]
fn the_second_connection_of_a_client_resumes() {
    let keys = Keys::new("localhost");
    let config = keys.client(&TLS13);
    let mut server = keys.server(None);
    server.ticketer = ring::Ticketer::new().expect("randomness");
    let mut world = World::new(2, &keys, server);
    for (shard, resumed) in [(0, 0), (1, 1)] {
        let mut client = Client::new(&mut world, shard, &config);
        assert!(client.ask(&mut world, REQUEST).starts_with("HTTP/1.1 404 "));
        assert_eq!(world.nodes[shard].shard.stats.tls.resumed, resumed);
    }
}
