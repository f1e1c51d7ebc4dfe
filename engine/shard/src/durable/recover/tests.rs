//! Logs are written by a model that remembers what it wrote: after each batch it knows what a start would
//! have to find.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::durable::batch::{HEADER, seal};
use crate::durable::lives::{Entry, Run};
use crate::durable::record::{Kind, LANES, Message, Name, Place};
use crate::lane::Lane;
use crate::stream::Epoch;

const NAMES: [(Kind, &str); 4] =
    [(Kind::Client, "ann"), (Kind::Client, "bob"), (Kind::Topic, "ann"), (Kind::Topic, "room:7")];

const NOW: Wall = Wall(1_000_000);

fn limits() -> limits::Outbox {
    limits::Outbox { messages_max: 6, bytes_max: 300, age_max: Duration::ZERO }
}

#[derive(Clone, Debug)]
enum Step {
    Message {
        stream: usize,
        lane: Lane,
        bytes: usize,
    },
    Acknowledge {
        stream: usize,
        lane: Lane,
        part: u8,
    },
    Forget {
        stream: usize,
    },
    Commit,
    /// The batch was refused by the disk; a new segment begins.
    Fail,
    Rotate,
    Restart {
        shards: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lane = || prop_oneof![4 => Just(Lane::Normal), 1 => prop::sample::select(&Lane::ALL)];
    let step = prop_oneof![
        12 => (0..4_usize, lane(), 0..80_usize).prop_map(|(stream, lane, bytes)| Step::Message { stream, lane, bytes }),
        2 => (0..4_usize, lane(), any::<u8>()).prop_map(|(stream, lane, part)| Step::Acknowledge { stream, lane, part }),
        1 => (0..4_usize).prop_map(|stream| Step::Forget { stream }),
        8 => Just(Step::Commit),
        1 => Just(Step::Fail),
        1 => Just(Step::Rotate),
        1 => (1..4_u16).prop_map(|shards| Step::Restart { shards }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What a stream should be after a start.
type State = Vec<Option<(Epoch, [Run; LANES])>>;

/// Several shards that write logs, and what they wrote.
#[derive(Clone)]
struct Model {
    shards: u16,
    run: u32,
    state: State,
    durable: State,
    epochs: u64,
    /// By series: number of the segment, its bytes; closed ones are cut nowhere.
    segments: Vec<(u16, u32, Vec<u8>)>,
    /// By series: what is collected, the next lsn, whether the last segment is open, ends to be told.
    series: Vec<Series>,
    /// Every message ever on disk: by name, epoch, lane and number.
    messages: BTreeMap<(usize, u64, u8, u64), Vec<u8>>,
}

#[derive(Clone, Default)]
struct Series {
    payload: Vec<u8>,
    lsn: u64,
    open: bool,
    ends: Vec<(u16, u32, u64)>,
}

impl Model {
    fn new() -> Model {
        Model {
            shards: 2,
            run: 1,
            state: vec![None; NAMES.len()],
            durable: vec![None; NAMES.len()],
            epochs: 0,
            segments: Vec::new(),
            series: vec![Series::default(); 4],
            messages: BTreeMap::new(),
        }
    }

    fn home(&self, stream: usize) -> usize {
        stream % usize::from(self.shards)
    }

    fn name(stream: usize) -> Name<'static> {
        let (kind, text) = NAMES[stream];
        Name { kind, text }
    }

    fn record(&mut self, stream: usize, record: &Record<'_>) {
        let home = self.home(stream);
        record.write(&mut self.series[home].payload);
    }

    fn run(steps: &[Step]) -> Model {
        let mut model = Model::new();
        steps.iter().for_each(|step| model.step(step));
        model.commit_all();
        model
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Message { stream, lane, bytes } => self.message(stream, lane, bytes),
            Step::Acknowledge { stream, lane, part } => self.acknowledge(stream, lane, part),
            Step::Forget { stream } => {
                if let Some((epoch, _)) = self.state[stream].take() {
                    self.record(stream, &Record::Forgotten { stream: Model::name(stream), epoch });
                }
            }
            Step::Commit => self.commit_all(),
            Step::Fail => self.fail(),
            Step::Rotate => self.rotate(),
            Step::Restart { shards } => self.restart(shards),
        }
    }

    fn message(&mut self, stream: usize, lane: Lane, bytes: usize) {
        if self.state[stream].is_none() {
            self.epochs += 1;
            let epoch = Epoch::from_random(self.epochs);
            self.state[stream] = Some((epoch, Default::default()));
            self.record(stream, &Record::Opened { stream: Model::name(stream), epoch });
        }
        let Some((epoch, lanes)) = &mut self.state[stream] else { return };
        let run = &mut lanes[lane as usize];
        run.head += 1;
        let body = format!("{stream}-{}-{lane:?}-{}-{}", epoch.bits(), run.head, "x".repeat(bytes));
        let (epoch, sequence) = (*epoch, run.head);
        let message = Message {
            wall: Wall(sequence),
            ttl_ms: 7,
            class: lane as u8,
            key: b"key",
            body: body.as_bytes(),
        };
        run.entries.push(Entry::of(&message));
        let max = limits();
        let size = |run: &Run| run.entries.iter().map(|entry| entry.body.len()).sum::<usize>();
        while run.entries.len() > 1 && (run.entries.len() > max.messages_max || size(run) > max.bytes_max) {
            run.entries.remove(0);
        }
        let used = (0..LANES).filter(|lane| lanes[*lane].head > 0).fold(0, |bits, lane| bits | 1 << lane);
        let at = Place { stream: Model::name(stream), epoch, lane, sequence };
        self.messages.insert((stream, epoch.bits(), lane as u8, sequence), body.clone().into_bytes());
        self.record(stream, &Record::Message { at, lanes: used, message });
    }

    fn acknowledge(&mut self, stream: usize, lane: Lane, part: u8) {
        let Some((epoch, lanes)) = &mut self.state[stream] else { return };
        let run = &mut lanes[lane as usize];
        let sequence = run.head * u64::from(part) / 255;
        run.acknowledged = run.acknowledged.max(sequence);
        let keep = (run.head - run.acknowledged) as usize;
        let drop = run.entries.len().saturating_sub(keep);
        run.entries.drain(..drop);
        let at = Place { stream: Model::name(stream), epoch: *epoch, lane, sequence };
        self.record(stream, &Record::Acknowledged { at });
    }

    /// All shards commit, one after the other.
    fn commit_all(&mut self) {
        for series in 0..4 {
            let payload = std::mem::take(&mut self.series[series].payload);
            if !payload.is_empty() {
                self.begin(series);
                self.batch(series, &payload);
            }
        }
        self.durable = self.state.clone();
    }

    /// A new segment begins with what must be known first.
    fn begin(&mut self, series: usize) {
        if std::mem::replace(&mut self.series[series].open, true) {
            return;
        }
        let numbers = self.segments.iter().filter(|(of, ..)| usize::from(*of) == series);
        let number = numbers.map(|(_, number, _)| number + 1).max().unwrap_or(1);
        self.segments.push((series as u16, number, Vec::new()));
        let mut payload = Vec::new();
        for (series, segment, offset) in std::mem::take(&mut self.series[series].ends) {
            Record::Ends { series, segment, offset }.write(&mut payload);
        }
        for stream in (0..NAMES.len()).filter(|stream| self.home(*stream) == series) {
            let Some((epoch, lanes)) = &self.durable[stream] else { continue };
            let (stream, epoch) = (Model::name(stream), *epoch);
            let heads = lanes.each_ref().map(|run| run.head);
            let acknowledged = lanes.each_ref().map(|run| run.acknowledged);
            Record::Checkpoint { stream, epoch, heads, acknowledged }.write(&mut payload);
        }
        self.batch(series, &payload);
    }

    fn batch(&mut self, series: usize, payload: &[u8]) {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(payload);
        self.series[series].lsn += 1;
        let writer = Writer { run: self.run, salt: 77 * self.run + series as u32 };
        seal(&mut bytes, writer, self.series[series].lsn);
        self.last_segment(series).extend_from_slice(&bytes);
    }

    fn last_segment(&mut self, series: usize) -> &mut Vec<u8> {
        let mut of = self.segments.iter_mut().filter(|(of, ..)| usize::from(*of) == series);
        &mut of.next_back().expect("a segment has begun").2
    }

    /// What was collected reaches the disk, which says that it did not, and then works again.
    fn fail(&mut self) {
        for series in 0..4 {
            let payload = std::mem::take(&mut self.series[series].payload);
            if payload.is_empty() {
                continue;
            }
            self.begin(series);
            let offset = self.last_segment(series).len() as u64;
            self.batch(series, &payload);
            self.series[series].lsn -= 1;
            self.end(series, offset);
            self.begin(series);
        }
        self.state = self.durable.clone();
    }

    fn end(&mut self, series: usize, offset: u64) {
        let of = self.segments.iter().filter(|(of, ..)| usize::from(*of) == series);
        let number = of.map(|(_, number, _)| *number).max().expect("a segment has begun");
        self.series[series].open = false;
        self.series[series].ends.push((series as u16, number, offset));
    }

    fn rotate(&mut self) {
        self.commit_all();
        self.series.iter_mut().for_each(|series| series.open = false);
    }

    /// The process ends and starts again; shard 0 tells the ends of all segments.
    fn restart(&mut self, shards: u16) {
        self.commit_all();
        for series in 0..4 {
            if self.series[series].open {
                let offset = self.last_segment(series).len() as u64;
                self.end(series, offset);
            }
        }
        let ends = self.series.iter_mut().flat_map(|series| std::mem::take(&mut series.ends)).collect();
        self.series = vec![Series::default(); 4];
        self.series[0].ends = ends;
        (self.run, self.shards) = (self.run + 1, shards);
        for series in 0..usize::from(shards) {
            self.begin(series);
        }
    }

    /// Another run begins with what a start has found, as one shard.
    fn start(&mut self, recovered: &Recovered) {
        let ends = recovered.segments.iter().map(|held| (held.series, held.segment, held.end)).collect();
        self.series = vec![Series::default(); 4];
        self.series[0].ends = ends;
        (self.run, self.shards, self.durable) = (recovered.run, 1, Model::state_of(recovered));
        self.begin(0);
    }

    fn recover(&self) -> Recovered {
        let segments: Vec<Segment<'_>> = self.segments.iter().rev().map(Segment::from).collect();
        recover(&segments, &limits(), NOW)
    }

    /// What was recovered, in the model's form.
    fn state_of(recovered: &Recovered) -> State {
        let find = |(kind, name): (Kind, &str)| {
            let stream =
                recovered.streams.iter().find(|stream| stream.kind == kind && &*stream.name == name)?;
            Some((stream.epoch, stream.lanes.clone()))
        };
        NAMES.into_iter().map(find).collect()
    }

    /// Nothing was made up, nothing stands at a wrong place, and whatever goes on in its life has not
    /// gone back behind what was on disk.
    fn check(&self, recovered: &Recovered) {
        for (stream, found) in Model::state_of(recovered).iter().enumerate() {
            let Some((epoch, lanes)) = found else { continue };
            let newest = self.durable[stream].as_ref().filter(|(newest, _)| newest == epoch);
            for (lane, run) in lanes.iter().enumerate() {
                if let Some((_, lanes)) = newest {
                    assert_eq!(
                        run.head, lanes[lane].head,
                        "stream {stream} lane {lane} goes on from its head"
                    );
                }
                let first = run.head + 1 - run.entries.len() as u64;
                for (sequence, entry) in (first..).zip(&run.entries) {
                    let key = (stream, epoch.bits(), lane as u8, sequence);
                    assert_eq!(self.messages.get(&key).map(Vec::as_slice), Some(&*entry.body), "{key:?}");
                }
            }
        }
    }
}

impl<'a> From<&'a (u16, u32, Vec<u8>)> for Segment<'a> {
    fn from((series, number, bytes): &'a (u16, u32, Vec<u8>)) -> Segment<'a> {
        Segment { series: *series, number: *number, bytes }
    }
}

proptest! {
    /// A start finds what was there, whatever happened to segments, shards and disks.
    #[test]
    fn a_restart_gives_the_same_streams(steps in steps()) {
        let model = Model::run(&steps);
        let recovered = model.recover();
        prop_assert_eq!(Model::state_of(&recovered), model.durable.clone());
        let Report { holes, damaged_bytes, torn_bytes, streams_lost, .. } = recovered.report;
        prop_assert_eq!((holes, damaged_bytes, torn_bytes, streams_lost), (0, 0, 0, 0));
    }

    /// What a crash leaves of the batch under way changes nothing.
    #[test]
    fn a_torn_end_changes_nothing(
        steps in steps(),
        stream in 0..4_usize,
        cut in any::<prop::sample::Index>(),
        flip in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut model = Model::run(&steps);
        model.message(stream, Lane::Normal, 30);
        let series = model.home(stream);
        model.begin(series);
        let whole = model.last_segment(series).len();
        let payload = std::mem::take(&mut model.series[series].payload);
        model.batch(series, &payload);
        let bytes = model.last_segment(series);
        match flip {
            Some(flip) => {
                let at = whole + flip.index(bytes.len() - whole);
                bytes[at] ^= 1;
            }
            None => bytes.truncate(whole + cut.index(bytes.len() - whole)),
        }
        let recovered = model.recover();
        prop_assert_eq!(Model::state_of(&recovered), model.durable.clone());
        prop_assert_eq!((recovered.report.holes, recovered.report.streams_lost), (0, 0));
    }

    /// A flipped bit anywhere: streams lose what they must, and know it, or nothing.
    #[test]
    fn damage_is_never_silent(steps in steps(), segment in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let mut model = Model::run(&steps);
        prop_assume!(!model.segments.is_empty());
        let last = |model: &Model, at: usize| {
            let series = model.segments[at].0;
            model.segments.iter().rposition(|(of, ..)| *of == series) == Some(at)
        };
        let at_segment = segment.index(model.segments.len());
        let bytes = model.segments[at_segment].2.clone();
        let at = at.index(bytes.len().max(1));
        prop_assume!(!bytes.is_empty());
        let starts = std::iter::successors(Some(0_usize), |start| {
            let length = u32::from_le_bytes(bytes[start + 4..start + 8].try_into().ok()?) as usize;
            Some(start + HEADER + length).filter(|next| *next < bytes.len())
        });
        // The last batch of a series is a torn one to whoever looks.
        let newest = starts.last().expect("a batch");
        prop_assume!(!last(&model, at_segment) || at < newest);
        model.segments[at_segment].2[at] ^= 4;
        let recovered = model.recover();
        model.check(&recovered);
        // What was forgotten stays so, although nobody has come back to it.
        model.start(&recovered);
        prop_assert_eq!(Model::state_of(&model.recover()), Model::state_of(&recovered));
    }
}

/// The end of a segment is told by the next run, which dies before it has said again what lives. Then the end
/// is damaged.
#[test]
fn a_hole_at_an_end_is_found_again() {
    let message = Step::Message { stream: 0, lane: Lane::Normal, bytes: 9 };
    let mut model = Model::run(&[message.clone(), Step::Commit, message, Step::Commit]);
    let offset = model.last_segment(0).len() as u64;
    model.end(0, offset);
    let empty = Recovered { streams: Vec::new(), ..model.recover() };
    model.start(&empty);
    model.segments[0].2[offset as usize - 1] ^= 1;
    for _ in 0..3 {
        let recovered = model.recover();
        assert_eq!((recovered.report.holes, recovered.report.streams_lost), (1, 1));
        assert!(recovered.streams.is_empty());
        model.start(&recovered);
    }
}
