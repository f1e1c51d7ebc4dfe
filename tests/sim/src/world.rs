//! A run: shards and agents on one thread, one event after the other.

use std::time::Duration;

use weir_ring::op::Output;
use weir_ring::time::{Instant, Now};
use weir_ring::token::Member;
use weir_shard::durable::Share;
use weir_shard::limits::Config;
use weir_shard::mail::{Answer, DeadQuestion, DrainOrder, Mail, Question};
use weir_shard::{Post, Shard};

use crate::client::{Agent, Phase};
use crate::control::{note, squeeze, trace};
use crate::disaster::{self, Disaster};
use crate::disk;
use crate::fault::Fault;
use crate::history::Fact;
use crate::load::{Labour, stall};
use crate::mcp;
use crate::net::port::{Batch, Item};
use crate::net::{self, driver};
use crate::options::MS;
use crate::stage::{Event, Stage};
use crate::succession::{Between, Succession};

/// What is simulated: one shard.
pub trait Gateway {
    /// As [`Shard::turn`].
    fn turn(&mut self, now: Now, completions: &mut Batch, post: &mut Post, out: &mut Output) -> Instant;
    /// As [`Shard::took`].
    fn took(&mut self, turn: Duration);
    /// As [`Shard::is_drained`].
    fn is_drained(&self) -> bool;
}

impl Gateway for Shard {
    fn turn(&mut self, now: Now, completions: &mut Batch, post: &mut Post, out: &mut Output) -> Instant {
        Shard::turn(self, now, completions, post, out)
    }

    fn took(&mut self, turn: Duration) {
        Shard::took(self, turn);
    }

    fn is_drained(&self) -> bool {
        Shard::is_drained(self)
    }
}

/// A shard and its pump.
struct Node<G> {
    gateway: G,
    post: Post,
    out: Output,
    /// When the shard asked for its next turn, ns.
    due: u64,
    /// The next [`Event::Turn`] that is for `due`; an earlier one moves on to it.
    alarm: u64,
    /// A turn takes time; the next starts after it.
    busy_until: u64,
    /// An [`Event::Turn`] stands at `busy_until`, for all that came while the shard was busy.
    awaited: bool,
    /// An [`Event::Carry`] is on the agenda.
    carries: bool,
    /// Turns in a row that had nothing to do and asked for another at once.
    idle_spins: u32,
    labour: Labour,
}

/// Makes a shard, which goes on with what its log held.
type Make<G> = fn(&Config, Member, u64, Option<Share>) -> G;

/// A run under way.
pub struct World<G> {
    make: Make<G>,
    /// All but shards and agents.
    pub stage: Stage,
    nodes: Vec<Node<G>>,
    agents: Vec<Agent>,
    phase: Phase,
    asked: u64,
    questions: Vec<(Member, Mail)>,
    answers: Vec<Mail>,
    unanswered: u64,
    /// A hand-over that is under way.
    succession: Option<Succession>,
    /// Connections of the process before.
    between: Between,
    over: bool,
}

/// How long the storm may last, should turns be slow to come.
const STORM_MAX: u64 = 300_000 * MS;

/// How long each phase after the storm lasts; longer than every time-out a seed can draw.
const PHASE: u64 = 6_000 * MS;

/// How long calm and end last where servers may be silent from the start.
const LONG_PHASE: u64 = 45_000 * MS;

/// Letters that may wait at a sender: many turns' worth, but not without bound.
const OUTBOX_MAX: usize = 5_000;

/// Turns in a row without work that ask for another at once.
const IDLE_SPINS_MAX: u32 = 100;

impl<G: Gateway> World<G> {
    /// Shards made by `make(config, member, seed)`, and everyone who connects to them.
    pub fn new(mut stage: Stage, make: Make<G>) -> World<G> {
        let nodes = Node::all(&mut stage, Vec::new(), make);
        stage.at(stage.now, Event::Control);
        let agents = Agent::cast(&mut stage);
        World {
            make,
            stage,
            nodes,
            agents,
            phase: Phase::Storm,
            asked: 0,
            questions: Vec::new(),
            answers: Vec::new(),
            unanswered: 0,
            succession: None,
            between: Between::default(),
            over: false,
        }
    }

    /// Runs storm, calm and end.
    pub fn run(&mut self) {
        while !self.over && !self.stage.history.spoilt {
            let Some(event) = self.stage.advance() else { break };
            self.stage.history.now = self.stage.now;
            self.happen(event);
            let turns: u64 = self.turns();
            self.strike(turns);
            if self.phase == Phase::Storm && (turns >= self.stage.options.turns || self.stage.now > STORM_MAX)
            {
                self.enter(Phase::Calm);
            }
        }
    }

    /// Turns of all shards so far.
    pub fn turns(&self) -> u64 {
        self.stage.net.ports.iter().map(|port| port.turns).sum()
    }

    /// The next disaster, if its turn has come.
    fn strike(&mut self, turns: u64) {
        let stage = &mut self.stage;
        let due = |(at, _): &mut (u64, Disaster)| self.phase == Phase::Storm && turns >= *at;
        match stage.options.disasters.pop_if(due) {
            Some((_, Disaster::Restart)) => self.restart(),
            Some((_, Disaster::Rush)) => disaster::rush(stage),
            Some((_, Disaster::Succession)) if self.succession.is_none() => {
                let (succession, asks) = Succession::begin(self.nodes.len());
                self.succession = Some(succession);
                self.questions.extend(asks);
            }
            Some((_, Disaster::Succession)) => {}
            None => {}
        }
    }

    /// All shards are killed; new ones start after a while.
    fn restart(&mut self) {
        self.between.end(&mut self.stage);
        let back = disaster::kill(&mut self.stage);
        let shares = disk::read(&self.stage);
        self.begin_again(back, shares);
    }

    /// New shards begin with `shares`, at `back`.
    fn begin_again(&mut self, back: u64, shares: Vec<Share>) {
        self.succession = None;
        self.nodes = Node::all(&mut self.stage, shares, self.make);
        for (shard, node) in self.nodes.iter_mut().enumerate() {
            node.busy_until = back;
            node.wait(&mut self.stage, shard);
        }
        (self.questions, self.answers, self.unanswered) = (Vec::new(), Vec::new(), 0);
    }

    /// The process that is succeeded is gone, and the next begins with what it gave away.
    fn succeed(&mut self, mut succession: Succession) {
        let stage = &mut self.stage;
        self.between.end(stage);
        self.between = succession.between(stage);
        let shares = succession.shares(stage);
        let back = disaster::succeed(stage);
        self.begin_again(back, shares);
        self.stage.at(back, Event::Control);
    }

    fn happen(&mut self, event: Event) {
        let stage = &mut self.stage;
        match event {
            Event::Turn { shard } => self.turn(shard),
            Event::Timer { agent } => self.agents[agent].timer(stage, self.phase),
            Event::Carry { shard } => {
                self.nodes[shard].carries = false;
                self.nodes[shard].carry(stage, shard);
            }
            Event::Control => self.control(),
            Event::Next => self.enter(match self.phase {
                Phase::Storm | Phase::Calm => Phase::Resumed,
                Phase::Resumed | Phase::Empty => Phase::Empty,
            }),
            event => {
                if let Some((conn, taken)) = net::happen(stage, event) {
                    let owner = stage.net.conns[conn].owner;
                    self.agents[owner].input(stage, conn, &taken);
                }
            }
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.stage.history.note(|| format!("---- {phase:?}"));
        match (self.phase, phase) {
            (_, Phase::Calm) => {
                self.stage.healed = true;
                self.stage.weather = self.stage.weather.calm();
            }
            (_, Phase::Resumed) => mcp::note(&mut self.stage, mcp::Fact::Healed),
            (Phase::Resumed, Phase::Empty) => {
                self.stage.history.add(Fact::Settled);
                for agent in &self.agents {
                    if let Some(wait) = agent.waits_for() {
                        self.stage.history.violation(17, wait);
                    }
                }
            }
            (Phase::Empty, Phase::Empty) => return self.end(),
            _ => {}
        }
        self.phase = phase;
        if phase == Phase::Empty && self.stage.options.drains {
            self.agents.iter_mut().for_each(|agent| agent.last_word(&mut self.stage));
            self.stage.history.add(Fact::Stopping);
            self.stage.saboteur.stopping = true;
            let told = |shard| (Member(shard as u16), Mail::Drain(DrainOrder::default()));
            self.questions.extend((0..self.nodes.len()).map(told));
        } else {
            self.agents.iter_mut().for_each(|agent| agent.enter(&mut self.stage, phase));
        }
        let long = matches!(phase, Phase::Calm | Phase::Empty) && self.stage.options.mcp.stubborn;
        self.stage.at(self.stage.now + if long { LONG_PHASE } else { PHASE }, Event::Next);
    }

    /// Everyone has left: nothing may be left over.
    fn end(&mut self) {
        self.over = true;
        disk::note_rest(&mut self.stage);
        for shard in 0..self.nodes.len() {
            let port = &self.stage.net.ports[shard];
            let open = self.stage.net.accepted(shard);
            let deaf = port.listeners.iter().any(|listener| !listener.armed);
            if open > 0 {
                self.stage.history.violation(17, format!("shard {shard} still holds {open} sockets"));
            }
            if self.stage.options.drains && !self.nodes[shard].gateway.is_drained() {
                self.stage.history.violation(17, format!("shard {shard} has not drained"));
            }
            if deaf && !self.stage.options.drains {
                self.stage.history.violation(17, format!("shard {shard} accepts no more"));
            }
        }
        if self.unanswered > 1 && !self.stage.options.drains {
            self.stage
                .history
                .violation(17, format!("{} questions of the control thread are open", self.unanswered));
        }
    }

    fn turn(&mut self, shard: usize) {
        let over = self.nodes.iter().all(|node| node.gateway.is_drained());
        let (stage, node) = (&mut self.stage, &mut self.nodes[shard]);
        if stage.now < node.busy_until {
            return node.wait(stage, shard);
        }
        node.awaited = false;
        stage.mesh.collect(shard, stage.now, &mut node.post.inbox, &mut stage.rng);
        let work = !stage.net.ports[shard].queue.is_empty() || !node.post.inbox.is_empty();
        if !work && over {
            return;
        }
        if !work && stage.now < node.due {
            return node.set_alarm(stage, shard);
        }
        if stage.rng.chance(stage.weather.stall) {
            stage.faults.count(Fault::Stall);
            node.busy_until = stage.now + stall(stage);
            return node.wait(stage, shard);
        }
        let part = stage.rng.chance(stage.weather.partial_batch);
        let mut batch = stage.net.ports[shard].batch(part, &mut stage.rng);
        if !stage.net.ports[shard].queue.is_empty() {
            stage.faults.count(Fault::PartialBatch);
        }
        stage.history.note(|| format!("shard {shard} turn"));
        watch_hand_overs(stage, &batch, &node.post.inbox);
        stage.mesh.room(shard, &node.post.outbox, &mut node.post.room, &mut stage.faults);
        let now = clock(stage);
        stage.net.ports[shard].turns += 1;
        node.out.clear();
        let due = node.gateway.turn(now, &mut batch, &mut node.post, &mut node.out);
        if batch.left() > 0 || !node.post.inbox.is_empty() {
            stage.history.contract(format!("shard {shard} left completions or letters"));
            node.post.inbox.clear();
        }
        node.due = due.0.max(stage.now);
        let quiet = node.out.ops.is_empty() && !work;
        node.idle_spins = if quiet && due.0 <= stage.now { node.idle_spins + 1 } else { 0 };
        if node.idle_spins > IDLE_SPINS_MAX {
            stage.history.contract(format!("shard {shard} asks for turns it does not need"));
        }
        node.carry(stage, shard);
        driver::execute(stage, shard, &mut node.out);
        let took = node.labour.turn(stage);
        node.busy_until = stage.now + took;
        node.gateway.took(Duration::from_nanos(took));
        if stage.net.ports[shard].queue.is_empty() && node.due > node.busy_until {
            node.set_alarm(stage, shard);
        } else {
            node.wait(stage, shard);
        }
    }

    /// The control thread: reads answers, asks the next shard for its counters.
    fn control(&mut self) {
        let stage = &mut self.stage;
        let control = self.nodes.len();
        stage.mesh.collect(control, stage.now, &mut self.answers, &mut stage.rng);
        let mut all_given = false;
        for mail in self.answers.drain(..) {
            let (ask, answer) = match mail {
                Mail::Answer { ask, answer } => (ask, answer),
                Mail::Signal(_) | Mail::Audience { .. } => continue,
                Mail::Moved { transfer, parcel, .. } => {
                    if let (Some(succession), Some(left)) = (&mut self.succession, parcel.into_emigrant()) {
                        succession.leave(transfer, left);
                    }
                    continue;
                }
                Mail::Spans { from, spans, dropped } => {
                    if let Some(wrong) = stage.heard.spans(from, &spans, dropped) {
                        stage.history.contract(wrong);
                    }
                    continue;
                }
                Mail::Events { from, facts } => {
                    if let Some(wrong) = stage.heard.take(from, &facts) {
                        stage.history.contract(wrong);
                    }
                    continue;
                }
                mail => {
                    let what = format!("a letter to the control thread that it did not ask for: {mail:?}");
                    stage.history.contract(what);
                    continue;
                }
            };
            if let Answer::Streams(streams) = answer {
                all_given |= self.succession.as_mut().is_some_and(|it| it.take(ask, streams));
                continue;
            }
            self.unanswered = self.unanswered.saturating_sub(1);
            note(stage, ask as usize % control, answer);
        }
        if let Some(succession) = self.succession.as_mut().filter(|_| all_given) {
            self.questions.extend(succession.empty(stage));
        }
        if let Some(succession) = self.succession.take_if(|it| it.is_over(stage.now)) {
            return self.succeed(succession);
        }
        self.questions.extend(self.between.arrive(stage));
        if self.questions.is_empty() {
            let all = DeadQuestion::List { client: None, after: None, limit: usize::MAX };
            let question = match (self.asked / control as u64) % 4 {
                1 if self.phase != Phase::Storm => Question::Dead(all),
                3 => Question::Control,
                _ => Question::Stats,
            };
            let from = Member(control as u16);
            let to = Member((self.asked as usize % control) as u16);
            self.questions.push((to, Mail::Ask { from, ask: self.asked, question }));
            self.asked += 1;
            self.unanswered += 1;
            self.questions.extend(squeeze(stage, control));
            self.questions.extend(trace(self.asked, stage.options.cast.receivers, control));
        }
        carry(stage, control, &mut self.questions);
        let pause = if self.phase == Phase::Storm { 50 } else { 200 };
        stage.at(stage.now + pause * MS, Event::Control);
    }
}

impl<G> Node<G> {
    /// The shards of a new process, each with its share of what was there before; each takes a turn at once.
    fn all(stage: &mut Stage, shares: Vec<Share>, make: Make<G>) -> Vec<Node<G>> {
        let config = stage.options.config.clone();
        let mut shares = shares.into_iter();
        let mut seat = |shard| {
            let share = shares.next();
            Node::new(make(&config, Member(shard), stage.rng.draw(), share), stage, shard)
        };
        (0..config.shards).map(&mut seat).collect()
    }

    fn new(gateway: G, stage: &mut Stage, shard: u16) -> Node<G> {
        stage.at(stage.now, Event::Turn { shard: usize::from(shard) });
        Node {
            gateway,
            post: Post::default(),
            out: Output::default(),
            due: 0,
            alarm: 0,
            busy_until: 0,
            awaited: false,
            carries: false,
            idle_spins: 0,
            labour: Labour::default(),
        }
    }

    /// The next turn is at the end of this one.
    fn wait(&mut self, stage: &mut Stage, shard: usize) {
        if !std::mem::replace(&mut self.awaited, true) {
            stage.at(self.busy_until, Event::Turn { shard });
        }
    }

    /// The next turn is when the shard asked for it, if nothing comes before.
    fn set_alarm(&mut self, stage: &mut Stage, shard: usize) {
        if self.alarm <= stage.now || self.alarm > self.due {
            self.alarm = self.due;
            stage.at(self.due, Event::Turn { shard });
        }
    }

    /// Posts its letters; what the mesh does not take is tried again soon.
    fn carry(&mut self, stage: &mut Stage, shard: usize) {
        carry(stage, shard, &mut self.post.outbox);
        if !self.post.outbox.is_empty() && !std::mem::replace(&mut self.carries, true) {
            let due = stage.soon(MS);
            stage.at(due, Event::Carry { shard });
        }
    }
}

fn clock(stage: &mut Stage) -> Now {
    if stage.rng.chance(stage.weather.clock_jump) {
        stage.faults.count(Fault::ClockJump);
        stage.wall_offset += stage.rng.below(20_000) as i64 - 10_000;
    }
    Now { mono: Instant(stage.now), wall: stage.wall() }
}

/// Puts the letters of member `from` on their way, as far as the mesh takes them.
fn carry(stage: &mut Stage, from: usize, outbox: &mut Vec<(Member, Mail)>) {
    for (to, mail) in outbox.iter() {
        stage.history.note(|| format!("member {from} -> {} {mail:?}", to.0));
    }
    let mut due = Vec::new();
    let Stage { mesh, weather, rng, faults, now, .. } = stage;
    let carried = mesh.carry(from, outbox, *now, weather, (rng, faults), |to, at| due.push((to, at)));
    if let Err(wrong) = carried {
        stage.history.contract(wrong);
    }
    for (shard, at) in due {
        if shard < stage.net.ports.len() {
            stage.at(at, Event::Turn { shard });
        }
    }
    if outbox.len() > OUTBOX_MAX {
        stage
            .history
            .contract(format!("member {from} has {} letters that the mesh does not take", outbox.len()));
        outbox.clear();
    }
}

/// Counts which half of a hand-over comes first.
fn watch_hand_overs(stage: &mut Stage, batch: &Batch, inbox: &[Mail]) {
    for mail in inbox {
        stage.history.note(|| format!("  letter {mail:?}"));
        if let Mail::Moved { transfer, .. } = mail {
            stage.half_moved(transfer.0, Fault::MailFirst);
        }
    }
    for item in batch.items() {
        stage.history.note(|| format!("  {item:?}"));
        if let Item::Arrived { transfer, .. } = item {
            stage.half_moved(transfer.0, Fault::ArrivedFirst);
        }
    }
}
