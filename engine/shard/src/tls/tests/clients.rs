//! What clients say and hear.

use proptest::prelude::*;
use rustls::version::{TLS12, TLS13};

use super::*;

const UPGRADE: &str = "GET /mcp/ws/echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A binary message, masked with zeros (RFC 6455, 5.3).
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        0..126 => frame.push(0x80 | payload.len() as u8),
        _ => {
            frame.push(0xff);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn both_versions_are_spoken() {
    let keys = Keys::new("localhost");
    for version in [&TLS12, &TLS13] {
        let mut world = World::new(1, &keys, keys.server(None));
        let mut client = Client::new(&mut world, 0, &keys.client(version));
        let answer = client.ask(&mut world, REQUEST);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert_eq!(client.tls.protocol_version(), Some(version.version));
        // And once more on the same connection.
        assert!(client.ask(&mut world, REQUEST).starts_with("HTTP/1.1 404 "));
        let stats = &world.nodes[0].shard.stats;
        assert_eq!((stats.tls.handshakes, stats.tls.failed), (1, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Wherever the network cuts what a client sends, it is served the same.
    #[test]
    fn any_cut_of_the_bytes_is_served(cuts in prop::collection::vec(1_usize..600, 1..40), old in any::<bool>()) {
        let keys = Keys::new("localhost");
        let version = if old { &TLS12 } else { &TLS13 };
        let mut world = World::new(1, &keys, keys.server(None));
        let mut client = Client::new(&mut world, 0, &keys.client(version));
        client.say(REQUEST.as_bytes());
        client.talk(&mut world, &mut cuts.iter().copied().cycle()).expect("TLS");
        client.say(UPGRADE.as_bytes());
        client.say(&frame(b"hello"));
        client.talk(&mut world, &mut cuts.iter().copied().cycle()).expect("TLS");
        let heard = String::from_utf8_lossy(&client.heard).into_owned();
        prop_assert!(heard.starts_with("HTTP/1.1 404 "), "{}", heard);
        prop_assert!(heard.contains("HTTP/1.1 101 "), "{}", heard);
        prop_assert!(client.heard.ends_with(b"\x82\x05hello"), "{}", heard);
        // Nothing is kept of a connection at rest.
        let connection = world.connection(client.line).expect("open");
        let tls = format!("{:?}", connection.tls);
        prop_assert!(tls.contains("spill: 0 B, outgoing: 0 B"), "{}", tls);
    }

    /// Bytes that are no TLS make no shard panic, and end their connection.
    #[test]
    fn garbage_ends_a_connection(bytes in prop::collection::vec(any::<u8>(), 1..400), hello in any::<bool>()) {
        let keys = Keys::new("localhost");
        let mut world = World::new(1, &keys, keys.server(None));
        let mut client = Client::new(&mut world, 0, &keys.client(&TLS13));
        if hello {
            client.talk(&mut world, &mut std::iter::empty()).expect("TLS");
        }
        world.receive(client.line, &bytes);
        world.settle();
        world.pass(Duration::from_secs(10));
        world.pass(Duration::from_secs(10));
        prop_assert!(hello || world.lines[client.line].closed);
    }
}

/// A peer that takes little of each send gets it all, in order, and what it sent meanwhile comes back.
#[test]
fn big_messages_pass_both_ways_to_a_slow_reader() {
    let keys = Keys::new("localhost");
    for version in [&TLS12, &TLS13] {
        let mut world = World::new(1, &keys, keys.server(None));
        let mut client = Client::new(&mut world, 0, &keys.client(version));
        assert!(client.ask(&mut world, UPGRADE).starts_with("HTTP/1.1 101 "));
        world.lines[client.line].room = 1_000;
        let payload: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        for part in frame(&payload).chunks(30_000) {
            client.say(part);
            client.talk(&mut world, &mut std::iter::repeat(2_048)).expect("TLS");
        }
        client.say(&frame(b"and a small one"));
        client.talk(&mut world, &mut std::iter::repeat(2_048)).expect("TLS");
        assert_eq!(client.heard[..2], [0x82, 127]);
        assert_eq!(client.heard[2..10], (payload.len() as u64).to_be_bytes());
        assert!(client.heard[10..].starts_with(&payload));
        assert!(client.heard.ends_with(b"and a small one"));
    }
}

/// The connection moves to its client's home with its keys.
#[test]
fn a_connection_that_moves_takes_its_tls_along() {
    let keys = Keys::new("localhost");
    let mut world = World::new(2, &keys, keys.server(None));
    for number in 0..8 {
        let mut client = Client::new(&mut world, 0, &keys.client(&TLS13));
        let sse = format!(
            "GET /mcp/sse?client_id=c{number} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        );
        let answer = client.ask(&mut world, &sse);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let before = client.heard.len();
        world.pass(Duration::from_secs(40));
        client.talk(&mut world, &mut std::iter::empty()).expect("TLS");
        assert!(client.heard.len() > before, "a heartbeat");
    }
    let moved = world.nodes[0].shard.stats.handed_over;
    assert!((1..8).contains(&moved), "{moved} of 8");
}

#[test]
fn who_showed_a_certificate_is_known() {
    let (keys, alice) = (Keys::new("localhost"), Keys::new("alice.example"));
    let mut world = World::new(1, &keys, keys.server(Some(&alice)));
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(keys.roots())
        .with_client_auth_cert(vec![alice.cert.clone()], alice.key.clone_key())
        .expect("a pair");
    let mut client = Client::new(&mut world, 0, &config.into());
    assert!(client.ask(&mut world, REQUEST).starts_with("HTTP/1.1 404 "));
    let tls = world.connection(client.line).and_then(|connection| connection.tls.as_ref());
    let subject = tls.and_then(|tls| tls.subject()).expect("a subject");
    assert_eq!(subject.common_name.as_deref(), Some("alice.example"));
    assert_eq!(subject.dns_names, ["alice.example"]);

    let mut nobody = Client::new(&mut world, 0, &keys.client(&TLS13));
    nobody.say(REQUEST.as_bytes());
    let refused = nobody.talk(&mut world, &mut std::iter::empty());
    assert_eq!(refused, Err(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)));
}
