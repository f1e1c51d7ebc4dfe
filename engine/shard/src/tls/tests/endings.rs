//! How connections end.

use rustls::version::{TLS12, TLS13};

use super::*;
use crate::mail::{DrainOrder, Mail};

#[test]
fn an_orderly_end_says_so_before_the_socket_does() {
    let keys = Keys::new("localhost");
    for version in [&TLS12, &TLS13] {
        let mut world = World::new(1, &keys, keys.server(None));
        let mut client = Client::new(&mut world, 0, &keys.client(version));
        let request = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answer = client.ask(&mut world, &request);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(client.ended && world.lines[client.line].shut);
    }
}

#[test]
fn a_client_that_says_goodbye_is_let_go() {
    let keys = Keys::new("localhost");
    let mut world = World::new(1, &keys, keys.server(None));
    let mut client = Client::new(&mut world, 0, &keys.client(&TLS13));
    client.ask(&mut world, REQUEST);
    client.tls.send_close_notify();
    client.talk(&mut world, &mut std::iter::empty()).expect("TLS");
    assert!(world.lines[client.line].closed);
}

#[test]
fn plain_http_is_told_to_speak_tls() {
    let keys = Keys::new("localhost");
    let mut world = World::new(1, &keys, keys.server(None));
    let line = world.connect(0);
    world.receive(line, REQUEST.as_bytes());
    world.settle();
    let answer = String::from_utf8(world.lines[line].sent.clone()).expect("plain text");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    assert!(world.lines[line].shut);
    assert_eq!(world.nodes[0].shard.stats.tls.plaintext, 1);
}

#[test]
fn a_record_that_was_changed_ends_the_connection_with_an_alert() {
    let keys = Keys::new("localhost");
    let mut world = World::new(1, &keys, keys.server(None));
    let mut client = Client::new(&mut world, 0, &keys.client(&TLS13));
    client.ask(&mut world, REQUEST);
    client.say(REQUEST.as_bytes());
    let mut bytes = Vec::new();
    client.tls.write_tls(&mut bytes).expect("a vector has room");
    *bytes.last_mut().expect("a record") ^= 1;
    world.receive(client.line, &bytes);
    world.settle();
    let refused = client.talk(&mut world, &mut std::iter::empty());
    assert_eq!(refused, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    assert!(world.lines[client.line].shut);
    assert_eq!(world.nodes[0].shard.stats.tls.failed, 1);
}

/// While a drain is on, newcomers are answered, although that takes a handshake.
#[test]
fn who_comes_while_the_gateway_stops_is_told_why() {
    let keys = Keys::new("localhost");
    let mut world = World::new(1, &keys, keys.server(None));
    // Somebody is there, or the drain would be over at once.
    let mut other = Client::new(&mut world, 0, &keys.client(&TLS13));
    other.ask(&mut world, "GET /mcp/sse?client_id=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let line = world.connect(0);
    world.nodes[0].post.inbox.push(Mail::Drain(DrainOrder::default()));
    world.nodes[0].events.push_back(Event::Accepted(Socket(2)));
    let late = Line {
        shard: 0,
        token: None,
        armed: RecvMode::Off,
        sent: Vec::new(),
        room: usize::MAX,
        shut: false,
        closed: false,
    };
    world.lines.push(late);
    world.settle();
    let mut late = Client { line: 2, ..Client::new(&mut world, 0, &keys.client(&TLS13)) };
    let answer = late.ask(&mut world, "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(late.ended, "an orderly end");
    world.end(line);
}
