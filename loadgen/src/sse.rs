//! An event stream as a browser's EventSource reads it (WHATWG HTML, 9.2).

use crate::{
    error::Error,
    http,
    net::{Inbox, Outbox, Target},
};

/// One dispatched event.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    /// `event:`, `message` when absent.
    pub(crate) name: String,
    /// `data:` lines, joined by newlines.
    pub(crate) data: String,
}

/// An open event stream.
pub(crate) struct Stream {
    inbox: Inbox,
    /// Held so that the connection stays whole.
    _outbox: Outbox,
    chunked: bool,
    text: Vec<u8>,
}

impl Stream {
    /// Opens `/mcp/sse` as `client_id` and waits for the event `connected`.
    pub(crate) async fn open(target: &Target, user: u32, client_id: &str) -> Result<Self, Error> {
        let (mut inbox, mut outbox) = target.connect(user)?;
        let path = format!("/mcp/sse?client_id={client_id}");
        http::queue_get(&mut outbox, &target.host, &path, "Accept: text/event-stream\r\n");
        outbox.flush().await?;
        let head = http::read_head(&mut inbox).await?;
        http::expect("event stream", 200, &head, &mut inbox).await?;
        let chunked = head.chunked();
        let mut stream = Self { inbox, _outbox: outbox, chunked, text: Vec::new() };
        let first = stream.event().await?;
        match first.name.as_str() {
            "connected" => Ok(stream),
            _ => Err(Error::Check(format!("the stream began with {first:?}"))),
        }
    }

    /// Waits for the next event.
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some((event, len)) = parse(&self.text) {
                self.text.drain(..len);
                match event {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            while !self.decode()? {
                self.inbox.fill().await?;
            }
        }
    }

    /// Moves what has arrived from the connection to the text; false when nothing whole was there.
    fn decode(&mut self) -> Result<bool, Error> {
        if !self.chunked {
            let len = self.inbox.bytes().len();
            self.text.extend_from_slice(self.inbox.take(len));
            return Ok(len > 0);
        }
        let mut any = false;
        while let Some((head_len, len)) = http::chunk(self.inbox.bytes())? {
            if len == 0 {
                return Err(Error::Ended { doing: "event stream" });
            }
            self.inbox.consume(head_len);
            self.text.extend_from_slice(self.inbox.take(len));
            self.inbox.consume(2);
            any = true;
        }
        Ok(any)
    }
}

/// The first block of lines up to an empty one, and its length. Blocks without data are no event.
pub(crate) fn parse(text: &[u8]) -> Option<(Option<Event>, usize)> {
    let (end, len) = block(text)?;
    let block = String::from_utf8_lossy(&text[..end]);
    let mut name = "message".to_owned();
    let mut data: Vec<&str> = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data.push(value),
            _ => {}
        }
    }
    let event = (!data.is_empty()).then(|| Event { name, data: data.join("\n") });
    Some((event, len))
}

/// The length of the first block of lines, without and with the empty line. Lines end by LF or by CRLF.
fn block(text: &[u8]) -> Option<(usize, usize)> {
    memchr::memchr_iter(b'\n', text).find_map(|end| match &text[end + 1..] {
        [b'\n', ..] => Some((end + 1, end + 2)),
        [b'\r', b'\n', ..] => Some((end + 1, end + 3)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_comments_and_retry_lines_are_told_apart() {
        let (event, len) = parse(b"retry: 1000\n\nevent: connected\nid: e-1\ndata: {}\n\nrest").unwrap();
        assert_eq!((event, len), (None, 13));
        let (event, len) = parse(b"event: connected\nid: e-1\ndata: a\ndata:b\n\nrest").unwrap();
        assert_eq!(event, Some(Event { name: "connected".to_owned(), data: "a\nb".to_owned() }));
        assert_eq!(len, 41);
        assert_eq!(parse(b"data: half"), None);
        let (event, len) = parse(b"data: a\r\n\r\nrest").unwrap();
        assert_eq!(event, Some(Event { name: "message".to_owned(), data: "a".to_owned() }));
        assert_eq!(len, 11);
    }
}
