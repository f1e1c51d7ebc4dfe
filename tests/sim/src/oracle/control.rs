//! Invariant 22: whatever is refused is refused with a reason, nothing urgent is shed, and a shard that has little to
//! do again refuses nobody for its load.

use std::collections::BTreeMap;

use super::{CONTROL, Found};
use crate::history::{Fact, History};
use crate::mcp;
use crate::options::MS;
use crate::place::Lane;

/// Below this load a shard has little to do, per mille of what there may be.
const LITTLE: u32 = 800;

/// How long it may take to let everybody in again, ns: a second for each level, and what looks are apart.
const PATIENCE: u64 = 5_000 * MS;

pub(super) fn check(history: &History, found: &mut Found) {
    let mut healed = false;
    let mut idle_since: BTreeMap<usize, u64> = BTreeMap::new();
    for (at, fact) in &history.facts {
        match fact {
            Fact::Refused { reason, .. } if reason.is_empty() => {
                found.add(CONTROL, *at, || format!("a refusal without a reason: {fact:?}"));
            }
            Fact::Refused { uid, reason, .. }
                if &**reason == "load_shed" && history.bodies[*uid].lane == Lane::Urgent =>
            {
                found.add(CONTROL, *at, || format!("an urgent message was shed: {fact:?}"));
            }
            Fact::Mcp(mcp::Fact::Healed) => healed = true,
            Fact::Controlled { shard, admission, shedding, load } if healed => {
                if *load >= LITTLE {
                    idle_since.remove(shard);
                    continue;
                }
                let since = *idle_since.entry(*shard).or_insert(*at);
                if at - since > PATIENCE && (*admission != "open" || *shedding > 0) {
                    found.add(CONTROL, *at, || format!("there is little to do since {since}: {fact:?}"));
                }
            }
            _ => {}
        }
    }
}
