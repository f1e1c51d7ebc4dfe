//! Server-sent events (WHATWG HTML section 9.2) as a client reads them.

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `event:`; `message` when absent.
    pub name: String,
    /// `id:` of this event, if it has one.
    pub id: Option<String>,
    /// `data:` lines, joined by LF.
    pub data: Vec<u8>,
}

/// Takes events out of an event stream with LF line ends.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// More input.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event; blocks of comments, `retry:` or an `id:` alone are none.
    pub fn read(&mut self) -> Result<Option<Event>, String> {
        while let Some(end) = self.bytes.windows(2).position(|window| window == b"\n\n") {
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            if let Some(event) = parse(&block[..end])? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

fn parse(block: &[u8]) -> Result<Option<Event>, String> {
    let text = std::str::from_utf8(block).map_err(|e| format!("event stream: {e}"))?;
    let mut event = Event::default();
    let mut data: Option<String> = None;
    for line in text.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.name = value.to_owned(),
            "id" => event.id = Some(value.to_owned()),
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "" | "retry" => {}
            other => return Err(format!("event stream field {other:?}")),
        }
    }
    let Some(data) = data else { return Ok(None) };
    event.data = data.into_bytes();
    if event.name.is_empty() {
        event.name.push_str("message");
    }
    Ok(Some(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_nothing_else() {
        let mut reader = Reader::default();
        reader.push(b"retry: 1000\n\n: hello\n\nevent: gap\ndata: 1\ndata: 2\n\nid: E-1\ndata:x\n\nid: par");
        let gap = Event { name: "gap".into(), id: None, data: b"1\n2".to_vec() };
        let message = Event { name: "message".into(), id: Some("E-1".into()), data: b"x".to_vec() };
        assert_eq!(reader.read(), Ok(Some(gap)));
        assert_eq!(reader.read(), Ok(Some(message)));
        assert_eq!(reader.read(), Ok(None));
    }
}
