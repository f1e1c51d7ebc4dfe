//! Messages to MCP clients, each by what carries its outlet.

use weir_ring::token::Token;

use crate::downstream::mcp::pending::{EventId, Form, Pending, Source};
use crate::downstream::mcp::streams::{McpStreams, Stream};
use crate::mcp::outlet::{Delivery, Outlet};
use crate::mcp::session::Carrier;
use crate::outbox::Entry;
use crate::turn::{Cx, Shard};
use crate::vsm::Step;

/// What an event's bytes are wrapped in, at most: chunk, fields, line ends.
const EVENT_OVERHEAD: usize = 128;

/// What an answer without text is where an outlet has to be told something: nothing at all.
const NOTHING: &[u8] = b"";

impl Shard {
    /// Sends a message to a client. To an outlet that is gone nothing is sent.
    pub(crate) fn mcp_deliver(
        &mut self,
        outlet: Outlet,
        delivery: Delivery,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        if let Delivery::Answer { .. } = delivery {
            self.trace_end(Step::Answered, None, cx);
        }
        match outlet {
            Outlet::Post { connection, exchange } => {
                self.deliver_stateless(connection, exchange, delivery, message, cx);
            }
            Outlet::Stream { session, stream } => self.deliver_stream(session, stream, delivery, message, cx),
            Outlet::Session { session } => self.deliver_session(session, delivery, message, cx),
            Outlet::Link { connection } if delivery != Delivery::Nothing => {
                self.deliver_link(connection, None, message, cx);
            }
            Outlet::Link { .. } => {}
        }
    }

    /// To a POST that nothing of is kept.
    fn deliver_stateless(
        &mut self,
        connection: Token,
        exchange: u32,
        delivery: Delivery,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Some(mut pending) = self.take_pending(connection) else { return };
        match pending.source {
            Source::Stateless { exchange: current } if current == exchange => {}
            _ => return self.put_pending(connection, pending),
        }
        if delivery == Delivery::Interim {
            if pending.form != Form::Json {
                self.begin_stream(connection, &mut pending, cx);
                self.write_event(connection, &pending, None, message, cx);
            }
            return self.put_pending(connection, pending);
        }
        if pending.form == Form::Sse {
            self.begin_stream(connection, &mut pending, cx);
        }
        if pending.form == Form::Streaming {
            if delivery != Delivery::Nothing {
                self.write_event(connection, &pending, None, message, cx);
            }
            return self.end_stream(connection, &pending, cx);
        }
        self.answer_undecided(connection, &pending, delivery, message, cx);
    }

    /// The answer to a request of which nothing has been written yet.
    fn answer_undecided(
        &mut self,
        connection: Token,
        pending: &Pending,
        delivery: Delivery,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        match delivery {
            Delivery::Answer { status } => self.write_json(connection, pending, status, message, cx),
            Delivery::Interim | Delivery::Nothing => self.write_accepted(connection, pending.terms, cx),
        }
        self.answered_pending(connection, pending, cx);
    }

    /// To one numbered stream of a session.
    fn deliver_stream(
        &mut self,
        session: Token,
        number: u32,
        delivery: Delivery,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Some(stream) = self.stream(session, number) else { return };
        let carrier = stream.carrier;
        let answers = delivery != Delivery::Interim;
        let last = answers && number != 0 && stream.left <= 1;
        if stream.log.is_none() && number != 0 {
            let Some(connection) = carrier else {
                // The connection went before anything was written: there is nothing to resume.
                stream.left = stream.left.saturating_sub(u32::from(answers));
                if last {
                    self.forget_stream(session, number);
                }
                return;
            };
            let Some(pending) = self.take_pending(connection) else { return };
            match pending.form {
                Form::Undecided | Form::Json if last => {
                    self.forget_stream(session, number);
                    return self.answer_undecided(connection, &pending, delivery, message, cx);
                }
                Form::Json => return self.put_pending(connection, pending),
                _ => self.put_pending(connection, pending),
            }
        }
        self.append_event(session, number, if delivery == Delivery::Nothing { NOTHING } else { message }, cx);
        if answers && let Some(stream) = self.stream(session, number) {
            stream.left = stream.left.saturating_sub(1);
        }
        self.pull_stream(session, number, cx);
        self.relieve(session, number);
    }

    /// Keeps a message of a stream for its carrier, and for a client that comes back.
    fn append_event(&mut self, session: Token, number: u32, message: &[u8], cx: &Cx<'_>) {
        if message.is_empty() {
            return;
        }
        let (now, max) = (cx.now.mono, self.outbox_bytes_max() as u64);
        let Shard { mcp, config, stats, .. } = self;
        let Some(session) = mcp.sessions.get_mut(session) else { return };
        let Carrier::Streamable(streams) = &mut session.carrier else { return };
        let Some(stream) = streams.get(number) else { return };
        let carried = stream.carrier.is_some();
        let log = stream.log();
        let appended =
            log.append(&config.outbox, Entry { at: now, body: message.into(), class: 0, ttl_ms: 0 });
        log.settle(appended.sequence);
        let mut evicted = appended.evicted_bytes;
        stats.outbox_bytes += message.len() as u64;
        stats.appended += 1;
        // The shard's memory is used up: the oldest of what this client is kept goes.
        let kept = usize::from(carried);
        while stats.outbox_bytes - evicted as u64 > max && log.len() > kept {
            evicted += log.evict_oldest();
        }
        stats.outbox_bytes -= evicted as u64;
    }

    /// The shard's memory is used up: what a stream's client has been sent is not kept for another time.
    fn relieve(&mut self, session: Token, number: u32) {
        let max = self.outbox_bytes_max() as u64;
        let held = self.stats.outbox_bytes;
        let Some(stream) = self.stream(session, number) else { return };
        let delivered = stream.delivered;
        let Some(log) = stream.log.as_mut() else { return };
        let mut evicted = 0;
        while held - evicted > max && !log.is_empty() && log.floor() <= delivered {
            evicted += log.evict_oldest() as u64;
        }
        self.stats.outbox_bytes -= evicted;
    }

    /// Lets the carrier of a stream take what it has not been sent, while its peer keeps up, and ends it
    /// after the answer.
    pub(crate) fn pull_stream(&mut self, session: Token, number: u32, cx: &mut Cx<'_>) {
        let Some(connection) = self.stream(session, number).and_then(|stream| stream.carrier) else { return };
        let Some(mut pending) = self.take_pending(connection) else { return };
        match pending.source {
            Source::Stream { session: of, stream, .. } if (of, stream) == (session, number) => {}
            _ => return self.put_pending(connection, pending),
        }
        if self.write_events(connection, &mut pending, (session, number), cx) {
            if let Some(stream) = self.stream(session, number) {
                stream.carrier = None;
            }
            return self.end_stream(connection, &pending, cx);
        }
        self.put_pending(connection, pending);
    }

    /// Writes the events after the cursor; true when the stream is complete and all of it is written.
    fn write_events(
        &mut self,
        connection: Token,
        pending: &mut Pending,
        (session, number): (Token, u32),
        cx: &mut Cx<'_>,
    ) -> bool {
        let max = self.config.queue_bytes_max;
        self.begin_stream(connection, pending, cx);
        loop {
            let Source::Stream { cursor, .. } = &mut pending.source else { return false };
            let Some(stream) = self.stream(session, number) else { return false };
            let Some((sequence, entry)) = next_event(stream, *cursor) else { return stream.is_complete() };
            let Some(conn) = self.conns.get(connection).filter(|conn| conn.speaks()) else { return false };
            if conn.egress.is_blocked() {
                return false;
            }
            if !conn.egress.fits(cx.out, entry.len() + EVENT_OVERHEAD, max) {
                self.hungry.push(connection);
                return false;
            }
            *cursor = sequence;
            if let Some(stream) = self.stream(session, number) {
                stream.delivered = stream.delivered.max(sequence);
            }
            let id = EventId { stream: number, sequence };
            self.write_event(connection, pending, Some(id), &entry, cx);
        }
    }

    /// To whatever carries a session's own messages.
    fn deliver_session(&mut self, session: Token, delivery: Delivery, message: &[u8], cx: &mut Cx<'_>) {
        let Some(of) = self.mcp.sessions.get(session) else { return };
        let (connection, sse) = match of.carrier {
            Carrier::Streamable(_) => return self.deliver_stream(session, 0, delivery, message, cx),
            Carrier::HttpSse { connection } => (connection, true),
            Carrier::WebSocket { connection } | Carrier::Channel { connection } => (connection, false),
        };
        if delivery == Delivery::Nothing {
            return;
        }
        if !sse {
            return self.deliver_link(connection, Some(session), message, cx);
        }
        let Some(pending) = self.take_pending(connection) else { return };
        self.write_event(connection, &pending, None, message, cx);
        self.put_pending(connection, pending);
    }

    /// A stream of a session over Streamable HTTP.
    pub(crate) fn stream(&mut self, session: Token, number: u32) -> Option<&mut Stream> {
        self.streams(session)?.get(number)
    }

    /// The streams of a session over Streamable HTTP.
    pub(crate) fn streams(&mut self, session: Token) -> Option<&mut McpStreams> {
        match &mut self.mcp.sessions.get_mut(session)?.carrier {
            Carrier::Streamable(streams) => Some(streams),
            _ => None,
        }
    }

    /// The stream of a POST is over and nobody will ask for it.
    pub(crate) fn forget_stream(&mut self, session: Token, number: u32) {
        let freed = self.streams(session).map_or(0, |streams| streams.remove(number));
        self.stats.outbox_bytes -= freed as u64;
    }

    /// A connection no longer carries a stream: it waits for another, if there is anything to come back for.
    pub(crate) fn detach(&mut self, session: Token, number: u32, connection: Token) {
        let Some(stream) = self.stream(session, number) else { return };
        if stream.carrier == Some(connection) {
            stream.carrier = None;
        }
    }
}

/// The first event after `cursor` that is still there.
fn next_event(stream: &Stream, cursor: u64) -> Option<(u64, std::sync::Arc<[u8]>)> {
    let log = stream.log.as_ref()?;
    let from = (cursor + 1).max(log.floor());
    let (sequence, entry) = log.entries_from(from.min(log.head() + 1)).next()?;
    Some((sequence, std::sync::Arc::clone(&entry.body)))
}
