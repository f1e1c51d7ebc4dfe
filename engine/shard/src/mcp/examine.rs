//! The alarms of calls.

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
            Some(Work::Sleep(_)) => self.sleep_on(call, cx),
            Some(Work::Input(_)) => self.input_overdue(call, cx),
            Some(Work::Direct { .. }) | None => {}
        }
    }
}
