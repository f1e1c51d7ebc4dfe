//! How a message of a client's stream is put on a connection.

use std::borrow::Cow;

use weir_ring::op::Output;
use weir_ring::token::Token;
use weir_transports::websocket::Deflater;
use weir_transports::{phoenix, sse};

use crate::downstream::connection::{Connection, Filter, Stage};
use crate::downstream::egress::{Egress, Overflow, Wrote};
use crate::encryption::Encryption;
use crate::limits::Config;
use crate::metrics::{Feature, Meter};
use crate::outbox::Entry;
use crate::route;
use crate::stream::Epoch;

/// What an entry's body is wrapped in, at most: frame header, topic and event, or SSE fields.
const ENTRY_OVERHEAD: usize = 256;

/// What a message that is written again begins with, instead of its brace.
pub(crate) const REDELIVERY: &[u8] = b"{\"redelivery\":true,";

/// What stands before an envelope's data, which is its last field.
const DATA: &[u8] = b",\"data\":";

/// What stands around data that is encrypted, at most.
const SEALED_OVERHEAD: usize = 256;

/// What a bundle of messages begins with.
const BUNDLE: &[u8] = b"{\"type\":\"bundle\",\"data\":[";

/// What all connections of a shard are written with.
pub(crate) struct Pen<'a> {
    pub config: &'a Config,
    pub deflater: &'a mut Option<Box<Deflater>>,
    /// Connections with something to send in this turn.
    pub dirty: &'a mut Vec<Token>,
    pub encryption: &'a mut Encryption,
    pub out: &'a mut Output,
    pub meter: &'a mut Meter,
}

/// One connection while it is written to.
pub(crate) struct Sheet<'a> {
    pub token: Token,
    /// Whose it is, if its payloads are encrypted.
    pub sealed_for: Option<&'a str>,
    pub conn: &'a mut Connection,
    /// The stream's; none for what is written out of its turn, which moves nobody's cursor.
    pub epoch: Option<Epoch>,
    /// What goes out as one message in the end.
    pub bundle: Option<Vec<u8>>,
    /// Bytes of the messages so far.
    pub bytes: usize,
    /// How many they are.
    pub sent: u64,
}

impl Sheet<'_> {
    /// Puts a message on it, as it is or into the bundle.
    ///
    /// # Errors
    /// The connection's queue is full.
    pub(crate) fn message(&mut self, body: &[u8], pen: &mut Pen<'_>) -> Result<(), Overflow> {
        if let Some(bundle) = &mut self.bundle {
            bundle.extend_from_slice(if bundle.is_empty() { BUNDLE } else { b"," });
            bundle.extend_from_slice(body);
        } else if !self.put(body, pen)? {
            return Ok(());
        }
        self.bytes += body.len();
        self.sent += 1;
        Ok(())
    }

    /// Puts the bundle on it, if there is any.
    ///
    /// # Errors
    /// The connection's queue is full.
    pub(crate) fn end(&mut self, pen: &mut Pen<'_>) -> Result<(), Overflow> {
        if let Some(mut bundle) = self.bundle.take().filter(|bundle| !bundle.is_empty()) {
            bundle.extend_from_slice(b"]}");
            self.put(&bundle, pen)?;
        }
        Ok(())
    }

    /// False if the connection's filter does not let it through.
    fn put(&mut self, body: &[u8], pen: &mut Pen<'_>) -> Result<bool, Overflow> {
        let sealed = self.sealed_for.map(|client| {
            let began = pen.meter.begin();
            let sealed = seal_data(pen.encryption, client, body);
            pen.meter.end(Feature::Encryption, began);
            sealed
        });
        let payload = encode(&self.conn.stage, self.epoch, sealed.as_deref().unwrap_or(body));
        if payload.is_empty() {
            return Ok(false);
        }
        if write(self.conn, &payload, pen)? == Wrote::First {
            pen.dirty.push(self.token);
        }
        Ok(true)
    }
}

/// The body as it is written: one that may have reached the client before says so.
pub(crate) fn flagged(body: &[u8], again: bool) -> Cow<'_, [u8]> {
    match body {
        [b'{', rest @ ..] if again => Cow::Owned([REDELIVERY, rest].concat()),
        _ => Cow::Borrowed(body),
    }
}

/// An envelope, or a bundle of them, with its data encrypted; what stands before it stays readable.
pub(crate) fn seal_data(encryption: &mut Encryption, client: &str, body: &[u8]) -> Vec<u8> {
    // Nothing before it looks so: quotes in strings are escaped.
    let data = memchr::memmem::find(body, DATA).map_or(body.len(), |at| at + DATA.len());
    let (before, data) = body.split_at(data);
    let mut out = Vec::with_capacity(body.len() + body.len() / 3 + SEALED_OVERHEAD);
    out.extend_from_slice(before);
    encryption.seal(client, data.strip_suffix(b"}").unwrap_or(data), &mut out);
    out.push(b'}');
    out
}

/// A message as its connection carries it; nothing if its filter does not let it through.
fn encode(stage: &Stage, epoch: Option<Epoch>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    match stage {
        Stage::Sse(feed) if feed.filter.as_ref().is_some_and(|filter| !filter.passes(body)) => {}
        Stage::Sse(feed) if feed.ndjson => {
            out.extend_from_slice(body);
            out.push(b'\n');
        }
        Stage::Sse(feed) => {
            let cursor = epoch.and_then(|epoch| Some(feed.marks.as_ref()?.cursor(epoch).text()));
            sse::event(&mut out, cursor.as_deref(), Some("message"), &String::from_utf8_lossy(body));
        }
        stage => {
            if let Some(link) = stage.link() {
                phoenix::push(link.version(), &mut out, None, route::GATEWAY, "message", body, None);
            }
        }
    }
    out
}

/// Appends a message to what leaves on the connection.
fn write(conn: &mut Connection, payload: &[u8], pen: &mut Pen<'_>) -> Result<Wrote, Overflow> {
    let max = pen.config.queue_bytes_max;
    match conn.stage.link() {
        Some(link) => {
            let deflate = link.deflate_for(payload.len(), pen.config, pen.deflater);
            let began = deflate.is_some().then(|| pen.meter.begin());
            let wrote = conn.egress.message(pen.out, max, |out| link.write_text(out, payload, deflate));
            if let Some(began) = began {
                pen.meter.end(Feature::Compression, began);
            }
            wrote
        }
        None => conn.egress.message(pen.out, max, |out| out.extend_from_slice(payload)),
    }
}

/// Whether an entry fits with what waits on a connection and is in its bundle.
pub(crate) fn fits(
    egress: &Egress,
    bundle: Option<&[u8]>,
    sealed: bool,
    entry: &Entry,
    pen: &Pen<'_>,
) -> bool {
    let bytes = bundle.map_or(0, <[u8]>::len) + entry.body.len() + ENTRY_OVERHEAD;
    let more = if sealed { bytes / 3 + SEALED_OVERHEAD } else { 0 };
    egress.fits(pen.out, bytes + more, pen.config.queue_bytes_max)
}

impl Filter {
    /// Whether a push, as the feed carries it, is wanted.
    fn passes(&self, body: &[u8]) -> bool {
        #[derive(serde::Deserialize)]
        struct Push<'a> {
            #[serde(borrow)]
            data: Data<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            client_id: std::borrow::Cow<'a, str>,
            #[serde(borrow, rename = "type")]
            kind: std::borrow::Cow<'a, str>,
        }
        let Ok(push) = serde_json::from_slice::<Push<'_>>(body) else { return true };
        self.client.as_ref().is_none_or(|client| **client == *push.data.client_id)
            && self.kind.as_ref().is_none_or(|kind| **kind == *push.data.kind)
    }
}
