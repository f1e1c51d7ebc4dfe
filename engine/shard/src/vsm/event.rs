//! Events: what happens in a shard or on the control thread, as values.

use serde::Serialize;
use weir_ring::time::Wall;

use super::intelligence::{Notice, Performance};
use super::topic::Topic;
use crate::operation::Operation;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// When.
    pub at: Wall,
    /// What.
    pub event: Event,
}

/// What happened. Its fields are the event's `data`. What happens for each message is counted, and the counters of a
/// while are one event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A circuit breaker lets nothing pass for a while.
    BreakerOpened { name: Box<str> },
    /// A circuit breaker tries whether something may pass again.
    BreakerHalfOpen { name: Box<str> },
    /// A circuit breaker lets everything pass again.
    BreakerClosed { name: Box<str> },
    /// A shard takes fewer newcomers than before, or more.
    AdmissionChanged { from: &'static str, to: &'static str },
    /// From 0, nothing, to 3: how urgent a message must be to be accepted under load.
    SheddingChanged { level: u8 },
    /// All connections to an upstream are in use, and as many requests wait as may.
    PoolExhausted { upstream: Box<str> },
    /// How far an orderly stop is: what is left to close, and on how many of those something is under way.
    Drain { phase: DrainPhase, reason: Box<str>, connections: u64, calls: u64 },
    /// A client's messages take another transport.
    TransportSwitched { client: Box<str>, from: &'static str, to: &'static str, reason: &'static str },
    /// Connections that came and went since it was last said.
    Connections { websocket: Opened, http_sse: Opened, longpoll: Opened },
    /// A connection that carries a client's messages was opened, which is said while somebody looks for a fault.
    ConnectionOpened {
        transport: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<Box<str>>,
    },
    /// It has ended.
    ConnectionClosed {
        transport: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<Box<str>>,
    },
    /// What was refused since it was last said.
    Refused(Refusals),
    /// What a rule refused since it was last said, and what it would have refused.
    Judged { rule: Box<str>, denied: u64, reported: u64 },
    /// Other rules hold from now on: so many.
    RulesReloaded { rules: u64, dry_run: bool },
    /// A rule file cannot be used; the rules stay as they are.
    RulesRejected { message: Box<str> },
    /// The configuration was read again: so many keys and lists changed, and so many wait for the next start.
    ConfigReloaded { changed: u64, needs_restart: u64 },
    /// A configuration cannot be used; everything stays as it is.
    ConfigRejected { message: Box<str> },
    /// How the gateway performed in a second.
    GatewayPerformance(Box<Performance>),
    /// Something is found in the gateway's figures, or is over.
    Noticed(Box<Notice>),
    /// How far a message of a traced client, or for it, has got; or why one was refused.
    Step {
        #[serde(skip)]
        client: Box<str>,
        operation: Operation,
        #[serde(skip)]
        step: Step,
        #[serde(rename = "type")]
        kind: Box<str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Box<str>>,
        /// The trace that it is part of, if it is sampled.
        #[serde(skip_serializing_if = "Option::is_none")]
        trace_id: Option<Box<str>>,
    },
    /// Events left out, as there were too many of them or the control thread did not keep up.
    Dropped { count: u64 },
}

/// What a message goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It came, whole.
    Received,
    /// Limits, permissions and rules let it pass.
    Allowed,
    /// The gateway itself refuses it, by them or for want of what it takes; `detail` is the reason.
    Denied,
    /// It was passed on; `detail` says whom to.
    Dispatched,
    /// Who sent it was answered; `detail` is the reason of an error.
    Answered,
    /// It was written to the client it is for.
    Delivered,
    /// That has it.
    Acknowledged,
}

/// How far an orderly stop is. There is no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainPhase {
    /// Nothing new is accepted, clients are told, and connections are closed a batch at a time.
    Begun,
    /// What is still open has something under way, which finishes first.
    Finishing,
    /// Its time is up: connections are cut.
    Overdue,
    /// Nothing is left.
    Ended,
}

/// Connections of one transport. One that moves to its home shard is closed on one shard and opened on another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// How many were opened.
    pub opened: u64,
    /// How many ended.
    pub closed: u64,
    /// How many there are.
    pub open: u64,
}

/// Requests, messages and connections that were refused, by what refused them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// A rate limit.
    pub limited: u64,
    /// What their sender may do.
    pub denied: u64,
    /// A rule for messages, or an injection pattern.
    pub forbidden: u64,
    /// The blacklist, or suspicion.
    pub kept_out: u64,
    /// What a network address may have.
    pub turned_away: u64,
}

impl Event {
    /// Where it is said.
    pub fn topic(&self) -> Topic {
        match self {
            Event::BreakerOpened { .. }
            | Event::BreakerHalfOpen { .. }
            | Event::BreakerClosed { .. }
            | Event::AdmissionChanged { .. }
            | Event::SheddingChanged { .. }
            | Event::PoolExhausted { .. } => Topic::Control,
            Event::Drain { .. } | Event::Dropped { .. } => Topic::Operations,
            Event::TransportSwitched { .. }
            | Event::Connections { .. }
            | Event::ConnectionOpened { .. }
            | Event::ConnectionClosed { .. } => Topic::Transport,
            Event::Refused(_)
            | Event::Judged { .. }
            | Event::RulesReloaded { .. }
            | Event::RulesRejected { .. }
            | Event::ConfigReloaded { .. }
            | Event::ConfigRejected { .. } => Topic::Policy,
            Event::GatewayPerformance(_) | Event::Noticed(_) => Topic::Intelligence,
            Event::Step { client, .. } => Topic::Client(client.clone()),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Event::BreakerOpened { .. } => "breaker_opened",
            Event::BreakerHalfOpen { .. } => "breaker_half_open",
            Event::BreakerClosed { .. } => "breaker_closed",
            Event::AdmissionChanged { .. } => "admission_changed",
            Event::SheddingChanged { .. } => "shedding_changed",
            Event::PoolExhausted { .. } => "pool_exhausted",
            Event::Drain { .. } => "drain",
            Event::TransportSwitched { .. } => "transport_switched",
            Event::Connections { .. } => "connections",
            Event::ConnectionOpened { .. } => "connection_opened",
            Event::ConnectionClosed { .. } => "connection_closed",
            Event::Refused(_) => "refused",
            Event::Judged { .. } => "judged",
            Event::RulesReloaded { .. } => "rules_reloaded",
            Event::RulesRejected { .. } => "rules_rejected",
            Event::ConfigReloaded { .. } => "config_reloaded",
            Event::ConfigRejected { .. } => "config_rejected",
            Event::GatewayPerformance(_) => "gateway_performance",
            Event::Noticed(notice) => notice.finding.name(),
            Event::Step { step, .. } => step.name(),
            Event::Dropped { .. } => "dropped",
        }
    }
}

impl Step {
    /// The name on the bus.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Received => "received",
            Step::Allowed => "allowed",
            Step::Denied => "denied",
            Step::Dispatched => "dispatched",
            Step::Answered => "answered",
            Step::Delivered => "delivered",
            Step::Acknowledged => "acknowledged",
        }
    }
}

impl Refusals {
    /// What has come since `before`.
    pub(super) fn since(self, before: Refusals) -> Refusals {
        Refusals {
            limited: self.limited - before.limited,
            denied: self.denied - before.denied,
            forbidden: self.forbidden - before.forbidden,
            kept_out: self.kept_out - before.kept_out,
            turned_away: self.turned_away - before.turned_away,
        }
    }
}
