//! A modern upstream needs input that a legacy client can give: the client is asked, and the upstream is
//! asked again with what it said.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::jsonrpc::Body;
use weir_transports::mcp::mrtr::{self, InputRequired};
use weir_transports::mcp::{Method, Params, code, object};

use crate::mcp::answer::Refusal;
use crate::mcp::call::{Serves, Unsent, Work};
use crate::mcp::compose::Outgoing;
use crate::mcp::outlet::{Client, Delivery};
use crate::mcp::session::Asked;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::UpstreamId;

/// How often one call may need input.
const ROUNDS_MAX: u32 = 32;

/// A call whose client is being asked.
#[derive(Debug)]
pub(crate) struct Input {
    server: UpstreamId,
    /// Questions without answer.
    open: usize,
    /// Answers by key, JSON.
    answers: Vec<(String, Box<str>)>,
    /// To be given back to the upstream.
    state: Option<Box<str>>,
    /// How long the client may take.
    expires: Instant,
}

impl Shard {
    /// Whether the result asks for input instead of being one. If so, the client is being asked.
    pub(crate) fn needs_input(
        &mut self,
        call: Token,
        server: UpstreamId,
        result: &str,
        cx: &mut Cx<'_>,
    ) -> bool {
        let Some(held) = self.mcp.calls.get_mut(call) else { return false };
        let Client::Session(session) = held.client else { return false };
        let Some(required) = InputRequired::read(result) else { return false };
        held.rounds += 1;
        let (outlet, tired) = (held.outlet, held.rounds > ROUNDS_MAX);
        let requests: Vec<(String, String, String)> = required
            .requests
            .iter()
            .map(|asked| {
                let params = asked.params.unwrap_or("{}");
                let shown = self.shown_params(server, Method::of(&asked.method), params);
                (asked.key.to_string(), asked.method.to_string(), shown)
            })
            .collect();
        let input = Input {
            server,
            open: requests.len(),
            answers: Vec::new(),
            state: required.request_state.map(|state| state.as_ref().into()),
            expires: cx.now.mono.plus(self.answer_time(server)),
        };
        self.alarm(input.expires, Alarm::Mcp(call));
        if tired {
            let refusal = Refusal::new(code::INTERNAL_ERROR, "the server asks for input again and again");
            self.finish_with_error(call, &refusal, cx);
            return true;
        }
        if let Some(held) = self.mcp.calls.get_mut(call) {
            held.work = Work::Input(Box::new(input));
        }
        if requests.is_empty() {
            self.input_complete(call, cx);
            return true;
        }
        for (key, method, params) in requests {
            let Some(number) = self.note_asked(session, Asked::Input { call, key: key.into() }) else {
                let refusal = Refusal::new(code::INTERNAL_ERROR, "the client has too much to answer already");
                self.finish_with_error(call, &refusal, cx);
                return true;
            };
            let message =
                format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}"#);
            self.mcp_deliver(outlet, Delivery::Interim, message.as_bytes(), cx);
        }
        true
    }

    /// How long an answer may take with all that is asked in its course.
    fn answer_time(&self, server: UpstreamId) -> Duration {
        let upstream = self.config.upstreams.get(usize::from(server.0));
        upstream.map_or(Duration::ZERO, |upstream| upstream.timeout_max)
    }

    /// A look at a call whose client is being asked: it may have had its time.
    pub(crate) fn input_overdue(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(Work::Input(input)) = self.mcp.calls.get(call).map(|call| &call.work) else { return };
        if cx.now.mono >= input.expires {
            let message = "the client did not give the input that the server needs in time";
            self.finish_with_error(call, &Refusal::new(code::INTERNAL_ERROR, message), cx);
        }
    }

    /// The client has answered one question.
    pub(crate) fn input_given(&mut self, call: Token, key: &str, body: Body<'_>, cx: &mut Cx<'_>) {
        let Some(Work::Input(input)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        match body {
            Body::Result(result) => {
                input.open = input.open.saturating_sub(1);
                input.answers.push((key.to_owned(), result.into()));
                if input.open == 0 {
                    self.input_complete(call, cx);
                }
            }
            Body::Error(error) => {
                let message = object::find(error, ["message"]).ok().and_then(|[message]| message);
                let message = message.and_then(object::string).unwrap_or_default();
                let refusal = Refusal::new(
                    code::INTERNAL_ERROR,
                    format!("the client did not give the input that the server needs: {message}"),
                );
                self.finish_with_error(call, &refusal, cx);
            }
        }
    }

    /// All is answered: the upstream is asked again.
    fn input_complete(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.calls.get_mut(call) else { return };
        let Work::Input(input) =
            std::mem::replace(&mut held.work, Work::Direct { leg: super::direct::NO_LEG })
        else {
            return;
        };
        let method = held.method;
        let Some(Unsent { client, params, own, headers }) = held.asked.as_deref().cloned() else {
            return self.cannot_retry(call, cx);
        };
        let answers = input.answers.iter().map(|(key, text)| (&**key, &**text));
        let mut again = Vec::new();
        mrtr::write_retry(&mut again, params.as_deref(), answers, input.state.as_deref());
        let again = String::from_utf8(again).unwrap_or_default();
        let Ok(read) = Params::read(method, Some(&again)) else { return self.cannot_retry(call, cx) };
        let outgoing =
            Outgoing { client, method, params: Some(&again), own: own.as_deref(), headers: &headers };
        match self.begin_leg(Serves::Call(call), input.server, outgoing, &read, cx) {
            Ok(leg) => {
                if let Some(held) = self.mcp.calls.get_mut(call) {
                    held.work = Work::Direct { leg };
                }
            }
            Err(why) => {
                let refusal = self.fault(input.server, &why);
                self.finish_with_error(call, &refusal, cx);
            }
        }
    }

    /// What the client and the server have said makes no request.
    fn cannot_retry(&mut self, call: Token, cx: &mut Cx<'_>) {
        let message = "the server's request for input cannot be answered";
        self.finish_with_error(call, &Refusal::new(code::INTERNAL_ERROR, message), cx);
    }
}
