//! WebSockets and channels.

use weir_ring::op::RecvMode;
use weir_transports::phoenix::client as phoenix;
use weir_transports::websocket::{Opcode, client};

use super::*;

const MODERN: &str = r#""params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;

impl World {
    pub(in crate::downstream) fn upgrade(&mut self, path: &str, protocol: &str) -> Token {
        let token = self.accept();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
        );
        assert_eq!(status(&self.ask(token, &request)), 101);
        token
    }

    /// The texts that answer a text.
    fn tell(&mut self, token: Token, text: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        client::write_frame(&mut bytes, client::FIN | Opcode::Text as u8, text.as_bytes(), [1, 2, 3, 4]);
        self.events.push_back(Event::Received(token, bytes));
        self.turn();
        self.texts(token)
    }

    pub(in crate::downstream) fn texts(&mut self, token: Token) -> Vec<String> {
        let bytes = self.read_bytes(token);
        let (mut rest, mut texts) = (&bytes[..], Vec::new());
        while let Some(frame) = client::read_frame(rest).expect("a frame") {
            texts.push(String::from_utf8_lossy(frame.payload).into_owned());
            rest = &rest[frame.bytes..];
        }
        texts
    }

    pub(in crate::downstream) fn push(
        &mut self,
        token: Token,
        topic: &str,
        event: &str,
        payload: &str,
    ) -> Vec<String> {
        let mut text = Vec::new();
        phoenix::push(&mut text, Some("1"), Some("2"), topic, event, payload.as_bytes());
        self.tell(token, &String::from_utf8(text).expect("text"))
    }
}

fn rpc(id: u32, rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#)
}

fn initialize(id: u32) -> String {
    rpc(id, r#""method":"initialize","params":{"protocolVersion":"2025-06-18"}"#)
}

#[test]
fn a_websocket_is_a_session_once_it_is_initialized() {
    let mut world = World::new();
    let token = world.upgrade("/mcp/ws", "Sec-WebSocket-Protocol: mcp\r\n");
    assert_eq!(world.tell(token, &rpc(1, r#""method":"ping""#)), [rpc(1, r#""result":{}"#)]);
    assert!(world.tell(token, &rpc(2, r#""method":"tools/list""#))[0].contains("-32600"));
    assert!(world.tell(token, "{")[0].contains("-32700"));
    let answers = world.tell(token, &initialize(3));
    assert!(answers[0].contains(r#""id":3"#) && answers[0].contains("2025-06-18"), "{answers:?}");
    assert!(world.tell(token, &initialize(4))[0].contains("-32600"));
    let (session, _) = world.shard.mcp.sessions.iter().next().expect("a session");
    world.deliver(Outlet::Session { session }, Delivery::Interim, "{\"n\":1}");
    assert_eq!(world.texts(token), ["{\"n\":1}"]);
    world.end(token);
    assert_eq!(world.slots(), 0, "the session ends with its connection");
}

#[test]
fn stateless_messages_need_no_session() {
    let mut world = World::new();
    let token = world.upgrade("/mcp/ws", "");
    let discovered = world.tell(token, &rpc(1, &format!(r#""method":"server/discover",{MODERN}"#)));
    assert!(discovered[0].contains("supportedVersions"), "{discovered:?}");
    assert_eq!(world.slots(), 0);
    world.deliver(Outlet::Link { connection: token }, Delivery::Interim, "{}");
    world.deliver(Outlet::Link { connection: token }, Delivery::Nothing, "");
    assert_eq!(world.texts(token), ["{}"]);
}

#[test]
fn what_a_connection_asked_without_a_session_ends_with_it_or_when_it_says_so() {
    let mut world = World::new();
    let token = world.upgrade("/mcp/ws", "");
    let meta = MODERN.strip_prefix(r#""params":{"#).expect("parameters");
    let sleep = SLEEP
        .replace(r#""params":{"#, &format!(r#""params":{{{},"#, meta.strip_suffix('}').expect("an object")));
    for id in 1..=3 {
        assert!(world.tell(token, &rpc(id, &sleep)).is_empty());
    }
    assert_eq!(world.shard.mcp.calls.len(), 3);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#;
    assert!(world.tell(token, cancel).is_empty());
    assert_eq!(world.shard.mcp.calls.len(), 2);
    world.end(token);
    assert!(world.shard.mcp.calls.is_empty() && world.shard.serving.is_done());
}

#[test]
fn nothing_is_sent_after_a_close() {
    let mut world = World::new();
    let token = world.upgrade("/mcp/ws", "");
    world.events.push_back(Event::Unsent(token, b"tail".to_vec()));
    world.turn();
    world.deliver(Outlet::Link { connection: token }, Delivery::Interim, "{}");
    let mut close = Vec::new();
    client::write_frame(&mut close, client::FIN | Opcode::Close as u8, &[3, 232], [1, 2, 3, 4]);
    world.events.push_back(Event::Received(token, close));
    world.turn();
    world.read_bytes(token);
    world.events.push_back(Event::Drained(token));
    world.turn();
    let sent = world.read_bytes(token);
    assert!(sent.starts_with(b"\x81\x02{}\x88\x02"), "{sent:?}");
}

#[test]
fn each_channel_is_a_session_of_its_own() {
    let mut world = World::new();
    let token = world.upgrade("/mcp/ws/websocket?vsn=2.0.0", "");
    for topic in ["mcp:a", "mcp:b"] {
        assert_eq!(world.push(token, topic, "phx_join", "{}").len(), 1);
        let answers = world.push(token, topic, "mcp", &initialize(5));
        assert_eq!(
            answers[0],
            format!(r#"["1","2","{topic}","phx_reply",{{"status":"ok","response":{{}}}}]"#)
        );
        assert!(answers[1].starts_with(&format!(r#"["1",null,"{topic}","mcp",{{"jsonrpc":"2.0","id":5"#)));
    }
    assert_eq!(world.slots(), 2);
    let (session, _) = world.shard.mcp.sessions.iter().nth(1).expect("the second session");
    world.deliver(Outlet::Session { session }, Delivery::Interim, "{}");
    assert_eq!(world.texts(token), [r#"["1",null,"mcp:b","mcp",{}]"#]);
    world.push(token, "mcp:a", "phx_leave", "{}");
    assert_eq!(world.slots(), 1, "a session ends with its channel");
    let pong = world.push(token, "mcp:b", "mcp", &rpc(6, r#""method":"ping""#));
    assert_eq!(pong[1], format!(r#"["1",null,"mcp:b","mcp",{}]"#, rpc(6, r#""result":{}"#)));
    world.end(token);
    assert_eq!(world.slots(), 0);
}

/// How the connection was asked to be read since it was last looked at.
fn modes(world: &mut World) -> Vec<RecvMode> {
    let modes = world.ops.iter().filter_map(|op| match op {
        Op::Recv { mode, .. } => Some(*mode),
        _ => None,
    });
    let modes = modes.collect();
    world.ops.clear();
    modes
}

#[test]
fn who_says_one_thing_is_parked_again_and_who_goes_on_gets_a_multishot_recv() {
    let mut world = World::new();
    let token = world.upgrade("/mcp/ws?client_id=u1", "");
    assert_eq!(modes(&mut world).last(), Some(&RecvMode::Park));
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let say = |world: &mut World| {
        world.events.push_back(Event::Readable(token));
        world.turn();
        let mut asked = modes(world);
        assert_eq!(world.tell(token, ping).len(), 1);
        asked.append(&mut modes(world));
        asked
    };
    assert_eq!(say(&mut world), [RecvMode::Once, RecvMode::Park]);
    world.now += 20_000_000_000;
    assert_eq!(say(&mut world), [RecvMode::Once, RecvMode::Park]);
    assert_eq!(say(&mut world), [RecvMode::Stream]);
    world.now += 2_000_000_000;
    world.turn();
    assert_eq!(modes(&mut world), [RecvMode::Park]);
}
