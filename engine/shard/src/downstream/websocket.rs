//! WebSocket connections: the upgrade, messages in, pings, closes.

use std::borrow::Cow;

use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::http1::{Head, query};
use weir_transports::phoenix::{Version, longpoll};
use weir_transports::websocket::{self, Deflate, Deflater, Message, Opcode, close, handshake};

use crate::downstream::connection::{Link, Parcel, ParcelStage, Speaks, Stage, Watch};
use crate::downstream::control::Circuit;
use crate::downstream::endpoint::Endpoint;
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::identity::{self, Proof};
use crate::downstream::lifecycle::WRITE_STALL;
use crate::downstream::opening::Opening;
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::limits::{Config, Permissions};
use crate::metrics::{Received, Sent};
use crate::route;
use crate::turn::{Cx, Shard};

/// Frame and message bound of the test endpoint: Autobahn's largest case and some.
const ECHO_BYTES_MAX: usize = 17 << 20;

/// What handling a message came to.
pub(crate) enum Flow {
    /// On to the next message.
    Go,
    /// The connection is closing.
    Stop,
    /// It belongs to another shard; this join goes with it.
    Move { to: Member, join: Box<str> },
}

impl Link {
    /// The compressor for a payload of `len` bytes, if it was agreed on and is worth it.
    pub(crate) fn deflate_for<'a>(
        &self,
        len: usize,
        config: &Config,
        deflater: &'a mut Option<Box<Deflater>>,
    ) -> Option<Deflate<'a>> {
        // Autobahn's cases want every echo compressed, however short.
        let always = self.speaks == Speaks::Echo;
        let params = self.deflate.filter(|_| always || len >= config.websocket.compression_bytes_min)?;
        Some(Deflate { deflater: deflater.as_mut()?, params, always })
    }
}

impl Link {
    /// Appends a text message as the connection carries it.
    pub(crate) fn write_text(&self, out: &mut Vec<u8>, text: &[u8], deflate: Option<Deflate<'_>>) {
        match self.speaks {
            Speaks::Polled(_) => longpoll::write_frame(out, &String::from_utf8_lossy(text)),
            _ => websocket::write_message(out, Opcode::Text, text, deflate),
        }
    }
}

impl Shard {
    /// `GET` on a WebSocket endpoint.
    pub(crate) fn upgrade_request(
        &mut self,
        token: Token,
        head: &Head<'_>,
        endpoint: &Endpoint<'_>,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let terms = self.terms(head);
        // Before somebody is known, nothing is inflated.
        let inflates = self.may(raw.standing(), Permissions::NONE).is_ok();
        let Some(upgrade) = self.agree(token, head, inflates, terms, cx) else {
            if !terms.keep_alive {
                self.finish(token, cx);
                return Outcome::Gone;
            }
            return Outcome::Done;
        };
        let offered = head.header("sec-websocket-protocol").unwrap_or_default();
        let (speaks, protocol) = match speaks(endpoint, head, offered) {
            Some(found) => found,
            None => {
                let error =
                    Error::malformed("vsn names a serializer that is not spoken here: use 1.0.0 or 2.0.0");
                self.respond_status(token, 403, &error, terms, cx);
                return Outcome::Done;
            }
        };
        let named = match self.upgrade_name(head, raw, speaks) {
            Ok(named) => named,
            Err(error) => return self.refuse(token, &error, terms, cx),
        };
        if let Some(name) = &named
            && *endpoint != Endpoint::Echo
            && self.leaves_for(token, name, raw, cx)
        {
            return Outcome::Gone;
        }
        let mut link = Link::new(speaks, upgrade.deflate, Watch::Once);
        link.proof = Proof::new(raw.who.cloned(), cx.now.wall);
        let named = Opening::of_head(head)
            .and_then(|opening| self.open_link(&mut link, opening, named.as_deref(), cx))
            .and_then(|()| self.has_room_for_link())
            .and_then(|()| self.spend_ticket(head, cx))
            .and_then(|()| self.check_circuit(Circuit::WebSocket, cx))
            .and_then(|()| self.name_link(token, &mut link, named, cx));
        if let Err(error) = named {
            return self.refuse(token, &error, terms, cx);
        }
        self.put(token, cx, |out| handshake::write_response(out, &upgrade, protocol));
        self.start_link(token, link, cx);
        let mut rest = raw.rest.to_vec();
        if !rest.is_empty() {
            self.websocket_received(token, &mut rest, cx);
        }
        Outcome::Gone
    }

    /// Whether one more WebSocket may be opened here.
    fn has_room_for_link(&self) -> Result<(), Error> {
        let most = u64::from(self.config.websocket.connections_max);
        if self.stats.websocket.connections < most { Ok(()) } else { Err(Error::insufficient_resources()) }
    }

    /// The client that an upgrade is for, if it says.
    pub(crate) fn upgrade_name(
        &self,
        head: &Head<'_>,
        raw: Raw<'_>,
        speaks: Speaks,
    ) -> Result<Option<String>, Error> {
        if speaks == Speaks::Mcp {
            // It has no join that could say who it is.
            self.may(raw.standing(), Permissions::READ)?;
        }
        let named = identity::name(head, raw.who())?;
        named.as_deref().map(route::check_client_id).transpose()?;
        Ok(named.map(Cow::into_owned))
    }

    /// Decides on the upgrade; answers the request if there is none.
    fn agree(
        &mut self,
        token: Token,
        head: &Head<'_>,
        inflates: bool,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Option<handshake::Upgrade> {
        if !head.upgrade_websocket {
            let error = Error::malformed("this path speaks WebSocket: send Upgrade: websocket");
            self.respond_upgrade_required(token, &error, &[("Upgrade", "websocket")], terms, cx);
            return None;
        }
        let compression = inflates
            && self.config.websocket.compression
            && head.query.and_then(|q| query::get(q, "compression")).is_none_or(|value| value != "false");
        let extensions: Vec<&str> = head.headers("sec-websocket-extensions").collect();
        if head.headers("sec-websocket-key").nth(1).is_some() {
            let error = Error::malformed("Sec-WebSocket-Key may be sent once (RFC 6455, section 11.3.1)");
            self.respond_error(token, &error, terms, cx);
            return None;
        }
        let request = handshake::Request {
            key: head.header("sec-websocket-key"),
            version: head.header("sec-websocket-version"),
            extensions: if compression { &extensions.join(",") } else { "" },
        };
        match handshake::negotiate(request) {
            Ok(upgrade) => Some(upgrade),
            Err(e) if e.status() == 426 => {
                self.respond_upgrade_required(token, &Error::malformed(e.reason()), e.headers(), terms, cx);
                None
            }
            Err(e) => {
                self.respond_error(token, &Error::malformed(e.reason()), terms, cx);
                None
            }
        }
    }

    /// Keeps what an upgrade request says for the join. A recovery token is looked at before anybody is upgraded;
    /// on a bare socket, whose join names the client, then.
    pub(crate) fn open_link(
        &self,
        link: &mut Link,
        opening: Opening,
        named: Option<&str>,
        cx: &Cx<'_>,
    ) -> Result<(), Error> {
        self.encryption.agree(opening.encryption)?;
        if let Some(name) = named {
            self.recovery(&opening, name, cx)?;
        }
        link.opening = opening.boxed();
        Ok(())
    }

    /// Gives a link its session where its name is known. What never joins gets a name of its own.
    pub(crate) fn name_link(
        &mut self,
        token: Token,
        link: &mut Link,
        named: Option<String>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        let name = match (named, link.speaks) {
            (_, Speaks::Echo) => {
                link.watch = Watch::Stream;
                return Ok(());
            }
            (Some(name), _) => name,
            (None, Speaks::Mcp) => self.mint(),
            (None, _) => return Ok(()),
        };
        self.take_name(token, link, &name, cx)?;
        link.watch = Watch::Parked;
        Ok(())
    }

    /// Makes the connection a WebSocket.
    pub(crate) fn start_link(&mut self, token: Token, mut link: Link, cx: &mut Cx<'_>) {
        if link.since == 0 {
            link.since = cx.now.mono.as_secs();
        }
        let wake = cx.now.mono.plus(self.config.websocket.park_after);
        self.watch_proof(token, &link.proof, cx.now);
        self.tell_connection(true, "websocket", link.session, cx);
        let Some(conn) = self.conns.get_mut(token) else { return };
        cx.out.ops.push(link.watch.op(token, conn.socket));
        conn.stage = Stage::WebSocket(Box::new(link));
        conn.heard = cx.now.mono;
        self.stats.websocket.open();
        self.wake_by(token, wake);
    }

    /// Bytes of frames.
    pub(crate) fn websocket_received(&mut self, token: Token, bytes: &mut [u8], cx: &mut Cx<'_>) {
        let Some(mut link) = self.lend_link(token) else { return };
        if let Some(conn) = self.conns.get_mut(token) {
            conn.heard = cx.now.mono;
        }
        let flow = self.messages(token, &mut link, bytes, cx);
        if let Some((to, join, rest)) = flow {
            self.link_lasted(&mut link, cx);
            let Link { speaks, deflate, proof, opening, .. } = *link;
            let stage = ParcelStage::WebSocket { speaks, deflate, who: proof.who, opening, join };
            self.stats.websocket.connections -= 1;
            return self.depart(token, to, Parcel { stage, bytes: rest, tls: None }, cx);
        }
        if matches!(link.watch, Watch::Once | Watch::Taste)
            && let Some(conn) = self.conns.get_mut(token)
            && matches!(conn.stage, Stage::Lent)
        {
            // Once it has a session, or needs none, it will not move any more.
            if link.session.is_some() {
                link.watch = Watch::Parked;
            }
            cx.out.ops.push(link.watch.op(token, conn.socket));
        }
        self.return_link(token, link, cx);
    }

    /// Goes on with a link that came from another shard: its join first, then what came after it.
    pub(crate) fn continue_link(&mut self, token: Token, join: &str, bytes: &mut [u8], cx: &mut Cx<'_>) {
        let Some(mut link) = self.lend_link(token) else { return };
        self.message(token, &mut link, Message::Text(join), cx);
        self.return_link(token, link, cx);
        self.websocket_received(token, bytes, cx);
    }

    /// Handles every message in `bytes`; says where the link goes if it moves, and with which bytes.
    fn messages(
        &mut self,
        token: Token,
        link: &mut Link,
        bytes: &mut [u8],
        cx: &mut Cx<'_>,
    ) -> Option<(Member, Box<str>, Vec<u8>)> {
        let config = &self.config;
        let (frame_bytes_max, message_bytes_max) = match link.speaks {
            Speaks::Echo => (ECHO_BYTES_MAX, ECHO_BYTES_MAX),
            // A message is a frame: no SDK cuts it.
            Speaks::Mcp => (config.message_bytes_max, config.message_bytes_max),
            _ => (config.websocket.frame_bytes_max, config.message_bytes_max),
        };
        let limits =
            websocket::Limits { frame_bytes_max, message_bytes_max, deflate: link.deflate.is_some() };
        let mut reader = std::mem::take(&mut link.reader);
        let mut scratch = self.scratch.take().unwrap_or_default();
        let mut at = 0;
        let mut moved = None;
        while at < bytes.len() {
            let read = match reader.read(&mut bytes[at..], &limits, &mut scratch) {
                Ok(read) => read,
                Err(violation) => {
                    self.stats.websocket.errors += 1;
                    self.link_offends(token, link, cx.now);
                    self.close_link(token, violation.code(), violation.reason(), cx);
                    break;
                }
            };
            at += read.consumed;
            let Some(message) = read.message else { continue };
            match self.message(token, link, message, cx) {
                Flow::Go => {}
                Flow::Stop => break,
                Flow::Move { to, join } => {
                    moved = Some((to, join, bytes[at..].to_vec()));
                    break;
                }
            }
        }
        self.scratch = Some(scratch);
        link.reader = reader;
        moved
    }

    fn message(&mut self, token: Token, link: &mut Link, message: Message<'_>, cx: &mut Cx<'_>) -> Flow {
        match message {
            Message::Ping(payload) => {
                self.put_control(token, cx, |out| websocket::write_frame(out, Opcode::Pong, payload));
                return Flow::Go;
            }
            Message::Pong(_) => {
                link.pinged = false;
                if let Some(marks) = &mut link.marks {
                    marks.answered();
                }
                return Flow::Go;
            }
            Message::Close(reason) => {
                let code = reason.map(|(code, _)| code);
                self.answer_close(token, code, cx);
                return Flow::Stop;
            }
            Message::Text(_) | Message::Binary(_) => {
                self.stats.websocket.messages_in += 1;
                self.link_lasted(link, cx);
            }
        }
        match (link.speaks, message) {
            (Speaks::Echo, message) => self.echo(token, link, message, cx),
            (Speaks::Mcp, Message::Text(text)) => self.rpc_text(token, link, text, cx),
            (Speaks::Phoenix(version), Message::Text(text)) => {
                self.phoenix_text(token, link, version, text, cx)
            }
            (Speaks::Phoenix(Version::V2), Message::Binary(bytes)) => {
                self.phoenix_binary(token, link, bytes, cx)
            }
            (Speaks::Undecided, Message::Text(text)) => self.first_text(token, link, text, cx),
            _ => self.close_link(token, close::UNSUPPORTED_DATA, "binary messages are for Phoenix V2", cx),
        }
    }

    /// A link has been of use.
    fn link_lasted(&mut self, link: &mut Link, cx: &mut Cx<'_>) {
        if !std::mem::replace(&mut link.lasted, true) {
            self.circuit_ended(Circuit::WebSocket, true, cx);
        }
    }

    fn echo(&mut self, token: Token, link: &Link, message: Message<'_>, cx: &mut Cx<'_>) -> Flow {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, bytes),
            _ => return Flow::Go,
        };
        let mut deflater = self.deflater.take();
        let deflate = link.deflate_for(payload.len(), &self.config, &mut deflater);
        self.put_echo(token, cx, |out| websocket::write_message(out, opcode, payload, deflate));
        self.deflater = deflater;
        self.stats.websocket.messages_out += 1;
        self.stats.messages.received(Received::Other);
        self.stats.messages.sent(Sent::Reply, 1);
        Flow::Go
    }

    /// Closes with a reason: the peer answers or its time runs out.
    pub(crate) fn close_link(&mut self, token: Token, code: u16, reason: &str, cx: &mut Cx<'_>) -> Flow {
        if self.is_poll(token) {
            self.end_poll(token, cx);
            return Flow::Stop;
        }
        self.put_last(token, cx, |out| websocket::write_close(out, code, reason));
        self.finish(token, cx);
        Flow::Stop
    }

    /// Answers the peer's close with its own code (RFC 6455, section 5.5.1).
    fn answer_close(&mut self, token: Token, code: Option<u16>, cx: &mut Cx<'_>) {
        self.put_last(token, cx, |out| match code {
            Some(code) => websocket::write_close(out, code, ""),
            None => websocket::write_frame(out, Opcode::Close, &[]),
        });
        self.finish(token, cx);
    }

    /// A look at a WebSocket: parked when quiet, pinged when silent, closed when dead.
    pub(crate) fn examine_link(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let (park, join_deadline) = (self.config.websocket.park_after, self.config.websocket.join_deadline);
        let now = cx.now.mono;
        let Stage::WebSocket(link) = &self.conns.get(token)?.stage else { return None };
        let (interval, timeout) = self.ping_times(link.session.filter(|_| link.gateway));
        let conn = self.conns.get_mut(token)?;
        let (heard, socket, blocked) = (conn.heard, conn.socket, conn.egress.is_blocked());
        let Stage::WebSocket(link) = &mut conn.stage else { return None };
        if blocked {
            if now >= heard.plus(WRITE_STALL) {
                self.broken(token, cx);
                return None;
            }
            return Some(now.plus(park.min(interval)));
        }
        let age = now.as_secs().saturating_sub(link.since);
        if link.watch == Watch::Once && u64::from(age) >= join_deadline.as_secs() {
            self.close_link(token, close::POLICY_VIOLATION, "no join in time", cx);
            return None;
        }
        if link.pinged && now >= heard.plus(interval + timeout) {
            self.broken(token, cx);
            return None;
        }
        if !link.pinged && now >= heard.plus(interval) {
            link.pinged = true;
            if let Some(marks) = &mut link.marks {
                marks.pinged();
            }
            // A ping that leaves late is not answered late.
            conn.heard = heard.max(Instant(now.0.saturating_sub(interval.as_nanos() as u64)));
            self.put_control(token, cx, |out| websocket::write_frame(out, Opcode::Ping, &[]));
            return Some(now.plus(timeout.min(interval)));
        }
        if link.watch == Watch::Stream && now >= heard.plus(park) {
            link.watch = Watch::Parked;
            cx.out.ops.push(Watch::Parked.op(token, socket));
        }
        let parks = link.watch == Watch::Stream;
        let quiet = heard.plus(if parks { park.min(interval) } else { interval });
        Some(if link.pinged { heard.plus(interval + timeout) } else { quiet })
    }

    /// Answers with a status that the table has no row for.
    fn respond_status(&mut self, token: Token, status: u16, error: &Error, terms: Terms, cx: &mut Cx<'_>) {
        self.stats.refuse(error);
        let mut body = Vec::new();
        error.write_json(&mut body);
        self.respond(token, status, &body, terms, cx);
    }

    fn respond_upgrade_required(
        &mut self,
        token: Token,
        error: &Error,
        headers: &[(&str, &str)],
        terms: Terms,
        cx: &mut Cx<'_>,
    ) {
        self.stats.refuse(error);
        let mut body = Vec::new();
        error.write_json(&mut body);
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        self.respond_as(token, 426, &headers, &body, terms, cx);
    }
}

/// What the connection speaks and the subprotocol that says so; `None`: an unknown serializer.
fn speaks(endpoint: &Endpoint<'_>, head: &Head<'_>, offered: &str) -> Option<(Speaks, Option<&'static str>)> {
    let offers = |name| handshake::protocols(offered).any(|other| other == name);
    let phoenix = offers("phoenix").then_some("phoenix");
    match endpoint {
        Endpoint::Echo => Some((Speaks::Echo, None)),
        Endpoint::Phoenix => {
            let vsn = head.query.and_then(|q| query::get(q, "vsn"));
            let version = Version::from_vsn(vsn.as_deref()).ok()?;
            Some((Speaks::Phoenix(version), phoenix))
        }
        _ if offers("mcp") => Some((Speaks::Mcp, Some("mcp"))),
        _ => Some((Speaks::Undecided, phoenix)),
    }
}
