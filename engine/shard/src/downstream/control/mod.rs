//! Control (S3): what a shard refuses so that it can do the rest. How much there is to do is looked at once a turn;
//! what follows from it is decided by the policies.

mod breakers;
mod levers;
mod load;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use weir_ring::time::Instant;

pub(crate) use breakers::Circuit;
pub use levers::{Lever, Override};

use crate::error::Error;
use crate::lane::Lane;
use crate::limits::{Permissions, Role};
use crate::policy::admission::{Admission, Class, Door};
use crate::policy::auth::Principal;
use crate::policy::lateness::Lateness;
use crate::policy::shedding::Shedding;
use crate::policy::{CircuitBreaker, Verdict};
use crate::turn::{Alarm, Cx, Shard};
use crate::vsm::Event;

/// While something is refused it is looked at this often whether that is still needed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long who is shed should wait: as long as it takes for one level to go.
const SHED_RETRY: Duration = Duration::from_secs(1);

/// What one shard knows of its own load, and what it refuses for it.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// How long the last turn took.
    pub(crate) took: Duration,
    lateness: Lateness,
    door: Door,
    shedding: Shedding,
    /// Of WebSockets.
    websocket: CircuitBreaker,
    /// Of SSE streams.
    http_sse: CircuitBreaker,
    /// Of letters to other shards.
    router: CircuitBreaker,
    /// When it is looked at next at the latest; earlier entries of the wheel are stale.
    look_at: Option<Instant>,
}

impl Shard {
    /// Once a turn, before anything else: how much is there to do, and what is refused for it?
    pub(crate) fn regulate(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        self.control.lateness.note(self.control.took.max(self.waited(now)), now);
        let load = self.load();
        let limits = &self.config.control;
        let admission = if limits.admission { load.of_newcomers() } else { 0.0 };
        let pressure = if limits.shedding { load.of_publishes() } else { 0.0 };
        let thresholds = limits.thresholds;
        if let Some(from) = self.control.door.judge(admission, &thresholds, now) {
            let (from, to) = (from.name(), self.control.door.state().name());
            self.herald.say(cx.now.wall, || Event::AdmissionChanged { from, to });
        }
        if self.control.shedding.judge(pressure, &thresholds, now) {
            let level = self.control.shedding.level();
            self.herald.say(cx.now.wall, || Event::SheddingChanged { level });
        }
        self.look_again(now);
    }

    /// How long that has been waiting which one turn leaves to the next.
    fn waited(&self, now: Instant) -> Duration {
        let Shard { subscribers, watchers, batches, .. } = self;
        let since = [subscribers.waiting_since(), watchers.waiting_since(), batches.waiting_since()];
        since.into_iter().flatten().map(|since| now.since(since)).max().unwrap_or_default()
    }

    /// While something is refused there is a next look even if nothing else happens.
    fn look_again(&mut self, now: Instant) {
        let Control { door, shedding, look_at, .. } = &mut self.control;
        if look_at.is_some_and(|at| at <= now) {
            *look_at = None;
        }
        if door.state() == Admission::Open && shedding.level() == 0 {
            return;
        }
        let due =
            [door.due(now), shedding.due(now), Some(now.plus(LOOK_INTERVAL))].into_iter().flatten().min();
        let Some(due) = due.filter(|due| look_at.is_none_or(|at| *due < at)) else { return };
        *look_at = Some(due);
        self.alarm(due, Alarm::Control);
    }

    /// Whether the shard takes nobody at all.
    pub(crate) fn is_shut(&self) -> bool {
        self.control.door.state() == Admission::Hard
    }

    /// Whether somebody may begin to be `client`.
    ///
    /// # Errors
    /// `InsufficientResources`: there is too little room left for one of its class.
    pub(crate) fn admit_newcomer(&mut self, client: &str, who: Option<&Principal>) -> Result<(), Error> {
        let door = self.control.door;
        if door.state() == Admission::Open || door.admits(self.class(client, who)) {
            return Ok(());
        }
        self.stats.control.newcomers_refused += 1;
        Err(Error::insufficient_resources())
    }

    fn class(&self, client: &str, who: Option<&Principal>) -> Class {
        match who {
            _ if self.sessions.find(client).is_some() => Class::Priority,
            None => Class::Standard,
            Some(who) if who.role == Role::PREMIUM || who.may(Permissions::PUBLISH) => Class::Priority,
            Some(who) if who.role == Role::GUEST => Class::Low,
            Some(_) => Class::Standard,
        }
    }

    /// Whether a publish of this lane may be taken now.
    ///
    /// # Errors
    /// `LoadShed`.
    pub(crate) fn check_pressure(&mut self, lane: Lane) -> Result<(), Error> {
        if !self.control.shedding.sheds(lane) {
            return Ok(());
        }
        let stats = &mut self.stats.control;
        match lane {
            Lane::Urgent => {}
            Lane::High => stats.shed_high += 1,
            Lane::Normal => stats.shed_normal += 1,
            Lane::Low => stats.shed_low += 1,
        }
        Err(Error::LoadShed { retry_after: SHED_RETRY })
    }
}

/// What a breaker's verdict means for who was to pass.
fn passed(verdict: Verdict, what: &'static str) -> Result<(), Error> {
    match verdict {
        Verdict::Allow { .. } => Ok(()),
        Verdict::Deny { retry_after } => Err(Error::BreakerOpen { what, retry_after }),
    }
}
