//! However the bytes are cut, the same responses come out; and no bytes make the codec panic.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_transports::http1::{BodyError, BodyReader, ResponseError, parse_response_head};

use crate::{LIMITS, cuts, mixed, pieces};

const BODY_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Response {
        status: u16,
        tag: Option<String>,
        body: Vec<u8>,
    },
    HeadRefused(ResponseError),
    BodyRefused(BodyError),
    /// The connection ended within a response.
    CutOff,
}

/// A client's reading loop over one connection, which asks on as long as the server lets it.
#[derive(Default)]
struct Connection {
    pending: Vec<u8>,
    response: Option<(u16, Option<String>, bool, BodyReader)>,
    body: Vec<u8>,
    seen: Vec<Seen>,
    closed: bool,
}

impl Connection {
    fn receive(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while !self.closed && self.step() {}
    }

    /// Whether there may be more to do with the pending bytes.
    fn step(&mut self) -> bool {
        let Some((.., reader)) = &mut self.response else { return self.head() };
        match reader.read(&self.pending, &mut self.body, BODY_BYTES_MAX) {
            Ok(progress) => {
                self.pending.drain(..progress.consumed);
                if progress.done {
                    self.finish();
                }
                progress.done
            }
            Err(error) => self.close(Seen::BodyRefused(error)),
        }
    }

    fn head(&mut self) -> bool {
        match parse_response_head(&self.pending, &LIMITS) {
            Ok(None) => false,
            Ok(Some(head)) => {
                let tag = head.header("x-tag").map(str::to_owned);
                self.response = Some((head.status, tag, head.keep_alive, BodyReader::new(head.body)));
                let len = head.len;
                self.pending.drain(..len);
                true
            }
            Err(error) => self.close(Seen::HeadRefused(error)),
        }
    }

    fn finish(&mut self) {
        if let Some((status, tag, keep_alive, _)) = self.response.take() {
            self.seen.push(Seen::Response { status, tag, body: std::mem::take(&mut self.body) });
            self.closed |= !keep_alive;
        }
    }

    fn end(&mut self) {
        let within = !self.pending.is_empty() || self.response.is_some();
        match &self.response {
            _ if self.closed => {}
            Some((.., reader)) if reader.may_end() => self.finish(),
            _ if within => self.seen.push(Seen::CutOff),
            _ => {}
        }
    }

    fn close(&mut self, last: Seen) -> bool {
        self.seen.push(last);
        self.closed = true;
        false
    }
}

/// What a client sees of `bytes` in pieces whose lengths follow `cuts`, over and over, and of their end.
fn seen(bytes: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let mut connection = Connection::default();
    pieces(bytes, cuts).for_each(|piece| connection.receive(piece));
    connection.end();
    connection.seen
}

/// A response and what is seen of it; `framing` 3 ends with the connection.
fn response(framing: u8) -> impl Strategy<Value = (Vec<u8>, Seen)> {
    let chunks = vec(vec(any::<u8>(), 1..40), 0..4);
    let tag = proptest::option::of("[!-~]([ -~é]{0,8}[!-~])?");
    (200..600_u16, tag, chunks, any::<bool>()).prop_map(move |(status, tag, chunks, interim)| {
        let mut bytes = if interim { b"HTTP/1.1 100 Continue\r\n\r\n".to_vec() } else { Vec::new() };
        bytes.extend(format!("HTTP/1.1 {status} So\r\n").bytes());
        if let Some(tag) = &tag {
            bytes.extend(format!("X-Tag: {tag}\r\n").bytes());
        }
        let bodiless = matches!(status, 204 | 304);
        let body = if bodiless { Vec::new() } else { chunks.concat() };
        match framing {
            _ if bodiless => bytes.extend(b"\r\n"),
            0 => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(&body);
            }
            1 => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            _ => {
                bytes.extend(b"\r\n");
                bytes.extend(&body);
            }
        }
        (bytes, Seen::Response { status, tag, body })
    })
}

fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 \r\n\r\n",
        b"HTTP/1.0 204\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"X: \xc3\xa9\r\n",
        b"3;a=b\r\nabc\r\n",
        b"0\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\xff",
    ];
    mixed(PIECES)
}

proptest! {
    #[test]
    fn responses_survive_any_cut(
        responses in vec((0..2_u8).prop_flat_map(response), 0..5),
        last in response(3),
        cuts in cuts(),
    ) {
        let (bytes, expected): (Vec<_>, Vec<_>) = responses.into_iter().chain([last]).unzip();
        let bytes = bytes.concat();
        prop_assert_eq!(&seen(&bytes, &[bytes.len()]), &expected);
        prop_assert_eq!(&seen(&bytes, &[1]), &expected);
        prop_assert_eq!(&seen(&bytes, &cuts), &expected);
    }

    #[test]
    fn refusals_survive_any_cut(bytes in almost_http(), cuts in cuts()) {
        let expected = seen(&bytes, &[usize::MAX]);
        prop_assert_eq!(&seen(&bytes, &[1]), &expected);
        prop_assert_eq!(&seen(&bytes, &cuts), &expected);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
        seen(&bytes, &[7]);
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        chunked.extend(&bytes);
        seen(&chunked, &[usize::MAX]);
    }
}
