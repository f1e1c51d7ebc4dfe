//! What a client writes on a line: enough of JSON-RPC to know whether it is answered, and which headers go with it.

use serde::Deserialize;
use serde_json::{Value, json};
use weir_transports::mcp::headers::{METHOD, NAME, PROTOCOL_VERSION, encode};

/// The key of `_meta` by which a request says its revision, since 2026-07-28.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// What says that a request is of no use any more.
const CANCELLED: &str = "notifications/cancelled";

/// A line, or a batch of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    /// The ids of what must be answered, as JSON.
    pub(super) asks: Vec<String>,
    /// The id of the request that is of no use any more.
    pub(super) cancels: Option<String>,
    /// Of a message alone.
    pub(super) method: Option<String>,
    /// Headers that mirror the body (2026-07-28); none of what belongs to a session.
    pub(super) headers: Vec<(Box<str>, Box<str>)>,
}

/// One message of JSON-RPC.
#[derive(Deserialize)]
struct Line {
    id: Option<Value>,
    method: Option<String>,
    params: Option<Value>,
}

impl Message {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no JSON-RPC; the text says where.
    pub(super) fn read(line: &str) -> Result<Message, String> {
        let said = |error: serde_json::Error| error.to_string();
        if line.trim_start().starts_with('[') {
            let all: Vec<Line> = serde_json::from_str(line).map_err(said)?;
            let asks = all.iter().filter_map(Line::ask).collect();
            return Ok(Message { asks, ..Message::default() });
        }
        let one: Line = serde_json::from_str(line).map_err(said)?;
        let headers = one.headers();
        let cancels = one.params.as_ref().map(|params| &params["requestId"]);
        let cancels = cancels.filter(|id| one.method.as_deref() == Some(CANCELLED) && !id.is_null());
        let (asks, cancels) = (one.ask().into_iter().collect(), cancels.map(Value::to_string));
        Ok(Message { asks, cancels, method: one.method, headers })
    }

    pub(super) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// Whether it belongs to a session: it says nothing of its own about its revision.
    pub(super) fn is_of_session(&self) -> bool {
        self.headers.is_empty()
    }
}

impl Line {
    fn ask(&self) -> Option<String> {
        self.method.as_ref()?;
        self.id.as_ref().map(Value::to_string)
    }

    fn headers(&self) -> Vec<(Box<str>, Box<str>)> {
        let (Some(method), Some(params)) = (&self.method, &self.params) else { return Vec::new() };
        let Some(version) = params["_meta"][META_VERSION].as_str() else { return Vec::new() };
        let mut headers =
            vec![(PROTOCOL_VERSION.into(), version.into()), (METHOD.into(), encode(method).into())];
        let key = match method.as_str() {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return headers,
        };
        headers.extend(params[key].as_str().map(|name| (NAME.into(), encode(name).into())));
        headers
    }
}

/// The answer to `id` that there is none, and why.
pub(super) fn failure(id: &str, code: i64, message: &str) -> String {
    let error = json!({ "code": code, "message": message });
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

/// What a gateway that refuses has said, as the answer to `id`.
pub(super) fn refusal(id: &str, status: u16, body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    match &said["error"] {
        error @ Value::Object(_) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
        _ => {
            let why = said["message"].as_str().unwrap_or("it does not say why");
            failure(id, i64::from(status), &format!("the gateway answers {status}: {why}"))
        }
    }
}

/// The id that a response is to, as JSON. None: it is none.
pub(super) fn answered(line: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).ok()?;
    match line.method {
        None => line.id.map(|id| id.to_string()),
        Some(_) => None,
    }
}

/// JSON on one line: breaks stand between its tokens only.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_known() {
        let read = |line| Message::read(line).expect(line);
        let ask = read(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#);
        assert_eq!((ask.asks.as_slice(), ask.is("ping")), (["\"a\"".to_owned()].as_slice(), true));
        assert!(read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).asks.is_empty());
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).asks.is_empty());
        let batch =
            read(r#"[{"id":1,"method":"a"},{"method":"b"},{"id":2,"method":"c"},{"id":3,"result":1}]"#);
        assert_eq!(batch.asks, ["1", "2"]);
        let cancelled = r#"{"method":"notifications/cancelled","params":{"requestId":"a"}}"#;
        assert_eq!(read(cancelled).cancels.as_deref(), Some("\"a\""));
        assert!(Message::read("{").is_err() && Message::read("7").is_err());
        assert_eq!(answered(r#"{"id":1,"result":{}}"#).as_deref(), Some("1"));
        assert_eq!(answered(r#"{"id":1,"method":"ping"}"#), None);
    }

    #[test]
    fn a_request_without_a_session_is_mirrored_by_headers() {
        let line = r#"{"id":1,"method":"tools/call","params":{"name":"h\u00e9","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let message = Message::read(line).expect("a request");
        assert!(!message.is_of_session());
        assert_eq!(message.headers[0], (PROTOCOL_VERSION.into(), "2026-07-28".into()));
        assert_eq!(message.headers[1], (METHOD.into(), "tools/call".into()));
        assert_eq!(message.headers[2], (NAME.into(), "=?base64?aMOp?=".into()));
    }

    #[test]
    fn refusals_are_answers() {
        let json =
            refusal("7", 404, br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"gone"}}"#);
        assert_eq!(json, r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"gone"}}"#);
        let plain = refusal("\"x\"", 503, br#"{"error":"unavailable","message":"Later."}"#);
        assert!(plain.contains(r#""code":503"#) && plain.contains("answers 503: Later."), "{plain}");
        assert!(refusal("1", 502, b"<html>").contains("does not say why"));
    }
}
