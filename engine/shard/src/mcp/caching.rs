//! Requests that are answered with what a server has said before, and answers that are kept for it.

use weir_ring::token::Token;
use weir_transports::jsonrpc::Body;
use weir_transports::mcp::Method;

use crate::mcp::answer::Refusal;
use crate::mcp::cache::{Key, Wish};
use crate::mcp::call::{Leg, Work};
use crate::mcp::compose::Outgoing;
use crate::mcp::direct::NO_LEG;
use crate::mcp::dispatch::Request;
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamId;

impl Shard {
    /// Answers a request with what its server has said before; false if that is not kept.
    ///
    /// # Errors
    /// As [`Shard::begin`].
    pub(crate) fn answer_kept(
        &mut self,
        request: &Request<'_>,
        server: UpstreamId,
        own: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Result<bool, Refusal> {
        let Some(result) = self.kept_result(server, request.method, request.params, own, cx) else {
            return Ok(false);
        };
        let call: Token = self.begin(request, Work::Direct { leg: NO_LEG })?;
        self.finish_direct(call, server, Body::Result(&result), cx);
        Ok(true)
    }

    /// What a server has said to such a request before, and may still be told.
    pub(crate) fn kept_result(
        &mut self,
        server: UpstreamId,
        method: Method,
        params: Option<&str>,
        own: Option<&str>,
        cx: &Cx<'_>,
    ) -> Option<String> {
        let key = Key::of(server, method, params, own).filter(|_| self.is_modern(server))?;
        self.mcp.cache.get(&key, cx.now.mono)
    }

    /// What the answer to a request that goes out would be kept as. A server of the legacy era never says
    /// that it may be.
    pub(crate) fn wish(&self, server: UpstreamId, outgoing: &Outgoing<'_>) -> Option<Box<Wish>> {
        if self.is_legacy(server) {
            return None;
        }
        let key = Key::of(server, outgoing.method, outgoing.params, outgoing.own)?;
        Some(Box::new(self.mcp.cache.wish(key)))
    }

    /// Keeps what a leg was answered, if that may be.
    pub(crate) fn keep_answer(&mut self, leg: &mut Leg, body: Body<'_>, cx: &Cx<'_>) {
        if let (Some(wish), Body::Result(result)) = (leg.wish.take(), body)
            && self.is_modern(leg.server)
        {
            self.mcp.cache.keep(*wish, result, cx.now.mono);
        }
    }
}
