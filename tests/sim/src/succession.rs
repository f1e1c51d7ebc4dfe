//! A hand-over to a successor: what each shard gives away, until all have.

use std::sync::Arc;

use weir_ring::token::Member;
use weir_shard::durable::{Segment, Share, recover};
use weir_shard::mail::{Mail, Question};

use crate::disk;
use crate::stage::Stage;

/// Asks of the hand-over have numbers from here on: no run has as many others.
const ASKS: u64 = 1 << 40;

/// One that is under way.
#[derive(Debug)]
pub struct Succession {
    parts: Vec<Option<Arc<[u8]>>>,
}

impl Succession {
    /// Begins, with what is asked of `shards`.
    pub fn begin(shards: usize) -> (Succession, Vec<(Member, Mail)>) {
        let from = Member(shards as u16);
        let ask = |shard| {
            let question = Question::HandOver;
            (Member(shard as u16), Mail::Ask { from, ask: ASKS + shard as u64, question })
        };
        (Succession { parts: vec![None; shards] }, (0..shards).map(ask).collect())
    }

    /// What a shard gives away; true: that was the last.
    pub fn take(&mut self, ask: u64, streams: Arc<[u8]>) -> bool {
        if let Some(part) = self.parts.get_mut((ask - ASKS) as usize) {
            *part = Some(streams);
        }
        self.parts.iter().all(Option::is_some)
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
