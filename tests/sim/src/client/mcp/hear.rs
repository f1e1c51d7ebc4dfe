//! What an MCP client makes of what it hears.

use std::rc::Rc;

use serde_json::{Value, json};

use super::link::{Exchange, Heard, Link};
use super::{McpClient, Standing};
use crate::fault::Fault;
use crate::mcp::{Fact, Kind, Outcome, call_in, note};
use crate::net;
use crate::oracle::PAIRING;
use crate::stage::Stage;

/// Pages after which a list is taken for endless.
const PAGES_MAX: u32 = 60;

impl McpClient {
    pub(super) fn hear(&mut self, stage: &mut Stage, conn: usize, heard: Heard) {
        match heard {
            Heard::Head(id, head) => self.head(&id, head.field("mcp-session-id")),
            Heard::Message(text) => self.message(stage, conn, &text),
            Heard::Body { exchange, status, body } => self.body(stage, conn, exchange, (status, &body)),
            Heard::Over { exchange, keeps } => {
                if let Exchange::Ask(id) = exchange {
                    self.lost(stage, conn, &id, false);
                }
                if !keeps {
                    self.links.remove(&conn);
                    net::close(stage, conn);
                }
            }
            Heard::Upgraded => {}
            Heard::Closed => self.closed(stage, conn),
        }
    }

    /// The answer to `initialize` names the session.
    fn head(&mut self, id: &str, session: Option<&str>) {
        let introduces = self.ledger.get(id).is_some_and(|open| open.kind == Kind::Introduce);
        if let Some(session) = session
            && introduces
        {
            self.session = Some(session.to_owned());
        }
    }

    /// The server has closed a connection.
    fn closed(&mut self, stage: &mut Stage, conn: usize) {
        if let Some(Link::Http(http)) = self.links.get_mut(&conn)
            && !net::was_cut(stage, conn, http.began)
            && let Some(Exchange::Ask(id)) = http.busy.take()
        {
            self.lost(stage, conn, &id, false);
        }
        self.drop_link(stage, conn);
        net::close(stage, conn);
    }

    /// A response that is no stream.
    fn body(&mut self, stage: &mut Stage, conn: usize, exchange: Exchange, (status, body): (u16, &[u8])) {
        if status == 404 && exchange != Exchange::Farewell {
            self.session_lost();
        }
        match exchange {
            Exchange::Ask(id) if status >= 400 => {
                let message: Value = serde_json::from_slice(body).unwrap_or_default();
                stage.history.note(|| format!("conn {conn} < {message}"));
                let code = message["error"]["code"].as_i64().unwrap_or(i64::from(status));
                // An error of HTTP need not name the request.
                let named = message.get("id").filter(|id| !id.is_null()).map(|id| id.to_string().into());
                self.answered(stage, conn, &named.unwrap_or(id), Outcome::Error(code), &Value::Null);
            }
            Exchange::Ask(_) if status == 200 => self.message(stage, conn, body),
            Exchange::Farewell if status == 200 => self.session_lost(),
            _ => {}
        }
    }

    fn message(&mut self, stage: &mut Stage, conn: usize, text: &[u8]) {
        stage.history.note(|| format!("conn {conn} < {}", String::from_utf8_lossy(text)));
        let Ok(message) = serde_json::from_slice::<Value>(text) else {
            let shown = String::from_utf8_lossy(text);
            return stage.history.violation(0, format!("conn {conn}: not JSON: {shown}"));
        };
        match (message["method"].as_str(), message.get("id")) {
            (Some(method), Some(id)) => self.asked(stage, conn, (method, id), &message["params"]),
            (Some("notifications/progress"), None) => self.progressed(stage, conn, &message["params"]),
            (Some("notifications/tools/list_changed"), None) => self.tools.clear(),
            (Some(_), None) => {}
            (None, id) => self.responded(stage, conn, id, &message),
        }
    }

    /// Progress comes only where a request of its token is under way.
    fn progressed(&mut self, stage: &mut Stage, conn: usize, params: &Value) {
        let token = params["progressToken"].as_str().unwrap_or_default();
        if !self.ledger.progresses(conn, token)
            || params["message"].as_str().is_some_and(|text| text != token)
        {
            stage.history.violation(PAIRING, format!("conn {conn}: progress of another request: {params}"));
        }
    }

    fn responded(&mut self, stage: &mut Stage, conn: usize, id: Option<&Value>, message: &Value) {
        let id: Rc<str> = id.unwrap_or(&Value::Null).to_string().into();
        let result = &message["result"];
        let outcome = if let Some(code) = message["error"]["code"].as_i64() {
            Outcome::Error(code)
        } else if result["resultType"] == "input_required" {
            Outcome::InputRequired
        } else if result["isError"] == true {
            Outcome::Refused
        } else {
            Outcome::Result(result["content"][0]["text"].as_str().map(Rc::from))
        };
        self.answered(stage, conn, &id, outcome, result);
    }

    /// The answer to a request of this client, or so it says.
    fn answered(&mut self, stage: &mut Stage, conn: usize, id: &Rc<str>, outcome: Outcome, result: &Value) {
        let good = matches!(outcome, Outcome::Result(_));
        let required = outcome == Outcome::InputRequired;
        let Some(open) = self.ledger.answered(stage, conn, id, outcome) else { return };
        match open.kind {
            _ if required => self.give_input(stage, &open.text, open.params, result),
            Kind::Introduce if good && !self.modern => {
                // A session may have been lost while its answer was on its way.
                let lost = !self.socket && self.session.is_none();
                self.standing = if lost { Standing::Unknown } else { Standing::Known };
                let text = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
                self.outbox.push_back(text);
            }
            Kind::List if good => self.walk_on(stage, result),
            kind if !good => self.failed(Some(kind)),
            _ => {}
        }
    }

    /// A page of the list has come.
    fn walk_on(&mut self, stage: &mut Stage, result: &Value) {
        let Some((mut names, pages)) = self.walk.take() else { return };
        let tools = result["tools"].as_array().into_iter().flatten();
        names.extend(tools.filter_map(|tool| tool["name"].as_str()).map(str::to_owned));
        let Some(cursor) = result["nextCursor"].as_str() else {
            names.retain(|name| !name.contains("filler") && !name.ends_with("sleep"));
            self.tools = names;
            return;
        };
        if pages >= PAGES_MAX {
            return stage.history.violation(PAIRING, format!("client {}: a list without end", self.number));
        }
        self.walk = Some((names, pages + 1));
        if !self.ask(stage, Kind::List, "", json!({"cursor": cursor})) {
            self.walk = None;
        }
    }

    /// A server asks something.
    fn asked(&mut self, stage: &mut Stage, conn: usize, (method, id): (&str, &Value), params: &Value) {
        if let Some(Link::Http(http)) = self.links.get(&conn)
            && http.session != self.session
        {
            // It is of a session that is no more: an answer would be taken for another's.
            return;
        }
        let result = if method == "ping" {
            json!({})
        } else {
            let Some(content) = self.content(stage, params) else { return };
            if self.rng.chance(100) { json!({"action": "decline"}) } else { content }
        };
        self.outbox.push_back(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
    }

    /// What the client says to a question; now and then it says nothing.
    fn content(&mut self, stage: &mut Stage, params: &Value) -> Option<Value> {
        let (client, call) = (self.number, call_in(params["message"].as_str().unwrap_or_default()));
        let call = call.unwrap_or(usize::MAX);
        note(stage, Fact::Questioned { client, call });
        if !stage.healed && self.rng.chance(60) {
            stage.faults.count(Fault::Silence);
            return None;
        }
        self.replies += 1;
        let reply: Rc<str> = format!("r{client}-{}", self.replies).into();
        note(stage, Fact::Told { client, call, reply: reply.clone() });
        Some(json!({"action": "accept", "content": {"reply": &*reply}}))
    }

    /// A call needs input: it is made again with it.
    fn give_input(&mut self, stage: &mut Stage, text: &Rc<str>, mut params: Value, result: &Value) {
        let mut responses = json!({});
        for (key, request) in result["inputRequests"].as_object().into_iter().flatten() {
            let Some(content) = self.content(stage, &request["params"]) else { return };
            responses[key.as_str()] = content;
        }
        params["inputResponses"] = responses;
        params["requestState"] = result["requestState"].clone();
        self.retries.push_back((text.clone(), params));
    }
}
