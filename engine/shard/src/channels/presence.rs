//! The home side of presence: who is in a topic, for those who want to know (Phoenix Presence).
//!
//! A *roster* is one topic's list. Each join that asked for it has a *meta* there, under its client's
//! name. What a turn changes is collected and told as one `presence_diff`; a `presence_state` is the
//! roster between two diffs, so state and later diffs together are always the roster.

#[cfg(test)]
mod tests;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::token::{Member, Token};
use weir_transports::json;
use weir_transports::phoenix::{self, Version};

use crate::limits;

pub(crate) use self::wish::Wish;

/// What a meta costs beside its client's name and its JSON, bytes: braces, commas, and its places in the
/// roster's tables.
const META_OVERHEAD: usize = 128;

/// The join that a meta belongs to: its connection, and which of the connection's joins it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    /// The connection's shard.
    pub member: Member,
    /// The connection.
    pub token: Token,
    /// Its join.
    pub ticket: u32,
}

/// Who wants to be seen in a topic, and how.
#[derive(Debug)]
pub struct Tracking {
    /// The client's name.
    pub client: Box<str>,
    /// The members of its own JSON object, without braces; empty if it has none.
    pub fields: Box<str>,
    /// The join of the same connection that this one takes the place of.
    pub replaces: Option<u32>,
}

/// What names a meta: `phx_ref`. No two metas have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(pub(crate) u64);

/// There is no room for another meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The changes of one topic's roster, for those who watch it.
#[derive(Debug)]
pub(crate) struct Diff {
    pub topic: Arc<str>,
    /// Phoenix V2 frame of the event `presence_diff`.
    pub frame: Arc<[u8]>,
    /// Members with somebody on the roster.
    pub to: Vec<Member>,
}

/// The rosters of the topics whose home is this shard.
#[derive(Debug)]
pub(crate) struct Rosters {
    by_topic: HashMap<Arc<str>, Roster, FixedState>,
    /// Topics with changes nobody was told of.
    dirty: Vec<Arc<str>>,
    /// Metas on all rosters, and the bytes they hold.
    metas: usize,
    bytes: usize,
    limits: limits::Presence,
    bytes_per_topic_max: usize,
    seed: u64,
}

/// Metas by client; the client's name is a JSON string.
type Clients<T> = BTreeMap<Arc<str>, Vec<T>>;

#[derive(Debug)]
struct Roster {
    clients: Clients<Meta>,
    seats: HashMap<Seat, Arc<str>, FixedState>,
    /// Seats by member.
    members: Vec<u32>,
    bytes: usize,
    /// Since the last diff.
    joins: Clients<Arc<str>>,
    leaves: Clients<Arc<str>>,
    /// `clients` as JSON, until the next change.
    state: Option<Arc<[u8]>>,
}

#[derive(Debug)]
struct Meta {
    seat: Seat,
    reference: Reference,
    json: Arc<str>,
}

impl Rosters {
    /// Rosters of at most `bytes_per_topic_max` bytes each.
    pub(crate) fn new(limits: &limits::Presence, bytes_per_topic_max: usize, seed: u64) -> Rosters {
        let by_topic = HashMap::with_hasher(FixedState::with_seed(seed));
        let limits = limits.clone();
        Rosters { by_topic, dirty: Vec::new(), metas: 0, bytes: 0, limits, bytes_per_topic_max, seed }
    }

    /// From now on these bounds hold; who is on a roster stays there.
    pub(crate) fn renew(&mut self, limits: &limits::Presence, bytes_per_topic_max: usize) {
        self.limits = limits.clone();
        self.bytes_per_topic_max = bytes_per_topic_max;
    }

    /// Metas on all rosters.
    pub(crate) fn len(&self) -> usize {
        self.metas
    }

    /// Puts a meta on the roster of `topic`, in place of the one it replaces if there is one.
    ///
    /// # Errors
    /// `Full`: the topic, or the shard, has no room for it. What it was to replace is gone all the same.
    pub(crate) fn track(
        &mut self,
        topic: &Arc<str>,
        seat: Seat,
        tracking: &Tracking,
        reference: Reference,
        online_at: &str,
    ) -> Result<(), Full> {
        let replaced = tracking.replaces.and_then(|ticket| self.take(topic, Seat { ticket, ..seat }));
        let mut name = Vec::new();
        json::write_str(&mut name, &tracking.client);
        let client: Arc<str> = String::from_utf8_lossy(&name).into();
        let json = meta_json(reference, replaced, online_at, &tracking.fields);
        let bytes = client.len() + json.len() + META_OVERHEAD;
        let seed = self.seed;
        let roster = self.by_topic.entry_ref(topic.as_ref() as &str).or_insert_with(|| Roster::new(seed));
        if roster.seats.len() >= self.limits.per_topic_max
            || roster.bytes + bytes > self.bytes_per_topic_max
            || self.bytes + bytes > self.limits.bytes_total_max
        {
            self.note(topic);
            return Err(Full);
        }
        roster.add(&client, Meta { seat, reference, json }, bytes);
        self.metas += 1;
        self.bytes += bytes;
        self.note(topic);
        Ok(())
    }

    /// A join is over. Nothing happens if it had no meta.
    pub(crate) fn untrack(&mut self, topic: &Arc<str>, seat: Seat) {
        if self.take(topic, seat).is_some() {
            self.note(topic);
        }
    }

    fn take(&mut self, topic: &str, seat: Seat) -> Option<Reference> {
        let roster = self.by_topic.get_mut(topic)?;
        let (meta, bytes) = roster.remove(seat)?;
        self.metas -= 1;
        self.bytes -= bytes;
        Some(meta)
    }

    /// Notes that `topic` may have something to tell.
    fn note(&mut self, topic: &Arc<str>) {
        self.dirty.push(Arc::clone(topic));
    }

    /// The roster of `topic` as JSON: the payload of `presence_state`. Changes are told first
    /// ([`Rosters::take_diff`]).
    pub(crate) fn state(&mut self, topic: &str) -> Arc<[u8]> {
        match self.by_topic.get_mut(topic) {
            None => Arc::from(&b"{}"[..]),
            Some(roster) => Arc::clone(roster.state.get_or_insert_with(|| {
                let mut out = Vec::with_capacity(roster.bytes);
                write_clients(&mut out, &roster.clients, |meta| &meta.json);
                out.into()
            })),
        }
    }

    /// How many clients are on the roster of `topic`.
    pub(crate) fn clients(&self, topic: &str) -> usize {
        self.by_topic.get(topic).map_or(0, |roster| roster.clients.len())
    }

    /// The next topic with changes.
    pub(crate) fn next_diff(&mut self) -> Option<Diff> {
        while let Some(topic) = self.dirty.pop() {
            if let Some(diff) = self.take_diff(&topic) {
                return Some(diff);
            }
        }
        None
    }

    /// What has changed on the roster of `topic` since the last diff, if anybody is left to be told.
    pub(crate) fn take_diff(&mut self, topic: &Arc<str>) -> Option<Diff> {
        let roster = self.by_topic.get_mut(topic)?;
        if roster.seats.is_empty() {
            self.by_topic.remove(topic);
            return None;
        }
        if roster.joins.is_empty() && roster.leaves.is_empty() {
            return None;
        }
        let mut payload = b"{\"joins\":".to_vec();
        write_clients(&mut payload, &std::mem::take(&mut roster.joins), |json| json);
        payload.extend_from_slice(b",\"leaves\":");
        write_clients(&mut payload, &std::mem::take(&mut roster.leaves), |json| json);
        payload.push(b'}');
        let mut frame = Vec::with_capacity(payload.len() + topic.len() + 64);
        phoenix::push(Version::V2, &mut frame, None, topic, "presence_diff", &payload, None);
        let with = roster.members.iter().enumerate().filter(|(_, seats)| **seats > 0);
        let to = with.map(|(member, _)| Member(member as u16)).collect();
        Some(Diff { topic: Arc::clone(topic), frame: frame.into(), to })
    }
}

impl Roster {
    fn new(seed: u64) -> Roster {
        Roster {
            clients: Clients::new(),
            seats: HashMap::with_hasher(FixedState::with_seed(seed)),
            members: Vec::new(),
            bytes: 0,
            joins: Clients::new(),
            leaves: Clients::new(),
            state: None,
        }
    }

    fn add(&mut self, client: &Arc<str>, meta: Meta, bytes: usize) {
        let member = usize::from(meta.seat.member.0);
        if self.members.len() <= member {
            self.members.resize(member + 1, 0);
        }
        if let Some(seats) = self.members.get_mut(member) {
            *seats += 1;
        }
        self.state = None;
        self.bytes += bytes;
        self.seats.insert(meta.seat, Arc::clone(client));
        self.joins.entry(Arc::clone(client)).or_default().push(Arc::clone(&meta.json));
        self.clients.entry(Arc::clone(client)).or_default().push(meta);
    }

    /// The meta that is gone, and the bytes it held.
    fn remove(&mut self, seat: Seat) -> Option<(Reference, usize)> {
        let client = self.seats.remove(&seat)?;
        let metas = self.clients.get_mut(&client)?;
        let at = metas.iter().position(|meta| meta.seat == seat)?;
        let meta = metas.remove(at);
        if metas.is_empty() {
            self.clients.remove(&client);
        }
        if let Some(seats) = self.members.get_mut(usize::from(seat.member.0)) {
            *seats -= 1;
        }
        let bytes = client.len() + meta.json.len() + META_OVERHEAD;
        self.state = None;
        self.bytes -= bytes;
        self.leaves.entry(client).or_default().push(meta.json);
        Some((meta.reference, bytes))
    }
}

/// `{"phx_ref", "phx_ref_prev", "online_at", ...}`. The second is the meta that this one is an update of.
fn meta_json(reference: Reference, previous: Option<Reference>, online_at: &str, fields: &str) -> Arc<str> {
    let previous = previous.map_or(String::new(), |Reference(n)| format!(r#","phx_ref_prev":"{n:016x}""#));
    let comma = if fields.is_empty() { "" } else { "," };
    let Reference(n) = reference;
    format!(r#"{{"phx_ref":"{n:016x}"{previous},"online_at":"{online_at}"{comma}{fields}}}"#).into()
}

/// `{"CLIENT":{"metas":[...]},...}`.
fn write_clients<T>(out: &mut Vec<u8>, clients: &Clients<T>, json: impl Fn(&T) -> &Arc<str>) {
    out.push(b'{');
    for (client, metas) in clients {
        out.extend_from_slice(client.as_bytes());
        out.extend_from_slice(b":{\"metas\":[");
        for meta in metas {
            out.extend_from_slice(json(meta).as_bytes());
            out.push(b',');
        }
        close_list(out);
        out.extend_from_slice(b"]},");
    }
    close_list(out);
    out.push(b'}');
}

/// Takes back the comma after the last item.
fn close_list(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
}
