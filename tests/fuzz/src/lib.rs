//! What the fuzz targets share: bytes cut into pieces, and the reading loops around the decoders that read
//! pieces. What a loop saw is told as text, so that two readings of the same bytes can be compared.

pub mod http1;
pub mod sse;
pub mod token;
pub mod websocket;

/// The bytes behind the first four, whole and in pieces; the four say how long the pieces are, over and over.
pub fn cut(data: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let (lengths, bytes) = data.split_first_chunk::<4>()?;
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(usize::from(*length).clamp(1, rest.len()));
        pieces.push(piece);
        rest = after;
    }
    Some((bytes, pieces))
}

/// The lines of a text: as many as asked for, the last one with all the rest; empty where there is none.
pub fn lines<const N: usize>(data: &[u8]) -> Option<[&str; N]> {
    let mut lines = str::from_utf8(data).ok()?.splitn(N, '\n');
    Some(std::array::from_fn(|_| lines.next().unwrap_or_default()))
}

/// A text that an encoder writes.
pub fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("encoders of text write text")
}

/// Whether a text is one JSON value, in the judgement of another parser.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}
