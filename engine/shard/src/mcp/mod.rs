//! MCP messages in, answers out. This version answers `ping`; every other method is unknown.

#[cfg(test)]
mod builtin;

use weir_transports::jsonrpc::{self, Message, Refused};

use crate::error::Error;

/// JSON-RPC 2.0, section 5.1.
const METHOD_NOT_FOUND: i32 = -32601;

/// Outside the ranges that JSON-RPC and MCP reserve: the HTTP status of the same refusal.
const RATE_LIMITED: i32 = 429;

/// Writes the answer to one message; nothing where none is due.
pub(crate) fn answer(message: Result<Message<'_>, Refused<'_>>, limited: Option<&Error>, out: &mut Vec<u8>) {
    match message {
        Err(Refused { error, id }) => {
            jsonrpc::error(out, id.as_ref(), error.code(), &error.to_string(), None);
        }
        Ok(Message::Request { id, method, .. }) => match (limited, &*method) {
            (Some(error), _) => {
                let mut data = Vec::new();
                error.write_json(&mut data);
                jsonrpc::error(out, Some(&id), RATE_LIMITED, &error.message(), Some(&data));
            }
            (None, "ping") => jsonrpc::result(out, &id, b"{}"),
            (None, _) => {
                let message = format!("the method {method} is not served here");
                jsonrpc::error(out, Some(&id), METHOD_NOT_FOUND, &message, None);
            }
        },
        Ok(Message::Notification { .. } | Message::Response { .. }) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> String {
        let mut out = Vec::new();
        answer(jsonrpc::decode(text), None, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn ping_keeps_the_type_of_its_id() {
        assert_eq!(
            answered(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#
        );
        let text = answered(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#);
        assert_eq!(text, r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    }

    #[test]
    fn notifications_get_no_answer_and_faults_their_code() {
        assert_eq!(answered(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#), "");
        assert!(answered("{").contains("-32700"));
        assert!(answered(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#).contains("-32600"));
        assert!(answered(r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#).contains("-32601"));
    }
}
