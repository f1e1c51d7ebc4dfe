//! The TLS of one connection: ciphertext in, plaintext out, and the other way round. It does no I/O and knows no
//! stage.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, HandshakeKind, ServerConfig};
use weir_ring::op::{Output, Source};

use super::subject::Subject;

/// Plaintext of one record (RFC 8446, 5.1).
const RECORD_BYTES: usize = 16 << 10;

/// What a record adds at most: header, content type or explicit nonce, tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 16;

/// A record or two of TLS's own that may stand before the data: a key update.
const OWN_BYTES: usize = 128;

/// One connection's TLS.
pub struct Tls {
    side: Side,
    /// The beginning of a record, or handshake messages that are not whole; empty while nothing is under way.
    spill: Vec<u8>,
    /// Records that leave before whatever is encrypted from now on: handshake, tickets, alerts.
    outgoing: Vec<u8>,
    /// Nothing has been received.
    fresh: bool,
    /// Its handshake waits for a turn that has time for it.
    pub(super) waits: bool,
    /// The peer has said that it will send nothing more (`close_notify`).
    closed: bool,
    /// What came cannot be followed: nothing is read and nothing more is said.
    failed: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What came of received bytes.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The peer will send nothing more: its orderly end.
    pub(super) closed: bool,
    /// The connection is of no use any more; an alert for the peer is in what leaves.
    pub(super) fault: Option<rustls::Error>,
}

/// The keys may encrypt nothing more, which only happens in TLS 1.2: 1.3 changes them before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Where bytes to be encrypted lie.
#[derive(Clone, Copy)]
enum Plain<'a> {
    /// Elsewhere.
    Bytes(&'a [u8]),
    /// Further ahead in what they are written behind.
    Before(usize, usize),
}

/// What one step of rustls came to.
enum Step {
    /// There may be more in what was received.
    More,
    /// All whole records are used.
    Idle,
    /// The peer's orderly end; what follows is not looked at.
    Closed,
}

impl Tls {
    /// Of a connection that a client has opened.
    ///
    /// # Errors
    /// The configuration is of no use.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Box<Tls>, rustls::Error> {
        Ok(Tls::begin(Side::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// Of a connection to a server whose certificate must be for `name`. Its first flight is in what leaves.
    ///
    /// # Errors
    /// `name` is no name and no address, or the configuration is of no use.
    pub(crate) fn client(config: Arc<ClientConfig>, name: &str) -> Result<Box<Tls>, rustls::Error> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            rustls::Error::General(format!("{name:?} is no name that a certificate could be for"))
        })?;
        let mut tls = Tls::begin(Side::Client(UnbufferedClientConnection::new(config, name)?));
        tls.receive(&mut [], &mut Vec::new()).fault.map_or(Ok(tls), Err)
    }

    fn begin(side: Side) -> Box<Tls> {
        Box::new(Tls {
            side,
            spill: Vec::new(),
            outgoing: Vec::new(),
            fresh: true,
            waits: false,
            closed: false,
            failed: false,
        })
    }

    /// Whether nothing can be sent yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.side.common().is_handshaking()
    }

    /// Whether something of TLS itself waits to leave.
    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether the peer ended the connection in order, so that nobody has cut off what it said.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the handshake was shortened by one before it.
    pub(super) fn is_resumed(&self) -> bool {
        self.side.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whose certificate the peer has shown, if it was asked for one and had one.
    pub fn subject(&self) -> Option<Subject> {
        Subject::of(self.side.common().peer_certificates()?.first()?)
    }

    /// Whether these first bytes of a connection are those of HTTP: no record begins with a letter.
    pub(super) fn is_http(&self, bytes: &[u8]) -> bool {
        self.fresh && bytes.first().is_some_and(u8::is_ascii_alphabetic)
    }

    /// Keeps received bytes for later.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.fresh = false;
        self.spill.extend_from_slice(bytes);
    }

    /// Decrypts received bytes, in place, and appends what they say to `plain`.
    pub(super) fn receive(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> Opened {
        self.fresh &= bytes.is_empty();
        if self.spill.is_empty() {
            let (used, opened) = self.open(bytes, plain);
            self.spill.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return opened;
        }
        let mut spill = std::mem::take(&mut self.spill);
        spill.extend_from_slice(bytes);
        let (used, opened) = self.open(&mut spill, plain);
        if used < spill.len() {
            spill.drain(..used);
            self.spill = spill;
        }
        opened
    }

    /// Uses the whole records that `input` begins with, and says how many bytes those are.
    fn open(&mut self, input: &mut [u8], plain: &mut Vec<u8>) -> (usize, Opened) {
        if self.closed || self.failed {
            return (input.len(), Opened::default());
        }
        let (mut used, mut opened) = (0, Opened::default());
        loop {
            let rest = input.get_mut(used..).unwrap_or_default();
            let (discard, step) = self.side.step(rest, &mut self.outgoing, plain);
            used += discard;
            match step {
                Ok(Step::More) => {}
                Ok(Step::Idle) => break,
                Ok(Step::Closed) => {
                    (self.closed, opened.closed) = (true, true);
                    return (input.len(), opened);
                }
                Err(error) => {
                    opened.fault.get_or_insert(error);
                    self.failed = true;
                }
            }
            // After an error there is nothing to be read any more, but an alert to be written.
            if self.failed && !self.side.common().wants_write() {
                return (input.len(), opened);
            }
        }
        (used, opened)
    }

    /// Encrypts what `source` names behind what TLS itself has to say, and says where that lies.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub(crate) fn seal_source(
        &mut self,
        source: Option<Source>,
        out: &mut Output,
    ) -> Result<Option<Source>, Exhausted> {
        let start = out.arena.len();
        out.arena.extend_from_slice(&std::mem::take(&mut self.outgoing));
        match source {
            None => {}
            Some(Source::Arena { start, len }) => {
                self.encrypt(Plain::Before(start as usize, len as usize), &mut out.arena)?;
            }
            Some(Source::Frame(index)) => {
                let Output { arena, frames, .. } = out;
                if let Some(frame) = frames.get(index as usize) {
                    self.encrypt(Plain::Bytes(frame), arena)?;
                }
            }
        }
        let len = out.arena.len() - start;
        Ok((len > 0).then_some(Source::Arena { start: start as u32, len: len as u32 }))
    }

    /// Appends `plain`, encrypted, behind what TLS itself has to say.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Exhausted> {
        out.append(&mut self.outgoing);
        self.encrypt(Plain::Bytes(plain), out)
    }

    fn encrypt(&mut self, plain: Plain<'_>, out: &mut Vec<u8>) -> Result<(), Exhausted> {
        let len = match plain {
            Plain::Bytes(bytes) => bytes.len(),
            Plain::Before(_, len) => len,
        };
        if len == 0 {
            return Ok(());
        }
        if self.failed {
            return Err(Exhausted);
        }
        let start = out.len();
        let mut room = len + (len / RECORD_BYTES + 1) * RECORD_OVERHEAD + OWN_BYTES;
        loop {
            out.resize(start + room, 0);
            let (before, target) = out.split_at_mut(start);
            let plain = match plain {
                Plain::Bytes(bytes) => bytes,
                Plain::Before(from, len) => before.get(from..from + len).unwrap_or_default(),
            };
            match self.side.encrypt(plain, target, &mut self.spill) {
                Ok(written) => {
                    out.truncate(start + written);
                    return Ok(());
                }
                Err(Some(needed)) if needed > room => room = needed,
                Err(_) => {
                    out.truncate(start);
                    // A `close_notify`, in place of what could not be encrypted.
                    self.open_rest();
                    return Err(Exhausted);
                }
            }
        }
    }

    /// Says that nothing more will be sent (`close_notify`), once. False: that was said, or nobody can hear it.
    pub(crate) fn close(&mut self) -> bool {
        if self.failed || self.is_handshaking() {
            return false;
        }
        let mut record = [0; OWN_BYTES];
        let written = self.side.close(&mut record, &mut self.spill).unwrap_or(0);
        self.outgoing.extend_from_slice(record.get(..written).unwrap_or_default());
        written > 0
    }

    /// Goes on with what is here.
    fn open_rest(&mut self) {
        let mut spill = std::mem::take(&mut self.spill);
        let (used, _) = self.open(&mut spill, &mut Vec::new());
        spill.drain(..used);
        self.spill = spill;
    }
}

impl Side {
    fn common(&self) -> &CommonState {
        match self {
            Side::Server(server) => server,
            Side::Client(client) => client,
        }
    }

    /// One step; how many bytes of `input` it has used, and what it came to.
    fn step(
        &mut self,
        input: &mut [u8],
        outgoing: &mut Vec<u8>,
        plain: &mut Vec<u8>,
    ) -> (usize, Result<Step, rustls::Error>) {
        match self {
            Side::Server(server) => step(server.process_tls_records(input), outgoing, plain),
            Side::Client(client) => step(client.process_tls_records(input), outgoing, plain),
        }
    }

    /// Encrypts into `target` and says how many bytes that are; else how many it needs, or `None`: it cannot.
    fn encrypt(&mut self, plain: &[u8], target: &mut [u8], spill: &mut [u8]) -> Result<usize, Option<usize>> {
        match self {
            Side::Server(server) => encrypt(server.process_tls_records(spill), plain, target),
            Side::Client(client) => encrypt(client.process_tls_records(spill), plain, target),
        }
    }

    /// Writes a `close_notify` into `target`, unless that was done, and says how many bytes that are.
    fn close(&mut self, target: &mut [u8], spill: &mut [u8]) -> Option<usize> {
        match self {
            Side::Server(server) => close(server.process_tls_records(spill), target),
            Side::Client(client) => close(client.process_tls_records(spill), target),
        }
    }
}

/// As [`Side::step`].
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> (usize, Result<Step, rustls::Error>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Err(error)),
    };
    let step = match state {
        ConnectionState::ReadTraffic(mut traffic) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    plain.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                Some(Err(error)) => return (discard, Err(error)),
                None => break Step::More,
            }
        },
        ConnectionState::EncodeTlsData(mut data) => {
            let start = outgoing.len();
            // It tells its size when it is given too little room.
            if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
                outgoing.resize(start + needed.required_size, 0);
                let written = data.encode(outgoing.get_mut(start..).unwrap_or_default());
                outgoing.truncate(start + written.unwrap_or(0));
            }
            Step::More
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Step::More
        }
        ConnectionState::PeerClosed | ConnectionState::Closed => Step::Closed,
        // Early data is never agreed on.
        _ => Step::Idle,
    };
    (discard, Ok(step))
}

/// As [`Side::encrypt`]: of what was received all whole records have been used, so nothing is discarded.
fn encrypt<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &[u8],
    target: &mut [u8],
) -> Result<usize, Option<usize>> {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else { return Err(None) };
    traffic.encrypt(plain, target).map_err(|error| match error {
        EncryptError::InsufficientSize(needed) => Some(needed.required_size),
        EncryptError::EncryptExhausted => None,
    })
}

/// As [`Side::close`].
fn close<Data>(status: UnbufferedStatus<'_, '_, Data>, target: &mut [u8]) -> Option<usize> {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else { return None };
    traffic.queue_close_notify(target).ok()
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tls { spill, outgoing, closed, .. } = self;
        let handshaking = self.is_handshaking();
        write!(f, "Tls {{ handshaking: {handshaking}, spill: {} B, ", spill.len())?;
        write!(f, "outgoing: {} B, closed: {closed} }}", outgoing.len())
    }
}
