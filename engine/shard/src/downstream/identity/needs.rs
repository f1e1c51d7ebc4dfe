//! What needs what: the one table from endpoints and messages to permissions.

use weir_transports::http1::{Head, query};
use weir_transports::jsonrpc::Message;
use weir_transports::mcp::Method;

use crate::channels::Plan;
use crate::downstream::endpoint::Endpoint;
use crate::limits::Permissions;

/// What a request must be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// Nothing but to say who it is: what it brings is asked for itself.
    Nothing,
    /// This.
    All(Permissions),
    /// `observe`; of one's own client `read` is enough.
    Client(Option<Box<str>>),
    /// `observe`; of a topic that one may join `read` is enough.
    Topic(&'a str),
}

/// What a request needs.
pub(crate) fn of_request<'a>(endpoint: &'a Endpoint<'_>, head: &Head<'_>) -> Need<'a> {
    match endpoint {
        Endpoint::Mcp | Endpoint::HttpSse | Endpoint::Messages | Endpoint::Sse => {
            Need::All(Permissions::READ)
        }
        // Each join, each push and each message says what it wants.
        Endpoint::WebSocket | Endpoint::Phoenix | Endpoint::LongPoll => Need::Nothing,
        // Whose acknowledgement it is stands in its body.
        Endpoint::Acknowledge | Endpoint::Echo | Endpoint::Ticket | Endpoint::Refresh => Need::Nothing,
        Endpoint::Client(_) | Endpoint::Topic(_) | Endpoint::Batch => Need::All(Permissions::PUBLISH),
        Endpoint::Events => Need::Client(head.query.and_then(|q| query::get(q, "client")).map(Into::into)),
        Endpoint::Health(client) => Need::Client(Some(client.as_ref().into())),
        Endpoint::Presence(topic) => Need::Topic(topic),
        Endpoint::Stats => Need::All(Permissions::OBSERVE),
        // Whoever has no token must learn where tokens come from.
        Endpoint::Resource(_) => Need::Nothing,
    }
}

/// What a Phoenix frame needs. A join may bring its proof, and is asked once that is read.
pub(crate) fn of_plan(plan: &Plan<'_>) -> Permissions {
    match plan {
        Plan::Push { .. } | Plan::Publish { .. } => Permissions::WRITE,
        Plan::Acknowledge(_) | Plan::Rpc { .. } => Permissions::READ,
        _ => Permissions::NONE,
    }
}

/// What an MCP message needs. Answers are to what was asked of who may be asked.
pub(crate) fn of_message(message: &Message<'_>) -> Permissions {
    match message {
        Message::Request { method, .. } if Method::of(method) == Method::ToolsCall => Permissions::WRITE,
        _ => Permissions::READ,
    }
}

#[cfg(test)]
mod tests {
    use weir_transports::http1::{Limits, parse_head};

    use super::*;

    /// Every endpoint with what it needs; a new one fails here until somebody has thought about it.
    #[test]
    fn what_needs_what() {
        let read = Need::All(Permissions::READ);
        let publish = Need::All(Permissions::PUBLISH);
        let table = [
            (Endpoint::Mcp, read.clone()),
            (Endpoint::HttpSse, read.clone()),
            (Endpoint::Messages, read.clone()),
            (Endpoint::Sse, read),
            (Endpoint::Events, Need::Client(Some("u1".into()))),
            (Endpoint::WebSocket, Need::Nothing),
            (Endpoint::Phoenix, Need::Nothing),
            (Endpoint::LongPoll, Need::Nothing),
            (Endpoint::Echo, Need::Nothing),
            (Endpoint::Client("u1".into()), publish.clone()),
            (Endpoint::Topic("room:a".into()), publish.clone()),
            (Endpoint::Presence("room:a".into()), Need::Topic("room:a")),
            (Endpoint::Batch, publish),
            (Endpoint::Acknowledge, Need::Nothing),
            (Endpoint::Health("u2".into()), Need::Client(Some("u2".into()))),
            (Endpoint::Stats, Need::All(Permissions::OBSERVE)),
            (Endpoint::Ticket, Need::Nothing),
            (Endpoint::Refresh, Need::Nothing),
            (Endpoint::Resource("/mcp"), Need::Nothing),
        ];
        let limits = Limits { head_bytes_max: 4096, line_bytes_max: 1024 };
        let head = parse_head(b"GET /?client=u1 HTTP/1.1\r\nHost: h\r\n\r\n", &limits)
            .expect("valid")
            .expect("whole");
        for (endpoint, need) in &table {
            assert_eq!(of_request(endpoint, &head), *need, "{endpoint:?}");
        }
    }

    #[test]
    fn only_calling_tools_is_writing() {
        let needs = |text| of_message(&weir_transports::jsonrpc::decode(text).expect("JSON-RPC"));
        assert_eq!(needs(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#), Permissions::WRITE);
        assert_eq!(needs(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), Permissions::READ);
        assert_eq!(needs(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Permissions::READ);
    }
}
