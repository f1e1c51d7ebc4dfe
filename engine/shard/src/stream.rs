//! How a place in a stream is named: the epoch tells one life of the stream from another, the sequence
//! counts its messages.

use crate::lane::Lane;

/// A message's number in its stream and epoch, contiguous from 1. 0: before the first.
pub type Sequence = u64;

/// RFC 4648, section 6, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters of an epoch.
const LETTERS: usize = 8;

/// One life of a stream: 40 random bits. Whenever a stream loses what it has already numbered, it gets
/// another epoch, so that an old number cannot name a new message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of a cursor that nobody issued. No stream has it.
    pub const UNKNOWN: Epoch = Epoch(u64::MAX);

    /// The epoch of 40 bits of `random`.
    pub const fn from_random(random: u64) -> Epoch {
        Epoch(random & ((1 << 40) - 1))
    }

    /// Its 40 bits, as the log keeps them.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The epoch of these bits, if they are no more than 40.
    pub fn from_bits(bits: u64) -> Option<Epoch> {
        let epoch = Epoch::from_random(bits);
        (epoch.0 == bits).then_some(epoch)
    }

    /// Its written form: 8 letters of base32 in lower case.
    pub fn letters(self) -> [u8; LETTERS] {
        std::array::from_fn(|i| BASE32[(self.0 >> (35 - 5 * i) & 31) as usize])
    }

    /// Reads the written form, and no other.
    pub fn parse(text: &[u8]) -> Option<Epoch> {
        let letters: &[u8; LETTERS] = text.try_into().ok()?;
        let mut bits = 0;
        for &letter in letters {
            let digit = match letter {
                b'a'..=b'z' => letter - b'a',
                b'2'..=b'7' => letter - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(digit);
        }
        Some(Epoch(bits))
    }
}

/// A place in a stream: after the message `sequence`, before the next. What a client hands back to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream's life.
    pub epoch: Epoch,
    /// The last message seen; 0: none.
    pub sequence: Sequence,
}

impl Position {
    /// The position that a client names in two parts; `None` if the epoch is not in its written form.
    pub fn of(epoch: &str, sequence: Sequence) -> Option<Position> {
        Some(Position { epoch: Epoch::parse(epoch.as_bytes())?, sequence })
    }

    /// Appends the form `EPOCH-SEQUENCE`, at most 30 bytes; in another lane than the normal one with the lane's
    /// letter before the number (`EPOCH-u3`). A message's `id`.
    pub fn write(self, lane: Lane, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.letters());
        out.push(b'-');
        write_sequence(lane, self.sequence, out);
    }

    /// Reads the written form, and no other.
    pub fn parse(text: &[u8]) -> Option<(Lane, Position)> {
        let (epoch, rest) = text.split_at_checked(LETTERS)?;
        let (lane, digits) = Lane::split(rest.strip_prefix(b"-")?);
        Some((lane, Position { epoch: Epoch::parse(epoch)?, sequence: parse_sequence(digits)? }))
    }
}

/// A place in all lanes of a client's stream. What a client hands back to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The stream's life.
    pub epoch: Epoch,
    /// The last message seen, by lane. `None`: not said; that lane goes on where the client's last connection was.
    pub seen: [Option<Sequence>; 4],
}

impl Cursor {
    /// A cursor that nobody issued.
    pub const UNKNOWN: Cursor = Cursor { epoch: Epoch::UNKNOWN, seen: [Some(0); 4] };

    /// What a client says that knows of the normal lane only.
    pub const fn normal(position: Position) -> Cursor {
        let mut seen = [None; 4];
        seen[Lane::Normal as usize] = Some(position.sequence);
        Cursor { epoch: position.epoch, seen }
    }

    /// Whether it stands before the first message of every lane.
    pub fn is_beginning(&self) -> bool {
        self.seen.iter().all(|seen| *seen == Some(0))
    }

    /// Where it stands in a lane.
    pub const fn seen(&self, lane: Lane) -> Option<Sequence> {
        self.seen[lane as usize]
    }

    /// Appends the form `EPOCH-SEQUENCE`, followed by `.u3` and the like for each other lane that has begun, at
    /// most 96 bytes: the SSE `id:` and the cursor.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.letters());
        out.push(b'-');
        write_sequence(Lane::Normal, self.seen(Lane::Normal).unwrap_or(0), out);
        for lane in [Lane::Urgent, Lane::High, Lane::Low] {
            if let Some(sequence @ 1..) = self.seen(lane) {
                out.push(b'.');
                write_sequence(lane, sequence, out);
            }
        }
    }

    /// The written form.
    pub fn text(&self) -> String {
        let mut out = Vec::with_capacity(32);
        self.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Reads the written form, and no other.
    pub fn parse(text: &[u8]) -> Option<Cursor> {
        let mut parts = text.split(|byte| *byte == b'.');
        let (Lane::Normal, Position { epoch, sequence }) = Position::parse(parts.next()?)? else {
            return None;
        };
        let mut seen = [Some(0); 4];
        seen[Lane::Normal as usize] = Some(sequence);
        let mut order = [Lane::Urgent, Lane::High, Lane::Low].into_iter();
        for part in parts {
            let (lane, digits) = Lane::split(part);
            order.find(|next| *next == lane)?;
            let sequence @ 1.. = parse_sequence(digits)? else { return None };
            seen[lane as usize] = Some(sequence);
        }
        Some(Cursor { epoch, seen })
    }
}

fn write_sequence(lane: Lane, sequence: Sequence, out: &mut Vec<u8>) {
    out.extend_from_slice(lane.letter().as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(sequence).as_bytes());
}

/// Reads a decimal number: no sign, no leading zero.
fn parse_sequence(digits: &[u8]) -> Option<Sequence> {
    let canonical = digits == b"0" || matches!(digits.first(), Some(b'1'..=b'9'));
    if !canonical || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(lane: Lane, position: Position) -> Vec<u8> {
        let mut text = Vec::new();
        position.write(lane, &mut text);
        text
    }

    fn lane() -> impl Strategy<Value = Lane> {
        prop::sample::select(&Lane::ALL)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(random in any::<u64>(), sequence in any::<u64>(), lane in lane()) {
            let position = Position { epoch: Epoch::from_random(random), sequence };
            let text = written(lane, position);
            prop_assert!(text.len() <= 30);
            prop_assert_eq!(Position::parse(&text), Some((lane, position)));
        }

        #[test]
        fn a_cursor_is_read_back(random in any::<u64>(), seen in any::<[u64; 4]>(), used in any::<[bool; 4]>()) {
            let seen = std::array::from_fn(|at| Some(if used[at] { seen[at] } else { 0 }));
            let cursor = Cursor { epoch: Epoch::from_random(random), seen };
            let text = cursor.text();
            prop_assert!(text.len() <= 96);
            prop_assert_eq!(Cursor::parse(text.as_bytes()), Some(cursor));
        }

        /// One text per position and cursor: whatever is read is what would be written.
        #[test]
        fn nothing_else_is_read(
            mut text in "[a-z2-7]{7,9}-?[uhl]?[0-9]{0,21}(\\.[uhln]?[0-9]{0,4}){0,4}",
            at in any::<prop::sample::Index>(),
            odd in any::<char>(),
        ) {
            if odd.is_alphanumeric() {
                let at = at.index(text.len());
                text.replace_range(at..at + 1, &odd.to_string());
            }
            if let Some((lane, position)) = Position::parse(text.as_bytes()) {
                prop_assert_eq!(written(lane, position), text.clone().into_bytes());
            }
            if let Some(cursor) = Cursor::parse(text.as_bytes()) {
                prop_assert_eq!(cursor.text(), text);
            }
        }
    }

    #[test]
    fn the_form_is_strict() {
        assert_eq!(&Epoch::from_random(0).letters(), b"aaaaaaaa");
        assert_eq!(&Epoch::from_random(u64::MAX).letters(), b"77777777");
        let position = Position { epoch: Epoch::from_random(1), sequence: 42 };
        assert_eq!(&written(Lane::Normal, position), b"aaaaaaab-42");
        assert_eq!(&written(Lane::Urgent, position), b"aaaaaaab-u42");
        let cursor = Cursor::parse(b"aaaaaaab-0.h4.l1").expect("a cursor");
        assert_eq!(cursor.seen, [Some(0), Some(4), Some(0), Some(1)]);
        assert!(Position::parse(b"aaaaaaab-18446744073709551615").is_some());
        let long = [b"aaaaaaab-1".as_slice(), &[b'0'; 300]].concat();
        for text in [
            "",
            "aaaaaaab",
            "aaaaaaab-",
            "aaaaaaab-01",
            "aaaaaaab-00",
            "aaaaaaab-+1",
            "aaaaaaab--1",
            "aaaaaaab-1 ",
            " aaaaaaab-1",
            "aaaaaaa-1",
            "aaaaaaabb-1",
            "AAAAAAAB-1",
            "aaaaaaa1-1",
            "aaaaaaab_1",
            "aaaaaaab-n1",
            "aaaaaaab-uu1",
            "aaaaaaab-18446744073709551616",
            "aaaaaaa\u{e4}-1",
            str::from_utf8(&long).expect("ASCII"),
        ] {
            assert_eq!(Position::parse(text.as_bytes()), None, "{text:?}");
            assert_eq!(Cursor::parse(text.as_bytes()), None, "{text:?}");
        }
        for text in [
            "aaaaaaab-u1",
            "aaaaaaab-1.",
            "aaaaaaab-1.u0",
            "aaaaaaab-1.2",
            "aaaaaaab-1.l1.u1",
            "aaaaaaab-1.u1.u2",
        ] {
            assert_eq!(Cursor::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
