//! The alarms of calls, and the built-in `sleep`, which is one.

use weir_ring::token::Token;

use crate::mcp::call::Work;
use crate::turn::{Cx, Shard};

impl Shard {
    /// A call's time has come.
    pub(crate) fn examine_call(&mut self, call: Token, cx: &mut Cx<'_>) {
        match self.mcp.calls.get(call).map(|call| &call.work) {
            Some(Work::Merge(_)) => self.merge_overdue(call, cx),
            Some(Work::Listen(_)) => self.examine_listen(call, cx),
            Some(Work::Introduction) => self.end_introduction(call, cx),
            Some(Work::Sleep { .. }) => self.sleep_on(call, cx),
            Some(Work::Direct { .. } | Work::Input(_)) | None => {}
        }
    }

    /// One step of the built-in `sleep` is over.
    fn sleep_on(&mut self, call: Token, cx: &mut Cx<'_>) {
        let _ = (call, cx);
    }
}

impl Shard {
    pub(crate) fn builtin(
        &mut self,
        request: &crate::mcp::dispatch::Request<'_>,
        own: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Result<(), crate::mcp::answer::Refusal> {
        let _ = (request, own, cx);
        Ok(())
    }
}
