//! Connections that last longer than what proved them: told before it runs out, ended when it has, and prolonged
//! by a newer token of the same kind.

use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::{Instant, Now, Wall};
use weir_ring::token::Token;
use weir_transports::websocket::close;

use crate::downstream::connection::{Stage, Waiting};
use crate::limits::Mode;
use crate::policy::auth::{Denied, Principal, Standing};
use crate::turn::{Cx, Shard};

/// A client is told when a fifth of its time is left, and at the earliest so many milliseconds before the end.
const NOTICE_MAX: u32 = 60_000;

/// Subjects whose tokens were prolonged of late, for one shard.
const PROLONGED_MAX: usize = 65_536;

/// No look is needed.
const NEVER: Instant = Instant(u64::MAX);

/// What proved the other end of a connection that lasts.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// Who it is. `None`: authentication is off, or its first join has yet to say.
    pub(crate) who: Option<Arc<Principal>>,
    standing: Option<Standing>,
    /// How long before the end its client is told, milliseconds; 0 once it has been.
    notice: u32,
}

impl Proof {
    /// Of a connection that begins, or is proved anew, at `now`.
    pub(crate) fn new(who: Option<Arc<Principal>>, now: Wall) -> Proof {
        let expires = who.as_ref().and_then(|who| who.expires);
        let fifth = expires.map_or(0, |expires| expires.0.saturating_sub(now.0) / 5);
        let standing = who.as_deref().map(Principal::standing);
        Proof { who, standing, notice: u32::try_from(fifth).unwrap_or(u32::MAX).min(NOTICE_MAX) }
    }

    /// Who it is.
    pub(crate) fn who(&self) -> Option<&Principal> {
        self.who.as_deref()
    }

    /// What its messages are judged by.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// When it is to be looked at, as things stand; it is looked at again if the wall clock jumps.
    pub(crate) fn look(&self, now: Now) -> Option<Instant> {
        self.next().map(|next| at(next, now))
    }

    /// When there is something to be done about it.
    fn next(&self) -> Option<Wall> {
        let expires = self.who.as_ref()?.expires?;
        Some(Wall(expires.0.saturating_sub(self.notice.into())))
    }
}

impl Stage {
    /// What proved the other end, where that is looked at again.
    fn proof_mut(&mut self) -> Option<&mut Proof> {
        match self {
            Stage::Sse(feed) => Some(&mut feed.proof),
            Stage::Http(exchange) => match &mut exchange.waiting {
                Some(Waiting::Mcp(pending)) => Some(&mut pending.proof),
                _ => None,
            },
            stage => stage.link_mut().map(|link| &mut link.proof),
        }
    }
}

/// The newest tokens of subjects that have refreshed theirs while connected.
#[derive(Debug)]
pub(crate) struct Prolonged {
    by_subject: HashMap<Box<str>, Arc<Principal>, FixedState>,
}

impl Prolonged {
    pub(crate) fn new(seed: u64) -> Prolonged {
        Prolonged { by_subject: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Keeps it until it runs out itself. When there are too many, connections end that might have gone on.
    pub(crate) fn put(&mut self, who: Arc<Principal>, now: Wall) {
        if self.by_subject.len() >= PROLONGED_MAX {
            self.sweep(now);
        }
        if self.by_subject.len() < PROLONGED_MAX {
            self.by_subject.insert(who.subject.clone(), who);
        }
    }

    /// Forgets those that have run out.
    pub(crate) fn sweep(&mut self, now: Wall) {
        self.by_subject.retain(|_, who| who.expires.is_none_or(|expires| now < expires));
    }

    /// What is good for longer than `who` and allows the same to the same: with more or less rights a
    /// connection would change in the middle.
    fn longer(&self, who: &Principal) -> Option<&Arc<Principal>> {
        let newer = self.by_subject.get(&who.subject)?;
        let same = newer.role == who.role
            && newer.permissions == who.permissions
            && newer.issuer == who.issuer
            && newer.scopes == who.scopes;
        let later = newer.expires.is_none_or(|expires| who.expires.is_some_and(|before| before < expires));
        (same && later).then_some(newer)
    }
}

impl Shard {
    /// A connection begins to last: it is looked at before what proved it runs out.
    pub(crate) fn watch_proof(&mut self, token: Token, proof: &Proof, now: Now) {
        if let Some(look) = proof.look(now) {
            self.wake_by(token, look);
        }
    }

    /// A look at what proved a connection: when to look again. `None`: it has ended.
    pub(crate) fn examine_proof(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        if self.config.auth.mode == Mode::Off {
            return Some(NEVER);
        }
        let (now, Shard { conns, auth, prolonged, .. }) = (cx.now, &mut *self);
        let proof = conns.get_mut(token).and_then(|conn| conn.stage.proof_mut());
        let Some((who, proof)) = proof.and_then(|proof| Some((proof.who.clone()?, proof))) else {
            return Some(NEVER);
        };
        if let Err(denied) = auth.still(&who, now.wall) {
            let longer = prolonged.longer(&who).filter(|_| denied == Denied::Expired);
            match longer.filter(|longer| auth.still(longer, now.wall).is_ok()) {
                Some(longer) => *proof = Proof::new(Some(Arc::clone(longer)), now.wall),
                None => return self.end_unproved(token, denied, cx),
            }
        }
        let Some(next) = proof.next() else { return Some(NEVER) };
        if now.wall < next || proof.notice == 0 {
            return Some(at(next, now));
        }
        proof.notice = 0;
        let expires = who.expires.map_or(0, |expires| expires.0);
        let left = expires.saturating_sub(now.wall.0);
        let told = format!(r#"{{"status":"token_expiring","expires_in":{left}}}"#);
        self.tell(token, "connection_status", told.as_bytes(), cx);
        Some(at(Wall(expires), now))
    }

    /// Ends what nobody stands for any longer. What waits for one answer still gets that.
    pub(super) fn end_unproved(&mut self, token: Token, denied: Denied, cx: &mut Cx<'_>) -> Option<Instant> {
        let error = denied.error();
        self.stats.refuse(&error);
        match self.conns.get(token).map(|conn| &conn.stage)? {
            Stage::Sse(_) => {
                let mut body = Vec::new();
                error.write_json(&mut body);
                // EventSource takes this name for a failure, which it is about to see.
                self.tell(token, "error", &body, cx);
                self.finish(token, cx);
            }
            Stage::Http(_) => {
                self.send_away_mcp(token, cx);
                return Some(NEVER);
            }
            _ => {
                self.close_link(token, close::POLICY_VIOLATION, error.reason(), cx);
            }
        }
        None
    }

    /// A token was revoked: those that came with it end.
    pub(crate) fn examine_all_proofs(&mut self, cx: &mut Cx<'_>) {
        let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.examine_proof(token, cx);
        }
    }
}

/// A time of the wall clock on the other one.
fn at(wall: Wall, now: Now) -> Instant {
    now.mono.plus(Duration::from_millis(wall.0.saturating_sub(now.wall.0)))
}
