//! Messages that end in a line feed: what servers write to a pipe.

use memchr::memchr;

/// Cuts what arrives into lines. A line that is whole in what arrived is lent from there.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line.
    partial: Vec<u8>,
    /// The line is too long: the rest of it is passed over.
    skipping: bool,
}

/// A line, or why it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Without its end.
    Whole(&'a [u8]),
    /// It was longer than it may be.
    TooLong,
}

impl Lines {
    /// Gives each line that ends in `bytes` to `take`, until that returns false.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        bytes_max: usize,
        mut take: impl FnMut(Line<'_>) -> bool,
    ) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) =
                (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
            bytes = rest;
            let goes_on = if std::mem::take(&mut self.skipping) || self.partial.len() + line.len() > bytes_max
            {
                self.partial.clear();
                take(Line::TooLong)
            } else if self.partial.is_empty() {
                take(Line::Whole(trim(line)))
            } else {
                self.partial.extend_from_slice(line);
                let whole = std::mem::take(&mut self.partial);
                take(Line::Whole(trim(&whole)))
            };
            if !goes_on {
                return;
            }
        }
        if self.partial.len() + bytes.len() > bytes_max {
            self.partial = Vec::new();
            self.skipping = true;
        } else if !self.skipping {
            self.partial.extend_from_slice(bytes);
        }
    }

    /// The last line, where the end of input stands for its end.
    pub(super) fn rest(self) -> Vec<u8> {
        self.partial
    }
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]], bytes_max: usize) -> Vec<Option<Vec<u8>>> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, bytes_max, |line| {
                seen.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
                true
            });
        }
        seen
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[a-c\n\r]{0,60}", cut in any::<prop::sample::Index>(), max in 1_usize..8) {
            let bytes = text.as_bytes();
            let at = cut.index(bytes.len() + 1);
            let (front, back) = bytes.split_at(at);
            prop_assert_eq!(lines(&[front, back], max), lines(&[bytes], max));
        }
    }

    #[test]
    fn a_long_line_is_passed_over_and_the_next_is_read() {
        let seen = lines(&[b"12345", b"678", b"9\nok\r\n"], 6);
        assert_eq!(seen, [None, Some(b"ok".to_vec())]);
    }
}
