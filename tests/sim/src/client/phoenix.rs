//! One Phoenix connection over WebSocket, as phoenix.js keeps it: join, push, leave, and what comes back.

use std::collections::BTreeMap;

use super::body::{channel_name, escaped};
use super::publisher::reason_in;
use super::roster::Roster;
use super::{Heard, Over};
use crate::access::{self, Proof};
use crate::history::{Cursor, Delivery, Fact, Pass, Stream, Uid};
use crate::net;
use crate::place::{Lane, Position};
use crate::stage::Stage;
use crate::text::Text;
use crate::wire::phoenix::{Frame, Gap, Joined, Receipt, Reply, envelopes, json, push};
use crate::wire::websocket::{self, Message};
use crate::wire::{self, http};

/// A topic of this connection.
#[derive(Debug)]
pub struct Channel {
    /// Its stream.
    pub stream: Stream,
    /// Reference of the join that made it.
    pub join_ref: u64,
    /// The join was answered with ok.
    pub joined: bool,
    /// Reference of an earlier join, which goes on if this one is refused.
    before: Option<u64>,
    /// A leave is under way.
    pub leaving: bool,
    /// Who is there, if it wants to know.
    roster: Option<Roster>,
}

/// What a reply is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// With a cursor, in the lineage of a token (true: that was made up).
    Join(Stream, Option<Cursor>, Option<(usize, bool)>),
    Leave,
    Publish(Uid),
    /// To go on with another token, which proves this.
    Renew(Proof),
    Other,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// Its number in the network.
    pub conn: usize,
    /// Topics joined or being joined.
    pub channels: Vec<Channel>,
    /// Topics on which it wants to be seen, and to see who else is there.
    pub seen_on: Vec<Stream>,
    /// A token to take another's place with, for the first join.
    pub pass: Option<Pass>,
    /// Its lineage, and the token that another may take its place with.
    pub token: Option<(usize, String)>,
    client: usize,
    name: String,
    version: u8,
    bare: bool,
    head: http::Reader,
    /// `None` until the upgrade is through.
    frames: Option<websocket::Reader>,
    next_ref: u64,
    /// By reference: the join it was asked under, and what.
    questions: BTreeMap<u64, (Option<u64>, Question)>,
}

/// How a client asks for its connection.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// 1 or 2.
    pub version: u8,
    /// The query names nobody; the first join does.
    pub bare: bool,
}

impl Link {
    /// Connects and asks for the upgrade.
    pub fn open(stage: &mut Stage, owner: usize, client: usize, name: &str, style: Style) -> Link {
        let conn = net::connect(stage, owner);
        stage.history.add(Fact::Opened { conn, client, sse: false });
        let mut target = match style.version {
            1 => String::from("/mcp/ws?"),
            _ => String::from("/mcp/ws/websocket?vsn=2.0.0&"),
        };
        if !style.bare {
            target.push_str(&format!("client_id={}", escaped(name)));
        }
        let proof = access::bring(stage, conn, name);
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{proof}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            target.trim_end_matches(['?', '&']),
            websocket::KEY
        );
        net::send(stage, conn, request.as_bytes());
        Link {
            conn,
            channels: Vec::new(),
            seen_on: Vec::new(),
            pass: None,
            token: None,
            client,
            name: name.to_owned(),
            version: style.version,
            bare: style.bare,
            head: http::Reader::default(),
            frames: None,
            next_ref: 1,
            questions: BTreeMap::new(),
        }
    }

    /// The upgrade is through.
    pub fn is_open(&self) -> bool {
        self.frames.is_some()
    }

    /// The upgrade is through, and nothing has been asked yet.
    pub fn is_untried(&self) -> bool {
        self.is_open() && self.next_ref == 1
    }

    /// The channel of `stream`, if one is joined or being joined.
    pub fn channel(&self, stream: Stream) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.stream == stream)
    }

    /// What nobody has answered yet.
    pub fn waits_for(&self) -> Option<String> {
        let unanswered = self.questions.iter().next();
        unanswered
            .map(|(reference, question)| format!("conn {} waits for {reference}: {question:?}", self.conn))
    }

    /// Joins `stream` from `cursor` on; on a stream that is joined this is a duplicate join.
    pub fn join(&mut self, stage: &mut Stage, stream: Stream, cursor: Option<Cursor>) {
        let mut fields = Vec::new();
        if self.bare && matches!(stream, Stream::Own(_)) {
            fields.push(format!(r#""client_id":"{}""#, self.name));
        }
        let mut resume = Vec::new();
        if let Some(Cursor { place, plain: true, .. }) = cursor {
            let epoch = stage.history.epoch_name(place.epoch);
            resume.push(format!(r#""epoch":"{epoch}","sequence":{}"#, place.at(Lane::Normal)));
        } else if let Some(Cursor { place, .. }) = cursor {
            resume.push(format!(r#""cursor":"{}""#, place.written(&stage.history)));
        }
        let pass = if matches!(stream, Stream::Own(_)) { self.pass.take() } else { None };
        resume.extend(pass.iter().map(|pass| format!(r#""token":"{}""#, pass.text)));
        if !resume.is_empty() {
            fields.push(format!(r#""resume":{{{}}}"#, resume.join(",")));
        }
        let takes = pass.map(|pass| (pass.lineage, pass.forged));
        let before = self.channel(stream).filter(|channel| channel.joined).map(|channel| channel.join_ref);
        self.channels.retain(|channel| channel.stream != stream);
        let join_ref = self.next_ref;
        let roster = self.seen_on.contains(&stream).then(Roster::default);
        if roster.is_some() {
            fields.push(r#""presence":true"#.into());
        }
        self.channels.push(Channel { stream, join_ref, joined: false, before, leaving: false, roster });
        let payload = format!("{{{}}}", fields.join(","));
        self.push(
            stage,
            Some(join_ref),
            &channel_name(stream),
            "phx_join",
            &payload,
            Question::Join(stream, cursor, takes),
        );
    }

    /// Leaves `stream`.
    pub fn leave(&mut self, stage: &mut Stage, stream: Stream) {
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.stream == stream) else { return };
        channel.leaving = true;
        let join_ref = Some(channel.join_ref);
        self.push(stage, join_ref, &channel_name(stream), "phx_leave", "{}", Question::Leave);
    }

    /// Publishes the body of `uid` on its topic.
    pub fn publish(&mut self, stage: &mut Stage, uid: Uid) {
        let body = stage.history.bodies[uid].clone();
        let join_ref = self.channel(body.stream).map(|channel| channel.join_ref);
        if let Some(join_ref) = join_ref.filter(|_| body.binary) {
            let reference = self.ask(stage, Some(join_ref), Question::Publish(uid));
            let names = [join_ref.to_string(), reference.to_string(), channel_name(body.stream), body.kind];
            return self.write(stage, websocket::BINARY, &wire::phoenix::binary_push(names, &body.data));
        }
        let data = String::from_utf8_lossy(&body.data).into_owned();
        self.push_on(stage, body.stream, &body.kind, &data, Question::Publish(uid));
    }

    /// Pushes what only has to be answered.
    pub fn tell(&mut self, stage: &mut Stage, stream: Stream, event: &str, payload: &str) {
        self.push_on(stage, stream, event, payload, Question::Other);
    }

    /// Brings a newer token, if it wants to stay.
    fn renew(&mut self, stage: &mut Stage) {
        let own = Stream::Own(self.client);
        if self.channel(own).is_none_or(|channel| !channel.joined) {
            return;
        }
        if let Some((proof, token)) = access::renewal(stage, &self.name) {
            self.push_on(stage, own, "refresh", &format!(r#"{{"token":"{token}"}}"#), Question::Renew(proof));
        }
    }

    /// Phoenix's own heartbeat.
    pub fn heartbeat(&mut self, stage: &mut Stage) {
        self.push(stage, None, "phoenix", "heartbeat", "{}", Question::Other);
    }

    fn push_on(&mut self, stage: &mut Stage, stream: Stream, event: &str, payload: &str, question: Question) {
        let join_ref = self.channel(stream).map(|channel| channel.join_ref);
        self.push(stage, join_ref, &channel_name(stream), event, payload, question);
    }

    fn push(
        &mut self,
        stage: &mut Stage,
        join_ref: Option<u64>,
        topic: &str,
        event: &str,
        payload: &str,
        question: Question,
    ) {
        let reference = self.ask(stage, join_ref, question);
        let text = push(self.version, (join_ref, reference), topic, event, payload);
        stage.history.note(|| format!("conn {} > {text}", self.conn));
        self.write(stage, websocket::TEXT, text.as_bytes());
    }

    /// The reference of a new question.
    fn ask(&mut self, stage: &mut Stage, join_ref: Option<u64>, question: Question) -> u64 {
        let reference = self.next_ref;
        self.next_ref += 1;
        self.questions.insert(reference, (join_ref, question));
        stage.history.add(Fact::Asked { conn: self.conn, reference, join_ref });
        reference
    }

    fn write(&self, stage: &mut Stage, opcode: u8, payload: &[u8]) {
        let mut out = Vec::new();
        if opcode == websocket::TEXT {
            websocket::write_message(&mut out, opcode, payload, &mut stage.rng);
        } else {
            websocket::write_frame(&mut out, true, opcode, payload, &mut stage.rng);
        }
        net::send(stage, self.conn, &out);
    }

    /// Says goodbye with code 1000 and closes.
    pub fn close(&self, stage: &mut Stage) {
        if self.is_open() {
            self.write(stage, websocket::CLOSE, &1000u16.to_be_bytes());
        }
        net::close(stage, self.conn);
    }

    /// Reads `bytes`.
    pub fn read(&mut self, stage: &mut Stage, bytes: &[u8]) -> Heard {
        let mut facts = Vec::new();
        let outcome = self.read_all(stage, bytes, &mut facts);
        Heard::new(stage, self.conn, facts, outcome)
    }

    fn read_all(&mut self, stage: &mut Stage, bytes: &[u8], facts: &mut Vec<Fact>) -> Result<(), Over> {
        let mut bytes = bytes.to_vec();
        if self.frames.is_none() {
            self.head.push(&bytes);
            let Some(head) = self.head.head()? else { return Ok(()) };
            stage.history.note(|| format!("conn {} < {head:?}", self.conn));
            if head.status != 101 {
                return Err(None);
            }
            if head.field("sec-websocket-accept") != Some(websocket::ACCEPT) {
                return Err(Some(format!("upgrade answered with {head:?}")));
            }
            bytes = self.head.rest()?;
            self.frames = Some(websocket::Reader::default());
        }
        if let Some(frames) = &mut self.frames {
            frames.push(&bytes);
        }
        while let Some(message) = self.frames.as_mut().map_or(Ok(None), websocket::Reader::read)? {
            match message {
                Message::Text(text) => {
                    stage.history.note(|| format!("conn {} < {}", self.conn, String::from_utf8_lossy(&text)));
                    self.frame(stage, &Frame::parse(&text)?, facts)?;
                }
                Message::Ping(payload) => self.write(stage, websocket::PONG, &payload),
                Message::Pong => {}
                Message::Binary(bytes) => {
                    let (topic, event, data) = wire::phoenix::binary_broadcast(&bytes)?;
                    self.binary(topic, event, data, facts)?;
                }
                Message::Close(code) => {
                    stage.history.note(|| format!("conn {} < close {code}", self.conn));
                    if code == 1000 {
                        stage
                            .history
                            .violation(14, format!("conn {}: the server closes with 1000", self.conn));
                    }
                    facts.push(super::dismissed(stage, self.conn));
                    return Err(None);
                }
            }
        }
        Ok(())
    }

    fn frame(&mut self, stage: &mut Stage, frame: &Frame<'_>, facts: &mut Vec<Fact>) -> Result<(), String> {
        match (frame.event.as_str(), frame.reference) {
            ("phx_reply", Some(reference)) => self.reply(stage, frame, reference, facts),
            ("phx_close" | "phx_error", _) => {
                let join_ref = frame.join_ref.flatten().or(frame.reference);
                facts.push(Fact::ChannelClosed { conn: self.conn, join_ref });
                self.closed(frame, join_ref, facts);
                Ok(())
            }
            (_, Some(reference)) => Err(format!("push {} has ref {reference}", frame.event)),
            _ => self.pushed(stage, frame, facts),
        }
    }

    /// The channel named by its join's reference, or (version 1) by its topic, is closed.
    fn closed(&mut self, frame: &Frame<'_>, join_ref: Option<u64>, facts: &mut Vec<Fact>) {
        let (conn, client) = (self.conn, self.client);
        let gone = |channel: &Channel| match join_ref {
            Some(join_ref) => channel.join_ref == join_ref,
            None => channel_name(channel.stream) == frame.topic,
        };
        for channel in self.channels.iter_mut().filter(|channel| channel.before == join_ref) {
            channel.before = None;
        }
        self.questions.retain(|_, (asked_under, _)| asked_under.is_none() || *asked_under != join_ref);
        let streams = self.channels.iter().filter(|it| gone(it)).map(|it| it.stream);
        facts.extend(streams.map(|stream| Fact::Detached { conn, client, stream }));
        self.channels.retain(|channel| !gone(channel));
    }

    fn reply(
        &mut self,
        stage: &mut Stage,
        frame: &Frame<'_>,
        reference: u64,
        facts: &mut Vec<Fact>,
    ) -> Result<(), String> {
        let (conn, client) = (self.conn, self.client);
        facts.push(Fact::Answered { conn, reference, join_ref: frame.join_ref });
        let reply: Reply<'_> = json(frame.payload)?;
        let ok = reply.status == "ok";
        match self.questions.remove(&reference) {
            Some((_, Question::Join(stream, cursor, takes))) if ok => {
                let joined: Joined = json(reply.response)?;
                if matches!(stream, Stream::Own(_)) && joined.client_id.as_ref() != Some(&self.name) {
                    return Err(format!("{} is told it is {:?}", self.name, joined.client_id));
                }
                if let Some(channel) = self.channels.iter_mut().find(|it| it.join_ref == reference) {
                    channel.joined = true;
                }
                let attachment = joined.attachment(&mut stage.history)?;
                facts.push(Fact::Attached { conn, client, stream, cursor, attachment });
                if self.seen_on.contains(&stream) {
                    facts.push(Fact::Appeared { conn, client, stream });
                }
                if let Some((_, true)) = takes {
                    stage.history.violation(7, format!("conn {conn}: a token that was made up is taken"));
                }
                if matches!(stream, Stream::Own(_)) {
                    let lineage = takes.map_or_else(|| stage.history.next_lineage(), |(lineage, _)| lineage);
                    facts.push(Fact::Lineage { conn, lineage, taken: takes.is_some() });
                    self.token = joined.recovery_token.map(|token| (lineage, token));
                }
            }
            Some((_, Question::Join(..))) => self.refused(reference),
            Some((_, Question::Publish(uid))) if ok => {
                let receipt: Receipt = json(reply.response)?;
                facts.push(Fact::Accepted { uid, position: receipt.position(&mut stage.history)? });
            }
            Some((_, Question::Publish(uid))) => {
                let reason = reason_in(reply.response.get().as_bytes());
                facts.push(Fact::Refused { uid, status: 0, reason });
            }
            Some((_, Question::Renew(proof))) if ok => access::brought(stage, conn, proof),
            Some((_, Question::Leave | Question::Renew(_) | Question::Other)) | None => {}
        }
        Ok(())
    }

    /// A join was refused: an earlier one goes on.
    fn refused(&mut self, reference: u64) {
        for channel in self.channels.iter_mut().filter(|channel| channel.join_ref == reference) {
            if let Some(before) = channel.before.take() {
                (channel.join_ref, channel.joined) = (before, true);
            }
        }
        self.channels.retain(|channel| channel.join_ref != reference);
    }

    /// A binary event on a topic, in a frame of its own or (version 1) as base64.
    fn binary(&self, topic: &str, event: &str, data: &[u8], facts: &mut Vec<Fact>) -> Result<(), String> {
        let stream =
            self.stream_of(topic).ok_or_else(|| format!("{event} on topic {topic}, which is not joined"))?;
        let (conn, client, kind) = (self.conn, self.client, event.to_owned());
        facts.push(Fact::Binary { conn, client, stream, kind, data: Text(data.into()) });
        Ok(())
    }

    /// Who is on a topic, or who has come and gone.
    fn roster(&mut self, stream: Stream, frame: &Frame<'_>, facts: &mut Vec<Fact>) -> Result<(), String> {
        let channel = self.channels.iter_mut().find(|channel| channel.stream == stream);
        let Some(roster) = channel.and_then(|channel| channel.roster.as_mut()) else {
            return Err(format!("{} on {}, where nobody asked for it", frame.event, frame.topic));
        };
        match frame.event.as_str() {
            "presence_state" => roster.state(frame.payload.get())?,
            _ => roster.diff(frame.payload.get())?,
        }
        let keys = roster.keys().unwrap_or_default();
        facts.push(Fact::Roster { conn: self.conn, stream, keys });
        Ok(())
    }

    fn stream_of(&self, topic: &str) -> Option<Stream> {
        self.channels.iter().map(|channel| channel.stream).find(|stream| channel_name(*stream) == topic)
    }

    fn pushed(&mut self, stage: &mut Stage, frame: &Frame<'_>, facts: &mut Vec<Fact>) -> Result<(), String> {
        let (conn, client) = (self.conn, self.client);
        if frame.event == "shutdown_pending" {
            // Every connection is told, whatever it has joined.
            facts.push(Fact::Warned { conn });
            return Ok(());
        }
        if frame.event == "connection_status" && frame.payload.get().contains("token_expiring") {
            self.renew(stage);
            return Ok(());
        }
        let Some(stream) = self.stream_of(&frame.topic) else {
            return Err(format!("{} on topic {}, which is not joined", frame.event, frame.topic));
        };
        let messages = match (frame.event.as_str(), &frame.meta) {
            ("transport_switched", None) => {
                facts.push(Fact::Switched { conn, stream });
                return Ok(());
            }
            ("heartbeat" | "pong", None) => return Ok(()),
            ("gap", None) => {
                let gap = json::<Gap>(frame.payload)?.told(&mut stage.history)?;
                facts.push(Fact::Gap { conn, client, stream, gap });
                return Ok(());
            }
            ("presence_state" | "presence_diff", None) => {
                return self.roster(stream, frame, facts);
            }
            ("connection_status", None) => {
                facts.push(Fact::Paced { client });
                return Ok(());
            }
            ("message", None) => envelopes(frame.payload.get(), &mut stage.history)?,
            (event, Some(meta)) => {
                let data = Text(frame.payload.get().as_bytes().into());
                let (kind, timestamp) = (event.to_owned(), meta.timestamp.clone());
                let epoch = stage.history.epoch(&meta.epoch);
                let position = Position { epoch, lane: Lane::Normal, sequence: meta.sequence };
                vec![(position, Delivery { kind, data, timestamp, again: false })]
            }
            (event, None) => {
                let data = wire::phoenix::base64_payload(frame.payload)?;
                return self.binary(&frame.topic, event, &data, facts);
            }
        };
        let told = |(position, delivery)| Fact::Delivered { conn, client, stream, position, delivery };
        facts.extend(messages.into_iter().map(told));
        Ok(())
    }
}
