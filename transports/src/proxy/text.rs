//! Version 1 (section 2.1): a line for people.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Malformed, Preface};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Bytes of the longest line, its end included.
const LINE_BYTES_MAX: usize = 107;

pub(super) fn read(bytes: &[u8]) -> Result<Option<Preface>, Malformed> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed) };
    };
    let line = window[SIGNATURE.len()..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let client = client(str::from_utf8(line).map_err(|_| Malformed)?)?;
    Ok(Some(Preface::Header { len: end + 1, client }))
}

/// The client in what follows the signature.
fn client(line: &str) -> Result<Option<IpAddr>, Malformed> {
    let mut words = line.split(' ');
    let family = words.next().ok_or(Malformed)?;
    // Whatever else stands there is to be ignored.
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let (from, to) = (words.next().ok_or(Malformed)?, words.next().ok_or(Malformed)?);
    for port in [words.next(), words.next()] {
        let digits = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit())).ok_or(Malformed)?;
        digits.parse::<u16>().map_err(|_| Malformed)?;
    }
    if words.next().is_some() {
        return Err(Malformed);
    }
    let of_family = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| Malformed),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| Malformed),
        _ => Err(Malformed),
    };
    of_family(to)?;
    Ok(Some(of_family(from)?.to_canonical()))
}
