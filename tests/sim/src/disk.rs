//! The simulated disk: one log per shard, behind `Op::Append` and `Op::Discard`.
//!
//! What an `Appended` has answered stays, except that a disk of a seed with damage flips bits in it. What was
//! under way when the process died may be there in part, and the rest of the file may hold anything that was
//! reserved for it.

use std::collections::BTreeMap;

use weir_shard::durable::{Segment, Share, recover};

use crate::client::body::{client_name, topic_name};
use crate::fault::Fault;
use crate::history::{Fact, Stream};
use crate::net::driver::{Job, broken, complete, job};
use crate::net::errno;
use crate::net::port::Item;
use crate::options::MS;
use crate::place::Place;
use crate::rng::Rng;
use crate::stage::Stage;
use crate::text::Text;

/// A segment's name: series and number.
type Name = (u16, u32);

/// What a seed's disk is like; rates are per mille.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Longest time of an append, ns.
    pub slow: u64,
    /// An append fails with EIO.
    pub fails: u32,
    /// An append finds the disk full, and so do all for a while.
    pub fills: u32,
    /// A restart finds bits flipped in what was there.
    pub damage: u32,
}

impl Habits {
    /// The disk of a seed.
    pub fn draw(rng: &mut Rng) -> Habits {
        let some = |rng: &mut Rng, off, max| crate::options::strength(rng, off, max);
        // Errors and damage do not meet: what says where a failed batch begins would itself be harmed.
        if rng.chance(450) {
            return Habits { slow: 5 * MS, fails: 0, fills: 0, damage: 950 };
        }
        let slow = rng.pick(&[1, 5, 60]) * MS;
        Habits { slow, fails: some(rng, 300, 30), fills: some(rng, 200, 15), damage: 0 }
    }
}

/// All logs.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<Name, Vec<u8>>,
    /// By shard, what is under way.
    under_way: BTreeMap<usize, (u32, Vec<u8>)>,
    /// By shard, the segment that is appended to.
    open: BTreeMap<usize, u32>,
    /// By series, the segment and place of the last append that was answered.
    last: BTreeMap<u16, (u32, usize)>,
    full_until: u64,
}

/// A shard asks for an append.
pub fn append(stage: &mut Stage, shard: usize, segment: u32, bytes: Vec<u8>) {
    let name = (shard as u16, segment);
    let disk = &stage.net.disk;
    let newest = disk.files.range((name.0, 0)..=(name.0, u32::MAX)).next_back().map(|((_, last), _)| *last);
    let wrong = if disk.under_way.contains_key(&shard) {
        Some("Append while one is under way")
    } else if disk.open.get(&shard) != Some(&segment) && newest >= Some(segment) {
        Some("Append to a segment that is over")
    } else if bytes.is_empty() {
        Some("empty Append")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return broken(stage, shard, wrong, name);
    }
    stage.net.disk.open.insert(shard, segment);
    stage.net.disk.under_way.insert(shard, (segment, bytes));
    let slow = stage.options.disk.as_ref().map_or(MS, |habits| habits.slow);
    let span = if stage.healed { MS } else { slow };
    job(stage, shard, Job::Append, span);
}

/// A shard gives a segment up.
pub fn discard(stage: &mut Stage, shard: usize, name: Name) {
    let disk = &mut stage.net.disk;
    let busy = disk.under_way.get(&shard).is_some_and(|(segment, _)| (shard as u16, *segment) == name);
    if busy || disk.files.remove(&name).is_none() {
        broken(stage, shard, "Discard of a segment that is in use, or is not there", name);
    }
}

/// The disk has done what it can.
pub fn appended(stage: &mut Stage, shard: usize) {
    let Some((segment, bytes)) = stage.net.disk.under_way.remove(&shard) else { return };
    let name = (shard as u16, segment);
    let refused = refuses(stage);
    let there = if refused.is_some() { stage.rng.index(bytes.len() + 1) } else { bytes.len() };
    let disk = &mut stage.net.disk;
    let file = disk.files.entry(name).or_default();
    if refused.is_none() {
        disk.last.insert(name.0, (segment, file.len()));
    } else {
        disk.open.remove(&shard);
    }
    file.extend_from_slice(&bytes[..there]);
    complete(stage, shard, Item::Appended { bytes: Text(bytes), errno: refused });
}

fn refuses(stage: &mut Stage) -> Option<i32> {
    let habits = stage.options.disk.clone().filter(|_| !stage.healed)?;
    if stage.now < stage.net.disk.full_until {
        return Some(errno::ENOSPC);
    }
    if stage.rng.chance(habits.fills) {
        stage.faults.count(Fault::DiskFull);
        stage.net.disk.full_until = stage.now + stage.rng.below(2_000) * MS;
        return Some(errno::ENOSPC);
    }
    stage.rng.chance(habits.fails).then(|| {
        stage.faults.count(Fault::DiskError);
        errno::EIO
    })
}

/// The process is gone: of what was under way some part is there, whole, torn or with holes.
pub fn tear(stage: &mut Stage) {
    let Stage { net, rng, faults, saboteur, .. } = stage;
    for (shard, (segment, mut bytes)) in std::mem::take(&mut net.disk.under_way) {
        let there = rng.index(bytes.len() + 1);
        faults.count(Fault::TornTail);
        match rng.below(4) {
            0 => bytes[there..].fill(0),
            1 => bytes[..there].fill(0),
            2 => {
                bytes.truncate(there);
                bytes.resize(there + rng.index(5_000), 0);
            }
            _ => bytes.truncate(there),
        }
        net.disk.files.entry((shard as u16, segment)).or_default().extend_from_slice(&bytes);
    }
    net.disk.open.clear();
    match saboteur.robs() {
        Some(true) => net.disk.files.clear(),
        Some(false) => {
            for (series, (segment, at)) in &net.disk.last {
                if let Some(bytes) = net.disk.files.get_mut(&(*series, *segment)) {
                    bytes.truncate(*at);
                }
            }
        }
        None => {}
    }
}

/// Now and then what was written is not what is read; but what was written last cannot be told from a torn
/// tail, and stays. True if so.
pub fn damage(stage: &mut Stage) -> bool {
    let Some(habits) = stage.options.disk.clone() else { return false };
    let Stage { net, rng, faults, .. } = stage;
    if !rng.chance(habits.damage) {
        return false;
    }
    let Disk { files, last, .. } = &mut net.disk;
    let at = rng.index(files.len());
    let Some((name, bytes)) = files.iter_mut().nth(at) else { return false };
    let end = last.get(&name.0).filter(|(segment, _)| *segment == name.1).map_or(bytes.len(), |(_, at)| *at);
    if end == 0 {
        return false;
    }
    faults.count(Fault::BitFlip);
    for _ in 0..rng.between(1, 3) {
        let at = rng.index(end);
        bytes[at] ^= 1 << rng.below(8);
    }
    true
}

/// Writes down what is on the disk in the end.
pub fn note_rest(stage: &mut Stage) {
    let (clients, topics) = (stage.options.cast.receivers, stage.options.cast.topics);
    for stream in read(stage).into_iter().flat_map(|share| share.streams) {
        let client = (0..clients).find(|client| *client_name(*client) == *stream.name).map(Stream::Own);
        let topic = (0..topics).find(|topic| *topic_name(*topic) == *stream.name).map(Stream::Topic);
        let epoch = stage.history.epoch(&String::from_utf8_lossy(&stream.epoch.letters()));
        let place = Place { epoch, seen: stream.lanes.map(|run| run.head) };
        if let Some(stream) = client.or(topic) {
            let fact = Fact::AtRest { stream, place };
            stage.saboteur.pass(fact).into_iter().for_each(|fact| stage.history.add(fact));
        }
    }
}

/// What a new process makes of the logs, by shard.
pub fn read(stage: &Stage) -> Vec<Share> {
    let files = &stage.net.disk.files;
    let segments: Vec<Segment<'_>> = files
        .iter()
        .map(|((series, number), bytes)| Segment { series: *series, number: *number, bytes })
        .collect();
    recover(&segments, &stage.options.config.outbox, stage.wall()).split(&stage.options.config)
}
