//! The gateway's own cursor: where the lists of several upstreams go on.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::code;

/// The form of what is coded.
const FORM: u8 = 1;

/// Bytes that a cursor may have as text: a client carries it in its next request.
const LEN_MAX: usize = 16 * 1024;

/// Where a list that several upstreams have parts of goes on. To clients an opaque string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Of the set of upstreams that the places below are in.
    pub generation: u32,
    /// The upstreams that have more, in ascending order: place of each in the configuration, and its own
    /// cursor, which may be empty.
    pub upstreams: Vec<(u16, String)>,
}

/// A cursor that the gateway did not write. The client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl Invalid {
    /// The code that answers it (server/utilities/pagination, Error Handling).
    pub const fn code(self) -> i32 {
        code::INVALID_PARAMS
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cursor is none of this server's: begin without one, or send a nextCursor as it came")
    }
}

impl std::error::Error for Invalid {}

impl Cursor {
    /// As text: letters, digits, `-` and `_`. `None`: over 16 KiB, as upstreams' cursors are too long.
    pub fn encode(&self) -> Option<String> {
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        for (upstream, cursor) in &self.upstreams {
            bytes.extend_from_slice(&upstream.to_be_bytes());
            bytes.extend_from_slice(&u16::try_from(cursor.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(cursor.as_bytes());
        }
        Some(BASE64.encode(bytes)).filter(|text| text.len() <= LEN_MAX)
    }

    /// The reverse of [`Cursor::encode`].
    ///
    /// # Errors
    /// The text is not of that make.
    pub fn decode(text: &str) -> Result<Cursor, Invalid> {
        if text.len() > LEN_MAX {
            return Err(Invalid);
        }
        let bytes = BASE64.decode(text).map_err(|_| Invalid)?;
        let [FORM, rest @ ..] = bytes.as_slice() else { return Err(Invalid) };
        let (generation, mut rest) = rest.split_first_chunk().ok_or(Invalid)?;
        let mut upstreams: Vec<(u16, String)> = Vec::new();
        while !rest.is_empty() {
            let upstream = u16::from_be_bytes(take(&mut rest)?);
            let len = usize::from(u16::from_be_bytes(take(&mut rest)?));
            let (cursor, after) = rest.split_at_checked(len).ok_or(Invalid)?;
            rest = after;
            // Ascending, so that no client has one upstream asked many times.
            if upstreams.last().is_some_and(|(last, _)| *last >= upstream) {
                return Err(Invalid);
            }
            upstreams.push((upstream, String::from_utf8(cursor.to_vec()).map_err(|_| Invalid)?));
        }
        Ok(Cursor { generation: u32::from_be_bytes(*generation), upstreams })
    }
}

fn take(bytes: &mut &[u8]) -> Result<[u8; 2], Invalid> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Invalid)?;
    *bytes = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_encoded_cursor_decodes(
            generation: u32, upstreams in proptest::collection::btree_map(any::<u16>(), ".{0,20}", 0..6),
        ) {
            let cursor = Cursor { generation, upstreams: upstreams.into_iter().collect() };
            prop_assert_eq!(Cursor::decode(&cursor.encode().unwrap()), Ok(cursor));
        }

        #[test]
        fn no_text_harms(text in "[A-Za-z0-9_-]{0,60}", bytes: Vec<u8>) {
            for text in [text, BASE64.encode([&[FORM; 1], &*bytes].concat())] {
                if let Ok(cursor) = Cursor::decode(&text) {
                    prop_assert_eq!(cursor.encode(), Some(text));
                }
            }
        }
    }

    #[test]
    fn a_cut_cursor_is_refused_or_shorter() {
        let cursor = Cursor { generation: 7, upstreams: vec![(1, "abc".into()), (2, String::new())] };
        let bytes = BASE64.decode(cursor.encode().unwrap()).unwrap();
        let whole: Vec<_> =
            (0..bytes.len()).filter(|&len| Cursor::decode(&BASE64.encode(&bytes[..len])).is_ok()).collect();
        assert_eq!(whole, [5, 12]);
    }

    #[test]
    fn upstreams_come_once_and_in_order() {
        for upstreams in [vec![(1, "a".into()), (1, "b".into())], vec![(2, "a".into()), (1, "b".into())]] {
            assert_eq!(Cursor::decode(&Cursor { generation: 0, upstreams }.encode().unwrap()), Err(Invalid));
        }
    }

    #[test]
    fn size_is_bounded_both_ways() {
        let of = |len| Cursor { generation: 0, upstreams: vec![(0, "a".repeat(len))] }.encode();
        assert!(of(12_000).is_some());
        assert_eq!(of(13_000), None);
        assert_eq!(of(70_000), None);
        assert_eq!(Cursor::decode(&"A".repeat(LEN_MAX + 4)), Err(Invalid));
    }
}
