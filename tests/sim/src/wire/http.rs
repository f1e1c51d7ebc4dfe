//! HTTP/1.1 responses (RFC 9112) as a client reads them.

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first value of the field `name`, which is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// How a body is framed.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Takes responses out of a server's bytes. After a `101` or an event stream the rest belongs to another
/// protocol; see [`Reader::rest`].
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    framing: Option<Framing>,
    /// The last chunk of a body has come.
    over: bool,
}

impl Reader {
    /// More input.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next head, once it is whole.
    pub fn head(&mut self) -> Result<Option<Head>, String> {
        let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = parse_head(&self.bytes[..end])?;
        self.bytes.drain(..end + 4);
        self.over = false;
        let length = head.field("content-length").map(str::parse).transpose();
        let length = length.map_err(|e| format!("content-length: {e}"))?;
        self.framing = Some(match (head.field("transfer-encoding"), length) {
            (Some("chunked"), None) => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length),
            (None, None) if matches!(head.status, 101 | 204 | 304) => Framing::Length(0),
            (None, None) => Framing::UntilClose,
            (coding, length) => return Err(format!("framed by {coding:?} and {length:?}")),
        });
        Ok(Some(head))
    }

    /// The whole body of the response whose head was taken; not for bodies that last until close.
    pub fn body(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.framing {
            Some(Framing::Length(length)) if self.bytes.len() >= length => {
                Ok(Some(self.bytes.drain(..length).collect()))
            }
            Some(Framing::Length(_)) => Ok(None),
            other => Err(format!("a body framed by {other:?} where a length was expected")),
        }
    }

    /// What of an endless body, or of the protocol that follows the head, has come.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        if !matches!(self.framing, Some(Framing::Chunked)) {
            return Ok(std::mem::take(&mut self.bytes));
        }
        let mut taken = Vec::new();
        while !self.over
            && let Some(line) = self.bytes.windows(2).position(|window| window == b"\r\n")
        {
            let size = std::str::from_utf8(&self.bytes[..line]).unwrap_or("not UTF-8");
            let size = usize::from_str_radix(size, 16).map_err(|e| format!("chunk size {size:?}: {e}"))?;
            if self.bytes.len() < line + 4 + size {
                break;
            }
            if &self.bytes[line + 2 + size..line + 4 + size] != b"\r\n" {
                return Err("chunk longer than its size".into());
            }
            taken.extend_from_slice(&self.bytes[line + 2..line + 2 + size]);
            self.bytes.drain(..line + 4 + size);
            self.over = size == 0;
        }
        Ok(taken)
    }

    /// Whether a chunked body has come to its end.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether all that came has been taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn parse_head(bytes: &[u8]) -> Result<Head, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("head: {e}"))?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| format!("status line {line:?}"))?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("field {line:?}"))?;
        Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Head { status, fields: lines.map(field).collect::<Result<_, String>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelined_responses_come_apart() {
        let mut reader = Reader::default();
        reader.push(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(reader.head().unwrap().unwrap().status, 202);
        assert_eq!(reader.body().unwrap().unwrap(), b"hi");
        assert_eq!(reader.head().unwrap().unwrap().status, 429);
        assert_eq!(reader.body().unwrap().unwrap(), b"");
        assert_eq!(reader.head(), Ok(None));
    }

    #[test]
    fn chunks_are_unwrapped() {
        let mut reader = Reader::default();
        reader.push(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nd");
        reader.head().unwrap().unwrap();
        assert_eq!(reader.rest().unwrap(), b"abc");
        reader.push(b"e\r\n0\r\n");
        assert_eq!((reader.rest().unwrap(), reader.is_over()), (b"de".to_vec(), false));
        reader.push(b"\r\nHTTP");
        assert_eq!((reader.rest().unwrap(), reader.is_over(), reader.is_empty()), (Vec::new(), true, false));
    }
}
