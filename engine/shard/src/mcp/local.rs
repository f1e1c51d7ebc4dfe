//! Calls that the built-in server answers.

use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::jsonrpc::Id;
use weir_transports::mcp::show::{self, Shown};
use weir_transports::mcp::{Method, Params, object};

use crate::mcp::answer::Refusal;
use crate::mcp::builtin::{self, Answer, Failure, Sleep};
use crate::mcp::call::Work;
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::Delivery;
use crate::mcp::servers::BUILTIN;
use crate::turn::{Alarm, Cx, Shard};

/// A call of `sleep`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nap {
    sleep: Sleep,
    /// Steps that are over.
    step: u32,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        let Failure { code, message, data } = failure;
        Refusal { data: data.map(String::into_bytes), ..Refusal::new(code, message) }
    }
}

impl Shard {
    /// Answers a request, or begins to sleep. `own` is the built-in server's own name for what the client
    /// names otherwise.
    pub(crate) fn builtin(
        &mut self,
        request: &Request<'_>,
        own: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        let mut named = Vec::new();
        let mut read = *request.read;
        if let Some(own) = own {
            object::write_str(&mut named, own);
            let name = std::str::from_utf8(&named).ok();
            (read.name, read.uri) = (read.name.and(name), read.uri.and(name));
        }
        let mut result = std::mem::take(&mut self.mcp.upward);
        result.clear();
        let answer = builtin::answer(&mut result, request.era, request.method, &read, cx.now.wall);
        let outcome = match answer {
            Ok(Answer::Result) => {
                self.answer_builtin(request, &mut result, cx);
                Ok(())
            }
            Ok(Answer::Sleep(sleep)) => self.fall_asleep(request, sleep, cx),
            Err(failure) => Err(failure.into()),
        };
        self.mcp.upward = result;
        outcome
    }

    fn answer_builtin(&mut self, request: &Request<'_>, result: &mut Vec<u8>, cx: &mut Cx<'_>) {
        if self.shows_uris()
            && let Ok(text) = std::str::from_utf8(result)
        {
            let mut rewritten = Vec::with_capacity(text.len() + 64);
            let shown = Shown { upstream: self.server_name(BUILTIN), names: false, uris: true };
            show::write(&mut rewritten, request.method, text, shown);
            *result = rewritten;
        }
        self.answer_result(request.from.outlet, request.id, result, cx);
    }

    /// The built-in server's page of a list; nothing if it has no such list.
    pub(crate) fn builtin_page(&self, request: &Request<'_>, method: Method, cx: &Cx<'_>) -> Option<String> {
        let read = Params { cursor: None, ..*request.read };
        let mut page = Vec::new();
        builtin::answer(&mut page, request.era, method, &read, cx.now.wall).ok()?;
        String::from_utf8(page).ok()
    }

    fn fall_asleep(&mut self, request: &Request<'_>, sleep: Sleep, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let call = self.begin(request, Work::Sleep(Nap { sleep, step: 0 }))?;
        self.alarm(cx.now.mono.plus(step_of(sleep)), Alarm::Mcp(call));
        Ok(())
    }

    /// One step of a `sleep` is over.
    pub(crate) fn sleep_on(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.calls.get_mut(call) else { return };
        let Work::Sleep(nap) = &mut held.work else { return };
        nap.step += 1;
        let Nap { sleep, step } = *nap;
        let outlet = held.outlet;
        if let Some(token) = &held.progress {
            let progress = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"total":{}}}}}"#,
                sleep.steps
            );
            self.mcp_deliver(outlet, Delivery::Interim, progress.as_bytes(), cx);
        }
        if step < sleep.steps {
            return self.alarm(cx.now.mono.plus(step_of(sleep)), Alarm::Mcp(call));
        }
        let Some(call) = self.end_call(call) else { return };
        let Some(id) = Id::from_json(&call.id) else { return };
        let mut result = Vec::new();
        builtin::slept(&mut result, call.era, sleep);
        self.answer_result(outlet, id, &result, cx);
    }
}

fn step_of(sleep: Sleep) -> Duration {
    sleep.duration / sleep.steps.max(1)
}
