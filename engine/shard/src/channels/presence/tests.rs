//! Rosters against clients that do with states and diffs what phoenix.js does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ONLINE_AT: &str = "2026-01-01T00:00:00.000Z";
const ROOMY: limits::Presence = limits::Presence { per_topic_max: 1_000, bytes_total_max: 1 << 20 };

fn topic() -> Arc<str> {
    "topic:a".into()
}

fn rosters() -> Rosters {
    Rosters::new(&ROOMY, 1 << 20, 1)
}

fn seat(ticket: u32) -> Seat {
    Seat { member: Member(ticket as u16 % 3), token: Token { index: ticket, generation: 0 }, ticket }
}

fn tracking(client: &str, replaces: Option<u32>) -> Tracking {
    Tracking { client: client.into(), fields: r#""n":1"#.into(), replaces }
}

/// What a client holds: `phx_ref`s by name.
#[derive(Clone, Debug, Default, PartialEq)]
struct View(BTreeMap<String, BTreeSet<String>>);

impl View {
    fn of(state: &[u8]) -> View {
        let mut view = View::default();
        view.join(&serde_json::from_slice(state).expect("JSON"));
        view
    }

    fn each(clients: &Value) -> impl Iterator<Item = (String, String)> {
        let clients = clients.as_object().expect("an object").clone();
        clients.into_iter().flat_map(|(name, client)| {
            let metas = client["metas"].as_array().expect("metas").clone();
            assert!(!metas.is_empty());
            metas
                .into_iter()
                .map(move |meta| (name.clone(), meta["phx_ref"].as_str().expect("ref").to_owned()))
        })
    }

    fn join(&mut self, clients: &Value) {
        for (name, reference) in View::each(clients) {
            assert!(self.0.entry(name).or_default().insert(reference), "joined twice");
        }
    }

    fn leave(&mut self, clients: &Value) {
        for (name, reference) in View::each(clients) {
            let references = self.0.get_mut(&name).expect("a client that was here");
            assert!(references.remove(&reference), "left without having been here");
            if references.is_empty() {
                self.0.remove(&name);
            }
        }
    }

    /// Joins before leaves, as phoenix.js does.
    fn apply(&mut self, diff: &Diff) {
        let frame: Value = serde_json::from_slice(&diff.frame).expect("JSON");
        assert_eq!((&frame[0], &frame[1], &frame[3]), (&Value::Null, &Value::Null, &"presence_diff".into()));
        self.join(&frame[4]["joins"]);
        self.leave(&frame[4]["leaves"]);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Track { client: u8, ticket: u32, replaces: bool },
    Leave { ticket: u32 },
    Watch { ticket: u32 },
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..5u8, 0..12u32, any::<bool>())
            .prop_map(|(client, ticket, replaces)| Step::Track { client, ticket, replaces }),
        4 => (0..12u32).prop_map(|ticket| Step::Leave { ticket }),
        3 => (0..12u32).prop_map(|ticket| Step::Watch { ticket }),
        2 => Just(Step::Turn),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn state_and_later_diffs_are_the_roster(steps in steps()) {
        let mut rosters = rosters();
        let mut next = 0;
        // Who is here: client and phx_ref, by ticket.
        let mut here: BTreeMap<u32, (String, u64)> = BTreeMap::new();
        // Who watches, and what it has made of what it was told; only who is here is told anything.
        let mut views: BTreeMap<u32, View> = BTreeMap::new();
        let tell = |rosters: &mut Rosters, views: &mut BTreeMap<u32, View>| {
            if let Some(diff) = rosters.take_diff(&topic()) {
                views.values_mut().for_each(|view| view.apply(&diff));
                return Some(diff.to);
            }
            None
        };
        for step in steps.into_iter().chain([Step::Turn]) {
            match step {
                Step::Track { client, ticket, replaces } if !here.contains_key(&ticket) => {
                    // Of the same shard and connection as the new one.
                    let old = Seat { ticket: ticket + 100, ..seat(ticket) };
                    let client = format!("c\"{client}");
                    next += 2;
                    if replaces {
                        rosters.track(&topic(), old, &tracking(&client, None), Reference(next), ONLINE_AT)
                            .expect("room");
                    }
                    let tracking = tracking(&client, Some(ticket + 100));
                    rosters.track(&topic(), seat(ticket), &tracking, Reference(next + 1), ONLINE_AT)
                        .expect("room");
                    here.insert(ticket, (client, next + 1));
                }
                Step::Track { ticket, .. } | Step::Leave { ticket } => {
                    rosters.untrack(&topic(), seat(ticket));
                    here.remove(&ticket);
                    views.remove(&ticket);
                }
                Step::Watch { ticket } if here.contains_key(&ticket) => {
                    tell(&mut rosters, &mut views);
                    views.insert(ticket, View::of(&rosters.state(&topic())));
                }
                Step::Watch { .. } => {}
                Step::Turn => {
                    if let Some(to) = tell(&mut rosters, &mut views) {
                        let members: BTreeSet<u16> = here.keys().map(|ticket| seat(*ticket).member.0).collect();
                        prop_assert!(to.iter().map(|to| to.0).eq(members));
                    }
                    let mut model = View::default();
                    for (client, reference) in here.values() {
                        model.0.entry(client.clone()).or_default().insert(format!("{reference:016x}"));
                    }
                    prop_assert_eq!(&View::of(&rosters.state(&topic())), &model);
                    prop_assert_eq!((rosters.len(), rosters.clients(&topic())), (here.len(), model.0.len()));
                    if here.is_empty() {
                        prop_assert_eq!((rosters.bytes, rosters.by_topic.len()), (0, 0));
                    }
                    for view in views.values() {
                        prop_assert_eq!(view, &model);
                    }
                }
            }
        }
    }
}

#[test]
fn an_update_names_the_meta_it_replaces() {
    let mut rosters = rosters();
    rosters.track(&topic(), seat(1), &tracking("u1", None), Reference(10), ONLINE_AT).expect("room");
    assert_eq!(rosters.next_diff().expect("a diff").to, [Member(1)]);
    let seat = Seat { ticket: 2, ..seat(1) };
    rosters.track(&topic(), seat, &tracking("u1", Some(1)), Reference(11), ONLINE_AT).expect("room");
    let diff = rosters.next_diff().expect("a diff");
    let new = format!(
        r#"{{"phx_ref":"{:016x}","phx_ref_prev":"{:016x}","online_at":"{ONLINE_AT}","n":1}}"#,
        11, 10
    );
    let old = format!(r#"{{"phx_ref":"{:016x}","online_at":"{ONLINE_AT}","n":1}}"#, 10);
    let payload =
        format!(r#"{{"joins":{{"u1":{{"metas":[{new}]}}}},"leaves":{{"u1":{{"metas":[{old}]}}}}}}"#);
    let frame = format!(r#"[null,null,"topic:a","presence_diff",{payload}]"#);
    assert_eq!(String::from_utf8_lossy(&diff.frame), frame);
    assert!(rosters.next_diff().is_none());
}

#[test]
fn who_finds_no_room_is_refused_and_leaves_nothing_behind() {
    for (limits, bytes_per_topic_max) in [
        (limits::Presence { per_topic_max: 0, ..ROOMY }, 1 << 20),
        (limits::Presence { bytes_total_max: 100, ..ROOMY }, 1 << 20),
        (ROOMY, 100),
    ] {
        let mut rosters = Rosters::new(&limits, bytes_per_topic_max, 1);
        let refused = rosters.track(&topic(), seat(1), &tracking("u1", None), Reference(1), ONLINE_AT);
        assert_eq!(refused, Err(Full));
        assert!(rosters.next_diff().is_none());
        assert_eq!((rosters.by_topic.len(), rosters.bytes, rosters.len()), (0, 0, 0));
        assert_eq!(&*rosters.state(&topic()), b"{}");
    }
}
