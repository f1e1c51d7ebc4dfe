//! Clients that keep to no protocol, and crowds that come at once and say nothing.

use super::{Phase, pace};
use crate::fault::Fault;
use crate::net::{self, Taken};
use crate::options::MS;
use crate::rng::Rng;
use crate::stage::Stage;
use crate::wire::websocket::{self, BINARY, KEY, PING, TEXT};

/// One of them.
#[derive(Debug)]
pub struct Garbler {
    /// Place among the agents.
    pub id: usize,
    rng: Rng,
    /// Connections it opens at once; 0: it sends garbage instead.
    crowd: usize,
    open: Vec<usize>,
}

impl Garbler {
    /// Sends garbage, or is a crowd of so many.
    pub fn new(id: usize, rng: Rng, crowd: usize) -> Garbler {
        Garbler { id, rng, crowd, open: Vec::new() }
    }

    /// Closes everything it has open.
    pub fn leave(&mut self, stage: &mut Stage) {
        for conn in std::mem::take(&mut self.open) {
            net::close(stage, conn);
        }
    }

    /// The server ended one of the connections, as it should. What it says is the parsers' business.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        if taken.ended {
            self.open.retain(|open| *open != conn);
            net::close(stage, conn);
        }
    }

    /// One piece of mischief; the time of the next.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        if phase != Phase::Storm {
            return None;
        }
        if self.crowd > 0 {
            self.rush(stage);
            return Some(stage.now + self.rng.between(300, 2_000) * MS);
        }
        stage.faults.count(Fault::Garbage);
        let conn = match self.open.first() {
            Some(conn) if self.rng.chance(400) => *conn,
            _ => {
                let conn = net::connect(stage, self.id);
                self.open.insert(0, conn);
                conn
            }
        };
        let bytes = self.garbage();
        net::send(stage, conn, &bytes);
        if self.open.len() > 8
            && let Some(conn) = self.open.pop()
        {
            net::reset(stage, conn);
        }
        pace(stage).map(|next| next + self.rng.below(10 * MS))
    }

    fn rush(&mut self, stage: &mut Stage) {
        self.leave(stage);
        stage.faults.count(Fault::AcceptBurst);
        for _ in 0..self.crowd {
            let conn = net::connect(stage, self.id);
            self.open.push(conn);
            if self.rng.chance(200) {
                net::send(stage, conn, b"GET /mcp/sse?client_id=crowd HTT");
            }
        }
    }

    fn garbage(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let upgrade = format!(
            "GET /mcp/ws/websocket?vsn=2.0.0&client_id=garbler HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        let mut bytes = if rng.chance(500) { upgrade.into_bytes() } else { Vec::new() };
        match rng.below(12) {
            0 => bytes.extend((0..rng.between(1, 300)).map(|i| (i as u8).wrapping_mul(37).rotate_left(3))),
            1 => bytes.extend(format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)).bytes()),
            2 => bytes.extend(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n", "b".repeat(20_000)).bytes()),
            3 => bytes.extend(b"POST /mcp/clients/c0/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            4 => bytes.extend(b"POST /mcp/clients/c0/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{\"type\""),
            5 => websocket::write_frame(&mut bytes, true, TEXT, b"\xff\xfe not UTF-8", rng),
            6 => bytes.extend([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            7 => bytes.extend([0x81, 0x05, b'h', b'e', b'l', b'l', b'o']),
            8 => websocket::write_frame(&mut bytes, true, rng.pick(&[3, 7, 11, 15]), b"?", rng),
            9 => websocket::write_frame(&mut bytes, false, PING, &[b'x'; 125], rng),
            10 => {
                let text: &[u8] = rng.pick(&[
                    &b"[]"[..],
                    b"[null,null,null,null]",
                    b"[1,2,3,4,5]",
                    b"[\"1\",\"1\",\"topic:\",\"phx_join\",{}]",
                    b"{\"topic\":1}",
                    b"[\"1\",\"1\",\"mcp:gateway\",\"phx_join\",{\"resume\":{\"epoch\":7,\"sequence\":-1}}]",
                    b"[\"1\",\"2\",\"mcp:gateway\",\"ack\",{\"sequence\":1e99}]",
                    b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}",
                ]);
                websocket::write_frame(&mut bytes, true, TEXT, text, rng);
            }
            _ => {
                let kind = rng.below(5) as u8;
                let binary = [&[kind, 1, 1, 11, 5][..], b"11mcp:gatewayshout", &[rng.draw() as u8; 40]].concat();
                let len = rng.between(1, binary.len() as u64) as usize;
                websocket::write_frame(&mut bytes, true, BINARY, &binary[..len], rng);
            }
        }
        bytes
    }
}
