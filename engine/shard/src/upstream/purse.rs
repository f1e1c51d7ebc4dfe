//! Access tokens for upstreams: kept until shortly before they run out, and so many at most.

use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;

use crate::limits::Secret;
use crate::upstream::UpstreamId;

/// Most tokens of one shard; beyond, the one goes that runs out first.
const TOKENS_MAX: usize = 4_096;

/// What a token is taken to last whose issuer does not say.
const LIFE: Duration = Duration::from_secs(300);

/// Before its end a token may already be refused: clocks differ, and requests take their time.
const MARGIN: Duration = Duration::from_secs(5);

/// For so long a refusal stands for the next ones.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// Whom a token speaks for, where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    /// The upstream that takes it.
    pub(crate) upstream: UpstreamId,
    /// SHA-256 of the token it was exchanged for; zeros: the gateway's own.
    pub(crate) subject: [u8; 32],
}

/// What came of asking for a token: it and what it lasts, or why there is none, in one clause.
pub type Fetched = Result<(Secret, Option<Duration>), Box<str>>;

/// All tokens.
#[derive(Debug)]
pub(super) struct Purse {
    held: HashMap<Holder, Held, FixedState>,
}

#[derive(Debug)]
enum Held {
    /// Asked for.
    Asked,
    Here {
        token: Secret,
        /// When the next one is asked for.
        renew: Instant,
        until: Instant,
        /// It was.
        asked: bool,
    },
    Refused {
        why: Box<str>,
        until: Instant,
    },
}

/// What there is for a holder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This token.
    Token(Secret),
    /// This one, and it is time to ask for the next.
    Renew(Secret),
    /// None: to be asked for.
    Nothing,
    /// It was asked for.
    Asked,
    /// There is none to be had just now.
    Refused(Box<str>),
}

impl Purse {
    pub(super) fn new(seed: u64) -> Purse {
        Purse { held: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Looks for a token. Who is told [`Found::Renew`] or [`Found::Nothing`] must ask for one, and is told so once.
    pub(super) fn find(&mut self, holder: Holder, now: Instant) -> Found {
        match self.held.get_mut(&holder) {
            Some(Held::Asked) => return Found::Asked,
            Some(Held::Here { token, renew, until, asked }) if now < *until => {
                let due = *renew <= now && !std::mem::replace(asked, *asked || *renew <= now);
                return if due { Found::Renew(token.clone()) } else { Found::Token(token.clone()) };
            }
            // One that is on its way will come.
            Some(held @ Held::Here { asked: true, .. }) => {
                *held = Held::Asked;
                return Found::Asked;
            }
            Some(Held::Refused { why, until }) if now < *until => return Found::Refused(why.clone()),
            Some(_) | None => {}
        }
        self.make_room(now);
        self.held.insert(holder, Held::Asked);
        Found::Nothing
    }

    /// What was asked for has come.
    pub(super) fn put(&mut self, holder: Holder, fetched: Fetched, now: Instant) {
        let held = match (fetched, self.held.get(&holder)) {
            (Ok((token, life)), _) => {
                let life = life.unwrap_or(LIFE);
                let until = now.plus(life.saturating_sub(MARGIN.min(life / 2)));
                Held::Here { token, renew: now.plus(life.mul_f64(0.8)).min(until), until, asked: false }
            }
            // The one that is here still does.
            (Err(_), Some(Held::Here { token, until, .. })) if now < *until => {
                let (token, until) = (token.clone(), *until);
                Held::Here { token, renew: now.plus(REFUSED_FOR), until, asked: false }
            }
            (Err(why), _) => Held::Refused { why, until: now.plus(REFUSED_FOR) },
        };
        self.held.insert(holder, held);
    }

    /// A token was refused where it is for: the next request asks for another.
    pub(super) fn drop_token(&mut self, holder: Holder) {
        if matches!(self.held.get(&holder), Some(Held::Here { .. })) {
            self.held.remove(&holder);
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.held.len() < TOKENS_MAX {
            return;
        }
        self.held.retain(|_, held| match held {
            Held::Asked => true,
            Held::Here { until, .. } | Held::Refused { until, .. } => now < *until,
        });
        if self.held.len() < TOKENS_MAX {
            return;
        }
        let end = |held: &Held| match held {
            Held::Asked => None,
            Held::Here { until, .. } | Held::Refused { until, .. } => Some(*until),
        };
        let first = self.held.iter().filter_map(|(holder, held)| Some((end(held)?, *holder)));
        if let Some((_, holder)) = first.min_by_key(|(until, holder)| (*until, holder.subject)) {
            self.held.remove(&holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn holder(number: u16) -> Holder {
        let mut subject = [0; 32];
        subject[..2].copy_from_slice(&number.to_be_bytes());
        Holder { upstream: UpstreamId(0), subject }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    fn at(seconds: u64) -> Instant {
        Instant(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_token_is_asked_for_once_and_renewed_before_its_end() {
        let mut purse = Purse::new(1);
        let who = holder(1);
        assert_eq!(purse.find(who, at(0)), Found::Nothing);
        assert_eq!(purse.find(who, at(0)), Found::Asked);
        assert_eq!(purse.find(holder(2), at(0)), Found::Nothing, "each has its own");
        purse.put(who, Ok((secret("a"), Some(100 * SECOND))), at(0));
        assert_eq!(purse.find(who, at(79)), Found::Token(secret("a")));
        assert_eq!(purse.find(who, at(80)), Found::Renew(secret("a")));
        assert_eq!(purse.find(who, at(81)), Found::Token(secret("a")));
        assert_eq!(purse.find(who, at(95)), Found::Asked, "the next is on its way");
        purse.put(who, Ok((secret("b"), Some(100 * SECOND))), at(96));
        assert_eq!(purse.find(who, at(97)), Found::Token(secret("b")));
        assert_eq!(purse.find(who, at(191)), Found::Nothing);
    }

    #[test]
    fn a_refusal_stands_for_a_while_and_does_not_take_what_is_there() {
        let mut purse = Purse::new(1);
        let who = holder(1);
        purse.find(who, at(0));
        purse.put(who, Err("no".into()), at(0));
        assert_eq!(purse.find(who, at(0)), Found::Refused("no".into()));
        assert_eq!(purse.find(who, at(1)), Found::Nothing);
        purse.put(who, Ok((secret("a"), Some(100 * SECOND))), at(1));
        assert_eq!(purse.find(who, at(85)), Found::Renew(secret("a")));
        purse.put(who, Err("no".into()), at(86));
        assert_eq!(purse.find(who, at(86)), Found::Token(secret("a")));
        assert_eq!(purse.find(who, at(87)), Found::Renew(secret("a")), "it is tried again");
    }

    #[test]
    fn a_token_that_was_refused_is_not_used_again() {
        let mut purse = Purse::new(1);
        let who = holder(1);
        purse.find(who, at(0));
        purse.put(who, Ok((secret("a"), None)), at(0));
        purse.drop_token(who);
        assert_eq!(purse.find(who, at(1)), Found::Nothing);
        purse.drop_token(who);
        assert_eq!(purse.find(who, at(1)), Found::Asked);
    }

    #[test]
    fn a_token_of_no_life_is_used_while_it_is_new() {
        let mut purse = Purse::new(1);
        purse.find(holder(1), at(0));
        purse.put(holder(1), Ok((secret("a"), Some(2 * SECOND))), at(0));
        assert_eq!(purse.find(holder(1), at(0)), Found::Token(secret("a")));
        assert!(matches!(purse.find(holder(1), at(1)), Found::Nothing | Found::Renew(_)));
    }

    #[test]
    fn there_are_so_many_at_most() {
        let mut purse = Purse::new(1);
        for number in 0..TOKENS_MAX as u16 + 10 {
            assert_eq!(purse.find(holder(number), at(0)), Found::Nothing);
            let life = Duration::from_secs(1_000 + u64::from(number));
            purse.put(holder(number), Ok((secret("a"), Some(life))), at(0));
        }
        assert_eq!(purse.held.len(), TOKENS_MAX);
        assert_eq!(purse.find(holder(TOKENS_MAX as u16), at(0)), Found::Token(secret("a")));
        assert_eq!(purse.find(holder(0), at(0)), Found::Nothing, "the first to run out has gone");
    }
}
