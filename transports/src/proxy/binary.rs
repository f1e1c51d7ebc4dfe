//! Version 2 (section 2.2): a header of 16 bytes, addresses, and extensions that nobody asks for here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Malformed, Preface};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const HEADER_BYTES: usize = 16;

/// Bytes of addresses and extensions: a client certificate's names fit, a flood does not.
const REST_BYTES_MAX: usize = 4096;

pub(super) fn read(bytes: &[u8]) -> Result<Option<Preface>, Malformed> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [.., command, family, high, low] = *header;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || rest > REST_BYTES_MAX {
        return Err(Malformed);
    }
    let len = HEADER_BYTES + rest;
    let Some(body) = bytes.get(HEADER_BYTES..len) else { return Ok(None) };
    let client = match command & 0xf {
        // LOCAL: the proxy itself, to see whether anybody is there.
        0 => None,
        // PROXY.
        1 => client(family, body)?,
        _ => return Err(Malformed),
    };
    Ok(Some(Preface::Header { len, client }))
}

fn client(family: u8, body: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 if body.len() >= 12 => {
            let from: [u8; 4] = *body.first_chunk().ok_or(Malformed)?;
            Ok(Some(Ipv4Addr::from(from).into()))
        }
        // TCP over IPv6.
        0x21 if body.len() >= 36 => {
            let from: [u8; 16] = *body.first_chunk().ok_or(Malformed)?;
            Ok(Some(IpAddr::from(Ipv6Addr::from(from)).to_canonical()))
        }
        // Unspecified, or a Unix socket: nobody with an address.
        0x00 => Ok(None),
        0x31 if body.len() >= 216 => Ok(None),
        _ => Err(Malformed),
    }
}
