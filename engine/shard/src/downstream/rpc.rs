//! Raw MCP over WebSocket: one JSON-RPC message a text message.

use weir_ring::token::Token;
use weir_transports::jsonrpc::{self, Kind};
use weir_transports::phoenix::Version;
use weir_transports::websocket::close;

use crate::downstream::connection::{Link, Speaks};
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::limits::Permissions;
use crate::metrics::{Feature, Sent};
use crate::policy::Verdict;
use crate::policy::auth::Standing;
use crate::policy::suspicion::Offence;
use crate::turn::{Cx, Shard};

impl Shard {
    /// The first message of a connection whose URL does not say what it speaks.
    pub(crate) fn first_text(&mut self, token: Token, link: &mut Link, text: &str, cx: &mut Cx<'_>) -> Flow {
        match jsonrpc::sniff(text) {
            Some(Kind::JsonRpc) => {
                if let Err(error) = self.may(link.proof.standing(), Permissions::READ) {
                    return self.close_link(token, close::POLICY_VIOLATION, error.reason(), cx);
                }
                link.speaks = Speaks::Mcp;
                if link.session.is_none() {
                    let name = self.mint();
                    if let Err(error) = self.take_name(token, link, &name, cx) {
                        return self.close_link(token, close::TRY_AGAIN_LATER, &error.message(), cx);
                    }
                }
                self.rpc_text(token, link, text, cx)
            }
            Some(Kind::Phoenix) => {
                link.speaks = Speaks::Phoenix(Version::V1);
                self.phoenix_text(token, link, Version::V1, text, cx)
            }
            None => {
                let reason = "the first message is a JSON object with \"jsonrpc\" or \"topic\"";
                self.close_link(token, close::UNSUPPORTED_DATA, reason, cx)
            }
        }
    }

    pub(crate) fn rpc_text(&mut self, token: Token, link: &mut Link, text: &str, cx: &mut Cx<'_>) -> Flow {
        self.link_message(token, link, None, text, cx);
        Flow::Go
    }

    /// Takes a token from the client's bucket, which is of the size that `who` has.
    pub(crate) fn charge(&mut self, id: Token, standing: Option<Standing>, cx: &Cx<'_>) -> Result<(), Error> {
        let Shard { sessions, config, meter, .. } = self;
        let Some(session) = sessions.get_mut(id) else { return Ok(()) };
        session.received = session.received.saturating_add(1);
        session.heard = cx.now.mono;
        let began = meter.begin();
        let rate = config.auth.rate(standing.map(|standing| standing.role), &config.client_rate);
        let verdict = session.bucket.take(rate, cx.now.mono);
        meter.end(Feature::RateLimits, began);
        match verdict {
            Verdict::Allow { .. } => Ok(()),
            Verdict::Deny { retry_after } => {
                self.stats.limited += 1;
                self.client_offends(id, Offence::Limited, cx.now);
                Err(Error::RateLimited { retry_after })
            }
        }
    }

    /// Appends a text message, deflated where agreed and worth it.
    pub(crate) fn put_text(&mut self, token: Token, link: &Link, payload: &[u8], cx: &mut Cx<'_>) {
        let mut deflater = self.deflater.take();
        let deflate = link.deflate_for(payload.len(), &self.config, &mut deflater);
        let began = deflate.is_some().then(|| self.meter.begin());
        self.put(token, cx, |out| link.write_text(out, payload, deflate));
        if let Some(began) = began {
            self.meter.end(Feature::Compression, began);
        }
        self.deflater = deflater;
        link.traffic(&mut self.stats).messages_out += 1;
        let kind = if link.speaks == Speaks::Mcp { Sent::Mcp } else { Sent::Reply };
        self.stats.messages.sent(kind, 1);
    }
}
