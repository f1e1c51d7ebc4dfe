//! HTTP/1.1 requests (RFC 9112) as a server reads them.

/// A whole request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `POST`, `GET` and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
    /// As `Content-Length` says.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of the field `name`, which is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Takes requests out of a client's bytes.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// More input.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request, once it is whole, or what the client did wrong.
    pub fn read(&mut self) -> Result<Option<Request>, String> {
        let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&self.bytes[..end]).map_err(|e| format!("head: {e}"))?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("request line {line:?}"));
        };
        let field = |line: &str| {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("field {line:?}"))?;
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let mut request = Request { method: method.into(), target: target.into(), ..Request::default() };
        request.fields = lines.map(field).collect::<Result<_, String>>()?;
        if request.field("host").is_none() || request.field("transfer-encoding").is_some() {
            return Err(format!("no host, or a coding: {request:?}"));
        }
        let length = request.field("content-length").map_or(Ok(0), str::parse::<usize>);
        let length = length.map_err(|e| format!("content-length: {e}"))?;
        if self.bytes.len() < end + 4 + length {
            return Ok(None);
        }
        request.body = self.bytes[end + 4..end + 4 + length].to_vec();
        self.bytes.drain(..end + 4 + length);
        Ok(Some(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_apart() {
        let mut reader = Reader::default();
        reader.push(
            b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHOST: a\r\n\r",
        );
        let post = reader.read().unwrap().unwrap();
        assert_eq!(
            (post.method.as_str(), &post.body[..], post.field("host")),
            ("POST", &b"hi"[..], Some("a"))
        );
        assert_eq!(reader.read(), Ok(None));
        reader.push(b"\n");
        assert_eq!(reader.read().unwrap().unwrap().method, "GET");
    }

    #[test]
    fn what_is_no_request_is_named() {
        for wrong in
            ["GET /\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"]
        {
            let mut reader = Reader::default();
            reader.push(wrong.as_bytes());
            assert!(reader.read().is_err(), "{wrong:?}");
        }
    }
}
