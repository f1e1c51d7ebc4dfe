use weir_shard::limits::{Algorithm, Permissions, Rate};

use super::*;
use crate::config::load;
use crate::config::tests::{environment, file};

const SECRET: &str = "a secret of thirty-two bytes 012";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAtAFaiyKlxY1fvKAQa9nB8bDd7IXBoAyrUlpkzRGcsbA=\n\
                   -----END PUBLIC KEY-----\n";

/// What a shard is given by this file.
fn auth(text: &str) -> limits::Auth {
    file(text).unwrap_or_else(|said| panic!("{said}")).auth()
}

/// What is said of this file.
#[track_caller]
fn refused(text: &str, said: &str) {
    match file(text) {
        Ok(settings) => panic!("{text}: {:?}", settings.auth),
        Err(found) => assert_eq!(found, said, "{text}"),
    }
}

#[test]
fn any_key_switches_authentication_on() {
    for (text, mode) in [
        (String::new(), Mode::Off),
        (format!("[auth.jwt]\nsecret = \"{SECRET}\""), Mode::Required),
        (format!("[auth.jwt]\npublic_key = \"\"\"{PEM}\"\"\""), Mode::Required),
        ("[auth.jwt]\njwks_url = \"https://id.example/jwks\"".into(), Mode::Required),
        (format!("[[auth.jwt.public_keys]]\npem = \"\"\"{PEM}\"\"\""), Mode::Required),
        ("[[auth.jwt.jwks]]\nissuer = \"i\"\nurl = \"https://id.example/jwks\"".into(), Mode::Required),
        (format!("[[auth.api_key]]\nname = \"b\"\nhash = \"sha256:{}\"", "0a".repeat(32)), Mode::Required),
        (format!("[auth]\nmode = \"optional\"\njwt.secret = \"{SECRET}\""), Mode::Optional),
        (format!("[auth]\nmode = \"off\"\njwt.secret = \"{SECRET}\""), Mode::Off),
    ] {
        assert_eq!(auth(&text).mode, mode, "{text}");
    }
}

#[test]
fn the_secret_is_a_variable_and_is_never_shown() {
    // Digits are a text here, whatever they look like.
    let digits = "12345678901234567890123456789012";
    let settings = load(None, &environment(&[("JWT_SECRET", digits)]), &[]).expect("right");
    let auth = settings.auth();
    assert_eq!(auth.mode, Mode::Required);
    assert!(auth.signing.as_ref().is_some_and(|signing| signing.secret.matches(digits.as_bytes())));
    assert_eq!(auth.keys.iter().map(|key| key.material.algorithm()).collect::<Vec<_>>(), [Algorithm::Hs256]);
    assert!(!format!("{settings:?}").contains("123456"));
    let short = load(None, &environment(&[("JWT_SECRET", "too short")]), &[]).expect_err("short").to_string();
    assert_eq!(
        short,
        "environment variable JWT_SECRET: auth.jwt.secret is a text of 9 bytes and must be a text of 32 to 4096 bytes, or \
         \"\" for none"
    );
    refused(
        "[admin]\ntoken = \"short\"",
        "weir.toml:2: admin.token is a text of 5 bytes and must be a text of 16 to 4096 bytes, or \"\" for none",
    );
    refused(
        "[admin]\ntoken = 1234567890123456",
        "weir.toml:2: admin.token is no text and must be a text of 16 to 4096 bytes, or \"\" for none",
    );
    let admin = load(None, &environment(&[("WEIR_ADMIN_TOKEN", "operators only here")]), &[]).expect("right");
    assert!(admin.admin_token.is_some_and(|token| token.matches(b"operators only here")));
}

#[test]
fn keys_belong_to_their_issuers() {
    let auth = auth(&format!(
        "[auth.jwt]\nissuer = [\"a\", \"b\"]\naudience = \"x, y\"\nalgorithms = [\"EdDSA\"]\njwks_url = \
         \"http://127.0.0.1:1/jwks\"\n[[auth.jwt.jwks]]\nissuer = \"c\"\nurl = \"https://c.example/\"\n\
         [[auth.jwt.public_keys]]\npem = \"\"\"{PEM}\"\"\"\nkid = \"1\"\nissuer = \"d\"\n"
    ));
    let urls: Vec<_> = auth.key_urls.iter().map(|from| (&*from.issuer, &*from.url)).collect();
    assert_eq!(urls, [("a", "http://127.0.0.1:1/jwks"), ("c", "https://c.example/")]);
    let key = auth.keys.iter().next().expect("a key");
    assert_eq!((key.issuer.as_deref(), key.kid.as_deref()), (Some("d"), Some("1")));
    assert_eq!((*auth.issuers).to_vec(), ["a".into(), "b".into()]);
    assert_eq!((*auth.audiences).to_vec(), ["x".into(), "y".into()]);
    assert_eq!((*auth.algorithms).to_vec(), [Algorithm::EdDsa]);
    assert_eq!(auth.signing, None);
}

#[test]
fn roles_are_shipped_and_added() {
    let auth = auth(
        "[auth.roles.partner]\npermissions = [\"read\", \"publish\"]\nmcp_deny = [\"*__delete*\"]\ntopics_allow = \
         [\"room:{sub}\"]\n[auth.roles.guest]\npermissions = []\n[rate_limiting]\ndefault.limit = 7\nroles = { trial = { \
         limit = 10, per = \"1m\" }, user = { limit = 50 } }\n",
    );
    let names: Vec<&str> = auth.roles.iter().map(|role| &*role.name).collect();
    assert_eq!(names, ["admin", "premium", "user", "guest", "partner", "trial"]);
    let rate = |name: &str| auth.rules(auth.role(name)).rate;
    assert_eq!(rate("admin"), Rate::new(10_000.0, 10_000));
    assert_eq!(rate("premium"), Rate::new(1_000.0, 1_000));
    assert_eq!(rate("user"), Rate::new(50.0, 50));
    assert_eq!(rate("guest"), Rate::new(10.0, 10));
    assert_eq!(rate("partner"), Rate::new(7.0, 7), "as for all");
    assert_eq!(rate("trial"), Rate::new(10.0 / 60.0, 10));
    let partner = auth.rules(auth.role("partner"));
    assert_eq!(partner.permissions, Permissions::READ | Permissions::PUBLISH);
    assert!(partner.permits_topic("room:u1", "u1") && !partner.permits_topic("room:u2", "u1"));
    assert!(partner.allows_mcp("tools/call:read", "u1") && !partner.denies_mcp("tools/call:read", "u1"));
    assert!(partner.denies_mcp("tools/call:a__delete_all", "u1"));
    assert_eq!(auth.rules(auth.role("guest")).permissions, Permissions::NONE);
    assert_eq!(auth.rules(auth.role("trial")).permissions, Permissions::READ);
}

#[test]
fn no_role_exceeds_what_a_client_may() {
    let variables = environment(&[("MCP_RATE_LIMIT_PER_CLIENT", "60"), ("MCP_RATE_LIMIT", "500")]);
    let shard = load(None, &variables, &[]).expect("right").shard(1, 1_000, 2);
    assert_eq!(shard.client_rate, Rate::new(60.0, 60));
    let rates: Vec<f64> = shard.auth.roles.iter().map(|role| role.rate.per_second).collect();
    assert_eq!(rates, [60.0, 60.0, 60.0, 10.0]);
    let unlimited = "[rate_limiting]\nper_client = 5\nroles.user.limit = 0\n";
    assert_eq!(auth(unlimited).rules(Role(2)).rate, Rate::new(5.0, 5));
}

#[test]
fn api_keys_have_names_hashes_and_roles() {
    let hash = "0aFF".repeat(16);
    let auth = auth(&format!(
        "[auth.roles.partner]\n[[auth.api_key]]\nname = \"billing\"\nhash = \"sha256:{hash}\"\nrole = \"partner\"\n\
         permissions = [\"publish\"]\n[[auth.api_key]]\nname = \"b2\"\nhash = \"sha256:{hash}\"\n"
    ));
    let [one, other] = &*auth.api_keys else { panic!("{:?}", auth.api_keys) };
    assert_eq!((&*one.name, one.hash[..2].to_vec(), one.role), ("billing", vec![0x0a, 0xff], Role(4)));
    assert_eq!(one.permissions, Some(Permissions::PUBLISH));
    assert_eq!((other.role, other.permissions), (Role(2), None));
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_a_way_out() {
    let hash = format!("sha256:{}", "0a".repeat(32));
    refused(
        "[[auth.api_key]]\nname = \"b\"\nhash = \"weir_the key itself\"",
        "weir.toml:3: auth.api_key.hash is something else and must be \"sha256:\" and 64 hexadecimal digits, as `weir \
         token hash` prints them",
    );
    refused(&format!("[[auth.api_key]]\nhash = \"{hash}\""), "weir.toml:1: this auth.api_key has no name");
    refused(
        "[[auth.api_key]]\nname = \"b\"",
        "weir.toml:1: this auth.api_key has no hash; `weir token key NAME` makes a key and prints it",
    );
    refused(
        &format!("[[auth.api_key]]\nname = \"b\"\nhash = \"{hash}\"\nrole = \"root\""),
        "weir.toml:4: auth.api_key.role is \"root\" and must be one of the roles admin, premium, user, guest; others need a \
         section [auth.roles.NAME]",
    );
    refused(
        &format!(
            "[[auth.api_key]]\nname = \"b\"\nhash = \"{hash}\"\n[[auth.api_key]]\nname = \"b\"\nhash = \"{hash}\""
        ),
        "weir.toml:5: auth.api_key.name is \"b\", and so is another's; rename one of them",
    );
    refused(
        &format!("[[auth.api_key]]\nname = \"b\"\nhassh = \"{hash}\"\nhash = \"{hash}\""),
        "weir.toml:3: there is no auth.api_key.hassh; did you mean auth.api_key.hash?",
    );
    refused(
        "[auth.roles.user]\npermissions = [\"fly\"]",
        "weir.toml:2: auth.roles.user.permissions is a list and must be a list of read, write, publish, observe, \
         impersonate, debug, admin",
    );
    refused(
        "[auth.roles.user]\nmcp_deny = [\"*********\"]",
        "weir.toml:2: auth.roles.user.mcp_deny is a list and must be a list of patterns such as \"room:*\", each of 1 to 256 \
         bytes with at most 8 *",
    );
    refused(
        "[rate_limiting.roles]\nuser = { limit = -1 }",
        "weir.toml:2: rate_limiting.roles.user.limit is -1 and must be a whole number from 0 to 1000000000",
    );
    refused(
        "[auth.jwt]\njwks_url = \"http://id.example/jwks\"",
        "weir.toml:2: auth.jwt.jwks_url is \"http://id.example/jwks\" and must be an https URL, or an http one on this machine \
         such as \"http://127.0.0.1:8080/jwks.json\", or \"\" for none",
    );
    refused(
        "[auth.jwt]\nalgorithms = [\"HS256\", \"none\"]",
        "weir.toml:2: auth.jwt.algorithms is a list and must be a list of at least one of \"HS256\", \"RS256\", \"ES256\" or \
         \"EdDSA\"",
    );
    refused(
        "[auth.jwt]\nsecrets = \"x\"",
        "weir.toml:2: there is no auth.jwt.secrets; did you mean auth.jwt.secret?",
    );
    refused("[auth]\nrole = { a = 1 }", "weir.toml:2: there is no auth.role; did you mean auth.roles?");
}

#[test]
fn authentication_without_a_key_is_a_contradiction() {
    for mode in ["required", "optional"] {
        let settings = file(&format!("[auth]\nmode = \"{mode}\"")).expect("each value is fine alone");
        let found = settings.contradictions();
        assert!(found.len() == 1 && found[0].contains("JWT_SECRET"), "{found:?}");
    }
    let settings =
        file(&format!("[auth.jwt]\nsecret = \"{SECRET}\"\nalgorithms = [\"EdDSA\"]")).expect("alone");
    assert!(settings.contradictions()[0].contains("lacks HS256"));
}
