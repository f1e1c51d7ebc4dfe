//! Keys as they are written.

use proptest::prelude::*;

use super::super::{KeyFault, public_key};
use super::*;
use crate::limits::Algorithm;

#[test]
fn a_pem_file_has_the_key_that_its_set_has() {
    let set = auth().keys;
    for (pem, kid) in
        [(fixtures::RSA_PEM, "rsa-1"), (fixtures::P256_PEM, "ec-1"), (fixtures::ED25519_PEM, "ed-1")]
    {
        let published = set.iter().find(|key| key.kid.as_deref() == Some(kid)).expect("a key of the set");
        assert_eq!(public_key(pem.as_bytes()).as_ref(), Ok(&published.material), "{kid}");
        let text = format!("a text before\n{pem}and after");
        assert!(public_key(text.as_bytes()).is_ok(), "{kid}");
    }
}

#[test]
fn what_is_no_public_key_says_what_it_is() {
    for (pem, fault) in [
        (fixtures::P384_PEM, KeyFault::Kind),
        (fixtures::RSA_SHORT_PEM, KeyFault::Bits),
        (fixtures::PRIVATE_PEM, KeyFault::Private),
        ("", KeyFault::NoPublicKey),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw\n-----END PUBLIC KEY-----\n", KeyFault::NoPublicKey),
        ("-----BEGIN PUBLIC KEY-----\n", KeyFault::NoPublicKey),
        ("-----BEGIN CERTIFICATE-----\nMCowBQYDK2Vw\n-----END CERTIFICATE-----\n", KeyFault::NoPublicKey),
    ] {
        assert_eq!(public_key(pem.as_bytes()), Err(fault), "{pem}");
    }
    let both = format!("{}{}", fixtures::ED25519_PEM, fixtures::PRIVATE_PEM);
    assert_eq!(public_key(both.as_bytes()), Err(KeyFault::Private), "a private key has no place there");
}

#[test]
fn keys_for_other_things_are_left_out() {
    let whole: Value = serde_json::from_str(fixtures::JWKS).expect("JSON");
    let good = whole["keys"][3].clone();
    let change = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    for (key, taken) in [
        (good.clone(), 1),
        (change("use", "enc".into()), 0),
        (change("key_ops", json!(["verify"])), 1),
        (change("key_ops", json!(["encrypt"])), 0),
        (change("alg", "Ed25519".into()), 1),
        (change("alg", "HS256".into()), 0),
        (change("alg", "RS256".into()), 0),
        (change("crv", "Ed448".into()), 0),
        (change("crv", "P-256".into()), 0),
        (change("kty", "EC".into()), 0),
        (change("kty", "okp".into()), 0),
        (change("x", "AAAA".into()), 0),
        (change("x", "not base64".into()), 0),
        (change("x", json!(5)), 0),
        (json!({"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA"}), 0),
        (json!("a text"), 0),
        (json!({}), 0),
    ] {
        let set = json!({ "keys": [key] }).to_string();
        let (keys, others) = jwks(set.as_bytes(), ISSUER).expect("a set");
        assert_eq!((keys.len(), others), (taken, 1 - taken), "{set}");
    }
    for text in ["", "[]", "{}", "{\"keys\":5}", "{\"keys\":[]}x", "<html>"] {
        assert_eq!(jwks(text.as_bytes(), ISSUER).map(drop), Err(KeyFault::NoSet), "{text}");
    }
}

#[test]
fn a_key_serves_one_algorithm() {
    let names: Vec<&str> = auth().keys.iter().map(|key| key.material.algorithm().name()).collect();
    assert_eq!(names, ["HS256", "RS256", "ES256", "ES256", "EdDSA"]);
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::of_name(algorithm.name()), Some(algorithm));
    }
    let auth = Auth { algorithms: [Algorithm::EdDsa].into(), ..auth() };
    let mut authenticator = Authenticator::new(&auth, 1);
    let mut verify = |token: &str| authenticator.authenticate(Credential::Bearer(token), &auth, at(NOW));
    assert!(verify(fixtures::EDDSA).is_ok());
    assert!(verify(fixtures::ES256).is_err() && verify(&token(&claims())).is_err());
}

#[test]
fn keys_are_not_shown() {
    let shown = format!("{:?} {:?}", auth(), Authenticator::new(&auth(), 1));
    assert!(!shown.contains("thirty") && !shown.contains("116, 104, 105"), "{shown}");
}

proptest! {
    /// Any bytes are some key or none, and nothing panics; what is put into DER by chance included.
    #[test]
    fn bytes_are_read(bytes: Vec<u8>, cut: prop::sample::Index, byte: u8) {
        let _ = public_key(&bytes);
        let _ = jwks(&bytes, ISSUER);
        let mut json = fixtures::JWKS.as_bytes().to_vec();
        let at = cut.index(json.len());
        json[at] = byte;
        let _ = jwks(&json, ISSUER);
        let mut der = base64::engine::general_purpose::STANDARD
            .decode(fixtures::P256_PEM.lines().skip(1).take(2).collect::<String>())
            .expect("base64");
        let at = cut.index(der.len());
        der[at] = byte;
        let text = base64::engine::general_purpose::STANDARD.encode(&der[..]);
        let _ = public_key(format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").as_bytes());
    }
}
