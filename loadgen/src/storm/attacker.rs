//! One attacker of each kind.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use monoio::{
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::TcpStream,
};

use super::{Storm, add, source::connect};
use crate::{error::Error, frame::Opcode, ws::Socket};

/// From the end of a held connection to the next.
const AGAIN: Duration = Duration::from_millis(200);

/// From one byte of a slow head to the next.
const DRIP: Duration = Duration::from_secs(1);

/// How often the client that sends too much sends.
const BURST: Duration = Duration::from_millis(10);

/// The user that sends too much: from an address that no other user of a small run has.
const FLOODER: u32 = 2_000;

/// Names that reconnecting clients have.
const NAMES: u64 = 10_000;

/// Counts one for as long as it lives.
struct Counted<'a>(&'a Cell<u64>);

impl<'a> Counted<'a> {
    fn new(counter: &'a Cell<u64>) -> Self {
        add(counter);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Holds a connection open and says nothing, or little.
pub(super) async fn hold(storm: Rc<Storm>, number: u32, slow: bool) {
    let tally = &storm.tally;
    loop {
        match connect(storm.target.addr, storm.sources.of(number.into())) {
            Ok(mut stream) if stream.writable(false).await.is_ok() => {
                let _open = Counted::new(&tally.open);
                tally.open_peak.set(tally.open_peak.get().max(tally.open.get()));
                if slow {
                    drip(&mut stream).await
                } else {
                    listen(&mut stream).await
                }
                add(&tally.ended);
            }
            _ => add(&tally.failed),
        }
        monoio::time::sleep(AGAIN).await;
    }
}

/// Reads until the server ends the connection.
async fn listen(stream: &mut TcpStream) {
    let mut bytes = vec![0; 512];
    loop {
        let (result, read) = stream.read(bytes).await;
        bytes = read;
        if !result.is_ok_and(|count| count > 0) {
            return;
        }
    }
}

/// Writes a head byte by byte until the server ends the connection.
async fn drip(stream: &mut TcpStream) {
    let head =
        b"GET /mcp/sse?client_id=slow HTTP/1.1\r\nHost: weir\r\nX-Slow: ".iter().chain([b's'].iter().cycle());
    for byte in head {
        if stream.write_all(vec![*byte]).await.0.is_err() {
            return;
        }
        monoio::time::sleep(DRIP).await;
    }
}

/// Upgrades, and is gone once that is answered.
pub(super) async fn reconnect(storm: Rc<Storm>, number: u64) {
    let tally = &storm.tally;
    let _under_way = Counted::new(&tally.reconnecting);
    match upgrade(&storm, number).await {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 101") => add(&tally.upgraded),
        Ok(answer) if answer.starts_with(b"HTTP/1.1 ") => add(&tally.refused),
        _ => add(&tally.unanswered),
    }
}

/// The first bytes that answer the upgrade.
async fn upgrade(storm: &Storm, number: u64) -> io::Result<Vec<u8>> {
    let mut stream = connect(storm.target.addr, storm.sources.of(number))?;
    stream.writable(false).await?;
    let head = format!(
        "GET {}/websocket?vsn=2.0.0&client_id=storm{} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        storm.target.path,
        number % NAMES,
        storm.target.host,
    );
    stream.write_all(head.into_bytes()).await.0?;
    let (result, mut answer) = stream.read(vec![0; 512]).await;
    answer.truncate(result?);
    Ok(answer)
}

/// Sends `rate` pings a second over one connection, for ever.
pub(super) async fn flood(storm: Rc<Storm>, rate: f64) {
    loop {
        // It ends with the connection only.
        let _ = flood_once(&storm, rate).await;
        add(&storm.tally.cut_off);
        monoio::time::sleep(AGAIN).await;
    }
}

async fn flood_once(storm: &Storm, rate: f64) -> Result<(), Error> {
    let tally = &storm.tally;
    let path = format!("{}?client_id=flood", storm.target.path);
    let mut socket = Socket::open(&storm.target, FLOODER, &path, Some("mcp")).await?;
    let burst = (rate * BURST.as_secs_f64()).ceil() as u64;
    loop {
        for number in 0..burst {
            let ping = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"ping"}}"#);
            socket.outbox.queue(Opcode::Text, ping.as_bytes());
        }
        tally.sent.set(tally.sent.get() + burst);
        socket.fill().await?;
        while let Some(frame) = socket.next()? {
            let served = memchr::memmem::find(frame.payload, br#""result""#).is_some();
            add(if served { &tally.served } else { &tally.limited });
        }
        monoio::time::sleep(BURST).await;
    }
}
