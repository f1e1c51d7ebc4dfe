//! The PROXY protocol: what is a header, whom it names, and that no cut of the bytes changes that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use weir_transports::proxy::{Malformed, Preface, parse};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family][..], &length, body].concat()
}

/// A header of either version that names `client`.
fn header(client: IpAddr, version: u8, extensions: &[u8]) -> Vec<u8> {
    match (version, client) {
        (1, IpAddr::V4(from)) => format!("PROXY TCP4 {from} 192.0.2.1 65535 0\r\n").into_bytes(),
        (1, IpAddr::V6(from)) => format!("PROXY TCP6 {from} 2001:db8::1 1 443\r\n").into_bytes(),
        (_, IpAddr::V4(from)) => {
            binary(0x21, 0x11, &[&from.octets()[..], &[192, 0, 2, 1, 0, 1, 0, 80], extensions].concat())
        }
        (_, IpAddr::V6(from)) => {
            let to = Ipv6Addr::LOCALHOST.octets();
            binary(0x21, 0x21, &[&from.octets()[..], &to, &[0, 1, 0, 80], extensions].concat())
        }
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

proptest! {
    /// A part of a header asks for more, the whole of it says whom it names and where the client's bytes begin,
    /// whatever those are.
    #[test]
    fn any_cut_gives_the_same_client(
        client in address(),
        version in 1_u8..=2,
        extensions in prop::collection::vec(any::<u8>(), 0..300),
        after in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let header = header(client, version, &extensions);
        let bytes = [&header[..], &after].concat();
        for cut in 0..header.len() {
            prop_assert_eq!(parse(&bytes[..cut]), Ok(None), "after {} bytes", cut);
        }
        let whole = Preface::Header { len: header.len(), client: Some(client.to_canonical()) };
        for cut in header.len()..=bytes.len() {
            prop_assert_eq!(parse(&bytes[..cut]), Ok(Some(whole)));
        }
    }

    /// What is decided is not decided otherwise by more bytes, and a length never lies beyond them.
    #[test]
    fn more_bytes_change_no_decision(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&SIGNATURE[..])],
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [start, &noise].concat();
        let mut decided = None;
        for cut in 0..=bytes.len() {
            let now = parse(&bytes[..cut]);
            if let Some(before) = decided {
                prop_assert_eq!(now, before);
            } else if now != Ok(None) {
                decided = Some(now);
            }
            if let Ok(Some(Preface::Header { len, .. })) = now {
                prop_assert!(len <= cut);
            }
        }
    }
}

#[test]
fn requests_are_no_headers() {
    for text in ["GET / HTTP/1.1\r\n", "POST", "PRI * HTTP/2.0", "PROPFIND /", "\x16\x03\x01", "\r\nGET"] {
        assert_eq!(parse(text.as_bytes()), Ok(Some(Preface::Absent)), "{text:?}");
    }
    assert_eq!(parse(b""), Ok(None));
    assert_eq!(parse(b"P"), Ok(None), "PROXY or PUT");
}

#[test]
fn a_proxy_may_speak_for_itself() {
    let header = |bytes: &[u8]| parse(bytes);
    let nobody = |len| Ok(Some(Preface::Header { len, client: None }));
    assert_eq!(header(b"PROXY UNKNOWN\r\n"), nobody(15));
    assert_eq!(header(b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n"), nobody(33));
    assert_eq!(header(&binary(0x20, 0x00, &[])), nobody(16));
    assert_eq!(header(&binary(0x20, 0x11, &[9; 12])), nobody(28), "LOCAL: the addresses do not count");
    assert_eq!(header(&binary(0x21, 0x00, &[])), nobody(16));
    assert_eq!(header(&binary(0x21, 0x31, &[0; 216])), nobody(232));
}

#[test]
fn addresses_of_ipv4_mapped_into_ipv6_are_ipv4() {
    let mapped: Ipv6Addr = "::ffff:192.0.2.9".parse().expect("an address");
    for version in [1, 2] {
        let Ok(Some(Preface::Header { client, .. })) = parse(&header(mapped.into(), version, &[])) else {
            panic!("a header")
        };
        assert_eq!(client, Some(Ipv4Addr::new(192, 0, 2, 9).into()));
    }
}

#[test]
fn what_begins_like_a_header_and_is_none_is_refused() {
    let lines = [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 host 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN\n",
    ];
    for line in lines {
        assert_eq!(parse(line.as_bytes()), Err(Malformed), "{line:?}");
    }
    assert_eq!(parse(&[&b"PROXY "[..], &[b'x'; 101]].concat()), Err(Malformed), "longer than any line");
    for (command, family, body) in [
        (0x11, 0x11, &[0; 12][..]),
        (0x31, 0x11, &[0; 12][..]),
        (0x22, 0x11, &[0; 12][..]),
        (0x21, 0x12, &[0; 12][..]),
        (0x21, 0x11, &[0; 11][..]),
        (0x21, 0x21, &[0; 35][..]),
        (0x21, 0x11, &[0; 4097][..]),
    ] {
        assert_eq!(parse(&binary(command, family, body)), Err(Malformed), "{command:x} {family:x}");
    }
}
