//! Finds the end of a head and refuses, before any parser sees it, what parsers read differently.

use std::ops::Range;

use super::{HeadError, Limits};

/// Fields are kept as 16-bit offsets, so no configuration makes a head longer than this.
const HEAD_BYTES_MAX: usize = u16::MAX as usize;

/// The first head in `bytes`, from the request line to the blank line's end, without the one empty line
/// that may precede it (RFC 9112 section 2.2). `None`: it has no end yet.
///
/// One pass. An error depends only on the bytes up to the offending one, so it is the same however the
/// bytes are cut.
pub(super) fn head(bytes: &[u8], limits: &Limits) -> Result<Option<Range<usize>>, HeadError> {
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    if matches!(bytes.get(start), Some(b' ' | b'\t')) || bytes.get(start..start + 2) == Some(b"\r\n") {
        return Err(HeadError::LeadingBlank);
    }
    let head_bytes_max = limits.head_bytes_max.min(HEAD_BYTES_MAX);
    let window = bytes.get(start..).unwrap_or_default();
    let window = window.get(..head_bytes_max).unwrap_or(window);

    let mut line_at = 0;
    let mut at = 0;
    while let Some(&byte) = window.get(at) {
        if !byte.is_ascii_control() || byte == b'\t' {
            at += 1;
            continue;
        }
        if line_at == 0 && at > limits.line_bytes_max {
            return Err(HeadError::LineTooLong);
        }
        match (byte, window.get(at + 1)) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', None) => break,
            (b'\r', Some(_)) => return Err(HeadError::BareCr),
            (b'\n', _) => return Err(HeadError::BareLf),
            _ => return Err(HeadError::ControlByte),
        }
        if at == line_at && at > 0 {
            return Ok(Some(start..start + at + 2));
        }
        at += 2;
        line_at = at;
        if matches!(window.get(at), Some(b' ' | b'\t')) {
            return Err(HeadError::ObsFold);
        }
    }
    if line_at == 0 && at > limits.line_bytes_max {
        return Err(HeadError::LineTooLong);
    }
    if window.len() == head_bytes_max {
        return Err(HeadError::HeadTooLong);
    }
    Ok(None)
}
