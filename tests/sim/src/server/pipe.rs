//! A server as a child process: lines both ways.

use serde_json::Value;

use super::{Conn, Frame, Server, Session, Way, tools};
use crate::stage::Stage;

/// The name of a child's only session.
pub(super) fn session_of(conn: usize) -> String {
    format!("pipe-{conn}")
}

impl Server {
    pub(super) fn read_lines(&mut self, stage: &mut Stage, conn: usize) {
        while let Some(Conn::Pipe { line, .. }) = self.conns.get_mut(&conn)
            && let Some(end) = line.iter().position(|byte| *byte == b'\n')
        {
            let text: Vec<u8> = line.drain(..=end).collect();
            match serde_json::from_slice::<Value>(&text) {
                Ok(message) => self.line(stage, conn, &message),
                Err(wrong) => {
                    let shown = String::from_utf8_lossy(&text);
                    stage.history.violation(0, format!("conn {conn} to a child: {wrong}: {shown}"));
                }
            }
        }
    }

    fn line(&mut self, stage: &mut Stage, conn: usize, message: &Value) {
        let session = session_of(conn);
        let Some(method) = message["method"].as_str().filter(|_| message.get("id").is_some()) else {
            return self.told(stage, &session, message);
        };
        self.planned += 1;
        let way = Way { conn, frame: Frame::Line { order: self.planned } };
        let introduces = matches!(method, "initialize" | "server/discover");
        let wrong = self.mischief(stage, introduces);
        if let Some(Conn::Pipe { open, .. }) = self.conns.get_mut(&conn) {
            open.insert(self.planned);
        }
        if method == "initialize" && !self.seat.modern {
            self.sessions.insert(session, Session { elicits: tools::elicits(message) });
            let answer = super::plan::Answer::of(tools::initialized(message));
            self.watchers.push(super::Watcher { way, subscription: None });
            return self.reply(stage, way, answer, wrong);
        }
        self.serve(stage, way, &session, message, wrong);
    }
}
