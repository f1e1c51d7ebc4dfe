use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;

const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"tAFaiyKlxY1fvKAQa9nB8bDd7IXBoAyrUlpkzRGcsbA"}]}"#;

/// What comes of a server on this machine that answers so.
fn fetched(answer: &str) -> Result<Vec<Key>, String> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let answer = answer.to_owned();
    let server = thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("a request");
        let mut request = [0; 4_096];
        let length = peer.read(&mut request).expect("its bytes");
        // It may hang up before the end.
        let _ = peer.write_all(answer.as_bytes());
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let from = KeyUrl { issuer: "i".into(), url: format!("http://127.0.0.1:{port}/jwks?a=1").into() };
    let found = fetch(&from).map_err(|error| error.to_string());
    let request = server.join().expect("no panic");
    assert!(request.starts_with("GET /jwks?a=1 HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
    found
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn keys_of_a_set_belong_to_its_issuer() {
    let keys = fetched(&answer("200 OK", "", JWKS)).expect("keys");
    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0].issuer.as_deref(), keys[0].kid.as_deref()), (Some("i"), Some("1")));
}

#[test]
fn what_is_no_set_says_what_it_is() {
    for (answer, said) in [
        (
            answer("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
            "it was answered with 302, and redirects are not followed; configure the URL itself",
        ),
        (answer("404 Not Found", "", JWKS), "it was answered with 404"),
        (answer("200 OK", "", "<html>"), "the answer is no JWK Set: a JSON object with a list `keys`"),
        (
            answer("200 OK", "", r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
            "none of the set's 1 keys is a public RSA, P-256 or Ed25519 key for signatures",
        ),
    ] {
        assert_eq!(fetched(&answer), Err(said.into()));
    }
    let huge = answer("200 OK", "", &format!("{JWKS}{}", " ".repeat(BYTES_MAX as usize)));
    assert!(fetched(&huge).is_err(), "more than is read");
    assert!(fetched("").is_err(), "nothing");
    assert!(fetched(&answer("200 OK", "", JWKS).replace(JWKS, &JWKS[..20])).is_err(), "a part");
}
