//! Tokens that must not be taken: those of the known attacks, and any bytes at all.

use proptest::prelude::*;

use super::*;

const HS256: &str = r#"{"alg":"HS256"}"#;

#[test]
fn no_algorithm_is_none() {
    for alg in ["none", "None", "nOnE", "NONE", "", " none"] {
        for claims in [claims(), with(json!({"iss": ISSUER}))] {
            let token = sign(&json!({ "alg": alg }).to_string(), &claims.to_string());
            let unsigned = format!("{}.", token.rsplit_once('.').expect("a dot").0);
            for token in [token, unsigned] {
                assert!(refused(&token).contains("algorithm"), "{alg}");
            }
        }
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":5}"#] {
        assert!(refused(&sign(header, &claims().to_string())).contains("header"), "{header}");
    }
    for alg in ["hs256", "HS384", "HS512", "PS256", "ES384", "ES256K", "RS1", "HS256 "] {
        let token = sign(&json!({ "alg": alg }).to_string(), &claims().to_string());
        assert!(refused(&token).contains("algorithm"), "{alg}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    // CVE-2015-9235: HS256 with the text of the public key, as everybody knows it.
    for pem in [fixtures::RSA_PEM, fixtures::P256_PEM, fixtures::ED25519_PEM] {
        for kid in ["rsa-1", "ec-1", "ed-1"] {
            let header = json!({"alg": "HS256", "kid": kid}).to_string();
            let payload = with(json!({"iss": ISSUER})).to_string();
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let tag = signature::hs256(&Secret::new(pem.as_bytes()), signed.as_bytes());
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert!(refused(&token).contains("no key here"), "{kid}");
        }
    }
}

#[test]
fn the_secret_signs_for_no_fetched_issuer() {
    let token = token(&with(json!({"iss": ISSUER})));
    assert!(refused(&token).contains("no key here"));
}

#[test]
fn a_kid_is_only_ever_compared() {
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "x' UNION SELECT 'secret",
        "https://evil.example/key",
        "file:///dev/null",
        "rsa-1\u{0}",
        "",
    ] {
        let payload = with(json!({"iss": ISSUER})).to_string();
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        assert_eq!(verify(&sign(&header, &payload)), Err(Denied::UnknownKey), "{kid}");
        // A key without a name is tried, and it is the right one here.
        assert!(
            verify(&sign(&json!({"alg": "HS256", "kid": kid}).to_string(), &claims().to_string())).is_ok()
        );
    }
}

#[test]
fn keys_in_a_header_are_not_read() {
    let (mine, _) = jwks(fixtures::JWKS.as_bytes(), "weir").expect("a set");
    assert_eq!(mine.len(), 4);
    let jwk: Value = serde_json::from_str::<Value>(fixtures::JWKS).expect("JSON")["keys"][1].clone();
    let [header, payload, signature] = parts(fixtures::ES256);
    let mut named: Value = serde_json::from_slice(&decode(&header)).expect("JSON");
    for (name, value) in [
        ("jwk", jwk),
        ("jku", "https://evil.example/jwks".into()),
        ("x5u", "https://evil.example/cert".into()),
        ("x5c", json!(["MIIB"])),
    ] {
        named[name] = value;
    }
    named["kid"] = "evil".into();
    let evil = format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(named.to_string()));
    assert_eq!(verify(&evil), Err(Denied::UnknownKey));
    let harmless =
        json!({"alg": "HS256", "jku": "https://evil.example/jwks", "jwk": {"kty": "oct", "k": "AA"}});
    assert!(verify(&sign(&harmless.to_string(), &claims().to_string())).is_ok());
}

#[test]
fn an_extension_that_must_be_understood_is_refused() {
    for header in [
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
    ] {
        assert!(refused(&sign(header, &claims().to_string())).contains("crit"), "{header}");
    }
}

#[test]
fn what_stands_there_twice_is_refused() {
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
    ] {
        assert!(refused(&sign(header, &claims().to_string())).contains("header"), "{header}");
    }
    for claim in ["iss", "sub", "aud", "exp", "nbf", "jti", "role", "permissions", "scope"] {
        let value = match claim {
            "exp" | "nbf" => json!(NOW - 1),
            _ => json!("weir"),
        };
        let once = claims().to_string();
        let twice = format!("{},\"{claim}\":{value},\"{claim}\":{value}}}", &once[..once.len() - 1]);
        assert!(refused(&sign(HS256, &twice)).contains("payload"), "{claim}");
    }
}

#[test]
fn nesting_and_size_have_bounds() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let claims = claims().to_string();
    let inside = format!("{},\"x\":{}}}", &claims[..claims.len() - 1], deep(2_500));
    // What is not read is skipped without a stack: whatever the verdict, there is one.
    let _ = verify(&sign(HS256, &inside));
    for name in ["aud", "scope", "permissions", "exp", "sub"] {
        let nested = format!("{},\"{name}\":{}}}", &claims[..claims.len() - 1], deep(2_500));
        assert!(refused(&sign(HS256, &nested)).contains("payload"), "{name}");
    }
    let header = format!(r#"{{"alg":"HS256","x":{}}}"#, deep(600));
    let _ = verify(&sign(&header, &claims));
    let header = format!(r#"{{"alg":"HS256","x":"{}"}}"#, "a".repeat(2_000));
    assert!(refused(&sign(&header, &claims)).contains("header is longer"));
    let huge = format!("{},\"x\":\"{}\"}}", &claims[..claims.len() - 1], "a".repeat(7_000));
    assert!(refused(&sign(HS256, &huge)).contains("longer than 8 KiB"));
    assert!(refused(&"a.".repeat(1 << 20)).contains("longer than 8 KiB"));
}

#[test]
fn what_is_no_jwt_is_refused() {
    let good = token(&claims());
    for text in ["", ".", "..", "...", "a.b", "a.b.c.d", "eyJ", &good[..good.len() / 2]] {
        assert!(verify(text).is_err(), "{text}");
    }
    for payload in ["", "null", "[]", "1", "\"u1\"", "{", "{}x", "{\"exp\":1e999}", "\u{feff}{}"] {
        assert!(refused(&sign(HS256, payload)).contains("payload"), "{payload}");
    }
    let listed = r#"["weir","u1","mcp-gateway",4102444800,null,null,null,null,null]"#;
    assert!(refused(&sign(HS256, listed)).contains("payload"), "a list is no object");
    assert!(refused(&sign(r#"["HS256",null,null]"#, &claims().to_string())).contains("header"));
    // JWE has five parts.
    assert!(refused("a.b.c.d.e").contains("three parts"));
}

#[test]
fn base64_has_one_way_to_write_bytes() {
    let good = token(&claims());
    let [header, payload, signature] = parts(&good);
    assert_eq!(decode(&signature).len(), 32);
    let last = signature.chars().next_back().expect("a letter");
    for letter in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).filter(|one| *one != last) {
        let other = format!("{}{letter}", &signature[..signature.len() - 1]);
        assert!(verify(&format!("{header}.{payload}.{other}")).is_err(), "{letter}");
    }
    for spoilt in [
        format!("{good}="),
        format!("{good}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}\n"),
        format!(" {good}"),
        format!("{header} .{payload}.{signature}"),
        good.replace(['-', '_'], "+"),
    ] {
        assert!(spoilt == good || verify(&spoilt).is_err(), "{spoilt}");
    }
    // Six letters of 64 bytes have four bits to spare.
    let [header, payload, signature] = parts(fixtures::ES256);
    let slack = slack_of(&signature);
    assert_ne!(slack, signature);
    assert!(refused(&format!("{header}.{payload}.{slack}")).contains("signature"));
}

#[test]
fn numbers_that_are_none_sign_nothing() {
    let [header, payload, _] = parts(fixtures::ES256);
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    // CVE-2022-21449, and the order of the curve, which is zero again.
    for signature in
        [[0; 64].to_vec(), [order, order].concat(), [[0; 32], order].concat(), vec![0; 63], vec![]]
    {
        let token = format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(refused(&token).contains("signature is wrong"));
    }
    for whole in [fixtures::RS256, fixtures::EDDSA] {
        let [header, payload, signature] = parts(whole);
        let zeros = URL_SAFE_NO_PAD.encode(vec![0; decode(&signature).len()]);
        assert!(refused(&format!("{header}.{payload}.{zeros}")).contains("signature is wrong"));
    }
}

#[test]
fn the_right_key_under_another_name_is_the_wrong_key() {
    assert!(refused(fixtures::ES256_OF_ANOTHER).contains("signature is wrong"));
    let [_, payload, signature] = parts(fixtures::ES256_OF_ANOTHER);
    let renamed = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT","kid":"ec-2"}"#);
    assert!(refused(&format!("{renamed}.{payload}.{signature}")).contains("signature is wrong"));
}

#[test]
fn a_key_belongs_to_its_issuer_not_to_its_name() {
    // CVE-2026-49998: two issuers whose keys have the same name.
    let mut auth = auth();
    let (theirs, _) = jwks(fixtures::JWKS.as_bytes(), "https://other.example").expect("a set");
    let secret = Key { issuer: None, kid: None, material: Material::Secret(secret()) };
    auth.keys = Arc::new(KeySet::new(theirs.into_iter().chain([secret])));
    auth.key_urls =
        [KeyUrl { issuer: "https://other.example".into(), url: "https://other.example/".into() }].into();
    let mut authenticator = Authenticator::new(&auth, 1);
    let mut verify = |token: &str| authenticator.authenticate(Credential::Bearer(token), &auth, at(NOW));
    let stranger = "its issuer (iss) is not one whose tokens are taken here";
    assert_eq!(verify(fixtures::ES256), Err(Denied::Invalid(stranger)));
    for issuer in ["https://other.example", "weir"] {
        let forged = with(json!({ "iss": issuer })).to_string();
        let [header, _, signature] = parts(fixtures::ES256);
        assert!(verify(&format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(forged))).is_err());
    }
}

#[test]
fn claims_must_be_there_and_right() {
    for (changes, what) in [
        (json!({"exp": null}), "no end"),
        (json!({"exp": -1}), "no date"),
        (json!({"exp": 1e300}), "no date"),
        (json!({"exp": "4102444800"}), "payload"),
        (json!({"exp": true}), "payload"),
        (json!({"nbf": -1}), "nbf is no date"),
        (json!({"aud": null}), "somebody else"),
        (json!({"aud": "other"}), "somebody else"),
        (json!({"aud": "mcp-gateway2"}), "somebody else"),
        (json!({"aud": []}), "somebody else"),
        (json!({"aud": ["a", "b"]}), "somebody else"),
        (json!({"aud": {"mcp-gateway": 1}}), "payload"),
        (json!({"iss": null}), "no issuer"),
        (json!({"iss": "Weir"}), "issuer (iss) is not one"),
        (json!({"iss": ["weir"]}), "payload"),
        (json!({"sub": null}), "names nobody"),
        (json!({"sub": ""}), "no client's name"),
        (json!({"sub": "mcp:events"}), "no client's name"),
        (json!({"sub": "a\nb"}), "no client's name"),
        (json!({"sub": "x".repeat(129)}), "no client's name"),
        (json!({"sub": 5}), "payload"),
        (json!({"jti": "x".repeat(257)}), "jti is longer"),
        (json!({"role": ["admin"]}), "payload"),
        (json!({"permissions": {"admin": true}}), "payload"),
    ] {
        let said = refused(&token(&with(changes.clone())));
        assert!(said.contains(what), "{changes}: {said}");
    }
    for changes in
        [json!({"aud": ["other", "mcp-gateway"]}), json!({"sub": "x".repeat(128)}), json!({"jti": null})]
    {
        assert!(verify(&token(&with(changes.clone()))).is_ok(), "{changes}");
    }
}

proptest! {
    /// Any bytes are refused, and nothing panics.
    #[test]
    fn bytes_are_no_token(text in "\\PC{0,200}", bytes: Vec<u8>) {
        prop_assert!(verify(&text).is_err());
        prop_assert!(verify(&String::from_utf8_lossy(&bytes)).is_err());
        let three = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&bytes), text);
        prop_assert!(verify(&three).is_err());
    }

    /// Whatever is properly signed is read without a panic.
    #[test]
    fn signed_bytes_are_read(header in "\\PC{0,80}", payload: Vec<u8>) {
        let payload = String::from_utf8_lossy(&payload);
        prop_assert!(verify(&sign(&header, &payload)).is_err());
        prop_assert!(verify(&sign(HS256, &payload)).is_err());
    }

    /// One changed letter anywhere spoils a token.
    #[test]
    fn a_changed_token_is_none(at: prop::sample::Index, letter in "[A-Za-z0-9_.=-]", which in 0..4_usize) {
        let good = [token(&claims()), fixtures::RS256.into(), fixtures::ES256.into(), fixtures::EDDSA.into()];
        let mut token = good[which].clone();
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != letter);
        token.replace_range(at..=at, &letter);
        prop_assert!(verify(&token).is_err());
    }
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().expect("three parts")
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// The same bytes for whoever does not look at the bits to spare.
fn slack_of(text: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let value = LETTERS.find(last).expect("a letter of base64url");
    format!("{rest}{}", &LETTERS[value + 1..value + 2])
}
