//! A client of an event stream.

use weir_transports::sse::{Decoder, Limits};

/// What comes of bytes in pieces: each event, the error that ends them, and what the client would resume with.
pub fn events(pieces: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::new(Limits { line_bytes_max: 200, event_bytes_max: 400 });
    let mut seen = Vec::new();
    'pieces: for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(event)) => seen.push(format!("{event:?}")),
                Ok(None) => break,
                Err(error) => {
                    seen.push(format!("{error:?}"));
                    break 'pieces;
                }
            }
        }
    }
    seen.push(format!("{:?} {:?}", decoder.last_event_id(), decoder.retry()));
    seen
}
