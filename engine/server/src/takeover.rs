//! The way from a running gateway to its successor, as the successor goes it.
//!
//! The running gateway waits on a Unix socket. What is said there, in order:
//!
//! | who | what |
//! |---|---|
//! | successor | [`GREETING`] |
//! | gateway | an [`Offer`]: its length in four bytes, then JSON; then the listening sockets (SCM_RIGHTS) |
//! | successor | [`GO`] |
//! | gateway | its streams: the number of parts in four bytes, then each behind its length in eight |
//! | successor | [`SERVING`] |
//! | gateway | connections, some at a time: what the successor must know of each behind its length in four bytes, as JSON; then their sockets |
//!
//! `GO` is the hand-over point: from there on the gateway accepts nobody and appends nothing. With a log the number of
//! parts is 0 and says that all is on the disk and the folder is free. After `SERVING` the gateway drains, and connections
//! follow until it ends. If that word does not come, it goes on as before, but for one with a log, which ends.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_ring::pass;
use weir_shard::mail::Emigrant;

/// What a successor begins with.
pub(crate) const GREETING: &[u8; 16] = b"weir takeover 2\n";
/// It is ready for the streams.
pub(crate) const GO: &[u8; 3] = b"go\n";
/// It accepts clients.
pub(crate) const SERVING: &[u8; 8] = b"serving\n";

/// How long each side waits for the other's next word.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Longest offer, bytes, and longest part of the streams: no gateway has more.
const OFFER_BYTES_MAX: u32 = 64 << 20;
const PART_BYTES_MAX: u64 = 64 << 30;
const PARTS_MAX: u32 = u16::MAX as u32;

/// Connections of one message, at most, and what is said of them, bytes.
pub(crate) const CONNECTIONS_MAX: usize = 64;
const CONNECTIONS_BYTES_MAX: u32 = 256 << 20;

/// What a gateway has to hand over.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Offer {
    pub(crate) pid: u32,
    pub(crate) version: String,
    /// Name and number of sockets, in the order in which they follow.
    pub(crate) listeners: Vec<(String, usize)>,
    /// What clients were given is sealed with it.
    pub(crate) secret: [u8; 32],
    /// Its streams are on the disk.
    pub(crate) durable: bool,
    /// Tokens that were withdrawn, each with when it would have expired, milliseconds since 1970.
    pub(crate) withdrawn: Vec<(String, u64)>,
}

/// A running gateway that waits to be succeeded.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    pub(crate) offer: Offer,
}

/// Why it is not succeeded.
#[derive(Debug)]
pub(crate) enum TakeoverError {
    /// No place for the socket is known.
    NoPath,
    /// Nobody waits there.
    Nobody { path: PathBuf, error: io::Error },
    /// Whoever does is another user.
    Stranger { path: PathBuf, user: u32 },
    /// One keeps its streams on the disk, the other does not.
    Tiers { durable: bool },
    /// It has gone, or does not say what it should.
    Lost { step: &'static str, error: io::Error },
}

impl Predecessor {
    /// Finds the gateway that waits at `path`, and takes its listening sockets, by name.
    ///
    /// # Errors
    /// There is none that a gateway with (`durable`) or without a data folder can succeed.
    pub(crate) fn find(
        path: &Path,
        durable: bool,
    ) -> Result<(Predecessor, BTreeMap<String, Vec<OwnedFd>>), TakeoverError> {
        let nobody = |error| TakeoverError::Nobody { path: path.to_owned(), error };
        let mut stream = UnixStream::connect(path).map_err(nobody)?;
        let user = pass::peer_user(&stream).map_err(nobody)?;
        if user != pass::own_user() && user != 0 {
            return Err(TakeoverError::Stranger { path: path.to_owned(), user });
        }
        let (offer, listeners) = introduce(&mut stream).map_err(lost("introducing itself"))?;
        if offer.durable != durable {
            return Err(TakeoverError::Tiers { durable: offer.durable });
        }
        Ok((Predecessor { stream, offer }, listeners))
    }

    /// The hand-over point: its streams, one part for each of its shards. With a log there are none, and the data
    /// folder is free.
    ///
    /// # Errors
    /// It has gone, or cannot give them.
    pub(crate) fn take_streams(&mut self) -> Result<Vec<Vec<u8>>, TakeoverError> {
        let mut take = || -> io::Result<Vec<Vec<u8>>> {
            self.stream.write_all(GO)?;
            let parts = u32::from_le_bytes(read(&mut self.stream)?);
            if parts > PARTS_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            (0..parts).map(|_| read_part(&mut self.stream)).collect()
        };
        take().map_err(lost("giving its streams"))
    }

    /// From now on this process serves: what the gateway before has to say is connections.
    ///
    /// # Errors
    /// It has gone by itself.
    pub(crate) fn serving(mut self) -> io::Result<UnixStream> {
        self.stream.write_all(SERVING)?;
        // It sends connections as long as it drains.
        self.stream.set_read_timeout(None)?;
        Ok(self.stream)
    }
}

fn lost(step: &'static str) -> impl Fn(io::Error) -> TakeoverError {
    move |error| TakeoverError::Lost { step, error }
}

fn introduce(stream: &mut UnixStream) -> io::Result<(Offer, BTreeMap<String, Vec<OwnedFd>>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(GREETING)?;
    let length = u32::from_le_bytes(read(stream)?);
    if length > OFFER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    let offer: Offer = serde_json::from_slice(&text)?;
    let mut listeners = BTreeMap::new();
    for (name, count) in &offer.listeners {
        listeners.insert(name.clone(), pass::receive(stream, *count)?);
    }
    Ok((offer, listeners))
}

fn read_part(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = u64::from_le_bytes(read(stream)?);
    if length > PART_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut part = Vec::new();
    // Grows with what comes: the length alone is no reason to take memory.
    stream.take(length).read_to_end(&mut part)?;
    if part.len() as u64 == length { Ok(part) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Sends connections with their sockets.
///
/// # Errors
/// The successor has gone.
pub(crate) fn write_connections(
    stream: &mut UnixStream,
    connections: Vec<(Emigrant, OwnedFd)>,
) -> io::Result<()> {
    let (emigrants, sockets): (Vec<Emigrant>, Vec<OwnedFd>) = connections.into_iter().unzip();
    let text = serde_json::to_vec(&emigrants)?;
    stream.write_all(&(text.len() as u32).to_le_bytes())?;
    stream.write_all(&text)?;
    pass::send(stream, &sockets)
}

/// Receives some connections; none: the gateway before has ended.
///
/// # Errors
/// It has ended in the middle, or says something else.
pub(crate) fn read_connections(stream: &mut UnixStream) -> io::Result<Option<Vec<(Emigrant, OwnedFd)>>> {
    let length = match read(stream) {
        Ok(length) => u32::from_le_bytes(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > CONNECTIONS_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    let emigrants: Vec<Emigrant> = serde_json::from_slice(&text)?;
    let sockets = pass::receive(stream, emigrants.len())?;
    Ok(Some(emigrants.into_iter().zip(sockets).collect()))
}

/// So many bytes.
pub(crate) fn read<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Says what there is to hand over.
///
/// # Errors
/// The successor has gone.
pub(crate) fn write_offer(stream: &mut impl Write, offer: &Offer) -> io::Result<()> {
    let text = serde_json::to_vec(offer)?;
    stream.write_all(&(text.len() as u32).to_le_bytes())?;
    stream.write_all(&text)
}

/// Gives the streams away.
///
/// # Errors
/// The successor has gone.
pub(crate) fn write_streams(stream: &mut impl Write, parts: &[impl AsRef<[u8]>]) -> io::Result<()> {
    stream.write_all(&(parts.len() as u32).to_le_bytes())?;
    for part in parts.iter().map(AsRef::as_ref) {
        stream.write_all(&(part.len() as u64).to_le_bytes())?;
        stream.write_all(part)?;
    }
    Ok(())
}

/// Where a gateway waits for its successor: where the configuration says, else in the data folder, else where the
/// service manager or the session has a folder for it. `None`: nowhere.
pub(crate) fn place(
    configured: Option<&Path>,
    data_dir: Option<&Path>,
    admin_port: u16,
    environment: &[(String, String)],
) -> Option<PathBuf> {
    let variable = |wanted| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let first = |list: &str| list.split(':').next().map(|folder| Path::new(folder).join("takeover"));
    configured
        .map(Path::to_owned)
        .or_else(|| data_dir.map(|folder| folder.join("takeover")))
        .or_else(|| variable("RUNTIME_DIRECTORY").and_then(first))
        .or_else(|| {
            let folder = Path::new(variable("XDG_RUNTIME_DIR")?);
            Some(folder.join(format!("weir-{admin_port}.takeover")))
        })
}

impl fmt::Display for TakeoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeoverError::NoPath => f.write_str(
                "there is no place where a running gateway could wait for --takeover; give both server.takeover, the path \
                 of a socket, or --data-dir",
            ),
            TakeoverError::Nobody { path, error } => write!(
                f,
                "no running gateway waits at {} ({error}); start without --takeover, or name its server.takeover or --data-dir",
                path.display()
            ),
            TakeoverError::Stranger { path, user } => write!(
                f,
                "whoever waits at {} is user {user}: start as that user, or remove the socket if it is not your gateway's",
                path.display()
            ),
            TakeoverError::Tiers { durable: true } => f.write_str(
                "the running gateway keeps its streams on the disk; start with the same --data-dir, or stop it first",
            ),
            TakeoverError::Tiers { durable: false } => f.write_str(
                "the running gateway keeps its streams in memory; start without --data-dir, or stop it first",
            ),
            TakeoverError::Lost { step, error } => write!(
                f,
                "the running gateway was lost while it was {step} ({error}); its log says why. Try again, or start without \
                 --takeover once it has ended"
            ),
        }
    }
}

impl std::error::Error for TakeoverError {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn variables(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_nearest_place_is_taken() {
        let all = variables(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("RUNTIME_DIRECTORY", "/run/weir:/run/b")]);
        let found = |configured: Option<&str>, data_dir: Option<&str>, environment: &[(String, String)]| {
            let found = place(configured.map(Path::new), data_dir.map(Path::new), 4000, environment);
            found.map(|path| path.display().to_string())
        };
        assert_eq!(found(Some("/a"), Some("/data"), &all).as_deref(), Some("/a"));
        assert_eq!(found(None, Some("/data"), &all).as_deref(), Some("/data/takeover"));
        assert_eq!(found(None, None, &all).as_deref(), Some("/run/weir/takeover"));
        assert_eq!(found(None, None, &all[..1]).as_deref(), Some("/run/user/7/weir-4000.takeover"));
        assert_eq!(found(None, None, &[]), None);
    }

    #[test]
    fn what_is_given_arrives() {
        let (mut gateway, mut stream) = UnixStream::pair().expect("a pair");
        let offer = Offer {
            pid: 7,
            version: "1".into(),
            listeners: vec![("sse".into(), 2)],
            secret: [3; 32],
            durable: false,
            withdrawn: vec![("a".into(), 9)],
        };
        let sockets: Vec<OwnedFd> =
            (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("bind").into()).collect();
        let giver = thread::spawn(move || {
            assert_eq!(&read::<16>(&mut gateway).expect("a greeting"), GREETING);
            write_offer(&mut gateway, &offer).expect("told");
            pass::send(&gateway, &sockets).expect("passed");
            assert_eq!(&read::<3>(&mut gateway).expect("a word"), GO);
            write_streams(&mut gateway, &[b"one".to_vec(), Vec::new()]).expect("given");
            assert_eq!(&read::<8>(&mut gateway).expect("a word"), SERVING);
        });
        let (offer, listeners) = introduce(&mut stream).expect("an offer");
        assert_eq!((offer.pid, listeners["sse"].len()), (7, 2));
        let mut predecessor = Predecessor { stream, offer };
        assert_eq!(predecessor.take_streams().expect("streams"), [b"one".to_vec(), Vec::new()]);
        predecessor.serving().expect("told");
        giver.join().expect("all was said");
    }

    #[test]
    fn a_gateway_that_goes_is_missed() {
        let (gateway, stream) = UnixStream::pair().expect("a pair");
        let offer = Offer {
            pid: 7,
            version: "1".into(),
            listeners: Vec::new(),
            secret: [0; 32],
            durable: true,
            withdrawn: Vec::new(),
        };
        let mut predecessor = Predecessor { stream, offer };
        let giver = thread::spawn(move || {
            let mut gateway = gateway;
            gateway.write_all(&1u32.to_le_bytes()).expect("written");
            gateway.write_all(&1_000_000u64.to_le_bytes()).expect("written");
            gateway.write_all(b"half of it").expect("written");
        });
        let error = predecessor.take_streams().expect_err("it has gone");
        assert!(matches!(error, TakeoverError::Lost { .. }), "{error}");
        giver.join().expect("all was said");
    }
}
