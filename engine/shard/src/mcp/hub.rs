//! What clients and upstreams send, and where it goes.

use weir_ring::token::Token;
use weir_transports::jsonrpc::Message;

use crate::error::Error;
use crate::mcp::outlet::{From, Outlet};
use crate::mcp::session::Carrier;
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamFault;

impl Shard {
    /// Opens a session for a legacy client whose `initialize` has these parameters.
    ///
    /// # Errors
    /// The table of sessions is full, or the parameters are not what `initialize` takes.
    pub(crate) fn mcp_open(
        &mut self,
        params: Option<&str>,
        carrier: Carrier,
        cx: &mut Cx<'_>,
    ) -> Result<Token, Error> {
        let _ = (params, carrier, cx);
        Err(Error::insufficient_resources())
    }

    /// Takes a message of a client. Its answer, if one is due, goes to the outlet, in this turn or later.
    pub(crate) fn mcp_message(&mut self, from: From<'_>, message: Message<'_>, cx: &mut Cx<'_>) {
        let _ = (from, message, cx);
    }

    /// A stateless client has given up the request whose answer would go to `outlet`.
    pub(crate) fn mcp_abandoned(&mut self, outlet: Outlet, cx: &mut Cx<'_>) {
        let _ = (outlet, cx);
    }

    /// Ends a session and all that is under way for it.
    pub(crate) fn mcp_close(&mut self, session: Token, cx: &mut Cx<'_>) {
        let _ = (session, cx);
    }

    /// A conversation with an upstream can begin.
    pub(crate) fn backing_ready(&mut self, backing: Token, cx: &mut Cx<'_>) {
        let _ = (backing, cx);
    }

    /// A conversation has ended; its legs have been failed before.
    pub(crate) fn backing_lost(&mut self, backing: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        let _ = (backing, why, cx);
    }

    /// A message for a leg; a response is its last.
    pub(crate) fn leg_message(&mut self, leg: Token, text: &str, cx: &mut Cx<'_>) {
        let _ = (leg, text, cx);
    }

    /// A leg will not be answered.
    pub(crate) fn leg_failed(&mut self, leg: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        let _ = (leg, why, cx);
    }

    /// A message of an upstream that belongs to no leg.
    pub(crate) fn backing_message(&mut self, backing: Token, text: &str, cx: &mut Cx<'_>) {
        let _ = (backing, text, cx);
    }
}
