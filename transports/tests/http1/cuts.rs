//! However the bytes are cut, the same requests come out; and no bytes make the codec panic.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_transports::http1::{BodyError, BodyReader, HeadError, parse_head};

use crate::{LIMITS, cuts, mixed, pieces};

const BODY_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Request { path: String, tag: Option<String>, body: Vec<u8> },
    HeadRefused(HeadError),
    BodyRefused(BodyError),
}

/// A server's reading loop over one connection.
#[derive(Default)]
struct Connection {
    pending: Vec<u8>,
    request: Option<(String, Option<String>, BodyReader)>,
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
        let Some((path, tag, reader)) = &mut self.request else { return self.head() };
        match reader.read(&self.pending, &mut self.body, BODY_BYTES_MAX) {
            Ok(progress) => {
                assert!(progress.done || progress.consumed == self.pending.len());
                self.pending.drain(..progress.consumed);
                if progress.done {
                    let body = std::mem::take(&mut self.body);
                    self.seen.push(Seen::Request { path: path.clone(), tag: tag.clone(), body });
                    self.request = None;
                }
                progress.done
            }
            Err(error) => self.close(Seen::BodyRefused(error)),
        }
    }

    fn head(&mut self) -> bool {
        match parse_head(&self.pending, &LIMITS) {
            Ok(None) => false,
            Ok(Some(head)) => {
                let (path, tag) = (head.path.to_owned(), head.header("x-tag").map(str::to_owned));
                let (reader, len) = (BodyReader::new(head.body), head.len);
                if let Some(body) = reader.whole(&self.pending[len..], BODY_BYTES_MAX) {
                    let (body, end) = (body.to_vec(), len + body.len());
                    self.seen.push(Seen::Request { path, tag, body });
                    self.pending.drain(..end);
                } else {
                    self.request = Some((path, tag, reader));
                    self.pending.drain(..len);
                }
                true
            }
            Err(error) => self.close(Seen::HeadRefused(error)),
        }
    }

    fn close(&mut self, last: Seen) -> bool {
        self.seen.push(last);
        self.closed = true;
        false
    }
}

/// What a server sees of `bytes` in pieces whose lengths follow `cuts`, over and over.
fn seen(bytes: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let mut connection = Connection::default();
    pieces(bytes, cuts).for_each(|piece| connection.receive(piece));
    connection.seen
}

fn request() -> impl Strategy<Value = (Vec<u8>, Seen)> {
    let chunks = vec(vec(any::<u8>(), 1..40), 0..4);
    let tag = proptest::option::of("[!-~]([ -~é]{0,8}[!-~])?");
    ("/[a-z0-9/%.]{0,12}", tag, chunks, 0..4_u8).prop_map(|(path, tag, chunks, framing)| {
        let mut bytes = if framing & 2 == 0 { Vec::new() } else { b"\r\n".to_vec() };
        bytes.extend(format!("POST {path} HTTP/1.1\r\nHost: a\r\n").bytes());
        if let Some(tag) = &tag {
            bytes.extend(format!("X-Tag: {tag}\r\n").bytes());
        }
        let body = chunks.concat();
        if framing & 1 == 0 {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(&body);
        } else {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in &chunks {
                bytes.extend(format!("{:X};n=\"v\"\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\nSum: 1\r\n\r\n");
        }
        (bytes, Seen::Request { path, tag, body })
    })
}

/// Bytes that look like HTTP often enough to get past the first line.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X: \xc3\xa9\r\n",
        b"3;a=b\r\nabc\r\n",
        b"0\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\xff",
        b"ffffffffffffffff\r\n",
    ];
    mixed(PIECES)
}

proptest! {
    #[test]
    fn pipelined_requests_survive_any_cut(
        requests in vec(request(), 1..6),
        cuts in cuts(),
    ) {
        let (bytes, expected): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
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
        let mut chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        chunked.extend(&bytes);
        seen(&chunked, &[usize::MAX]);
    }
}
