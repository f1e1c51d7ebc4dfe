//! Answers to clients: results, errors, and what the transport says about them.

use weir_transports::jsonrpc::{self, Id};
use weir_transports::mcp::{Era, code};

use crate::error::Error;
use crate::mcp::outlet::{Delivery, Outlet};
use crate::turn::{Cx, Shard};
use crate::upstream::{UpstreamFault, UpstreamId};
use crate::vsm::Step;

/// Why a request is refused, as JSON-RPC has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i32,
    pub(crate) message: String,
    /// JSON.
    pub(crate) data: Option<Vec<u8>>,
    /// Why the gateway itself does not let it pass, if it is that.
    pub(crate) denied: Option<Error>,
}

impl Refusal {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), data: None, denied: None }
    }

    /// That of an error of the gateway's own, which goes with it as data.
    pub(crate) fn denied(code: i32, message: impl Into<String>, error: &Error) -> Refusal {
        let mut data = Vec::new();
        error.write_json(&mut data);
        Refusal { code, message: message.into(), data: Some(data), denied: Some(error.clone()) }
    }
}

/// The HTTP status of an answer that says so: legacy errors are messages like any other.
pub(crate) fn status_of(era: Era, error: i32) -> u16 {
    match (era, error) {
        (Era::Legacy(_), _) => 200,
        (Era::Modern, code::METHOD_NOT_FOUND) => 404,
        (
            Era::Modern,
            code::PARSE_ERROR
            | code::INVALID_REQUEST
            | code::HEADER_MISMATCH
            | code::MISSING_CAPABILITY
            | code::UNSUPPORTED_PROTOCOL_VERSION,
        ) => 400,
        (Era::Modern, _) => 200,
    }
}

impl Shard {
    /// Answers with a result.
    pub(crate) fn answer_result(&mut self, outlet: Outlet, id: Id<'_>, result: &[u8], cx: &mut Cx<'_>) {
        let mut message = std::mem::take(&mut self.mcp.message);
        message.clear();
        jsonrpc::result(&mut message, &id, result);
        self.mcp_deliver(outlet, Delivery::Answer { status: 200 }, &message, cx);
        self.mcp.message = message;
    }

    /// Answers with an error.
    pub(crate) fn answer_error(
        &mut self,
        outlet: Outlet,
        era: Era,
        id: Id<'_>,
        refusal: &Refusal,
        cx: &mut Cx<'_>,
    ) {
        let mut message = std::mem::take(&mut self.mcp.message);
        message.clear();
        let Refusal { code, message: sentence, data, denied } = refusal;
        match denied {
            Some(error) => {
                self.stats.refuse(error);
                self.trace_end(Step::Denied, Some(error.reason()), cx);
            }
            None => self.trace_end(Step::Answered, Some(sentence), cx),
        }
        jsonrpc::error(&mut message, Some(&id), *code, sentence, data.as_deref());
        self.mcp_deliver(outlet, Delivery::Answer { status: status_of(era, *code) }, &message, cx);
        self.mcp.message = message;
    }

    /// What a client is told of a server that did not answer.
    pub(crate) fn fault(&self, server: UpstreamId, why: &UpstreamFault) -> Refusal {
        let timeout =
            self.config.upstreams.get(usize::from(server.0)).map(|upstream| upstream.breaker.timeout);
        let message = format!("the server {} {why}", self.server_name(server));
        match why.error(timeout.unwrap_or_default()) {
            Some(error) => Refusal::denied(code::INTERNAL_ERROR, message, &error),
            None => Refusal::new(code::INTERNAL_ERROR, message),
        }
    }
}
