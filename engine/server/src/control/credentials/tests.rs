//! What is asked of a token endpoint, and what is made of its answers.

use super::*;

fn credential(grant: Grant) -> Credential {
    Credential {
        grant,
        token_url: "http://127.0.0.1:1/token".into(),
        client_id: "weir".into(),
        client_secret: Some(Secret::new(*b"s e:c&ret")),
        scope: Some("tools read".into()),
        audience: None,
        resource: Some("https://tools.example/mcp".into()),
    }
}

fn said(status: u16, body: &str) -> String {
    match read(status, body.as_bytes()) {
        Ok((token, life)) => format!("{} {life:?}", String::from_utf8_lossy(token.expose())),
        Err(why) => why,
    }
}

#[test]
fn the_gateway_asks_for_itself() {
    let form = form(&credential(Grant::ClientCredentials), None);
    assert_eq!(
        form,
        "grant_type=client_credentials&scope=tools+read&resource=https%3A%2F%2Ftools.example%2Fmcp"
    );
    let header = basic("we:ir", &Secret::new(*b"s e:c&ret"));
    let pair = STANDARD.decode(header.strip_prefix("Basic ").expect("the scheme")).expect("base64");
    assert_eq!(String::from_utf8_lossy(&pair), "we%3Air:s+e%3Ac%26ret");
}

#[test]
fn a_public_client_names_itself_in_the_form() {
    let public = Credential {
        client_secret: None,
        scope: None,
        resource: None,
        ..credential(Grant::ClientCredentials)
    };
    assert_eq!(form(&public, None), "grant_type=client_credentials&client_id=weir");
}

#[test]
fn the_clients_token_is_exchanged() {
    let exchange = Credential { audience: Some("tools".into()), ..credential(Grant::TokenExchange) };
    let form = form(&exchange, Some(&Secret::new(*b"a.b&c")));
    let pairs: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "a.b&c"),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("scope", "tools read"),
        ("audience", "tools"),
        ("resource", "https://tools.example/mcp"),
    ];
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, expected);
}

#[test]
fn answers_are_tokens_or_say_what_to_do() {
    let whole = r#"{"access_token":"t","token_type":"bearer","expires_in":60,"scope":"x"}"#;
    assert_eq!(said(200, whole), "t Some(60s)");
    assert_eq!(said(200, r#"{"access_token":"t"}"#), "t None");
    for (status, body, word) in [
        (401, r#"{"error":"invalid_client","error_description":"secret"}"#, "client_secret of the upstream"),
        (400, r#"{"error":"invalid_target"}"#, "audience"),
        (400, r#"{"error":"<script>"}"#, "ask who runs it"),
        (500, "{}", "HTTP status 500"),
        (200, "<html>", "no JSON"),
        (200, "{}", "without a token"),
        (200, r#"{"access_token":"a b"}"#, "without a token"),
        (200, r#"{"access_token":"a\r\nX: b"}"#, "without a token"),
        (200, r#"{"access_token":"t","token_type":"DPoP"}"#, "Bearer"),
    ] {
        let why = said(status, body);
        assert!(why.contains(word) && !why.contains("script") && !why.contains("secret\""), "{why}");
    }
    assert!(!said(401, r#"{"error":"invalid_client","error_description":"hunter2"}"#).contains("hunter2"));
}

#[test]
fn who_does_not_answer_is_named() {
    let why = fetch(&credential(Grant::ClientCredentials), None).expect_err("nobody listens there");
    assert!(why.starts_with("http://127.0.0.1:1/token does not answer"), "{why}");
}
