//! A `tools/call` request, written once; each one sent differs in its id only.

use std::rc::Rc;

use crate::net::Target;

use super::Era;

/// The first id: eight digits.
pub(super) const FIRST_ID: u32 = 10_000_000;

/// Ids wrap here, so that all requests of a run have one size.
pub(super) const IDS: u32 = 90_000_000;

/// Stands where the id goes.
const ID_PLACE: &str = "00000000";

/// A whole POST.
pub(super) struct Request {
    bytes: Rc<[u8]>,
    /// Where the id's digits begin.
    id_at: usize,
}

impl Request {
    /// Calls `tool` with `message`, neither of which needs an escape.
    pub(super) fn new(target: &Target, era: Era, session: Option<&str>, tool: &str, message: &str) -> Self {
        let version = era.version();
        let (more_headers, meta) = match era {
            Era::Legacy => {
                (session.map_or_else(String::new, |id| format!("Mcp-Session-Id: {id}\r\n")), String::new())
            }
            Era::Modern => (format!("Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"), meta(version)),
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{ID_PLACE},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"message":"{message}"}}{meta}}}}}"#
        );
        let head = head(target, &format!("MCP-Protocol-Version: {version}\r\n{more_headers}"), body.len());
        let id_at = head.len() + r#"{"jsonrpc":"2.0","id":"#.len();
        Self { bytes: (head + &body).into_bytes().into(), id_at }
    }

    /// Queues it with the id `id`, of eight digits.
    pub(super) fn queue(&self, id: u32, out: &mut Vec<u8>) {
        let id_at = out.len() + self.id_at;
        out.extend_from_slice(&self.bytes);
        let mut digits = itoa::Buffer::new();
        out[id_at..id_at + ID_PLACE.len()].copy_from_slice(digits.format(id).as_bytes());
    }
}

/// The head of any message to an MCP endpoint. Each of `headers` ends by CRLF.
pub(super) fn head(target: &Target, headers: &str, body_len: usize) -> String {
    let Target { host, path, .. } = target;
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {body_len}\r\n\r\n"
    )
}

/// What a modern request says of its client (2026-07-28, basic, `_meta`).
fn meta(version: &str) -> String {
    format!(
        r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn queued(era: Era, session: Option<&str>) -> (String, Value) {
        let target: Target = "http://127.0.0.1:4001/mcp".parse().unwrap();
        let mut out = b"before".to_vec();
        Request::new(&target, era, session, "echo", "hello").queue(FIRST_ID + 7, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.strip_prefix("before").unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn legacy_request_names_its_session() {
        let (head, body) = queued(Era::Legacy, Some("s1"));
        assert!(head.contains("\r\nMCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: s1\r\n"), "{head}");
        let params = json!({"name": "echo", "arguments": {"message": "hello"}});
        let wanted = json!({"jsonrpc": "2.0", "id": 10_000_007, "method": "tools/call", "params": params});
        assert_eq!(body, wanted);
    }

    #[test]
    fn modern_request_says_all_that_the_server_must_know() {
        let (head, body) = queued(Era::Modern, None);
        let headers = "\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";
        assert!(head.contains(headers), "{head}");
        assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({}));
    }
}
