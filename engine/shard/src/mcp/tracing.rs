//! What is told and recorded of what servers are asked for a call.

use weir_ring::token::Token;

use crate::mcp::call::Serves;
use crate::operation::Traced;
use crate::span::{Told, TraceContext};
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamId;
use crate::vsm::Step;

impl Shard {
    /// A leg is about to be sent: what its server is told of the span that this is, if the call is sampled.
    pub(crate) fn trace_asked(&mut self, leg: Token, cx: &Cx<'_>) -> Option<TraceContext> {
        let held = self.mcp.legs.get_mut(leg)?;
        let call = self.mcp.calls.get(held.serves.call()?)?;
        let journey = call.traced.as_ref()?.journey.as_ref()?;
        let (upward, context) = self.tracer.ask(journey, cx.now.mono);
        held.upward = Some(upward);
        Some(context)
    }

    /// A call is passed on to a server.
    pub(crate) fn trace_dispatched(&mut self, serves: Serves, server: UpstreamId, cx: &Cx<'_>) {
        let Some(traced) = self.traced_mut(serves).and_then(Option::take) else { return };
        let name: Box<str> = self.server_name(server).into();
        let at_hand = self.tracer.take_up(Some(traced));
        self.trace_step(Step::Dispatched, Some(&name), cx);
        let traced = self.tracer.take_up(at_hand);
        if let Some(place) = self.traced_mut(serves) {
            *place = traced;
        }
    }

    /// A leg has been answered, or will not be, for the reason `error`.
    pub(crate) fn trace_asked_of(
        &mut self,
        leg: Token,
        error: impl FnOnce() -> Option<Box<str>>,
        cx: &Cx<'_>,
    ) {
        let Some(held) = self.mcp.legs.get_mut(leg) else { return };
        let Some(upward) = held.upward.take() else { return };
        let (serves, server, method) = (held.serves, held.server, held.method.name());
        let Some(mut traced) = self.traced_mut(serves).and_then(Option::take) else { return };
        let (name, error): (Box<str>, _) = (self.server_name(server).into(), error());
        let told = Told {
            kind: method.unwrap_or_default(),
            detail: Some(&name),
            error: error.as_deref(),
            ..Told::default()
        };
        self.tracer.asked(&mut traced, upward, told, cx.now.mono);
        if let Some(place) = self.traced_mut(serves) {
            *place = Some(traced);
        }
    }

    /// Where a call has what is traced of it.
    fn traced_mut(&mut self, serves: Serves) -> Option<&mut Option<Box<Traced>>> {
        let call = self.mcp.calls.get_mut(serves.call()?)?;
        Some(&mut call.traced)
    }
}
