//! What is inside of strings: runs that stand for themselves, and escapes.

/// Where the run of bytes that stand for themselves ends, which begins at `start`: at the first quote, backslash or
/// control character, or at the end of `bytes`.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], start: usize) -> usize {
    // Most strings of a message are short: they end here.
    match bytes.get(start..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => match special(u64::from_le_bytes(*chunk)) {
            Some(found) => start + found,
            None => further_end(bytes, start + 8),
        },
        None => tail_end(bytes, start),
    }
}

/// What [`plain_end`] finds, of a run that is longer than eight bytes, from `at` on.
#[inline(never)]
fn further_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        // Without an early exit the compiler looks at all of them at once.
        if chunk.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        at += 32;
    }
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        match special(u64::from_le_bytes(*chunk)) {
            Some(found) => return at + found,
            None => at += 8,
        }
    }
    tail_end(bytes, at)
}

/// What [`plain_end`] finds in the last bytes, from `at` on, which are fewer than eight.
#[inline(always)]
fn tail_end(bytes: &[u8], at: usize) -> usize {
    let left = bytes.len().saturating_sub(at);
    match bytes.last_chunk() {
        // The last eight bytes without those before `at`; the zeros behind them are as special as any control character.
        Some(chunk) if (1..8).contains(&left) => {
            let tail = u64::from_le_bytes(*chunk) >> (8 * (8 - left));
            at + special(tail).unwrap_or(left)
        }
        _ => at + bytes.iter().skip(at).take_while(|&&byte| !is_special(byte)).count(),
    }
}

/// The first special byte of eight, of which the first is the lowest.
#[inline(always)]
fn special(word: u64) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte below `bound`; bytes after the first such byte may be wrong.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;

    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    let special = below(word, 0x20) | quote | backslash;
    (special != 0).then_some(special.trailing_zeros() as usize / 8)
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
