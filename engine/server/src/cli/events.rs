//! Event streams of a gateway, event by event.

use std::io::Read;

use ureq::http::Response;
use ureq::{Body, BodyReader};
use weir_transports::sse::{Decoder, Limits};

/// Most bytes of a line, and of an event.
const BYTES_MAX: usize = 64 << 20;

/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// What to resume behind it with; empty if there is nothing to resume.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) data: String,
}

/// The body of a `text/event-stream` answer.
pub(super) struct Events {
    body: BodyReader<'static>,
    decoder: Decoder,
    bytes: Box<[u8]>,
}

impl Events {
    pub(super) fn of(answer: Response<Body>) -> Events {
        let limits = Limits { line_bytes_max: BYTES_MAX, event_bytes_max: BYTES_MAX };
        let body = answer.into_body().into_reader();
        Events { body, decoder: Decoder::new(limits), bytes: vec![0; READ_BYTES].into() }
    }

    /// The next event, as soon as it is there. None: the stream is over, or broken.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next().ok()? {
                let (id, name, data) = (event.id.to_owned(), event.name.to_owned(), event.data.to_owned());
                return Some(Event { id, name, data });
            }
            match self.body.read(&mut self.bytes) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&self.bytes[..count]),
            }
        }
    }

    /// What to resume the stream with; empty if that is not possible.
    pub(super) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// Milliseconds after which to come back, if the gateway has said so.
    pub(super) fn retry(&self) -> Option<u64> {
        self.decoder.retry()
    }
}
