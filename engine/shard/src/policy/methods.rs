//! Limits of single methods: MCP's, and what clients call what they push. Only those that have one.

use weir_ring::time::Instant;

use super::{Buckets, Caller, Verdict};
use crate::limits::MethodLimit;

/// The limits with all buckets of one shard.
#[derive(Debug)]
pub struct Methods {
    names: Box<[Box<str>]>,
    buckets: Buckets,
}

impl Methods {
    /// No bucket yet. `seed` is that of [`Buckets::new`].
    pub fn new(limits: &[MethodLimit], seed: u64) -> Methods {
        Methods {
            names: limits.iter().map(|limit| limit.name.clone()).collect(),
            buckets: Buckets::new(limits.iter().map(|limit| limit.rate).collect(), seed),
        }
    }

    /// Takes one token of `caller` for `method`, where that has a limit.
    pub fn take(&mut self, caller: Caller<'_>, method: &str, now: Instant) -> Verdict {
        match self.names.iter().position(|name| **name == *method) {
            Some(at) => self.buckets.take(caller, at as u16, now),
            None => Verdict::Allow { remaining: u32::MAX },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Rate;

    #[test]
    fn methods_have_their_own_limits_or_none() {
        let limit = |name: &str, burst| MethodLimit { name: name.into(), rate: Rate::new(1.0, burst) };
        let mut methods = Methods::new(&[limit("tools/call", 1), limit("order", 2)], 1);
        let mut take =
            |method| matches!(methods.take(Caller::Client("a"), method, Instant(0)), Verdict::Allow { .. });
        assert_eq!([take("tools/call"), take("tools/call")], [true, false]);
        assert_eq!([take("order"), take("order"), take("order")], [true, true, false]);
        assert!((0..100).all(|_| take("tools/list")));
    }
}
