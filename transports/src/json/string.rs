//! What is inside of strings: runs that stand for themselves, and escapes.

/// Length of the run before the first quote, backslash or control character.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(chunk) = bytes.get(len..).and_then(<[u8]>::first_chunk) {
        match special(*chunk) {
            Some(at) => return len + at,
            None if len == 8 => return long_plain_len(bytes),
            None => len += 8,
        }
    }
    len + tail_len(bytes, len)
}

/// What [`plain_len`] finds, of a run of 16 bytes or more.
#[inline(never)]
fn long_plain_len(bytes: &[u8]) -> usize {
    let mut len = 16;
    while let Some(chunk) = bytes.get(len..).and_then(<[u8]>::first_chunk::<32>) {
        // Without an early exit the compiler looks at all of them at once.
        if chunk.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        len += 32;
    }
    while let Some(chunk) = bytes.get(len..).and_then(<[u8]>::first_chunk) {
        match special(*chunk) {
            Some(at) => return len + at,
            None => len += 8,
        }
    }
    len + tail_len(bytes, len)
}

/// The first special byte of eight.
#[inline(always)]
fn special(chunk: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte below `bound`; bytes after the first such byte may be wrong.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;

    let word = u64::from_le_bytes(chunk);
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    let special = below(word, 0x20) | quote | backslash;
    (special != 0).then_some(special.trailing_zeros() as usize / 8)
}

/// Length of the run in the last bytes, from `at` on, which are fewer than eight.
#[inline(always)]
fn tail_len(bytes: &[u8], at: usize) -> usize {
    let tail = bytes.get(at..).unwrap_or_default();
    tail.iter().take_while(|&&byte| !is_special(byte)).count()
}

/// Whether a byte does not stand for itself in a string.
#[inline(always)]
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// What the inside of a string says, its escapes replaced. `None`: no such escape, or half a pair.
#[cold]
pub(super) fn unescape(inner: &str) -> Option<String> {
    let mut said = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        said.push_str(plain);
        let (character, after) = character(escape)?;
        said.push(character);
        rest = after;
    }
    said.push_str(rest);
    Some(said)
}

/// The character of the escape whose backslash is already taken, and what follows it.
fn character(escape: &str) -> Option<(char, &str)> {
    let (kind, rest) = escape.split_at_checked(1)?;
    let character = match kind {
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return code_point(rest),
        itself => itself.chars().next()?,
    };
    Some((character, rest))
}

/// The character of the `\u` escape, or pair of them, whose first `\u` is already taken, and what
/// follows it.
fn code_point(digits: &str) -> Option<(char, &str)> {
    let (unit, rest) = digits.split_at_checked(4)?;
    let unit = hex(unit.as_bytes())?;
    let Some(lead) = unit.checked_sub(0xd800).filter(|&lead| lead < 0x400) else {
        return Some((char::from_u32(unit)?, rest));
    };
    let (trail, rest) = rest.strip_prefix("\\u")?.split_at_checked(4)?;
    let trail = hex(trail.as_bytes())?.checked_sub(0xdc00).filter(|&trail| trail < 0x400)?;
    Some((char::from_u32(0x1_0000 + (lead << 10 | trail))?, rest))
}

/// The number that hexadecimal `digits` say, at most eight of them.
pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}
