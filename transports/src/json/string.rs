//! What is inside of strings: runs that stand for themselves, and escapes.

/// Length of the run before the first quote, backslash or control character, eight bytes at a time.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte below `bound`; bytes after the first such byte may be wrong.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;

    let mut len = 0;
    while let Some(chunk) = bytes.get(len..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = below(word, 0x20) | quote | backslash;
        if special != 0 {
            return len + special.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let tail = bytes.get(len..).unwrap_or_default();
    len + tail.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count()
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
