//! `Forwarded` and `X-Forwarded-For`: who a request is from, as proxies write it.

use std::net::IpAddr;

use proptest::prelude::*;
use weir_transports::http1::{forwarded, parse_head};

use super::LIMITS;

/// What a request with these header lines says.
fn nodes(lines: &str) -> (Vec<Option<IpAddr>>, Vec<Option<IpAddr>>) {
    let text = format!("GET / HTTP/1.1\r\nHost: weir\r\n{lines}\r\n");
    let head = parse_head(text.as_bytes(), &LIMITS).expect("a good head").expect("a whole head");
    (forwarded::forwarded(&head), forwarded::x_forwarded_for(&head))
}

fn addresses(texts: &[&str]) -> Vec<Option<IpAddr>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

#[test]
fn forwarded_names_the_farthest_first() {
    for (value, expected) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", &["192.0.2.60"][..]),
        ("For=\"[2001:db8:cafe::17]:4711\"", &["2001:db8:cafe::17"]),
        ("for=192.0.2.43, for=198.51.100.17", &["192.0.2.43", "198.51.100.17"]),
        ("for=\"192.0.2.43:47011\";host=a", &["192.0.2.43"]),
        ("for=\"192.0.2.43:_secret\"", &["192.0.2.43"]),
        ("by=a;for=_hidden, for=unknown,for=\"_SEVKISEK\"", &["", "", ""]),
        ("proto=https , for=192.0.2.1", &["", "192.0.2.1"]),
        ("for=\"[::ffff:192.0.2.9]\"", &["192.0.2.9"]),
        ("host=\"a,for=192.0.2.66;b\";for=192.0.2.1", &["192.0.2.1"]),
        ("host=\"a\\\",for=192.0.2.66\";for=192.0.2.1", &["192.0.2.1"]),
        ("for=\"192.0\\.2.1\"", &["192.0.2.1"]),
        ("for=192.0.2.1.5", &[""]),
        ("for=[2001:db8::1", &[""]),
        ("for=[2001:db8::1]x", &[""]),
        ("for=192.0.2.1:99999999", &[""]),
    ] {
        assert_eq!(nodes(&format!("Forwarded: {value}\r\n")), (addresses(expected), vec![]), "{value}");
    }
}

#[test]
fn x_forwarded_for_is_a_list_over_all_its_lines() {
    let lines =
        "X-Forwarded-For: 192.0.2.1,  2001:db8::7\r\nx-forwarded-for: [2001:db8::8]:80 , 192.0.2.2:1\r\n";
    let expected = addresses(&["192.0.2.1", "2001:db8::7", "2001:db8::8", "192.0.2.2"]);
    assert_eq!(nodes(lines), (vec![], expected));
    assert_eq!(nodes("X-Forwarded-For: unknown, ,a\r\n").1, vec![None; 3]);
}

#[test]
fn the_nearest_proxy_says_whether_its_client_came_over_tls() {
    for (lines, expected) in [
        ("", None),
        ("X-Forwarded-Proto: https\r\n", Some(true)),
        ("X-Forwarded-Proto: HTTP\r\n", Some(false)),
        ("X-Forwarded-Proto: http, https\r\n", Some(true)),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", Some(false)),
        ("X-Forwarded-Proto: spdy\r\n", None),
        ("Forwarded: for=192.0.2.1;proto=https\r\n", Some(true)),
        ("Forwarded: proto=https, for=192.0.2.1\r\n", None),
        ("Forwarded: host=\"a;proto=https\";proto=\"http\"\r\n", Some(false)),
        ("Forwarded: proto=https\r\nX-Forwarded-Proto: https\r\n", Some(true)),
        ("Forwarded: proto=https\r\nX-Forwarded-Proto: http\r\n", None),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: weir\r\n{lines}\r\n");
        let head = parse_head(text.as_bytes(), &LIMITS).expect("a good head").expect("a whole head");
        assert_eq!(forwarded::is_secure(&head), expected, "{lines}");
    }
}

proptest! {
    /// Whatever is written there: as many nodes as elements, and the one that the nearest proxy has added is the
    /// last, unless a quote before it was left open.
    #[test]
    fn the_nearest_proxys_word_is_the_last(theirs in "[ -~&&[^\"]]{0,60}", octets in any::<[u8; 4]>()) {
        let client = IpAddr::from(octets);
        let (forwarded, list) = nodes(&format!(
            "Forwarded: {theirs}\r\nForwarded: for={client}\r\nX-Forwarded-For: {theirs}, {client}\r\n"
        ));
        prop_assert_eq!(forwarded.last(), Some(&Some(client)));
        prop_assert_eq!(list.last(), Some(&Some(client)));
        prop_assert_eq!(list.len(), theirs.split(',').count() + 1);
    }
}
