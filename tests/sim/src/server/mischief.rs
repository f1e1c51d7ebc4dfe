//! What a server does wrong with an answer.

use super::{Frame, Server};
use crate::fault::Fault;
use crate::mcp_options::McpOptions;
use crate::rng::Rng;

/// One kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mischief {
    /// Answers late.
    Late,
    /// Never answers.
    Hang,
    /// Ends the connection in the middle of the answer.
    Break,
    /// Answers twice.
    Twice,
    /// Answers what nobody asked; then perhaps what was asked.
    WrongId,
    /// Sends what is no MCP; then perhaps the answer.
    Garbage,
    /// Ends the connection after the answer, without having said so.
    Leave,
    /// Ends the connection instead of answering, or dies.
    Die,
    /// Has forgotten the session.
    Forget,
    /// Refuses with an HTTP status.
    Refuse,
}

const OVER_HTTP: [Mischief; 10] = [
    Mischief::Late,
    Mischief::Hang,
    Mischief::Break,
    Mischief::Twice,
    Mischief::WrongId,
    Mischief::Garbage,
    Mischief::Leave,
    Mischief::Die,
    Mischief::Forget,
    Mischief::Refuse,
];

const OVER_PIPES: [Mischief; 7] = [
    Mischief::Late,
    Mischief::Hang,
    Mischief::Break,
    Mischief::Twice,
    Mischief::WrongId,
    Mischief::Garbage,
    Mischief::Die,
];

impl Mischief {
    /// There may be no answer at all, and no end of the connection either.
    pub(super) fn may_be_silent(self) -> bool {
        matches!(self, Mischief::Hang | Mischief::WrongId | Mischief::Garbage)
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            Mischief::Late => Fault::LateAnswer,
            Mischief::Hang => Fault::Hang,
            Mischief::Break => Fault::BrokenAnswer,
            Mischief::Twice => Fault::DoubleAnswer,
            Mischief::WrongId => Fault::WrongId,
            Mischief::Garbage => Fault::GarbageAnswer,
            Mischief::Leave => Fault::ClosedIdle,
            Mischief::Die => Fault::Death,
            Mischief::Forget => Fault::LostSession,
            Mischief::Refuse => Fault::RefusedRequest,
        }
    }
}

/// What goes wrong this time.
pub(super) fn draw(options: &McpOptions, rng: &mut Rng, pipe: bool) -> Option<Mischief> {
    if !rng.chance(options.mischief) {
        return None;
    }
    let kind = if pipe { rng.pick(&OVER_PIPES) } else { rng.pick(&OVER_HTTP) };
    (options.kinds & (1 << kind as u32) != 0).then_some(kind)
}

impl Server {
    /// A response to another request than any.
    pub(super) fn with_wrong_id(&mut self, response: &str) -> String {
        let Ok(mut message) = serde_json::from_str::<serde_json::Value>(response) else {
            return response.to_owned();
        };
        let own = message["id"].clone();
        message["id"] = match self.rng.below(5) {
            0 => format!("x{}", self.rng.below(100)).into(),
            1 => ((1 << 50) + self.rng.below(1 << 20)).into(),
            2 => serde_json::Value::Null,
            // Of the same slot in another life; the same number as a text.
            3 => own.as_u64().map_or(own, |id| (id ^ (1 << 30)).into()),
            _ => own.to_string().into(),
        };
        message.to_string()
    }

    /// Bytes that are no answer.
    pub(super) fn garbage(&mut self, frame: Frame) -> Vec<u8> {
        let noise: Vec<u8> = match self.rng.below(5) {
            0 => b"Traceback (most recent call last):".to_vec(),
            1 => br#"{"jsonrpc":"2.0","id":1,"result":"#.to_vec(),
            2 => br#"{"jsonrpc":"1.0","id":7}"#.to_vec(),
            3 => (0..self.rng.between(1, 60)).map(|_| self.rng.draw() as u8 | 0x80).collect(),
            _ => b"[[[[[]]]],17,null]".to_vec(),
        };
        match frame {
            Frame::Line { .. } => [&noise[..], b"\n"].concat(),
            Frame::Sse { .. } => super::plan::event(frame, &String::from_utf8_lossy(&noise)),
            Frame::Json if self.rng.chance(300) => [&noise[..], b"\r\n\r\n"].concat(),
            Frame::Json => super::plan::response(200, &String::from_utf8_lossy(&noise), ""),
        }
    }
}
