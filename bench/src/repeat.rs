//! Turns that can be taken again and again: those whose cost is watched.

use weir_ring::op::Op;
use weir_shard::limits::Rules;
use weir_transports::websocket::{Opcode, write_frame};

use crate::script::Script;
use crate::world::{World, text_frame};

/// An MCP ping, as long as the load generator's.
pub const PING: &str = r#"{"jsonrpc":"2.0","id":10000000,"method":"ping"}"#;
/// Its answer.
const PONG: &str = r#"{"jsonrpc":"2.0","id":10000000,"result":{}}"#;

/// What people say.
const CHAT: &str = "I just subscribed to the job feed: it is on at 9, and the join took < 1 s. See you there";

/// A world, and what happens in each of its turns.
#[derive(Debug)]
pub struct Repeat {
    world: World,
    script: Script,
}

impl Repeat {
    /// Each of `connections` MCP clients sends `each` pings, in one buffer, and gets its answers in one send.
    ///
    /// # Panics
    /// If an answer is not what it should be.
    pub fn pings(connections: usize, each: usize) -> Repeat {
        let mut world = World::default();
        let clients: Vec<_> = (0..connections).map(|_| world.websocket("/mcp/ws", "mcp")).collect();
        let pings = text_frame(PING.as_bytes()).repeat(each);
        let script =
            clients.iter().fold(Script::default(), |script, client| script.received(*client, &pings));
        let repeat = Repeat { world, script }.checked(connections);
        let mut answer = Vec::new();
        write_frame(&mut answer, Opcode::Text, PONG.as_bytes());
        let answers = answer.repeat(each);
        assert!(clients.iter().all(|client| repeat.world.sent(*client) == answers));
        repeat
    }

    /// A backend publishes to a topic over HTTP; each of `subscribers` Phoenix clients gets the message.
    ///
    /// # Panics
    /// If one does not.
    pub fn fanout(subscribers: usize) -> Repeat {
        let mut world = World::default();
        let clients: Vec<_> =
            (0..subscribers).map(|n| world.joined(&format!("client-{n}"), "room:bench")).collect();
        let repeat = Repeat::publish(world, "topics/room:bench").checked(subscribers + 1);
        let message = repeat.world.sent(clients[0]);
        let text = String::from_utf8_lossy(message);
        assert!(text.contains(r#""data":{"n":1}"#), "{text}");
        assert!(clients.iter().all(|client| repeat.world.sent(*client) == message));
        repeat
    }

    /// A backend publishes to one client over HTTP; the client gets the message over Phoenix.
    ///
    /// # Panics
    /// If it does not.
    pub fn publish_to_client() -> Repeat {
        let mut world = World::default();
        let client = world.joined("u1", "mcp:gateway");
        let repeat = Repeat::publish(world, "clients/u1").checked(2);
        let text = String::from_utf8_lossy(repeat.world.sent(client));
        assert!(text.contains(r#""data":{"n":1}"#), "{text}");
        repeat
    }

    /// A client pushes a chat message of 100 bytes under these rules and is told that it was taken.
    ///
    /// # Panics
    /// If it is told otherwise.
    pub fn push(rules: Rules) -> Repeat {
        let mut world = World::with(rules);
        let client = world.joined("u1", "mcp:gateway");
        let push = format!(r#"["1","2","mcp:gateway","message",{{"type":"chat","data":"{}"}}]"#, CHAT);
        let script = Script::default().received(client, &text_frame(push.as_bytes()));
        let repeat = Repeat { world, script }.checked(1);
        let text = String::from_utf8_lossy(repeat.world.sent(client));
        assert!(text.contains(r#""accepted":true"#), "{text}");
        repeat
    }

    fn publish(mut world: World, receiver: &str) -> Repeat {
        let backend = world.connect();
        let body = r#"{"type":"chat","data":{"n":1}}"#;
        let request = format!(
            "POST /mcp/{receiver}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Repeat { world, script: Script::default().received(backend, request.as_bytes()) }
    }

    /// Has taken two turns, which sent as many times as they should: the first may do what later ones need not.
    fn checked(mut self, sends: usize) -> Repeat {
        for _ in 0..2 {
            let ops = self.turn();
            assert_eq!(ops.iter().filter(|op| matches!(op, Op::Send { .. })).count(), sends, "{ops:?}");
        }
        self
    }

    /// Takes the turn; returns what it asks for.
    pub fn turn(&mut self) -> &[Op] {
        self.world.turn(&mut self.script);
        &self.world.output().ops
    }
}
