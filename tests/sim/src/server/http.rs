//! A server over HTTP: sessions, streams, statuses.

use serde_json::Value;

use super::mischief::Mischief;
use super::plan::{self, Plan};
use super::{Conn, Frame, Server, Session, Watcher, Way, tools};
use crate::net;
use crate::stage::Stage;
use crate::wire::request::Request;

impl Server {
    pub(super) fn read_requests(&mut self, stage: &mut Stage, conn: usize) {
        while let Some(Conn::Http(reader)) = self.conns.get_mut(&conn) {
            match reader.read() {
                Ok(Some(request)) => self.request(stage, conn, &request),
                Ok(None) => return,
                Err(wrong) => {
                    stage.history.violation(0, format!("conn {conn} to a server: {wrong}"));
                    return self.hang_up(stage, conn, true);
                }
            }
        }
    }

    fn request(&mut self, stage: &mut Stage, conn: usize, request: &Request) {
        let session = request.field("mcp-session-id").map(str::to_owned);
        match request.method.as_str() {
            "POST" => self.post(stage, conn, request, session),
            "GET" => self.get(stage, conn, session),
            "DELETE" => {
                let known = session.is_some_and(|session| self.sessions.remove(&session).is_some());
                self.refuse(stage, conn, if known { 200 } else { 404 });
            }
            _ => self.refuse(stage, conn, 405),
        }
    }

    /// A response without a message.
    fn refuse(&mut self, stage: &mut Stage, conn: usize, status: u16) {
        net::send(stage, conn, &plan::response(status, "", ""));
    }

    fn get(&mut self, stage: &mut Stage, conn: usize, session: Option<String>) {
        let known = session.is_some_and(|session| self.sessions.contains_key(&session));
        if self.seat.modern || !self.seat.streams {
            return self.refuse(stage, conn, 405);
        }
        if !known {
            return self.refuse(stage, conn, 404);
        }
        let chunked = self.rng.chance(600);
        net::send(stage, conn, &plan::stream_head(chunked, ""));
        let way = Way { conn, frame: Frame::Sse { chunked } };
        self.watchers.push(Watcher { way, subscription: None });
        // It ends by itself now and then, and is asked for again.
        if !stage.healed && self.rng.chance(200) {
            let due = stage.soon(1_000 * crate::options::MS);
            self.plan_at(stage, due, Plan::HangUp { conn, cut: false });
        }
    }

    fn post(&mut self, stage: &mut Stage, conn: usize, request: &Request, session: Option<String>) {
        let Ok(message) = serde_json::from_slice::<Value>(&request.body) else {
            stage.history.violation(0, format!("conn {conn} to a server: a body that is not JSON"));
            return self.refuse(stage, conn, 400);
        };
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let introduces = matches!(method.as_str(), "initialize" | "server/discover");
        let known = session.as_ref().is_some_and(|session| self.sessions.contains_key(session));
        if !self.seat.modern && !introduces && !known {
            return self.refuse(stage, conn, if session.is_some() { 404 } else { 400 });
        }
        if self.seat.modern
            && let Some(wrong) = wrong_header(request, &message)
        {
            stage.history.violation(0, format!("conn {conn} to a server: {wrong}: {message}"));
        }
        let key = session.clone().unwrap_or_default();
        if message.get("id").is_none() || message.get("method").is_none() {
            self.refuse(stage, conn, 202);
            return self.told(stage, &key, &message);
        }
        let wrong = self.mischief(stage, introduces);
        match wrong {
            Some(Mischief::Refuse) => {
                let status = self.rng.pick(&[500, 503, 429, 404]);
                return self.refuse(stage, conn, if self.seat.modern { status } else { status.max(429) });
            }
            Some(Mischief::Forget) if !introduces => {
                if let Some(session) = session.filter(|_| !self.seat.modern) {
                    self.sessions.remove(&session);
                    return self.refuse(stage, conn, 404);
                }
            }
            _ => {}
        }
        let sse = tools::streams(&message) || self.rng.chance(400);
        let frame = if sse { Frame::Sse { chunked: self.rng.chance(700) } } else { Frame::Json };
        let way = Way { conn, frame };
        if method == "initialize" && !self.seat.modern {
            return self.initialize_http(stage, way, &message, wrong);
        }
        self.serve(stage, way, &key, &message, wrong);
    }

    fn initialize_http(&mut self, stage: &mut Stage, way: Way, message: &Value, wrong: Option<Mischief>) {
        self.named += 1;
        let name = format!("s{}-{}", self.id, self.named);
        self.sessions.insert(name.clone(), Session { elicits: tools::elicits(message) });
        let mut answer = plan::Answer::of(tools::initialized(message));
        answer.headers = format!("Mcp-Session-Id: {name}\r\n");
        self.reply(stage, way, answer, wrong);
    }
}

/// What the headers of a modern request say otherwise than its body.
fn wrong_header(request: &Request, message: &Value) -> Option<&'static str> {
    let method = message["method"].as_str()?;
    if request.field("mcp-method") != Some(method) && method != "initialize" {
        return Some("Mcp-Method is not the method");
    }
    let name = message["params"]["name"].as_str();
    if method == "tools/call" && request.field("mcp-name") != name {
        return Some("Mcp-Name is not the name");
    }
    None
}
