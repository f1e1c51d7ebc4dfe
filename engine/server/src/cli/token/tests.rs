use std::fs;
use std::path::PathBuf;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use weir_shard::limits::{Algorithm, Key, Material, Secret, Signing};
use weir_shard::policy::auth::Grant;

use super::*;

/// A file that is gone at the end of the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("weir-sign-{}-{name}.pem", std::process::id()));
        fs::write(&path, text).expect("a writable folder for temporary files");
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

/// A token of u1 that is good now.
fn made(signer: &Signer, kid: Option<&str>) -> String {
    let now = Clock::now().wall.0 / 1_000;
    let grant = Grant {
        iss: "weir",
        aud: "mcp-gateway",
        sub: "u1",
        role: "user",
        permissions: None,
        iat: now,
        exp: now + 60,
        jti: "1",
    };
    signer.token(&grant, kid).expect("a token")
}

fn with_key(material: Material) -> Auth {
    let key = Key { issuer: None, kid: Some("k1".into()), material };
    Auth { keys: Arc::new(KeySet::new([key])), ..Auth::default() }
}

fn accepted(token: &str, auth: &Auth) -> bool {
    let now = Clock::now();
    let checked =
        checker(auth, token, now).expect("there are keys").authenticate(Credential::Bearer(token), auth, now);
    checked.is_ok()
}

#[test]
fn a_private_key_signs_what_its_public_key_accepts() {
    let random = SystemRandom::new();
    let ed = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
    let public = Ed25519KeyPair::from_pkcs8(ed.as_ref()).expect("a pair");
    let public = public.public_key().as_ref().try_into().expect("32 bytes");
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let point =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).expect("a pair");
    let point: [u8; 65] = point.public_key().as_ref().try_into().expect("a point");
    let keys = [
        (ed.as_ref().to_vec(), Material::Ed25519(public), Algorithm::EdDsa),
        (ec.as_ref().to_vec(), Material::P256(Box::new(point)), Algorithm::Es256),
    ];
    for (der, material, algorithm) in keys {
        let file = Temporary::new(algorithm.name(), &pem(&der));
        let signer = Signer::of_file(&file.0).expect("a private key");
        let auth = with_key(material);
        assert!(accepted(&made(&signer, Some("k1")), &auth) && accepted(&made(&signer, None), &auth));
        assert!(!accepted(&made(&signer, Some("k2")), &auth), "the key has another name");
    }
}

#[test]
fn what_does_not_sign_says_so() {
    let said = |path: &std::path::Path| Signer::of_file(path).err().expect("no key").to_string();
    assert!(
        said(std::path::Path::new("no/such/key.pem"))
            .starts_with("--private-key: no/such/key.pem cannot be read")
    );
    let file = Temporary::new("none", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    assert!(said(&file.0).contains("has no private key of RSA"));
    let file = Temporary::new("broken", &pem(b"not a key"));
    assert!(said(&file.0).contains("has no private key of RSA"));
}

#[test]
fn without_any_key_nothing_is_checked() {
    assert!(matches!(checker(&Auth::default(), "a.b.c", Clock::now()), Err(TokenFailure::NoKeys)));
}

#[test]
fn a_token_of_the_secret_is_what_the_gateway_takes() {
    let secret = Secret::new(*b"a secret of thirty-two bytes 012");
    let signing = Signing { secret: secret.clone(), issuer: "weir".into(), audience: "mcp-gateway".into() };
    let auth = with_key(Material::Secret(secret));
    let token = made(&Signer::Secret(signing), None);
    assert!(accepted(&token, &auth));
    let now = Clock::now();
    let principal = checker(&auth, &token, now).and_then(|mut checker| {
        checker.authenticate(Credential::Bearer(&token), &auth, now).map_err(TokenFailure::Denied)
    });
    let said = facts(&principal.expect("accepted"), &auth, now);
    assert_eq!((&said["sub"], &said["role"], &said["valid"]), (&"u1".into(), &"user".into(), &true.into()));
    assert_eq!(said["permissions"], serde_json::json!(["read", "write"]));
    assert!(said["expires_in"].as_u64().is_some_and(|left| (50..=60).contains(&left)), "{said}");
}
