//! What a server is going to do: answers take their time.

use super::mischief::Mischief;
use super::{Frame, Server, Way};
use crate::options::MS;
use crate::stage::Stage;

/// Something planned.
#[derive(Debug)]
pub(super) enum Plan {
    /// Writes bytes; the last of an answer.
    Write { way: Way, bytes: Vec<u8>, last: bool },
    /// Closes a connection, or cuts it.
    HangUp { conn: usize, cut: bool },
    /// Goes down.
    Outage,
    /// Listens again.
    Back,
}

/// What a request is answered with.
pub(super) struct Answer {
    /// Messages before it, each with its pause in ns.
    pub(super) before: Vec<(u64, String)>,
    /// The response, if it comes by itself.
    pub(super) response: Option<String>,
    /// The pause before it, ns.
    pub(super) pause: u64,
    /// Headers beside the usual ones.
    pub(super) headers: String,
}

impl Answer {
    pub(super) fn of(response: String) -> Answer {
        Answer { before: Vec::new(), response: Some(response), pause: 0, headers: String::new() }
    }
}

impl Server {
    /// Plans an answer, and what goes wrong with it.
    pub(super) fn reply(&mut self, stage: &mut Stage, way: Way, answer: Answer, wrong: Option<Mischief>) {
        let mut due = stage.now + self.rng.between(10, 3_000) * 1_000;
        if let Frame::Sse { chunked } = way.frame {
            let head = stream_head(chunked, &answer.headers);
            self.plan_at(stage, due, Plan::Write { way, bytes: head, last: false });
        }
        for (pause, text) in &answer.before {
            due += pause;
            let bytes = event(way.frame, text);
            self.plan_at(stage, due, Plan::Write { way, bytes, last: false });
        }
        let Some(response) = answer.response else { return };
        due += answer.pause;
        match wrong {
            Some(Mischief::Late) => due += self.rng.between(50, 1_500) * MS,
            Some(Mischief::Hang) => return,
            Some(Mischief::Die) => {
                let cut = self.rng.chance(500);
                return self.plan_at(stage, due, Plan::HangUp { conn: way.conn, cut });
            }
            Some(Mischief::WrongId) => {
                let bytes = whole(way.frame, &self.with_wrong_id(&response), &answer.headers);
                self.plan_at(stage, due, Plan::Write { way, bytes, last: false });
                if self.rng.chance(500) {
                    return;
                }
            }
            Some(Mischief::Garbage) => {
                let bytes = self.garbage(way.frame);
                self.plan_at(stage, due, Plan::Write { way, bytes, last: false });
                if self.rng.chance(500) {
                    return;
                }
            }
            _ => {}
        }
        let bytes = whole(way.frame, &response, &answer.headers);
        match wrong {
            Some(Mischief::Break) => {
                let len = self.rng.index(bytes.len());
                let (bytes, cut) = (bytes[..len].to_vec(), self.rng.chance(500));
                self.plan_at(stage, due, Plan::Write { way, bytes, last: true });
                return self.plan_at(stage, due + MS, Plan::HangUp { conn: way.conn, cut });
            }
            Some(Mischief::Twice) => {
                let bytes = bytes.clone();
                self.plan_at(stage, due, Plan::Write { way, bytes, last: false });
                due += self.rng.below(2) * self.rng.below(20 * MS);
            }
            _ => {}
        }
        self.plan_at(stage, due, Plan::Write { way, bytes, last: true });
        let ends = match way.frame {
            Frame::Json | Frame::Sse { chunked: true } => wrong == Some(Mischief::Leave),
            Frame::Sse { chunked: false } => true,
            Frame::Line { .. } => false,
        };
        if let Frame::Sse { chunked: true } = way.frame {
            self.plan_at(stage, due, Plan::Write { way, bytes: b"0\r\n\r\n".to_vec(), last: false });
        }
        if ends {
            let due = due + self.rng.below(2) * self.rng.below(30 * MS);
            self.plan_at(stage, due, Plan::HangUp { conn: way.conn, cut: false });
        }
    }
}

/// A message in the course of an answer.
pub(super) fn event(frame: Frame, text: &str) -> Vec<u8> {
    match frame {
        // Nothing can come before the body.
        Frame::Json => Vec::new(),
        Frame::Line { .. } => format!("{text}\n").into_bytes(),
        Frame::Sse { chunked: false } => format!("data: {text}\n\n").into_bytes(),
        Frame::Sse { chunked: true } => {
            let event = format!("event: message\r\ndata: {text}\r\n\r\n");
            format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
        }
    }
}

/// The answer itself.
fn whole(frame: Frame, text: &str, headers: &str) -> Vec<u8> {
    match frame {
        Frame::Json => response(200, text, headers),
        frame => event(frame, text),
    }
}

/// A response with a JSON body, or without body.
pub(super) fn response(status: u16, body: &str, headers: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} As It Is\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The head of an event stream.
pub(super) fn stream_head(chunked: bool, headers: &str) -> Vec<u8> {
    let framing = if chunked { "Transfer-Encoding: chunked" } else { "Connection: close" };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n{headers}\r\n").into_bytes()
}
