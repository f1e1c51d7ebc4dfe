//! The NATS client protocol over WebSocket (docs.nats.io, client protocol).

use crate::{error::Error, frame::Opcode, net::Target, ws::Socket};

/// A NATS client. Frames may cut the stream of commands anywhere.
pub(super) struct Nats {
    socket: Socket,
    stream: Vec<u8>,
}

impl Nats {
    /// Connects and says CONNECT.
    pub(super) async fn connect(target: &Target, user: u32) -> Result<Self, Error> {
        let socket = Socket::open(target, user, "/", None).await?;
        let mut nats = Self { socket, stream: Vec::new() };
        nats.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"weir-loadgen\"}\r\n").await?;
        Ok(nats)
    }

    /// Sends whole commands as one frame.
    pub(super) async fn send(&mut self, commands: &[u8]) -> Result<(), Error> {
        self.socket.outbox.queue(Opcode::Binary, commands);
        self.socket.outbox.flush().await.map(drop)
    }

    /// Waits for the PONG that says that everything before was taken.
    pub(super) async fn confirmed(&mut self) -> Result<(), Error> {
        let mut confirmed = false;
        while !confirmed {
            self.advance(&mut |_| Ok(()), &mut confirmed).await?;
        }
        Ok(())
    }

    /// Waits for bytes and hands over the payloads that they complete; says their bytes on the stream.
    pub(super) async fn receive(
        &mut self,
        deliver: &mut impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        self.advance(deliver, &mut false).await
    }

    async fn advance(
        &mut self,
        deliver: &mut impl FnMut(&[u8]) -> Result<(), Error>,
        ponged: &mut bool,
    ) -> Result<usize, Error> {
        self.socket.fill().await?;
        let before = self.socket.inbox.bytes().len();
        while let Some(frame) = self.socket.next()? {
            self.stream.extend_from_slice(frame.payload);
        }
        let bytes = before - self.socket.inbox.bytes().len();
        let mut used = 0;
        while let Some((command, len)) = parse(&self.stream[used..])? {
            used += len;
            match command {
                Command::Message(payload) => deliver(payload)?,
                Command::Ping => self.socket.outbox.queue(Opcode::Binary, b"PONG\r\n"),
                Command::Pong => *ponged = true,
                Command::Info => {}
            }
        }
        self.stream.drain(..used);
        Ok(bytes)
    }
}

#[derive(Debug, PartialEq)]
enum Command<'a> {
    Message(&'a [u8]),
    Ping,
    Pong,
    Info,
}

/// The command at the start of `stream` and its length; `None` until it is whole.
fn parse(stream: &[u8]) -> Result<Option<(Command<'_>, usize)>, Error> {
    let Some(end) = memchr::memchr(b'\n', stream) else { return Ok(None) };
    let line = String::from_utf8_lossy(&stream[..end]);
    let mut words = line.trim_end().split(' ');
    let end = end + 1;
    match words.next() {
        Some("MSG") => {
            let len: Option<usize> = words.next_back().and_then(|len| len.parse().ok());
            let len = len.ok_or_else(|| Error::Protocol(format!("NATS sent {line:?}")))?;
            let payload = stream.get(end..end + len);
            let whole = stream.len() >= end + len + 2;
            Ok(payload.filter(|_| whole).map(|payload| (Command::Message(payload), end + len + 2)))
        }
        Some("PING") => Ok(Some((Command::Ping, end))),
        Some("PONG") => Ok(Some((Command::Pong, end))),
        Some("INFO") => Ok(Some((Command::Info, end))),
        _ => Err(Error::Protocol(format!("NATS sent {line:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_commands_are_parsed_only_when_whole() {
        let stream = b"MSG bench 1 5\r\nhello\r\nPING\r\n";
        for cut in 0..22 {
            assert_eq!(parse(&stream[..cut]).unwrap(), None);
        }
        assert_eq!(parse(stream).unwrap(), Some((Command::Message(b"hello"), 22)));
        assert_eq!(parse(&stream[22..]).unwrap(), Some((Command::Ping, 6)));
        assert!(parse(b"-ERR 'Stale Connection'\r\n").is_err());
    }
}
