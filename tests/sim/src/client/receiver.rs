//! A client that holds streams: its own, and topics when it is on WebSocket. It keeps a cursor for each,
//! comes back with it after every loss of a connection, and may change transports on the way.

use std::collections::BTreeMap;

use super::cursor::View;
use super::{Heard, Phase, body, dismissed, pace, phoenix, sse};
use crate::fault::Fault;
use crate::history::{Cursor, Fact, Pass, Stream};
use crate::net::{self, Taken};
use crate::options::{Cast, MS};
use crate::place::{Lane, Place, Position};
use crate::rng::Rng;
use crate::stage::Stage;

/// Which transports a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taste {
    WebSocket,
    Sse,
    Either,
}

/// One connection of the client.
#[derive(Debug)]
enum Link {
    Phoenix(phoenix::Link),
    Sse(sse::Link),
}

/// A client.
#[derive(Debug)]
pub struct Receiver {
    /// Place among the agents.
    pub id: usize,
    number: usize,
    name: String,
    rng: Rng,
    taste: Taste,
    style: phoenix::Style,
    /// Streams it wants, its own first; topics count only on WebSocket.
    wanted: Vec<Stream>,
    /// Topics on which it wants to be seen.
    seen_on: Vec<Stream>,
    views: BTreeMap<Stream, View>,
    links: Vec<Link>,
    /// Takes SSE at the next connect.
    on_sse: bool,
    /// The last recovery token, and its lineage.
    token: Option<(usize, String)>,
    /// Acknowledges what it gets.
    acks: bool,
    /// What it has said last, by lane.
    told: [Option<Position>; 4],
    /// The last message of its own stream.
    newest: Option<Position>,
    /// Stays away until then, ns.
    away_until: u64,
    /// So often it still opens a transport beside the other, or closes one of two.
    flaps: u64,
}

impl Link {
    fn conn(&self) -> usize {
        match self {
            Link::Phoenix(link) => link.conn,
            Link::Sse(link) => link.conn,
        }
    }

    fn read(&mut self, stage: &mut Stage, bytes: &[u8]) -> Heard {
        match self {
            Link::Phoenix(link) => link.read(stage, bytes),
            Link::Sse(link) => link.read(stage, bytes),
        }
    }

    /// A recovery token, if it has got a new one.
    fn token(&mut self) -> Option<(usize, String)> {
        match self {
            Link::Phoenix(link) => link.token.take(),
            Link::Sse(link) => link.token.take(),
        }
    }

    fn close(&self, stage: &mut Stage) {
        match self {
            Link::Phoenix(link) => link.close(stage),
            Link::Sse(link) => net::close(stage, link.conn),
        }
    }
}

impl Receiver {
    /// The client of that number.
    pub fn new(id: usize, number: usize, mut rng: Rng, cast: &Cast) -> Receiver {
        let taste = rng.pick(&[Taste::WebSocket, Taste::WebSocket, Taste::Sse, Taste::Either]);
        let style = phoenix::Style { version: rng.pick(&[1, 2, 2]), bare: rng.chance(250) };
        let mut wanted = vec![Stream::Own(number)];
        wanted.extend((0..cast.topics).filter(|_| rng.chance(500)).map(Stream::Topic));
        let seen_on = wanted[1..].iter().copied().filter(|_| rng.chance(cast.presence)).collect();
        let on_sse = taste == Taste::Sse || (taste == Taste::Either && rng.chance(500));
        let name = body::client_name(number);
        Receiver {
            id,
            number,
            name,
            taste,
            style,
            wanted,
            seen_on,
            views: BTreeMap::new(),
            links: Vec::new(),
            on_sse,
            acks: taste != Taste::Sse && rng.chance(cast.acks),
            token: None,
            told: [None; 4],
            newest: None,
            away_until: 0,
            flaps: 0,
            rng,
        }
    }

    /// One action; the time of the next.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        if phase == Phase::Empty {
            return None;
        }
        if self.links.is_empty() {
            if phase == Phase::Storm && stage.now < self.away_until {
                return pace(stage);
            }
            self.connect(stage);
        } else if phase == Phase::Storm {
            self.storm(stage);
        }
        self.join_wanted(stage, phase);
        if self.acks && (phase != Phase::Storm || self.rng.chance(500)) {
            self.acknowledge_all(stage);
        }
        if phase == Phase::Storm {
            return pace(stage);
        }
        let pause = if self.waits_for().is_some() { self.rng.between(20, 60) } else { 200 };
        Some(stage.now + pause * MS)
    }

    /// Closes everything and connects once more with what it holds.
    pub fn come_back(&mut self, stage: &mut Stage) {
        self.leave(stage);
        self.on_sse = self.taste == Taste::Sse;
        self.connect(stage);
    }

    /// Closes everything.
    pub fn leave(&mut self, stage: &mut Stage) {
        for at in (0..self.links.len()).rev() {
            self.links[at].close(stage);
            self.drop_link(stage, at);
        }
    }

    /// What is not as it should be at the end.
    pub fn waits_for(&self) -> Option<String> {
        let who = format!("client {}", self.name);
        match self.links.as_slice() {
            [] => Some(format!("{who} is not connected")),
            [Link::Sse(link), ..] => (!link.attached).then(|| format!("{who} waits for `connected`")),
            [Link::Phoenix(link), ..] => {
                let missing = self
                    .wanted
                    .iter()
                    .find(|stream| link.channel(**stream).is_none_or(|channel| !channel.joined));
                let missing = missing.map(|stream| format!("{who} is not joined to {stream:?}"));
                missing.or_else(|| link.waits_for())
            }
        }
    }

    fn connect(&mut self, stage: &mut Stage) {
        let pass = self.pass(stage);
        let link = if self.on_sse {
            let cursor = self.cursor(stage, Stream::Own(self.number));
            self.acknowledge_seen(stage, cursor);
            Link::Sse(sse::Link::open(stage, self.id, (self.number, &self.name), cursor, pass))
        } else {
            let mut link = phoenix::Link::open(stage, self.id, self.number, &self.name, self.style);
            link.pass = pass;
            link.seen_on.clone_from(&self.seen_on);
            Link::Phoenix(link)
        };
        self.links.push(link);
    }

    /// Of what was sent over SSE, the cursor of a new stream says that it came.
    fn acknowledge_seen(&mut self, stage: &mut Stage, cursor: Option<Cursor>) {
        let Some(Cursor { place, forged: false, .. }) = cursor.filter(|_| self.acks) else { return };
        for lane in Lane::ALL.into_iter().filter(|lane| place.at(*lane) > 0) {
            let position = Position { epoch: place.epoch, lane, sequence: place.at(lane) };
            stage.history.add(Fact::Acked { client: self.number, position, through: true });
        }
    }

    /// The last token, now and then a changed one.
    fn pass(&mut self, stage: &mut Stage) -> Option<Pass> {
        let (lineage, token) = self.token.clone()?;
        if !self.rng.chance(stage.options.cast.tokens) {
            return None;
        }
        let mut text = token.clone();
        if !stage.healed && self.rng.chance(stage.options.cast.forged) {
            // Of the last letter some bits say nothing.
            let at = self.rng.index(text.len() - 1);
            text.replace_range(at..=at, "A");
        }
        let forged = text != token;
        stage.faults.count(if forged { Fault::ForgedToken } else { Fault::Fence });
        Some(Pass { lineage, text, forged })
    }

    /// The cursor to resume from, now and then one that was made up.
    fn cursor(&mut self, stage: &mut Stage, stream: Stream) -> Option<Cursor> {
        let honest = self.views.get(&stream).and_then(View::place);
        if !stage.healed && self.rng.chance(stage.options.cast.forged) {
            stage.faults.count(Fault::ForgedCursor);
            let known = honest.unwrap_or(Place::normal(u32::MAX, 3));
            let beyond = self.rng.between(50_000, 90_000);
            let place = match self.rng.below(3) {
                0 => Place { epoch: u32::MAX, ..known },
                1 => Place::normal(known.epoch, known.at(Lane::Normal) + beyond),
                _ => Place::normal(u32::MAX, self.rng.draw() >> 12),
            };
            return Some(Cursor { place, plain: false, forged: true });
        }
        honest.map(|place| Cursor { place, plain: false, forged: false })
    }

    /// The cursor of a join, in one of the two forms that it can have.
    fn resume(&mut self, stage: &mut Stage, stream: Stream) -> Option<Cursor> {
        let cursor = self.cursor(stage, stream)?;
        let plain = matches!(stream, Stream::Topic(_)) || self.rng.chance(200);
        Some(Cursor { plain, ..cursor })
    }

    /// Joins the next stream that is wanted and not joined; its own first.
    fn join_wanted(&mut self, stage: &mut Stage, phase: Phase) {
        let all = phase != Phase::Storm;
        for at in 0..self.links.len() {
            let Link::Phoenix(link) = &self.links[at] else { continue };
            if !link.is_open() {
                continue;
            }
            let own = link.channel(Stream::Own(self.number)).map(|channel| channel.joined);
            let missing: Vec<Stream> =
                self.wanted.iter().copied().filter(|stream| link.channel(*stream).is_none()).collect();
            let next = match own {
                None => Stream::Own(self.number),
                Some(true) if !missing.is_empty() && (all || self.rng.chance(500)) => {
                    missing[self.rng.index(missing.len())]
                }
                Some(_) => continue,
            };
            let cursor = self.resume(stage, next);
            if let Link::Phoenix(link) = &mut self.links[at] {
                link.join(stage, next, cursor);
            }
        }
    }

    /// One thing that happens to a connected client in the storm.
    fn storm(&mut self, stage: &mut Stage) {
        let cast = stage.options.cast.clone();
        if self.flaps > 0 {
            self.flaps -= 1;
            return self.flap(stage);
        }
        let at = self.rng.index(self.links.len());
        let conn = self.links[at].conn();
        if self.rng.chance(cast.reset) {
            net::reset(stage, conn);
            self.lost(stage, at);
        } else if self.rng.chance(cast.close) {
            self.links[at].close(stage);
            self.lost(stage, at);
        } else if self.rng.chance(cast.half_open) {
            net::vanish(stage, conn);
            self.lost(stage, at);
        } else if self.rng.chance(cast.slow) {
            net::slow_down(stage, conn);
        } else if self.links.len() == 1 && self.rng.chance(cast.double) {
            stage.faults.count(Fault::Double);
            self.turn_around();
            self.connect(stage);
        } else if self.taste == Taste::Either && self.rng.chance(cast.flap) {
            stage.faults.count(Fault::Flap);
            self.flaps = self.rng.between(4, 40);
        } else if matches!(self.links[at], Link::Phoenix(_)) {
            self.speak(stage, at);
        }
    }

    /// Opens the other transport, or gives up one of the two.
    fn flap(&mut self, stage: &mut Stage) {
        if let [only] = self.links.as_slice() {
            self.on_sse = matches!(only, Link::Phoenix(_));
            return self.connect(stage);
        }
        let at = self.rng.index(self.links.len());
        let conn = self.links[at].conn();
        match self.rng.below(3) {
            0 => self.links[at].close(stage),
            1 => net::reset(stage, conn),
            _ => net::vanish(stage, conn),
        }
        self.drop_link(stage, at);
    }

    /// One push of a connected Phoenix client.
    fn speak(&mut self, stage: &mut Stage, at: usize) {
        let Link::Phoenix(link) = &mut self.links[at] else { return };
        let joined: Vec<Stream> =
            link.channels.iter().filter(|it| it.joined && !it.leaving).map(|it| it.stream).collect();
        if !link.is_open() || joined.is_empty() {
            return;
        }
        let stream = joined[self.rng.index(joined.len())];
        match (self.rng.below(12), stream) {
            (0, _) => link.heartbeat(stage),
            (1, Stream::Topic(_)) => link.leave(stage, stream),
            (2, _) => {
                let cursor = self.resume(stage, stream);
                if let Link::Phoenix(link) = &mut self.links[at] {
                    link.join(stage, stream, cursor);
                }
            }
            (3, Stream::Own(_)) if self.acks => self.acknowledge_newest(stage),
            (4..=7, Stream::Topic(_)) => {
                let padding = stage.options.cast.padding;
                let binary = self.style.version == 2 && self.rng.chance(200);
                let push = (stream, link.conn, binary);
                let uid = body::attempt_push(&mut stage.history, &mut self.rng, padding, push);
                link.publish(stage, uid);
            }
            (4..=7, Stream::Own(_)) => {
                link.tell(stage, stream, "message", r#"{"type":"chat","data":{"n":1}}"#)
            }
            _ => {}
        }
    }

    /// Says how far it has come in its own stream, where it has come further.
    fn acknowledge_all(&mut self, stage: &mut Stage) {
        let stream = Stream::Own(self.number);
        let Some(place) = self.views.get(&stream).and_then(View::place) else { return };
        for lane in Lane::ALL {
            let position = Position { epoch: place.epoch, lane, sequence: place.at(lane) };
            if position.sequence > 0 && self.told[lane as usize] != Some(position) {
                let epoch = stage.history.epoch_name(position.epoch);
                let (sequence, lane) = (position.sequence, lane.name());
                let payload = format!(r#"{{"epoch":"{epoch}","sequence":{sequence},"lane":"{lane}"}}"#);
                self.acknowledge(stage, position, true, &payload);
            }
        }
    }

    /// Says that the last message has come, and no more.
    fn acknowledge_newest(&mut self, stage: &mut Stage) {
        if let Some(position) = self.newest {
            let id = position.written(stage.history.epoch_name(position.epoch));
            self.acknowledge(stage, position, false, &format!(r#"{{"msg_id":"{id}"}}"#));
        }
    }

    fn acknowledge(&mut self, stage: &mut Stage, position: Position, through: bool, payload: &str) {
        let stream = Stream::Own(self.number);
        let joined = |link: &&mut Link| match link {
            Link::Phoenix(link) => link.channel(stream).is_some_and(|channel| channel.joined),
            Link::Sse(_) => false,
        };
        if let Some(Link::Phoenix(link)) = self.links.iter_mut().find(joined) {
            stage.history.add(Fact::Acked { client: self.number, position, through });
            link.tell(stage, stream, "ack", payload);
            if through {
                self.told[position.lane as usize] = Some(position);
            }
        }
    }

    /// The next connection may take the other transport.
    fn turn_around(&mut self) {
        self.on_sse = match self.taste {
            Taste::WebSocket => false,
            Taste::Sse => true,
            Taste::Either => !self.on_sse,
        };
    }

    /// The client itself gave a connection up.
    fn lost(&mut self, stage: &mut Stage, at: usize) {
        self.drop_link(stage, at);
        if self.rng.chance(stage.options.cast.away) {
            stage.faults.count(Fault::Away);
            self.away_until = stage.now + self.rng.between(100, 3_000) * MS;
        }
        if self.taste == Taste::Either && self.rng.chance(stage.options.cast.switch) {
            stage.faults.count(Fault::Switch);
            self.turn_around();
        }
    }

    fn drop_link(&mut self, stage: &mut Stage, at: usize) {
        // What was said last may not have arrived.
        self.told = [None; 4];
        let link = self.links.swap_remove(at);
        stage.history.add(Fact::Ended { conn: link.conn(), client: self.number });
    }

    /// Something came on one of its connections.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        let Some(at) = self.links.iter().position(|link| link.conn() == conn) else { return };
        let Heard { mut facts, over } = self.links[at].read(stage, &taken.bytes);
        if taken.ended && !over && matches!(self.links[at], Link::Sse(_)) {
            facts.push(dismissed(stage, conn));
        }
        self.token = self.links[at].token().or(self.token.take());
        for fact in facts {
            for fact in stage.saboteur.pass(fact) {
                self.learn(&fact);
                stage.history.add(fact);
            }
        }
        if over || taken.ended {
            net::close(stage, conn);
            self.lost(stage, at);
        } else if let Link::Phoenix(link) = &self.links[at]
            && link.is_untried()
        {
            self.join_wanted(stage, Phase::Storm);
        }
    }

    fn learn(&mut self, fact: &Fact) {
        match *fact {
            Fact::Attached { stream, cursor, attachment, .. } => {
                self.views.entry(stream).or_default().attached(cursor, attachment);
            }
            Fact::Delivered { stream: stream @ Stream::Topic(_), position, .. } => {
                self.views.entry(stream).or_default().reached(position);
            }
            Fact::Delivered { stream, position, ref delivery, .. } => {
                self.newest = Some(position);
                if delivery.again {
                    self.told[position.lane as usize] = None;
                }
                self.views.entry(stream).or_default().seen(position, position.sequence);
            }
            Fact::Gap { stream, ref gap, .. } => {
                let first = Position { epoch: gap.epoch, lane: gap.lane, sequence: gap.from };
                self.views.entry(stream).or_default().seen(first, gap.to);
            }
            _ => {}
        }
    }
}
