//! The alarms of calls, and the built-in `sleep`, which is one.

use weir_ring::token::Token;

use crate::mcp::call::Work;
use crate::turn::{Cx, Shard};

impl Shard {
    /// A call's time has come.
    pub(crate) fn examine_call(&mut self, call: Token, cx: &mut Cx<'_>) {
        match self.mcp.calls.get(call).map(|call| &call.work) {
            Some(Work::Merge(_)) => self.merge_overdue(call, cx),
            Some(Work::Introduction) => self.end_introduction(call, cx),
            Some(Work::Sleep { .. }) => self.sleep_on(call, cx),
            Some(Work::Direct { .. }) | None => {}
        }
    }

    /// One step of the built-in `sleep` is over.
    fn sleep_on(&mut self, call: Token, cx: &mut Cx<'_>) {
        let _ = (call, cx);
    }
}
