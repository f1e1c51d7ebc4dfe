//! What the servers serve, in both eras, and what they say.

use serde_json::{Value, json};

use super::mischief::Mischief;
use super::plan::{self, Answer};
use super::{Frame, Question, Server, Watcher, Way};
use crate::mcp::{Fact, call_in, note};
use crate::net;
use crate::options::MS;
use crate::stage::Stage;

/// Revision without sessions.
const MODERN: &str = "2026-07-28";

/// The tools that do something.
const TOOLS: [&str; 3] = ["echo", "slow", "ask"];

/// How the answers to a question are called.
const KEY: &str = "wanted";

impl Server {
    /// Answers a request.
    pub(super) fn serve(
        &mut self,
        stage: &mut Stage,
        way: Way,
        session: &str,
        message: &Value,
        wrong: Option<Mischief>,
    ) {
        let id = &message["id"];
        let params = &message["params"];
        let mut answer = match message["method"].as_str().unwrap_or_default() {
            "server/discover" if self.seat.modern => Answer::of(self.result(id, discovered())),
            "subscriptions/listen" if self.seat.modern => return self.listen(stage, way, id),
            "tools/list" => Answer::of(self.result(id, self.page(params))),
            "tools/call" => match self.call(stage, way, session, message) {
                Some(answer) => answer,
                None => return,
            },
            "ping" | "logging/setLevel" => Answer::of(self.result(id, json!({}))),
            other => Answer::of(error(id, -32601, &format!("no method {other}"))),
        };
        if way.frame == Frame::Json {
            answer.pause += answer.before.iter().map(|(pause, _)| pause).sum::<u64>();
            answer.before.clear();
        }
        self.reply(stage, way, answer, wrong);
    }

    /// A notification of a client, or an answer of its.
    pub(super) fn told(&mut self, stage: &mut Stage, session: &str, message: &Value) {
        if let Some(method) = message["method"].as_str() {
            if method == "notifications/cancelled" {
                let id = &message["params"]["requestId"];
                self.questions.retain(|(of, _), question| of != session || question.call != *id);
            }
            return;
        }
        let key = (session.to_owned(), message["id"].to_string());
        let Some(question) = self.questions.remove(&key) else {
            // The call may have been cancelled, or the server have come back with no memory.
            return;
        };
        let answer = match message["result"]["content"]["reply"].as_str() {
            Some(reply) => self.replied(stage, &question.text, reply, &question.call),
            None => error(&question.call, 17, "the client did not say"),
        };
        let net_bytes = plan::event(question.way.frame, &answer);
        let last = plan::Plan::Write { way: question.way, bytes: net_bytes, last: true };
        let due = stage.soon(3 * MS);
        self.plan_at(stage, due, last);
        match question.way.frame {
            Frame::Sse { chunked: true } => {
                let end = plan::Plan::Write { way: question.way, bytes: b"0\r\n\r\n".to_vec(), last: false };
                self.plan_at(stage, due, end);
            }
            Frame::Sse { chunked: false } => {
                self.plan_at(stage, due, plan::Plan::HangUp { conn: question.way.conn, cut: false });
            }
            Frame::Json | Frame::Line { .. } => {}
        }
    }

    /// The client has said what was asked: the end of the call.
    fn replied(&mut self, stage: &mut Stage, text: &str, reply: &str, id: &Value) -> String {
        if let Some(call) = call_in(text) {
            note(stage, Fact::Heard { server: self.seat.upstream, call, reply: reply.into() });
        }
        self.result(id, said(&format!("{text}|{reply}")))
    }

    fn call(&mut self, stage: &mut Stage, way: Way, session: &str, message: &Value) -> Option<Answer> {
        let (id, params) = (&message["id"], &message["params"]);
        let text = params["arguments"]["text"].as_str().unwrap_or_default();
        let Some(call) = call_in(text) else {
            return Some(Answer::of(error(id, -32602, "no text")));
        };
        match params["name"].as_str().unwrap_or_default() {
            "echo" => {
                note(stage, Fact::Ran { server: self.seat.upstream, call });
                let mut answer = Answer::of(self.result(id, said(text)));
                answer.pause = self.rng.below(4) * self.rng.below(10 * MS);
                Some(answer)
            }
            "slow" => {
                note(stage, Fact::Ran { server: self.seat.upstream, call });
                Some(self.slowly(id, params, text))
            }
            "ask" if self.seat.modern => Some(self.ask_modern(stage, id, params, text)),
            "ask" => self.ask_legacy(stage, way, session, id, text),
            name => Some(Answer::of(error(id, -32602, &format!("no tool {name}")))),
        }
    }

    fn slowly(&mut self, id: &Value, params: &Value, text: &str) -> Answer {
        let mut answer = Answer::of(self.result(id, said(text)));
        let token = &params["_meta"]["progressToken"];
        for step in 0..self.rng.below(5) {
            let pause = self.rng.below(60 * MS);
            if token.is_null() {
                answer.pause += pause;
            } else {
                let progress = json!({"progressToken": token, "progress": step, "message": text});
                answer.before.push((pause, notification("notifications/progress", Some(progress))));
            }
        }
        answer
    }

    fn ask_modern(&mut self, stage: &mut Stage, id: &Value, params: &Value, text: &str) -> Answer {
        let able = !params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["elicitation"].is_null();
        if !able {
            return Answer::of(self.result(id, refused()));
        }
        let state = format!("{text}#{}", self.seat.upstream);
        let reply = params["inputResponses"][KEY]["content"]["reply"].as_str();
        if let Some(reply) = reply
            && params["requestState"].as_str() == Some(&state)
        {
            return Answer::of(self.replied(stage, text, reply, id));
        }
        if let Some(call) = call_in(text) {
            note(stage, Fact::Inquired { server: self.seat.upstream, call });
        }
        let input = json!({KEY: {"method": "elicitation/create", "params": question(text)}});
        let result = json!({"resultType": "input_required", "inputRequests": input, "requestState": state});
        Answer::of(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
    }

    fn ask_legacy(
        &mut self,
        stage: &mut Stage,
        way: Way,
        session: &str,
        id: &Value,
        text: &str,
    ) -> Option<Answer> {
        if !self.sessions.get(session).is_some_and(|session| session.elicits) || way.frame == Frame::Json {
            return Some(Answer::of(self.result(id, refused())));
        }
        if let Some(call) = call_in(text) {
            note(stage, Fact::Inquired { server: self.seat.upstream, call });
        }
        self.named += 1;
        let own = if self.rng.chance(500) { json!(self.named) } else { json!(format!("q{}", self.named)) };
        let asked = json!({
            "jsonrpc": "2.0", "id": own, "method": "elicitation/create", "params": question(text),
        });
        let call = Question { way, call: id.clone(), text: text.to_owned() };
        self.questions.insert((session.to_owned(), own.to_string()), call);
        let before = vec![(self.rng.below(3 * MS), asked.to_string())];
        self.reply(stage, way, Answer { before, response: None, pause: 0, headers: String::new() }, None);
        None
    }

    /// Says what is to come, and then only news.
    fn listen(&mut self, stage: &mut Stage, way: Way, id: &Value) {
        let mut params = subscription(id);
        params["notifications"] = json!({"toolsListChanged": true});
        let acknowledged = notification("notifications/subscriptions/acknowledged", Some(params));
        if let Frame::Sse { chunked } = way.frame {
            net::send(stage, way.conn, &plan::stream_head(chunked, ""));
        }
        net::send(stage, way.conn, &plan::event(way.frame, &acknowledged));
        self.watchers.push(Watcher { way, subscription: Some(id.clone()) });
    }

    fn result(&self, id: &Value, mut result: Value) -> String {
        if self.seat.modern {
            result["resultType"] = "complete".into();
        }
        json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
    }

    /// One page of the list.
    fn page(&self, params: &Value) -> Value {
        let fillers =
            (0..self.edition % 3 + 2).map(|number| format!("filler-{number}-{}", self.seat.upstream));
        let names: Vec<String> = TOOLS.iter().map(|name| (*name).to_owned()).chain(fillers).collect();
        let start = params["cursor"].as_str().and_then(|cursor| cursor.strip_prefix('p'));
        let start = start.and_then(|start| start.parse::<usize>().ok()).unwrap_or(0).min(names.len());
        let end = (start + self.seat.page).min(names.len());
        let tools: Vec<Value> = names[start..end]
            .iter()
            .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
            .collect();
        let mut page = json!({"tools": tools});
        if end < names.len() {
            page["nextCursor"] = format!("p{end}").into();
        }
        if self.seat.modern {
            page["ttlMs"] = (self.edition % 2 * 200).into();
            page["cacheScope"] = "public".into();
        }
        page
    }
}

/// The answer to this request can only come as a stream.
pub(super) fn streams(message: &Value) -> bool {
    let method = message["method"].as_str().unwrap_or_default();
    let tool = message["params"]["name"].as_str().unwrap_or_default();
    method == "subscriptions/listen" || (method == "tools/call" && tool == "ask")
}

/// The client that initializes a session can be asked.
pub(super) fn elicits(message: &Value) -> bool {
    !message["params"]["capabilities"]["elicitation"].is_null()
}

/// The answer to `initialize`.
pub(super) fn initialized(message: &Value) -> String {
    let result = json!({
        "protocolVersion": message["params"]["protocolVersion"],
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": "simulated", "version": "1"},
    });
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()
}

fn discovered() -> Value {
    json!({
        "supportedVersions": [MODERN],
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": "simulated", "version": "1"},
    })
}

/// The parameters of what belongs to a subscription.
pub(super) fn subscription(id: &Value) -> Value {
    json!({"_meta": {"io.modelcontextprotocol/subscriptionId": id}})
}

/// A notification.
pub(super) fn notification(method: &str, params: Option<Value>) -> String {
    match params {
        Some(params) => json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string(),
        None => json!({"jsonrpc": "2.0", "method": method}).to_string(),
    }
}

fn said(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

fn refused() -> Value {
    json!({"content": [{"type": "text", "text": "you cannot be asked"}], "isError": true})
}

fn question(text: &str) -> Value {
    json!({"message": text, "requestedSchema": {"type": "object", "properties": {}}})
}

fn error(id: &Value, code: i64, message: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string()
}
