//! What an MCP client sends.

use std::rc::Rc;

use serde_json::{Value, json};

use super::ledger::Open;
use super::link::{self, Exchange, Link};
use super::{McpClient, OPEN_MAX, Standing};
use crate::access;
use crate::fault::Fault;
use crate::mcp::Kind;
use crate::net;
use crate::stage::Stage;

/// The revision without sessions.
const MODERN: &str = "2026-07-28";

impl McpClient {
    /// `initialize`; first of all a WebSocket, if it talks over one.
    pub(super) fn introduce(&mut self, stage: &mut Stage) {
        if self.standing == Standing::Asked {
            return;
        }
        if self.socket && self.links.is_empty() {
            let conn = net::connect(stage, self.id);
            let proof = access::lasting(stage, &self.name());
            net::send(stage, conn, link::upgrade(&proof).as_bytes());
            self.links.insert(conn, Link::Socket(Box::default()));
        }
        if self.modern {
            return;
        }
        self.session = None;
        // What is still to be said was meant for the session before.
        self.outbox.clear();
        let params = json!({
            "protocolVersion": self.version,
            "capabilities": self.capabilities(),
            "clientInfo": {"name": format!("client {}", self.number), "version": "1"},
        });
        if self.ask(stage, Kind::Introduce, "", params) {
            self.standing = Standing::Asked;
        }
    }

    fn capabilities(&self) -> Value {
        if self.elicits { json!({"elicitation": {}}) } else { json!({}) }
    }

    /// A request of the seed's choice.
    pub(super) fn request(&mut self, stage: &mut Stage) {
        if !self.may_ask() {
            return;
        }
        if self.walk.is_none() && (self.tools.is_empty() || self.rng.chance(100)) {
            let forged = self.rng.chance(stage.options.mcp.forged);
            let params = if forged { json!({"cursor": "bm8gY3Vyc29y"}) } else { json!({}) };
            return self.list(stage, params);
        }
        if self.rng.chance(80) {
            let kind = if self.modern { Kind::Introduce } else { Kind::Ping };
            self.ask(stage, kind, "", json!({}));
            return;
        }
        let unknown = self.tools.is_empty() || self.rng.chance(20);
        let name =
            if unknown { "nobodys".to_owned() } else { self.tools[self.rng.index(self.tools.len())].clone() };
        self.call(stage, name);
    }

    /// Begins to read the list of tools.
    pub(super) fn list(&mut self, stage: &mut Stage, params: Value) {
        self.walk = Some((Vec::new(), 0));
        if !self.ask(stage, Kind::List, "", params) {
            self.walk = None;
        }
    }

    /// Calls a tool.
    pub(super) fn call(&mut self, stage: &mut Stage, name: String) {
        let kind = match name.rsplit("__").next() {
            Some("echo") => Kind::Echo,
            Some("slow") => Kind::Slow,
            Some("ask") => Kind::Ask,
            _ => Kind::Unknown,
        };
        let text = self.text(stage);
        let mut params = json!({"name": name, "arguments": {"text": &*text, "message": &*text}});
        if kind == Kind::Slow && self.rng.chance(700) {
            params["_meta"] = json!({"progressToken": &*text});
        }
        if !stage.healed && self.rng.chance(stage.options.mcp.forged) {
            params["requestState"] = "Zm9yZ2VkIHN0YXRl".into();
        }
        self.ask(stage, kind, &text, params);
    }

    /// A text that nobody else sends, with letters that want care.
    fn text(&mut self, stage: &mut Stage) -> Rc<str> {
        let call = stage.history.next_call();
        let ornament =
            self.rng.pick(&["", " \"quoted\"", " \\ \n\t", " äö€😀", " {\"id\":1}", " \u{1}\u{7f}"]);
        let padding = "x".repeat(self.rng.below(stage.options.cast.padding + 1) as usize);
        format!("u{call}{ornament}{padding}").into()
    }

    /// Sends a request. False: there is no connection for it now.
    pub(super) fn ask(&mut self, stage: &mut Stage, kind: Kind, text: &str, params: Value) -> bool {
        if !self.may_ask() {
            return false;
        }
        let method = match kind {
            Kind::Introduce if self.modern => "server/discover",
            Kind::Introduce => "initialize",
            Kind::List => "tools/list",
            Kind::Ping => "ping",
            Kind::Echo | Kind::Slow | Kind::Ask | Kind::Unknown => "tools/call",
        };
        let id = self.ledger.fresh_id();
        let mut sent = params.clone();
        if self.modern {
            sent["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
            sent["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities();
            sent["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "sim", "version": "1"});
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": sent});
        let written = if self.rng.chance(50) {
            serde_json::to_string_pretty(&message)
        } else {
            serde_json::to_string(&message)
        };
        let id: Rc<str> = id.to_string().into();
        let open = Open { conn: usize::MAX, kind, text: text.into(), params, cancelled: false };
        self.post(stage, &written.unwrap_or_default(), Some((id, open)), &message)
    }

    /// There is a connection for a request, or room for one.
    fn may_ask(&self) -> bool {
        if self.socket {
            return self.ledger.len() < OPEN_MAX && !self.links.is_empty();
        }
        let leaves = |link: &Link| link.exchange() == Some(&Exchange::Farewell);
        let free = |link: &Link| link.exchange().is_none();
        !self.links.values().any(leaves)
            && (self.links.len() < self.links_max || self.links.values().any(free))
    }

    /// Sends a message, by the WebSocket or a POST. False: there is no connection for it now.
    pub(super) fn post(
        &mut self,
        stage: &mut Stage,
        text: &str,
        asked: Option<(Rc<str>, Open)>,
        message: &Value,
    ) -> bool {
        if self.socket {
            let Some(conn) = self.links.keys().next().copied() else { return false };
            if let Some((id, open)) = asked {
                self.ledger.asked(stage, &id, Open { conn, ..open });
            }
            let frame = link::frame(text, &mut self.rng);
            net::send(stage, conn, &frame);
            return true;
        }
        let mut headers = access::lasting(stage, &self.name());
        if self.modern {
            let name = message["params"]["name"].as_str();
            let name = name.map_or(String::new(), |name| format!("Mcp-Name: {name}\r\n"));
            let method = message["method"].as_str().unwrap_or_default();
            headers += &format!("MCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\n{name}");
        } else if let Some(session) = &self.session {
            headers += &format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: {}\r\n", self.version);
        }
        let exchange = asked.as_ref().map_or(Exchange::Tell, |(id, _)| Exchange::Ask(id.clone()));
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n",
            text.len()
        );
        let Some(conn) = self.send(stage, exchange, &[head.as_bytes(), text.as_bytes()].concat()) else {
            return false;
        };
        if let Some((id, open)) = asked {
            self.ledger.asked(stage, &id, Open { conn, ..open });
        }
        true
    }

    /// Sends an HTTP request over a connection that is free, or a new one.
    fn send(&mut self, stage: &mut Stage, exchange: Exchange, request: &[u8]) -> Option<usize> {
        let free = |link: &Link| link.exchange().is_none();
        let spare = usize::from(exchange == Exchange::Tell);
        let found = self.links.iter().find(|(_, link)| free(link)).map(|(conn, _)| *conn);
        let conn = match found {
            Some(conn) => conn,
            None if self.links.len() < self.links_max + spare => {
                let conn = net::connect(stage, self.id);
                self.links.insert(conn, Link::http());
                conn
            }
            None => return None,
        };
        if let Some(Link::Http(http)) = self.links.get_mut(&conn) {
            (http.busy, http.began) = (Some(exchange), stage.now);
            http.session.clone_from(&self.session);
        }
        net::send(stage, conn, request);
        Some(conn)
    }

    /// The stream of the session, unless there is one.
    pub(super) fn listen(&mut self, stage: &mut Stage) {
        let listens = |link: &Link| link.exchange() == Some(&Exchange::Listen);
        if self.links_max < 2 || self.links.values().any(listens) {
            return;
        }
        self.send_bare(stage, "GET", Exchange::Listen);
    }

    /// Gives up the session: its requests may come to nothing.
    pub(super) fn farewell(&mut self, stage: &mut Stage) {
        self.ledger.cancel_all(stage);
        self.send_bare(stage, "DELETE", Exchange::Farewell);
    }

    fn send_bare(&mut self, stage: &mut Stage, verb: &str, exchange: Exchange) {
        let proof = access::lasting(stage, &self.name());
        let Some(session) = &self.session else { return };
        let request = format!(
            "{verb} /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n{proof}\r\n"
        );
        self.send(stage, exchange, request.as_bytes());
    }

    /// Says that a request need not be answered any more.
    pub(super) fn cancel(&mut self, stage: &mut Stage) {
        if self.modern && !self.socket {
            return;
        }
        let at = self.rng.index(self.ledger.len());
        let Some(id) = self.ledger.cancellable(at) else { return };
        let request: Value = serde_json::from_str(&id).unwrap_or_default();
        let params = json!({"requestId": request, "reason": "enough"});
        let text =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string();
        if self.post(stage, &text, None, &json!({})) {
            stage.faults.count(Fault::Cancelled);
            self.ledger.cancel(stage, &id);
        }
    }
}
