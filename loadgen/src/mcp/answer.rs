//! The answer to a `tools/call`: one JSON message, or an event stream that holds it.

use std::{borrow::Cow, rc::Rc};

use serde::{Deserialize, de::IgnoredAny};

use crate::{error::Error, http::Head, sse};

use super::Era;

/// What the tool must answer.
pub(super) struct Echo {
    pub(super) message: Rc<str>,
    pub(super) era: Era,
}

/// A response (JSON-RPC 2.0, 5), or a notification on its way.
#[derive(Deserialize)]
struct Message<'a> {
    id: Option<u32>,
    #[serde(borrow)]
    result: Option<CallResult<'a>>,
    error: Option<IgnoredAny>,
}

/// `CallToolResult` with one text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(borrow)]
    content: [Text<'a>; 1],
    #[serde(default)]
    is_error: bool,
    #[serde(borrow)]
    result_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Echo {
    /// Fails unless the body holds the result to request `id`, once.
    pub(super) fn check(&self, head: &Head, body: &[u8], id: u32) -> Result<(), Error> {
        let media_type = head.header("content-type").unwrap_or_default();
        if !media_type.starts_with("text/event-stream") {
            return match self.answers(body, id)? {
                true => Ok(()),
                false => Err(wrong(body, id)),
            };
        }
        let (mut rest, mut answers) = (body, 0);
        while let Some((event, len)) = sse::parse(rest) {
            rest = &rest[len..];
            // An event without text only gives the client an id to resume from.
            if let Some(event) = event.filter(|event| !event.data.is_empty()) {
                answers += u32::from(self.answers(event.data.as_bytes(), id)?);
            }
        }
        match answers {
            1 => Ok(()),
            _ => Err(wrong(body, id)),
        }
    }

    /// False for a notification; an error for any other message than the answer to `id`.
    fn answers(&self, text: &[u8], id: u32) -> Result<bool, Error> {
        let message: Message<'_> = serde_json::from_slice(text).map_err(|_| wrong(text, id))?;
        match message {
            Message { id: None, result: None, error: None } => Ok(false),
            Message { id: Some(answered), result: Some(result), error: None }
                if answered == id && self.is(&result) =>
            {
                Ok(true)
            }
            _ => Err(wrong(text, id)),
        }
    }

    /// Some servers put words before what they echo.
    fn is(&self, result: &CallResult<'_>) -> bool {
        let whole = self.era == Era::Legacy || result.result_type.as_deref() == Some("complete");
        whole && !result.is_error && result.content[0].text.ends_with(&*self.message)
    }
}

fn wrong(text: &[u8], id: u32) -> Error {
    Error::Check(format!("tools/call {id} was answered {}", String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str =
        r#"{"jsonrpc":"2.0","id":10000007,"result":{"content":[{"type":"text","text":"hello"}]}}"#;

    fn check(media_type: &str, body: &str, era: Era) -> bool {
        let echo = Echo { message: "hello".into(), era };
        let head = Head::of(&format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n\r\n"));
        echo.check(&head.unwrap(), body.as_bytes(), 10_000_007).is_ok()
    }

    #[test]
    fn answer_has_the_id_the_text_and_no_error() {
        let json = |body: &str| check("application/json", body, Era::Legacy);
        assert!(json(ANSWER));
        assert!(json(&ANSWER.replace(":", ": ").replace("hello", "Echo: hello")));
        assert!(!json(&ANSWER.replace("10000007", "10000008")));
        assert!(!json(&ANSWER.replace("hello", "hullo")));
        assert!(!json(&ANSWER.replace("\"content\"", "\"isError\":true,\"content\"")));
        assert!(!json(r#"{"jsonrpc":"2.0","id":10000007,"error":{"code":-32603,"message":"no"}}"#));
        assert!(!json(r#"{"jsonrpc":"2.0","method":"notifications/message"}"#));
        assert!(!json(""));
    }

    #[test]
    fn modern_result_says_that_it_is_complete() {
        assert!(!check("application/json", ANSWER, Era::Modern));
        let complete = ANSWER.replace("\"content\"", "\"resultType\":\"complete\",\"content\"");
        assert!(check("application/json", &complete, Era::Modern));
    }

    #[test]
    fn event_stream_holds_the_answer_once() {
        let stream = |events: &[&str]| {
            let body: String = events.iter().map(|data| format!("id: 1\r\ndata: {data}\r\n\r\n")).collect();
            check("text/event-stream", &body, Era::Legacy)
        };
        assert!(stream(&["", r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, ANSWER]));
        assert!(!stream(&[ANSWER, ANSWER]));
        assert!(!stream(&[""]));
    }
}
