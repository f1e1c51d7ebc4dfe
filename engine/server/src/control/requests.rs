//! What shards ask the control thread for, and who serves it.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use weir_ring::token::Member;
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::Config;
use weir_shard::mail::{Errand, TokenWanted};

use super::bus::{Audience, Bus, Change};
use super::credentials::Clerk;
use super::handlers::{Handlers, WAITING_MAX};
use super::jwks::{Keeper, NewKeys};
use super::mailbox::{Desks, Mailbox};
use super::passage::Leaver;
use super::telemetry::Telemetry;
use crate::config::Handler;

/// What has been asked for and is not served yet.
pub(super) struct Requests {
    keys: UnboundedReceiver<Member>,
    tokens: UnboundedReceiver<Box<TokenWanted>>,
    changes: UnboundedReceiver<Change>,
    errands: Receiver<Box<Errand>>,
}

impl Requests {
    /// Where the mailbox puts them, and where they are taken.
    pub(super) fn open(spans: Telemetry, emigrants: UnboundedSender<Leaver>) -> (Desks, Requests) {
        let (wanted, keys) = unbounded_channel();
        let (tokens_wanted, tokens) = unbounded_channel();
        let (watched, changes) = unbounded_channel();
        let (handed, errands) = channel(WAITING_MAX);
        let desks = Desks { wanted, tokens_wanted, watched, handed, spans, emigrants };
        (desks, Requests { keys, tokens, changes, errands })
    }

    /// Begins to serve them. Answers who is told when other keys are to be kept; those that are fetched, each `refresh`.
    pub(super) fn serve(
        self,
        mailbox: &Mailbox,
        bus: &Bus,
        ring: &HashRing,
        config: &Config,
        (handlers, refresh): (Vec<Handler>, Duration),
    ) -> UnboundedSender<NewKeys> {
        let (renew, renewed) = unbounded_channel();
        tokio::spawn(Audience::new(bus, mailbox.clone(), ring.clone()).run(self.changes));
        tokio::spawn(Handlers::new(handlers, mailbox.clone()).run(self.errands));
        tokio::spawn(Clerk::new(config, mailbox.clone()).run(self.tokens));
        tokio::spawn(Keeper::new(&config.auth, refresh, mailbox.clone()).run(self.keys, renewed));
        renew
    }
}
