//! Buckets of backends: who publishes over HTTP, by the name it gives itself.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;

use super::{Standing, TokenBucket, Verdict};
use crate::limits::Rate;

/// Names with a bucket of their own; those beyond share one with the nameless.
const NAMES_MAX: usize = 4096;

/// The buckets of one shard's backends.
#[derive(Debug)]
pub struct Backends {
    nameless: TokenBucket,
    named: HashMap<Box<str>, TokenBucket, FixedState>,
}

impl Backends {
    /// None yet.
    pub fn new(seed: u64) -> Backends {
        Backends { nameless: TokenBucket::new(), named: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Takes one token of `name`, and says where it stands then; no standing where there is no limit.
    pub fn take(&mut self, name: Option<&str>, rate: &Rate, now: Instant) -> (Verdict, Option<Standing>) {
        let bucket = match name {
            None => &mut self.nameless,
            Some(name) => {
                if self.named.len() >= NAMES_MAX && !self.named.contains_key(name) {
                    // A full bucket is as good as none.
                    self.named.retain(|_, b| b.standing(rate, now).is_some_and(|s| s.remaining < s.limit));
                }
                if self.named.len() >= NAMES_MAX && !self.named.contains_key(name) {
                    &mut self.nameless
                } else {
                    self.named.entry_ref(name).or_insert(TokenBucket::new())
                }
            }
        };
        let verdict = bucket.take(rate, now);
        (verdict, bucket.standing(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_bucket_and_strangers_share_one() {
        let rate = Rate::new(1.0, 1);
        let mut backends = Backends::new(1);
        let now = Instant(1);
        let mut allowed =
            |name: Option<&str>| matches!(backends.take(name, &rate, now).0, Verdict::Allow { .. });
        assert!(allowed(Some("a")) && allowed(Some("b")) && !allowed(Some("a")));
        for n in 2..NAMES_MAX {
            assert!(allowed(Some(&format!("n{n}"))));
        }
        assert!(allowed(Some("one too many")), "shares the nameless bucket");
        assert!(!allowed(Some("another")) && !allowed(None));
    }
}
