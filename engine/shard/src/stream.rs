//! How a place in a stream is named: the epoch tells one life of the stream from another, the sequence
//! counts its messages.

/// A message's number in its stream and epoch, contiguous from 1. 0: before the first.
pub type Sequence = u64;

/// RFC 4648, section 6, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters of an epoch.
const LETTERS: usize = 8;

/// One life of a stream: 40 random bits. Whenever a stream loses what it has already numbered, it gets
/// another epoch, so that an old number cannot name a new message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// Appends the form `EPOCH-SEQUENCE`, at most 29 bytes: the SSE `id:` and the cursor.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.letters());
        out.push(b'-');
        out.extend_from_slice(itoa::Buffer::new().format(self.sequence).as_bytes());
    }

    /// Reads the written form, and no other: no sign, no leading zero.
    pub fn parse(text: &[u8]) -> Option<Position> {
        let (epoch, rest) = text.split_at_checked(LETTERS)?;
        let digits = rest.strip_prefix(b"-")?;
        let canonical = digits == b"0" || matches!(digits.first(), Some(b'1'..=b'9'));
        if !canonical || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let sequence = str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Position { epoch: Epoch::parse(epoch)?, sequence })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(position: Position) -> Vec<u8> {
        let mut text = Vec::new();
        position.write(&mut text);
        text
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(random in any::<u64>(), sequence in any::<u64>()) {
            let position = Position { epoch: Epoch::from_random(random), sequence };
            let text = written(position);
            prop_assert!(text.len() <= 29);
            prop_assert_eq!(Position::parse(&text), Some(position));
        }

        /// One text per position: whatever is read is what would be written.
        #[test]
        fn nothing_else_is_read(mut text in "[a-z2-7]{7,9}-?[0-9]{0,21}", at in any::<prop::sample::Index>(), odd in any::<char>()) {
            if odd.is_alphanumeric() {
                let at = at.index(text.len());
                text.replace_range(at..at + 1, &odd.to_string());
            }
            if let Some(position) = Position::parse(text.as_bytes()) {
                prop_assert_eq!(written(position), text.into_bytes());
            }
        }
    }

    #[test]
    fn the_form_is_strict() {
        assert_eq!(&Epoch::from_random(0).letters(), b"aaaaaaaa");
        assert_eq!(&Epoch::from_random(u64::MAX).letters(), b"77777777");
        assert_eq!(&written(Position { epoch: Epoch::from_random(1), sequence: 42 }), b"aaaaaaab-42");
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
            "aaaaaaab-18446744073709551616",
            "aaaaaaa\u{e4}-1",
            str::from_utf8(&long).expect("ASCII"),
        ] {
            assert_eq!(Position::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
