//! A hand-over to a successor: what each shard gives away, until all have; then connections, as far as time goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_ring::token::{Member, Transfer};
use weir_shard::durable::{Segment, Share, recover};
use weir_shard::hash_ring::HashRing;
use weir_shard::mail::{DrainOrder, Emigrant, Mail, Question};

use crate::disaster;
use crate::disk;
use crate::fault::Fault;
use crate::history::Fact;
use crate::net::Place;
use crate::net::driver::complete;
use crate::net::port::Item;
use crate::options::MS;
use crate::stage::Stage;

/// Asks of the hand-over have numbers from here on: no run has as many others.
const ASKS: u64 = 1 << 40;

/// One that is under way.
#[derive(Debug)]
pub struct Succession {
    parts: Vec<Option<Arc<[u8]>>>,
    /// Until then connections leave.
    end: Option<u64>,
    left: Vec<(Transfer, Emigrant)>,
}

/// Connections that are in neither process.
#[derive(Debug, Default)]
pub struct Between {
    connections: Vec<(usize, Emigrant)>,
    arrived: u64,
}

impl Succession {
    /// Begins, with what is asked of `shards`.
    pub fn begin(shards: usize) -> (Succession, Vec<(Member, Mail)>) {
        let from = Member(shards as u16);
        let ask = |shard| {
            let question = Question::HandOver;
            (Member(shard as u16), Mail::Ask { from, ask: ASKS + shard as u64, question })
        };
        let succession = Succession { parts: vec![None; shards], end: None, left: Vec::new() };
        (succession, (0..shards).map(ask).collect())
    }

    /// What a shard gives away; true: that was the last.
    pub fn take(&mut self, ask: u64, streams: Arc<[u8]>) -> bool {
        if let Some(part) = self.parts.get_mut((ask - ASKS) as usize) {
            *part = Some(streams);
        }
        self.parts.iter().all(Option::is_some)
    }

    /// The successor serves: connections leave, until the process is gone or has no more.
    pub fn empty(&mut self, stage: &mut Stage) -> Vec<(Member, Mail)> {
        self.end = Some(stage.now + stage.rng.between(1, 500) * MS);
        stage.history.add(Fact::Leaving);
        let order = || DrainOrder { succeeded: true, emigrates: true, ..DrainOrder::default() };
        (0..self.parts.len()).map(|shard| (Member(shard as u16), Mail::Drain(order()))).collect()
    }

    /// A connection has left.
    pub fn leave(&mut self, transfer: Transfer, emigrant: Emigrant) {
        self.left.push((transfer, emigrant));
    }

    /// Whether the process that is succeeded is gone.
    pub fn is_over(&self, now: u64) -> bool {
        self.end.is_some_and(|end| now >= end)
    }

    /// The connections that go over. Those whose state or socket is missing end with the process.
    pub fn between(&mut self, stage: &mut Stage) -> Between {
        let landed: BTreeMap<Transfer, usize> = stage.net.landed.iter().copied().collect();
        let mut connections = Vec::new();
        for (transfer, emigrant) in std::mem::take(&mut self.left) {
            let Some(&conn) = landed.get(&transfer) else { continue };
            stage.net.conns[conn].place = Place::Between;
            connections.push((conn, told(stage, &emigrant)));
        }
        Between { connections, arrived: 0 }
    }

    /// What each shard of the successor begins with.
    pub fn shares(self, stage: &mut Stage) -> Vec<Share> {
        if stage.options.config.durability.is_some() {
            return disk::read(stage);
        }
        let mut parts: Vec<Arc<[u8]>> = self.parts.into_iter().flatten().collect();
        if stage.saboteur.disinherits() {
            parts.truncate(1);
        }
        let segments = parts.iter().zip(0..).map(|(bytes, series)| Segment { series, number: 1, bytes });
        let segments: Vec<Segment<'_>> = segments.collect();
        let config = &stage.options.config;
        let mut recovered = recover(&segments, &config.outbox, stage.wall());
        if recovered.report.holes > 0 || recovered.report.torn_bytes > 0 {
            stage.history.contract(format!("what was handed over is damaged: {:?}", recovered.report));
        }
        recovered.segments.clear();
        recovered.split(&stage.options.config)
    }
}

impl Between {
    /// The process that was to take them is gone.
    pub fn end(&mut self, stage: &mut Stage) {
        for (conn, _) in self.connections.drain(..) {
            disaster::abandon(stage, conn);
        }
    }

    /// Some of them arrive, each at its client's home: its socket there, its letter at once or later.
    pub fn arrive(&mut self, stage: &mut Stage) -> Vec<(Member, Mail)> {
        let shards = stage.net.ports.len() as u16;
        let ring = HashRing::of_shards(shards, stage.options.config.vnodes);
        let some = stage.rng.index(self.connections.len() + 1);
        let mut letters = Vec::new();
        for (conn, emigrant) in self.connections.split_off(some) {
            let home = usize::from(ring.home(emigrant.client().as_bytes()));
            let Some(socket) = stage.net.ports[home].open(conn) else {
                disaster::abandon(stage, conn);
                continue;
            };
            stage.faults.count(Fault::Emigrated);
            stage.history.add(Fact::Immigrated { conn });
            stage.net.conns[conn].place = Place::Socket { shard: home, socket };
            let transfer = Transfer(u64::from(shards) << 32 | self.arrived);
            self.arrived += 1;
            complete(stage, home, Item::Arrived { transfer, socket });
            letters.push((Member(home as u16), emigrant.letter(transfer)));
        }
        letters
    }
}

/// A connection as it is told from one process to another.
fn told(stage: &mut Stage, emigrant: &Emigrant) -> Emigrant {
    let mut value = serde_json::to_value(emigrant).expect("an emigrant is JSON");
    stage.saboteur.misdirects(&mut value);
    serde_json::from_value(value).expect("what was written is read")
}
