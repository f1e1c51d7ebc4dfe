//! As much of an HTTP/1.1 client as the runs need: an upgrade, keep-alive posts, an event stream.

use std::io::Write as _;

use crate::{
    error::Error,
    net::{Inbox, Outbox, Target},
};

/// The longest head a server may answer with, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The status and headers of a response.
pub(crate) struct Head {
    /// Status code.
    pub(crate) status: u16,
    text: String,
}

impl Head {
    /// Reads a whole head, with the empty line.
    pub(crate) fn of(text: &str) -> Result<Self, Error> {
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| Error::Protocol(format!("no HTTP status in {text:?}")))?;
        Ok(Self { status, text: text.to_owned() })
    }

    /// The value of header `name`, trimmed.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// How many bytes it took.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether the body comes in chunks (RFC 9112, 7.1).
    pub(crate) fn chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// The body's length; 0 when nothing says so.
    fn body_len(&self) -> Result<usize, Error> {
        match self.header("content-length") {
            None => Ok(0),
            Some(value) => {
                value.parse().map_err(|_| Error::Protocol(format!("Content-Length {value:?} is no number")))
            }
        }
    }
}

/// Reads the head of the next response; its body stays in `inbox`.
pub(crate) async fn read_head(inbox: &mut Inbox) -> Result<Head, Error> {
    loop {
        if let Some(at) = memchr::memmem::find(inbox.bytes(), b"\r\n\r\n") {
            return Head::of(&String::from_utf8_lossy(inbox.take(at + 4)));
        }
        if inbox.bytes().len() > HEAD_BYTES_MAX {
            return Err(Error::Protocol("a response head without an end".to_owned()));
        }
        inbox.fill().await?;
    }
}

/// Reads the body that `head` announces, whole.
pub(crate) async fn read_body(inbox: &mut Inbox, head: &Head) -> Result<Vec<u8>, Error> {
    if head.chunked() {
        return read_chunks(inbox).await;
    }
    let len = head.body_len()?;
    while inbox.bytes().len() < len {
        inbox.fill().await?;
    }
    Ok(inbox.take(len).to_vec())
}

async fn read_chunks(inbox: &mut Inbox) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        match chunk(inbox.bytes())? {
            None => inbox.fill().await?,
            Some((head_len, len)) => {
                inbox.consume(head_len);
                body.extend_from_slice(inbox.take(len));
                inbox.consume(2);
                if len == 0 {
                    return Ok(body);
                }
            }
        }
    }
}

/// The lengths of the first chunk's head and data (RFC 9112, 7.1), two bytes follow; `None` until it is whole.
/// The last chunk has no data. Extensions and trailers are not read.
pub(crate) fn chunk(bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else { return Ok(None) };
    let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
    match size {
        None => Err(Error::Protocol("a chunk without a size".to_owned())),
        Some(len) => Ok((bytes.len() >= end + 2 + len + 2).then_some((end + 2, len))),
    }
}

/// Fails unless `head` has the status `wanted`; quotes the body.
pub(crate) async fn expect(
    doing: &'static str,
    wanted: u16,
    head: &Head,
    inbox: &mut Inbox,
) -> Result<(), Error> {
    if head.status == wanted {
        return Ok(());
    }
    let body = read_body(inbox, head).await?;
    expect_status(doing, wanted, head, &body)
}

/// Fails unless `head` has the status `wanted`; quotes `body`, which has been read.
pub(crate) fn expect_status(doing: &'static str, wanted: u16, head: &Head, body: &[u8]) -> Result<(), Error> {
    if head.status == wanted {
        return Ok(());
    }
    Err(Error::Status { doing, wanted, got: head.status, body: String::from_utf8_lossy(body).into_owned() })
}

/// A keep-alive connection that posts.
pub(crate) struct Poster {
    inbox: Inbox,
    outbox: Outbox,
    host: String,
}

impl Poster {
    /// Connects from the source address of user number `user`.
    pub(crate) fn connect(target: &Target, user: u32) -> Result<Self, Error> {
        let (inbox, outbox) = target.connect(user)?;
        Ok(Self { inbox, outbox, host: target.host.clone() })
    }

    /// Queues one post; several queued ones are pipelined.
    pub(crate) fn queue(&mut self, path: &str, content_type: &str, body: &[u8]) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.outbox.queue().extend_from_slice(head.as_bytes());
        self.outbox.queue().extend_from_slice(body);
    }

    /// Sends what is queued and reads `count` responses, each of which must be 2xx.
    pub(crate) async fn send(&mut self, count: u32) -> Result<(), Error> {
        self.outbox.flush().await?;
        for _ in 0..count {
            self.answer().await?;
        }
        Ok(())
    }

    /// Sends what is queued, which is one post, and reads the body of its response, which must be 2xx.
    pub(crate) async fn ask(&mut self) -> Result<Vec<u8>, Error> {
        self.outbox.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Vec<u8>, Error> {
        let head = read_head(&mut self.inbox).await?;
        let body = read_body(&mut self.inbox, &head).await?;
        match head.status {
            200..300 => Ok(body),
            got => {
                let body = String::from_utf8_lossy(&body).into_owned();
                Err(Error::Status { doing: "post", wanted: 202, got, body })
            }
        }
    }
}

/// Queues a GET of `path` with more header lines, each ended by CRLF.
pub(crate) fn queue_get(out: &mut Outbox, host: &str, path: &str, headers: &str) {
    // Writing to a Vec cannot fail.
    let _ = write!(out.queue(), "GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_is_taken_only_when_whole() {
        assert_eq!(chunk(b"5\r\nhello\r\n").unwrap(), Some((3, 5)));
        assert_eq!(chunk(b"5\r\nhello\r").unwrap(), None);
        assert_eq!(chunk(b"0\r\n\r\n").unwrap(), Some((3, 0)));
        assert!(chunk(b"zz\r\n").is_err());
    }
}
