//! What shards tell the bus, as the control thread hears it: a bounded letter a turn, and counts that add up as long as
//! nothing was left out.

use std::collections::{BTreeMap, BTreeSet};

use weir_ring::token::Member;
use weir_shard::vsm::{Event, Fact};

/// Events that one letter may have: as many as may wait, and how many more there were.
const FACTS_MAX: usize = 257;

/// What was heard of each shard since its process began.
#[derive(Debug, Default)]
pub struct Heard {
    /// Connections it said were open, by transport.
    open: BTreeMap<Member, [u64; 3]>,
    /// Those that left something out.
    incomplete: BTreeSet<Member>,
}

impl Heard {
    /// Takes a letter, and says what is wrong with it.
    pub fn take(&mut self, from: Member, facts: &[Fact]) -> Option<String> {
        if facts.is_empty() || facts.len() > FACTS_MAX {
            return Some(format!("shard {} tells {} events at once", from.0, facts.len()));
        }
        facts.iter().find_map(|fact| self.event(from, &fact.event))
    }

    /// The process is gone, and with it what was under way.
    pub fn clear(&mut self) {
        *self = Heard::default();
    }

    fn event(&mut self, from: Member, event: &Event) -> Option<String> {
        match event {
            Event::Dropped { count: 0 } => Some(format!("shard {} dropped nothing and says so", from.0)),
            Event::Dropped { .. } => {
                self.incomplete.insert(from);
                None
            }
            Event::Connections { websocket, http_sse, longpoll } if !self.incomplete.contains(&from) => {
                let open = self.open.entry(from).or_default();
                let wrong = open.iter_mut().zip([websocket, http_sse, longpoll]).any(|(open, now)| {
                    let before = std::mem::replace(open, now.open);
                    before + now.opened != now.open + now.closed
                });
                wrong.then(|| format!("what shard {} says of connections does not add up: {event:?}", from.0))
            }
            _ => None,
        }
    }
}
