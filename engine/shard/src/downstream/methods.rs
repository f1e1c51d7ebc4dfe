//! Limits of single methods, where the configuration names some: MCP's methods, and the types of pushes.

use weir_ring::token::Token;

use crate::error::Error;
use crate::metrics::{Feature, Stats};
use crate::policy::{Caller, Verdict};
use crate::turn::{Cx, Shard};

impl Shard {
    /// Takes a token of `caller` for `method`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn charge_method(
        &mut self,
        caller: Caller<'_>,
        method: &str,
        cx: &Cx<'_>,
    ) -> Result<(), Error> {
        let began = self.meter.begin();
        let verdict = self.methods.take(caller, method, cx.now.mono);
        self.meter.end(Feature::RateLimits, began);
        judged(verdict, &mut self.stats)
    }

    /// The same for a session's client.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn charge_session_method(
        &mut self,
        id: Token,
        method: &str,
        cx: &Cx<'_>,
    ) -> Result<(), Error> {
        if self.config.method_limits.is_empty() {
            return Ok(());
        }
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let caller = Caller::Client(&session.client);
        let began = self.meter.begin();
        let verdict = self.methods.take(caller, method, cx.now.mono);
        self.meter.end(Feature::RateLimits, began);
        judged(verdict, &mut self.stats)
    }
}

fn judged(verdict: Verdict, stats: &mut Stats) -> Result<(), Error> {
    match verdict {
        Verdict::Allow { .. } => Ok(()),
        Verdict::Deny { retry_after } => {
            stats.limited += 1;
            Err(Error::MethodLimited { retry_after })
        }
    }
}
