//! One shard on one thread, with a script for a kernel.

use std::sync::Arc;
use std::time::Duration;

use weir_ring::clock::Clock;
use weir_ring::op::{Op, Output};
use weir_ring::time::{Instant, Now, Wall};
use weir_ring::token::{Member, Socket, Token};
use weir_shard::limits::{Config, Rate, Rules};
use weir_shard::{Post, Shard};
use weir_transports::websocket::{Opcode, client};

use crate::script::Script;

/// What one turn takes of the world's time.
const STEP: Duration = Duration::from_micros(20);

/// More than any bench sends, and still counted.
const PLENTY: Rate = Rate::new(1e9, 1_000_000_000);

/// A shard that is alone in its process, the time it lives in, and what its last turn asked for.
#[derive(Debug)]
pub struct World {
    shard: Shard,
    post: Post,
    output: Output,
    mono: Instant,
    sockets: u32,
}

impl Default for World {
    fn default() -> World {
        World::with(Rules::default())
    }
}

impl World {
    /// A world with these rules about messages.
    pub fn with(rules: Rules) -> World {
        let mut config = Config { client_rate: PLENTY, backend_rate: PLENTY, rules, ..Config::default() };
        // Nobody here answers pings.
        config.websocket.ping_interval = Duration::from_secs(24 * 3600);
        let mut shard = Shard::new(Arc::new(config), Member(0), 1);
        shard.set_clock(Clock::mono);
        World { shard, post: Post::default(), output: Output::default(), mono: Instant(1), sockets: 0 }
    }

    /// One turn of the shard, and the time until the next.
    pub fn turn(&mut self, script: &mut Script) {
        self.output.clear();
        let wall = Wall(1_750_000_000_000 + self.mono.as_millis());
        self.shard.turn(Now { mono: self.mono, wall }, script, &mut self.post, &mut self.output);
        self.mono = self.mono.plus(STEP);
    }

    /// What the last turn asked for.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// What the last turn sent to `token`.
    ///
    /// # Panics
    /// If it sent nothing.
    pub fn sent(&self, token: Token) -> &[u8] {
        let source = self.output.ops.iter().find_map(|op| match op {
            Op::Send { token: to, source, .. } if *to == token => Some(*source),
            _ => None,
        });
        self.output.bytes(source.expect("the turn sends to this connection"))
    }

    /// A connection that the shard has accepted.
    ///
    /// # Panics
    /// If the shard does not ask for its input.
    pub fn connect(&mut self) -> Token {
        let socket = Socket(self.sockets);
        self.sockets += 1;
        self.turn(&mut Script::default().accepted(socket));
        let token = self.output.ops.iter().find_map(|op| match op {
            Op::Recv { token, socket: of, .. } if *of == socket => Some(*token),
            _ => None,
        });
        token.expect("the shard reads from a new connection")
    }

    /// A connection that has upgraded on `target`, offering `protocol`.
    ///
    /// # Panics
    /// If the upgrade is refused.
    pub fn websocket(&mut self, target: &str, protocol: &str) -> Token {
        let token = self.connect();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        self.turn(&mut Script::default().received(token, request.as_bytes()));
        let answer = String::from_utf8_lossy(self.sent(token));
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        token
    }

    /// A Phoenix client that has joined `topic`.
    ///
    /// # Panics
    /// If the join is refused.
    pub fn joined(&mut self, client: &str, topic: &str) -> Token {
        let target = format!("/mcp/ws/websocket?vsn=2.0.0&client_id={client}");
        let token = self.websocket(&target, "phoenix");
        let mut join = Vec::new();
        weir_transports::phoenix::client::join(&mut join, "1", topic, b"{}");
        self.turn(&mut Script::default().received(token, &text_frame(&join)));
        let answer = String::from_utf8_lossy(self.sent(token));
        assert!(answer.contains(r#"{"status":"ok""#), "{answer}");
        token
    }
}

/// A client's text message in one masked frame.
pub fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    client::write_frame(&mut frame, client::FIN | Opcode::Text as u8, payload, [0x37, 0xfa, 0x21, 0x3d]);
    frame
}
