//! Who is on a topic, as phoenix.js's `Presence` keeps it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Keys, each with the references of its joins; nothing before the state has come.
#[derive(Debug, Default)]
pub struct Roster(Option<BTreeMap<String, BTreeSet<String>>>);

/// One key's joins on the wire.
#[derive(Deserialize)]
struct Present {
    metas: Vec<Meta>,
}

/// One join.
#[derive(Deserialize)]
struct Meta {
    phx_ref: String,
    phx_ref_prev: Option<String>,
}

/// `presence_diff`.
#[derive(Deserialize)]
struct Diff {
    joins: BTreeMap<String, Present>,
    leaves: BTreeMap<String, Present>,
}

impl Roster {
    /// `presence_state`.
    pub fn state(&mut self, payload: &str) -> Result<(), String> {
        let state: BTreeMap<String, Present> =
            serde_json::from_str(payload).map_err(|e| format!("presence_state {payload}: {e}"))?;
        let references = |present: Present| present.metas.into_iter().map(|meta| meta.phx_ref).collect();
        self.0 = Some(state.into_iter().map(|(key, present)| (key, references(present))).collect());
        Ok(())
    }

    /// `presence_diff`.
    pub fn diff(&mut self, payload: &str) -> Result<(), String> {
        let diff: Diff =
            serde_json::from_str(payload).map_err(|e| format!("presence_diff {payload}: {e}"))?;
        let Some(present) = &mut self.0 else { return Ok(()) };
        for (key, joined) in diff.joins {
            let references = present.entry(key).or_default();
            for meta in joined.metas {
                if let Some(previous) = &meta.phx_ref_prev {
                    references.remove(previous);
                }
                references.insert(meta.phx_ref);
            }
        }
        for (key, left) in diff.leaves {
            let Some(references) = present.get_mut(&key) else { continue };
            for meta in &left.metas {
                references.remove(&meta.phx_ref);
            }
            if references.is_empty() {
                present.remove(&key);
            }
        }
        Ok(())
    }

    /// Who is there; `None` before the state.
    pub fn keys(&self) -> Option<Vec<String>> {
        Some(self.0.as_ref()?.keys().cloned().collect())
    }
}
