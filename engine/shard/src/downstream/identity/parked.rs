//! Requests whose token was signed with a key that nobody here has seen: kept while the keys are fetched anew.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::downstream::connection::{Exchange, Stage, Waiting};
use crate::downstream::exchange::Raw;
use crate::downstream::identity::Unadmitted;
use crate::error::Error;
use crate::turn::{Cx, Shard};

/// How long a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests of one shard that may wait at once.
const PARKED_MAX: usize = 256;

/// A request that is served once the keys are here.
#[derive(Debug)]
pub(crate) struct Parked {
    /// As it came.
    request: Vec<u8>,
}

impl Shard {
    /// Keeps a request and asks for the keys, unless too many wait.
    pub(super) fn park(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Unadmitted {
        if self.parked.len() >= PARKED_MAX {
            return Unadmitted::Refused(Error::insufficient_resources());
        }
        exchange.asked_keys = true;
        self.parked.push(token);
        self.want_keys(cx);
        self.wake_by(token, cx.now.mono.plus(PATIENCE));
        // What came behind it is kept where it is.
        let request = Raw { rest: &[], ..raw }.to_bytes();
        Unadmitted::Waits(Waiting::Keys(Box::new(Parked { request })))
    }

    /// The keys are here, as far as they can be had: who waited for them is served.
    pub(crate) fn run_parked(&mut self, cx: &mut Cx<'_>) {
        for token in std::mem::take(&mut self.parked) {
            self.run_again(token, cx);
        }
    }

    /// A look at a request that waits for keys: its time may be over.
    pub(crate) fn examine_parked(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let end = self.conns.get(token)?.heard.plus(PATIENCE);
        if cx.now.mono < end {
            return Some(end);
        }
        self.forget_parked(token);
        self.run_again(token, cx);
        self.examine_exchange(token, cx)
    }

    /// A connection whose request waits is gone, or it waits no longer.
    pub(crate) fn forget_parked(&mut self, token: Token) {
        self.parked.retain(|other| *other != token);
    }

    fn run_again(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Stage::Http(exchange) = &mut conn.stage else { return };
        match exchange.waiting.take() {
            Some(Waiting::Keys(parked)) => exchange.spill.splice(..0, parked.request),
            other => {
                exchange.waiting = other;
                return;
            }
        };
        self.http_received(token, &[], cx);
    }
}
