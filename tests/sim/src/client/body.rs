//! Names and message bodies.

use crate::history::{Body, History, Stream, Uid};
use crate::place::Lane;
use crate::rng::Rng;
use crate::text::Text;

/// Name of the client of that number; some need escapes in a URL.
pub fn client_name(number: usize) -> String {
    if number % 4 == 3 { format!("c{number} é/ü") } else { format!("c{number}") }
}

/// Name of the topic of that number.
pub fn topic_name(number: usize) -> String {
    if number.is_multiple_of(2) { format!("topic:t{number}") } else { format!("room:{number}") }
}

/// A stream's topic as Phoenix names it.
pub fn channel_name(stream: Stream) -> String {
    match stream {
        Stream::Own(_) => "mcp:gateway".into(),
        Stream::Topic(number) => topic_name(number),
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
pub fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A new message with its uid inside, in one of the ways JSON can be written.
pub fn attempt(
    history: &mut History,
    rng: &mut Rng,
    padding: u64,
    (stream, lane, ttl_ms): (Stream, Lane, u64),
) -> Uid {
    let kind = rng.pick(&["chat", "note", "a \"b\"", "é"]).to_owned();
    let data = Text(json(history.bodies.len(), rng, padding).into_bytes().into());
    history.attempt(Body {
        stream,
        kind,
        data,
        binary: false,
        pusher: None,
        lane,
        ttl_ms,
        keyed: false,
        foisted: false,
    })
}

/// A new event that a client pushes on connection `pusher`: JSON, or bytes that are no UTF-8.
pub fn attempt_push(history: &mut History, rng: &mut Rng, padding: u64, push: (Stream, usize, bool)) -> Uid {
    let (stream, pusher, binary) = push;
    let uid = history.bodies.len();
    let data = if binary {
        [&[0, 0xff, rng.draw() as u8][..], format!("\"u\":{uid};").as_bytes()].concat()
    } else {
        json(uid, rng, padding).into_bytes()
    };
    let data = Text(data.into());
    let (kind, pusher, lane) = ("shout".into(), Some(pusher), Lane::Normal);
    history.attempt(Body {
        stream,
        kind,
        data,
        binary,
        pusher,
        lane,
        ttl_ms: 0,
        keyed: false,
        foisted: false,
    })
}

fn json(uid: Uid, rng: &mut Rng, padding: u64) -> String {
    let pad = "x".repeat(rng.below(padding + 1) as usize);
    match rng.below(4) {
        0 => format!(r#"{{"u":{uid}}}"#),
        1 => format!(r#"{{ "u":{uid} , "é\u00e9\n":[1.50,-0,1e3,null] }}"#),
        _ => format!(r#"{{"u":{uid},"pad":"{pad}"}}"#),
    }
}
