//! The least HTTP server that MCP clients and gateways can talk to: the ceiling for a server of tools, and the
//! upstream of gateways. It looks for what it needs in the bytes and checks nothing.

use std::io::Write as _;

use memchr::memmem;

/// One tool, as `tools/list` has it.
const TOOLS: &str = r#"[{"name":"echo","description":"Answers with the message","inputSchema":{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}}]"#;
/// What a list's result says of its age (2026-07-28, caching).
const PUBLIC: &str = r#""ttlMs":3600000,"cacheScope":"public""#;

/// A request that is there to its end.
struct Request<'a> {
    /// Up to the first space.
    verb: &'a [u8],
    body: &'a [u8],
    /// Bytes of head and body.
    len: usize,
}

impl<'a> Request<'a> {
    /// The first one in `input`; `None` until it is whole.
    fn first(input: &'a [u8]) -> Option<Request<'a>> {
        let head_len = memmem::find(input, b"\r\n\r\n")? + 4;
        let head = &input[..head_len];
        let len = head_len + content_length(head);
        let verb = &head[..memchr::memchr(b' ', head)?];
        Some(Request { verb, body: input.get(head_len..len)?, len })
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let lines = memchr::memchr_iter(b'\n', head).map(|end| &head[end + 1..]);
    let value = lines
        .filter(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .map(|line| line[NAME.len()..].trim_ascii_start())
        .next()
        .unwrap_or_default();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Answers requests.
pub(crate) struct Responder {
    /// Bytes of an answer to `tools/call`, if it does not need more.
    answer_bytes: usize,
    /// As servers before 2026-07-28: there is no `server/discover`.
    legacy: bool,
    /// Given out so far.
    sessions: u64,
    body: Vec<u8>,
}

impl Responder {
    pub(crate) fn new(answer_bytes: usize, legacy: bool) -> Responder {
        Responder { answer_bytes, legacy, sessions: 0, body: Vec::new() }
    }

    /// Answers the whole requests that `input` begins with; returns how many of its bytes they are.
    pub(crate) fn answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some(request) = Request::first(&input[at..]) {
            at += request.len;
            match request.verb {
                b"POST" => self.post(request.body, out),
                b"DELETE" => respond(out, "200 OK", "", 0, b""),
                _ => respond(out, "405 Method Not Allowed", "Allow: POST, DELETE\r\n", 0, b""),
            }
        }
        at
    }

    fn post(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let Some(id) = value_of(message, br#""id":"#) else {
            return respond(out, "202 Accepted", "", 0, b"");
        };
        self.body.clear();
        self.body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        self.body.extend_from_slice(id);
        match value_of(message, br#""method":"#).unwrap_or_default() {
            br#""tools/call""# => {
                let text = value_of(message, br#""message":"#).unwrap_or(br#""""#);
                self.body.extend_from_slice(br#","result":{"content":[{"type":"text","text":"#);
                self.body.extend_from_slice(text);
                self.body.extend_from_slice(br#"}],"resultType":"complete"}}"#);
                respond(out, "200 OK", "", self.answer_bytes, &self.body);
            }
            br#""initialize""# => self.initialize(message, out),
            br#""server/discover""# if !self.legacy => self.result(
                out,
                "",
                &format!(r#""supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}},{PUBLIC}"#),
            ),
            br#""tools/list""# => self.result(out, "", &format!(r#""tools":{TOOLS},{PUBLIC}"#)),
            br#""ping""# => self.result(out, "", r#""_meta":{}"#),
            _ => self.refuse(out),
        }
    }

    /// Gives out a session, whatever the client speaks.
    fn initialize(&mut self, message: &[u8], out: &mut Vec<u8>) {
        self.sessions += 1;
        let version = value_of(message, br#""protocolVersion":"#).unwrap_or(br#""2025-11-25""#);
        let version = String::from_utf8_lossy(version);
        let result = format!(
            r#""protocolVersion":{version},"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"bare","version":"0"}}"#
        );
        self.result(out, &format!("Mcp-Session-Id: bare-{}\r\n", self.sessions), &result);
    }

    /// Ends the body that has its id with the result of these members.
    fn result(&mut self, out: &mut Vec<u8>, headers: &str, members: &str) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.body, r#","result":{{{members},"resultType":"complete"}}}}"#);
        respond(out, "200 OK", headers, 0, &self.body);
    }

    fn refuse(&mut self, out: &mut Vec<u8>) {
        let error = br#","error":{"code":-32601,"message":"Method not found"}}"#;
        self.body.extend_from_slice(error);
        respond(out, if self.legacy { "200 OK" } else { "404 Not Found" }, "", 0, &self.body);
    }
}

/// Writes a response of `bytes` bytes, or of as many more as it takes. What is missing are spaces in the head.
fn respond(out: &mut Vec<u8>, status: &str, headers: &str, bytes: usize, body: &[u8]) {
    let start = out.len();
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Content-Type: ", body.len());
    const REST: &[u8] = b"application/json\r\n\r\n";
    let spaces = bytes.saturating_sub(out.len() - start + REST.len() + body.len());
    out.resize(out.len() + spaces, b' ');
    out.extend_from_slice(REST);
    out.extend_from_slice(body);
}

/// The first value of `key` (`"key":`) in compact JSON that is a number or a text without quotes.
fn value_of<'a>(json: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = &json[memmem::find(json, key)? + key.len()..];
    let len = match rest {
        [b'"', text @ ..] => memchr::memchr(b'"', text)? + 2,
        _ => memchr::memchr2(b',', b'}', rest)?,
    };
    Some(&rest[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: &str) -> String {
        format!("POST /mcp HTTP/1.1\r\nHost: bare\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn answer(responder: &mut Responder, input: &str) -> String {
        let mut out = Vec::new();
        assert_eq!(responder.answer(input.as_bytes(), &mut out), input.len());
        String::from_utf8(out).unwrap()
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":10000007,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hello"}}}"#;

    #[test]
    fn call_is_answered_with_its_id_and_text_in_so_many_bytes() {
        let wanted = r#"{"jsonrpc":"2.0","id":10000007,"result":{"content":[{"type":"text","text":"hello"}],"resultType":"complete"}}"#;
        for bytes in [0, 300] {
            let answer = answer(&mut Responder::new(bytes, false), &post(CALL));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert_eq!(body, wanted);
            assert!(bytes == 0 || answer.len() == bytes);
        }
    }

    #[test]
    fn only_whole_requests_are_answered() {
        let two = post(CALL).repeat(2);
        let mut out = Vec::new();
        let mut responder = Responder::new(0, false);
        assert_eq!(responder.answer(&two.as_bytes()[..two.len() - 1], &mut out), two.len() / 2);
        assert_eq!(responder.answer(b"POST /mcp HTTP/1.1\r\n", &mut out), 0);
        assert_eq!(String::from_utf8(out).unwrap().matches("HTTP/1.1 200").count(), 1);
    }

    #[test]
    fn both_eras_find_what_they_begin_with() {
        let discover = post(r#"{"jsonrpc":"2.0","id":"a","method":"server/discover"}"#);
        let mut both = Responder::new(0, false);
        assert!(answer(&mut both, &discover).contains(r#""supportedVersions":["2026-07-28"]"#));
        let mut legacy = Responder::new(0, true);
        assert!(answer(&mut legacy, &discover).contains(r#""id":"a","error":{"code":-32601"#));
        let initialize =
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
        let initialized = answer(&mut legacy, &post(initialize));
        assert!(initialized.contains("Mcp-Session-Id: bare-1\r\n"), "{initialized}");
        assert!(initialized.contains(r#""protocolVersion":"2025-06-18""#), "{initialized}");
    }

    #[test]
    fn what_is_no_call_has_its_status() {
        let mut responder = Responder::new(0, false);
        let notification = post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert!(answer(&mut responder, &notification).starts_with("HTTP/1.1 202"));
        assert!(answer(&mut responder, "GET /mcp HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
        assert!(answer(&mut responder, "DELETE /mcp HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    }
}
