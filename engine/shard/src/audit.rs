//! The audit log's records: whom a rule, the blacklist or a suspicion has touched. They go to the control thread,
//! which writes them down; a shard never waits for that.

use std::net::IpAddr;

use serde::Serialize;
use weir_ring::time::Wall;

use crate::limits;
use crate::message::timestamp;
use crate::metrics::AuditStats;
use crate::policy::{TokenBucket, Verdict};
use weir_ring::time::Now;

/// Records that wait for the end of the turn.
const RECORDS_MAX: usize = 1_024;

/// Whose message broke something, and of which type it was.
pub(crate) struct Culprit {
    /// Its name, if it has one.
    pub(crate) client: Option<Box<str>>,
    /// The message's type, or MCP's method.
    pub(crate) kind: Box<str>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// When, RFC 3339 with milliseconds, UTC.
    pub timestamp: Box<str>,
    /// What was found.
    pub event: Event,
    /// What became of it.
    pub action: Action,
    /// Who it was, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Box<str>>,
    /// Where it came from, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The rule's name, the pattern's, the last offence's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// What the rule found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
    /// The type of the message it is about.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// The trace that this is part of, if it is sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A message with an injection pattern.
    PotentialInjection,
    /// A message that breaks a rule.
    PolicyViolation,
    /// Somebody on the blacklist.
    Blacklisted,
    /// Somebody whose score has reached the threshold.
    SuspiciousBehavior,
    /// A payload that does not open under the client's key.
    DecryptionFailed,
}

/// What became of what a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It passed.
    Reported,
    /// It was refused.
    Denied,
    /// It was refused, and its connection closed.
    Closed,
}

impl Record {
    /// A record of now that says nothing further.
    pub fn new(event: Event, action: Action, now: Wall) -> Record {
        let timestamp = timestamp(now).into();
        Record {
            timestamp,
            event,
            action,
            client: None,
            address: None,
            reason: None,
            detail: None,
            kind: None,
            trace_id: None,
        }
    }
}

/// What a shard has to tell the audit log.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    records: Vec<Record>,
    bucket: TokenBucket,
    stats: AuditStats,
}

impl Trail {
    /// Takes a record, unless there are too many of them.
    pub(crate) fn note(&mut self, limits: &limits::Audit, now: Now, record: impl FnOnce() -> Record) {
        let allowed = matches!(self.bucket.take(&limits.rate, now.mono), Verdict::Allow { .. });
        if !allowed || self.records.len() >= RECORDS_MAX {
            self.stats.dropped += 1;
            return;
        }
        self.stats.records += 1;
        self.records.push(record());
    }

    /// What has gathered.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn stats(&self) -> AuditStats {
        self.stats
    }
}
