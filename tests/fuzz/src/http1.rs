//! The two ends of a connection that read HTTP/1.1.

use weir_transports::http1::{BodyProgress, BodyReader, Limits, parse_head, parse_response_head};

const LIMITS: Limits = Limits { head_bytes_max: 1024, line_bytes_max: 256 };
const BODY_BYTES_MAX: usize = 512;

/// A head that was read: what it says, where its body begins and how that is read, and whether another message
/// may follow it.
type Head = (String, usize, BodyReader, bool);

/// A connection that is read.
#[derive(Default)]
struct Wire {
    pending: Vec<u8>,
    /// Reads the body under way, and whether another message may follow.
    reader: Option<(BodyReader, bool)>,
    body: Vec<u8>,
    seen: Vec<String>,
    over: bool,
}

/// What a server makes of bytes that come in pieces.
pub fn requests(pieces: &[&[u8]]) -> Vec<String> {
    read(pieces, |bytes| {
        let head = parse_head(bytes, &LIMITS).map_err(|error| format!("{error:?}"))?;
        Ok(head.map(|head| {
            let headers: Vec<_> = head.all_headers().collect();
            let flags = (head.version, head.keep_alive, head.expect_continue, head.upgrade_websocket);
            let said = format!("{:?} {} {:?} {flags:?} {headers:?}", head.method, head.path, head.query);
            (said, head.len, BodyReader::new(head.body), head.keep_alive)
        }))
    })
}

/// What a client that asks on makes of bytes that come in pieces.
pub fn responses(pieces: &[&[u8]]) -> Vec<String> {
    read(pieces, |bytes| {
        let head = parse_response_head(bytes, &LIMITS).map_err(|error| format!("{error:?}"))?;
        Ok(head.map(|head| {
            let said = format!("{} {:?} {:?}", head.status, head.keep_alive, head.header("content-type"));
            (said, head.len, BodyReader::new(head.body), head.keep_alive)
        }))
    })
}

fn read(pieces: &[&[u8]], head: impl Fn(&[u8]) -> Result<Option<Head>, String>) -> Vec<String> {
    let mut wire = Wire::default();
    for piece in pieces {
        wire.pending.extend_from_slice(piece);
        while !wire.over && wire.step(&head) {}
    }
    if let Some((reader, _)) = wire.reader {
        wire.seen.push(format!("cut off, which it may be: {}; {:?}", reader.may_end(), wire.body));
    }
    wire.seen
}

impl Wire {
    /// Whether there may be more to do with the pending bytes.
    fn step(&mut self, head: &impl Fn(&[u8]) -> Result<Option<Head>, String>) -> bool {
        if let Some((reader, keep_alive)) = &mut self.reader {
            return match reader.read(&self.pending, &mut self.body, BODY_BYTES_MAX) {
                Ok(BodyProgress { consumed, done }) => {
                    assert!(done || consumed == self.pending.len());
                    let keep_alive = *keep_alive;
                    self.pending.drain(..consumed);
                    if done {
                        let body = std::mem::take(&mut self.body);
                        self.end_message(&body, keep_alive);
                    }
                    done
                }
                Err(error) => self.refuse(format!("{error:?}")),
            };
        }
        match head(&self.pending) {
            Ok(None) => false,
            Ok(Some((said, len, reader, keep_alive))) => {
                self.seen.push(said);
                self.pending.drain(..len);
                match reader.whole(&self.pending, BODY_BYTES_MAX).map(<[u8]>::to_vec) {
                    Some(body) => {
                        self.pending.drain(..body.len());
                        self.end_message(&body, keep_alive);
                    }
                    None => self.reader = Some((reader, keep_alive)),
                }
                true
            }
            Err(error) => self.refuse(error),
        }
    }

    fn end_message(&mut self, body: &[u8], keep_alive: bool) {
        self.seen.push(format!("body {body:?}"));
        self.reader = None;
        self.over = !keep_alive;
    }

    fn refuse(&mut self, error: String) -> bool {
        self.seen.push(error);
        (self.over, self.reader) = (true, None);
        false
    }
}
