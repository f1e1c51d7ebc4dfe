//! Web pages: which are served, and which may read what they are answered.

use super::*;
use crate::downstream::mcp::tests::World;
use crate::limits::{Browser, Origin};
use crate::policy::Standing;

/// One request to each endpoint, without the end of its head; all succeed, or begin to.
const REQUESTS: [&str; 12] = [
    "GET /mcp/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "GET /mcp/ws/websocket?vsn=2.0.0&client_id=u1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "GET /mcp/ws/longpoll?vsn=2.0.0 HTTP/1.1\r\n",
    "GET /mcp/sse?client_id=u1 HTTP/1.1\r\n",
    "GET /mcp/events HTTP/1.1\r\n",
    "GET /mcp/stats HTTP/1.1\r\n",
    "GET /mcp/health/u1 HTTP/1.1\r\n",
    "POST /mcp/clients/u1/messages HTTP/1.1\r\nContent-Length: 21\r\n",
    "POST /mcp/topics/topic:a/messages HTTP/1.1\r\nContent-Length: 21\r\n",
    "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 21\r\n",
    "GET /sse HTTP/1.1\r\nAccept: text/event-stream\r\n",
    "GET /none HTTP/1.1\r\n",
];

const APP: &str = "https://app.example";

/// The head that answers `request` with these headers beside, in a shard with these limits.
fn answer(request: &str, headers: &str, change: impl FnOnce(&mut Browser)) -> String {
    let mut world = World::with(|config| change(&mut config.browser));
    let token = world.accept();
    let host = if headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
    let body = if request.contains("Length: 21") { r#"{"type":"a","data":1}"# } else { "" };
    world.ask(token, &format!("{request}{host}{headers}\r\n{body}"))
}

/// An answer without the number of bytes that were received, which a longer head changes.
fn whatever_came(answer: &str) -> String {
    match answer.split_once("\"bytes_in\":") {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => answer.to_owned(),
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

fn one(origin: &str) -> Origins {
    Origins::Listed(vec![Origin::parse(origin).expect("right")])
}

#[test]
fn no_endpoint_serves_pages_of_others() {
    for request in REQUESTS {
        let served = answer(request, "", |_| {});
        assert_ne!(status(&served), "403", "{request}");
        let same = answer(request, "Origin: http://localhost\r\n", |_| {});
        assert_eq!(whatever_came(&same), whatever_came(&served), "{request}");
        for headers in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: http://localhost\r\nOrigin: http://localhost\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Host: evil.example\r\n",
            "Host: evil.example\r\nOrigin: http://evil.example\r\n",
        ] {
            let refused = answer(request, headers, |_| {});
            assert_eq!(status(&refused), "403", "{request}{headers}");
            assert!(!refused.contains("Access-Control-Allow"), "{refused}");
        }
        let listed = answer(request, &format!("Origin: {APP}\r\n"), |browser| browser.origins = one(APP));
        assert_eq!(whatever_came(&listed), whatever_came(&served), "{request}");
    }
}

#[test]
fn every_answer_says_which_page_may_read_it() {
    let origin = format!("Origin: {APP}\r\n");
    for request in REQUESTS.into_iter().filter(|request| !request.contains("Upgrade")) {
        let shared = answer(request, &origin, |browser| browser.cors.origins = one(APP));
        assert_ne!(status(&shared), "403", "{request}");
        assert!(shared.contains(&format!("\r\nAccess-Control-Allow-Origin: {APP}\r\n")), "{shared}");
        assert!(shared.contains("\r\nVary: Origin\r\n"), "{shared}");
        assert!(shared.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{shared}");
        let unasked = answer(request, "", |browser| browser.cors.origins = one(APP));
        assert!(unasked.contains("\r\nVary: Origin\r\n") && !unasked.contains("Access-Control"), "{unasked}");
        let open = answer(request, "Origin: null\r\n", |browser| browser.cors.origins = Origins::Any);
        assert!(open.contains("\r\nAccess-Control-Allow-Origin: *\r\n") && !open.contains("Vary"), "{open}");
    }
    let long = "POST /mcp/batch HTTP/1.1\r\nContent-Length: 99999999\r\n";
    let too_long = answer(long, &origin, |browser| browser.cors.origins = one(APP));
    assert_eq!(status(&too_long), "413");
    assert!(too_long.contains("Access-Control-Allow-Origin"), "{too_long}");
}

#[test]
fn preflights_are_answered_to_pages_that_may_read() {
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-client-id\r\n";
    let ask = |path: &str, headers: &str, origins: Origins| {
        let request = format!("OPTIONS {path} HTTP/1.1\r\n");
        answer(&request, headers, |browser| browser.cors.origins = origins)
    };
    let origin = format!("Origin: {APP}\r\n{asks}");
    for path in ["/mcp", "/mcp/sse", "/mcp/clients/u1/messages", "/mcp/ws/longpoll", "/messages"] {
        let allowed = ask(path, &origin, one(APP));
        assert_eq!(status(&allowed), "204", "{allowed}");
        for line in [
            "Access-Control-Allow-Origin: https://app.example",
            "Access-Control-Allow-Methods: GET, POST, DELETE",
            "Access-Control-Max-Age: 86400",
            "Vary: Origin",
        ] {
            assert!(allowed.contains(&format!("\r\n{line}\r\n")), "{line}: {allowed}");
        }
        assert!(allowed.contains("X-Client-ID") && allowed.contains("Mcp-Session-Id"), "{allowed}");
    }
    assert_eq!(status(&ask("/mcp", &format!("Origin: http://evil.example\r\n{asks}"), one(APP))), "403");
    assert_eq!(status(&ask("/none", &origin, one(APP))), "404");
    assert_eq!(status(&ask("/mcp/sse", &format!("Origin: {APP}\r\n"), one(APP))), "405");
    assert_eq!(status(&ask("/mcp/sse", &format!("Origin: http://localhost\r\n{asks}"), one(APP))), "405");
}

fn cors(origins: Origins) -> Cors {
    Cors { origins, ..Browser::default().cors }
}

fn listed(origins: &[&str]) -> Cors {
    cors(Origins::Listed(origins.iter().map(|text| Origin::parse(text).expect("right")).collect()))
}

fn said(origin: Option<&str>, cors: &Cors) -> Vec<String> {
    let sharing = Sharing::of(origin, cors);
    sharing.headers(cors).map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn pages_are_told_what_they_may_read() {
    let expose = format!("Access-Control-Expose-Headers: {EXPOSED}");
    let two = listed(&["https://a.example", "http://b.example:8080"]);
    let allow = |origin: &str| format!("Access-Control-Allow-Origin: {origin}");
    assert_eq!(said(Some("https://a.example"), &listed(&[])), [""; 0]);
    assert_eq!(said(Some("https://evil.example"), &two), ["Vary: Origin"]);
    assert_eq!(said(None, &two), ["Vary: Origin"]);
    let second = [&*allow("http://b.example:8080"), &*expose, "Vary: Origin"];
    assert_eq!(said(Some("http://b.example:8080"), &two), second);
    assert_eq!(said(Some("null"), &cors(Origins::Any)), [&*allow("*"), &*expose]);
}

#[test]
fn answers_carry_their_own_headers_the_limit_and_the_guard() {
    let standing = Some(Standing { limit: 3, remaining: 2, reset_seconds: 1 });
    let terms = Terms { standing, ..Terms::default() };
    let mut seen = Vec::new();
    with_headers(&[("A", "b")], &terms, &listed(&[]), |headers| {
        seen = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    });
    let expected = [
        "A: b",
        "X-RateLimit-Limit: 3",
        "X-RateLimit-Remaining: 2",
        "X-RateLimit-Reset: 1",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
    ];
    assert_eq!(seen, expected);
}
