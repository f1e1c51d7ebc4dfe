//! A raw JSON-RPC client over WebSocket: many pings at once, each answered once, by its own id.

use serde::Deserialize;

use super::{Phase, pace};
use crate::access;
use crate::history::Fact;
use crate::net::{self, Taken};
use crate::rng::Rng;
use crate::stage::Stage;
use crate::wire::http;
use crate::wire::websocket::{self, Message};

/// A JSON-RPC response.
#[derive(Deserialize)]
struct Response {
    jsonrpc: String,
    id: u64,
    result: Option<serde_json::Value>,
    error: Option<Error>,
}

/// Why there is no result.
#[derive(Deserialize)]
struct Error {
    code: i64,
}

/// The code of a refusal by the rate limit.
const RATE_LIMITED: i64 = 429;

/// Pings that may wait for their answers.
const PENDING_MAX: u64 = 64;

/// A client.
#[derive(Debug)]
pub struct Pinger {
    /// Place among the agents.
    pub id: usize,
    rng: Rng,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    conn: usize,
    head: http::Reader,
    frames: Option<websocket::Reader>,
    asked: u64,
    answered: u64,
}

impl Pinger {
    /// A client that is not connected.
    pub fn new(id: usize, rng: Rng) -> Pinger {
        Pinger { id, rng, link: None }
    }

    /// What it waits for.
    pub fn waits_for(&self) -> Option<String> {
        let link = self.link.as_ref()?;
        let missing = link.asked - link.answered;
        (missing > 0).then(|| format!("pinger on conn {} waits for {missing} answers", link.conn))
    }

    /// Closes.
    pub fn leave(&mut self, stage: &mut Stage) {
        if let Some(link) = self.link.take() {
            net::close(stage, link.conn);
        }
    }

    /// Asks some; the time of the next.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        if phase != Phase::Storm {
            return None;
        }
        match &mut self.link {
            None => self.connect(stage),
            Some(link) if link.frames.is_some() => {
                let room = PENDING_MAX - (link.asked - link.answered).min(PENDING_MAX);
                for _ in 0..self.rng.below(8).min(room) {
                    link.ask(stage, &mut self.rng);
                }
                if self.rng.chance(stage.options.cast.close / 2) {
                    self.leave(stage);
                }
            }
            Some(_) => {}
        }
        pace(stage)
    }

    fn connect(&mut self, stage: &mut Stage) {
        let conn = net::connect(stage, self.id);
        let protocol = self.rng.pick(&["", "Sec-WebSocket-Protocol: mcp\r\n"]);
        let proof = access::bring(stage, conn, "pinger");
        let request = format!(
            "GET /mcp/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{protocol}{proof}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            websocket::KEY
        );
        net::send(stage, conn, request.as_bytes());
        self.link = Some(Link { conn, head: http::Reader::default(), frames: None, asked: 0, answered: 0 });
    }

    /// Answers came.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        let Some(link) = self.link.as_mut().filter(|link| link.conn == conn) else { return };
        let closed = match link.read(stage, &taken.bytes) {
            Ok(closed) => closed,
            Err(wrong) => {
                stage.history.violation(0, format!("conn {conn}: {wrong}"));
                true
            }
        };
        if closed || taken.ended {
            self.leave(stage);
        }
    }
}

impl Link {
    fn ask(&mut self, stage: &mut Stage, rng: &mut Rng) {
        let reference = self.asked;
        self.asked += 1;
        stage.history.add(Fact::Asked { conn: self.conn, reference, join_ref: None });
        let text = format!(r#"{{"jsonrpc":"2.0","id":{reference},"method":"ping"}}"#);
        let mut out = Vec::new();
        websocket::write_message(&mut out, websocket::TEXT, text.as_bytes(), rng);
        net::send(stage, self.conn, &out);
    }

    /// Reads answers; `true` when the server closed or refused.
    fn read(&mut self, stage: &mut Stage, bytes: &[u8]) -> Result<bool, String> {
        let mut bytes = bytes.to_vec();
        if self.frames.is_none() {
            self.head.push(&bytes);
            let Some(head) = self.head.head()? else { return Ok(false) };
            if head.status != 101 {
                return Ok(true);
            }
            bytes = self.head.rest()?;
            self.frames = Some(websocket::Reader::default());
        }
        let Some(frames) = &mut self.frames else { return Ok(false) };
        frames.push(&bytes);
        while let Some(message) = frames.read()? {
            match message {
                Message::Text(text) => {
                    let shown = String::from_utf8_lossy(&text);
                    stage.history.note(|| format!("conn {} < {shown}", self.conn));
                    let response: Response =
                        serde_json::from_slice(&text).map_err(|e| format!("response {shown}: {e}"))?;
                    let limited = response.error.is_some_and(|error| error.code == RATE_LIMITED);
                    if response.jsonrpc != "2.0" || response.result.is_none() != limited {
                        return Err(format!("ping answered with {shown}"));
                    }
                    self.answered += 1;
                    let fact = Fact::Answered { conn: self.conn, reference: response.id, join_ref: None };
                    stage.saboteur.pass(fact).into_iter().for_each(|fact| stage.history.add(fact));
                }
                Message::Ping(payload) => {
                    let mut out = Vec::new();
                    websocket::write_frame(&mut out, true, websocket::PONG, &payload, &mut stage.rng);
                    net::send(stage, self.conn, &out);
                }
                Message::Pong => {}
                Message::Close(_) => return Ok(true),
                Message::Binary(_) => return Err("binary frame to a JSON-RPC client".into()),
            }
        }
        Ok(false)
    }
}
