use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::config::settings::Live;
use crate::config::value::{duration, duration_text};
use crate::config::{ConfigError, read};

const SECRET: &str = "\"the secret of these tests, 32 by\"";

const UPSTREAM: &str = "[[upstream]]\nname = \"a\"\nurl = \"http://127.0.0.1:9/mcp\"\n";

/// What a file of these keys and values, as TOML has them, with `rest` behind it, makes.
fn of_file(keys: &BTreeMap<&str, String>, rest: &str) -> Result<Configuration, ConfigError> {
    of_both(keys, rest, &[])
}

fn of_both(
    keys: &BTreeMap<&str, String>,
    rest: &str,
    environment: &[(String, String)],
) -> Result<Configuration, ConfigError> {
    let keys: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    read(Path::new("weir.toml"), &format!("{keys}{rest}"), environment, &[])
}

fn right(keys: &BTreeMap<&str, String>) -> Configuration {
    of_file(keys, UPSTREAM).unwrap_or_else(|error| panic!("{error}"))
}

/// A configuration in which a key may have another value: with authentication, TLS, limits of addresses, and an
/// upstream.
fn base() -> BTreeMap<&'static str, String> {
    [
        ("auth.jwt.secret", SECRET.to_owned()),
        ("security.exempt_loopback", "false".to_owned()),
        ("tls.cert", "\"a.pem\"".to_owned()),
        ("tls.client_auth", "\"optional\"".to_owned()),
        ("tls.client_ca", "\"ca.pem\"".to_owned()),
        ("tls.key", "\"a.key\"".to_owned()),
    ]
    .into()
}

/// The same for `key`: encryption raises what may wait for a client, so only its own keys have it.
fn base_of(key: &Key) -> BTreeMap<&'static str, String> {
    let mut base = base();
    if key.name.starts_with("encryption.") {
        base.insert("encryption.key", format!("\"one:{}\"", STANDARD.encode([1; 32])));
    }
    base
}

/// A rule file, gone at the end of the test.
struct RuleFile(PathBuf);

impl RuleFile {
    fn new(name: &str) -> RuleFile {
        let path = std::env::temp_dir().join(format!("weir-change-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, "[[rule]]\nname = \"a\"\neffect = \"deny\"\n").expect("a writable folder");
        RuleFile(path)
    }
}

impl Drop for RuleFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Values that a key may take, as TOML has them; which of them go with the base, it says itself.
fn candidates(key: &Key, default: &str, rules: &RuleFile) -> Vec<String> {
    let texts: &[&str] = match &key.kind {
        Kind::Switch(_) => &["true", "false"],
        Kind::Number { min, max, .. } => {
            let default: u64 = default.parse().expect("a number");
            let near = [default + 1, default.saturating_sub(1).max(*min), *min, *max];
            return near.map(|number| number.to_string()).into();
        }
        Kind::Time { .. } => {
            let default = duration(default.trim_matches('"')).expect("a duration");
            let near = [default + Duration::from_secs(1), default / 2];
            return near.map(|time| format!("{:?}", duration_text(time))).into();
        }
        Kind::Part(_) | Kind::Probability(_) => &["0.85", "0.95"],
        Kind::Endpoint(_) => &["\"http://127.0.0.1:4318\""],
        Kind::Socket(_) => &["\"127.0.0.1:9100\""],
        Kind::Address(_) => &["\"::1\""],
        Kind::Cores(_) => &["\"0\""],
        Kind::Hosts(_) => &["[\"a.example\"]"],
        Kind::Networks(_) => &["[\"10.0.0.0/8\"]"],
        Kind::Origins(_) => &["[\"https://a.example\", \"http://b.example\"]"],
        Kind::Tokens(_) => &["[\"GET\", \"PUT\"]"],
        Kind::Subjects(_) => &["[\"10.0.0.1\", \"client:a\"]"],
        Kind::Names(_) => &["[\"other\"]"],
        Kind::Algorithms(_) => &["[\"HS256\"]"],
        Kind::Servers(_) => &["[\"https://a.example\"]"],
        Kind::Secret { .. } if key.name == "tracing.headers" => &["\"a=1\""],
        Kind::Secret { .. } => &["\"another secret of these tests, 32\""],
        Kind::PublicKey(_) => &[PEM],
        Kind::KeyUrl(_) => &["\"https://a.example/keys\""],
        Kind::Resource(_) => &["\"https://a.example/mcp\""],
        Kind::File(_) if key.name == "rules.file" => {
            return vec![format!("{:?}", rules.0.display().to_string())];
        }
        Kind::Folder(_) | Kind::File(_) => &["\"another\""],
        // Without another mode authentication is required already.
        Kind::Choice { .. } if key.name == "auth.mode" => &["\"optional\""],
        Kind::Choice { words, .. } => return words.iter().map(|word| format!("{word:?}")).collect(),
        Kind::PayloadKeys { .. } => return vec![format!("\"two:{}\"", STANDARD.encode([2; 32]))],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const PEM: &str = "\"\"\"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAtAFaiyKlxY1fvKAQa9nB8bDd7IXBoAyrUlpkzRGcsbA=\n\
                   -----END PUBLIC KEY-----\n\"\"\"";

/// Another value of a key than that of `before`, and what holds with it.
fn other(key: &Key, before: &Configuration, rules: &RuleFile) -> (String, Configuration) {
    let default =
        MANUAL.entries().find(|entry| entry.key.name == key.name).expect("explained").default.clone();
    let tried = candidates(key, &default, rules).into_iter().find_map(|value| {
        let mut keys = base_of(key);
        keys.insert(key.name, value.clone());
        let newer = of_file(&keys, UPSTREAM).ok()?;
        (!before.same(key, &newer)).then_some((value, newer))
    });
    tried.unwrap_or_else(|| panic!("{} has no other value in this test", key.name))
}

fn view(of: &Configuration) -> Live {
    of.settings.live(2, 1_000, 2)
}

#[test]
fn a_reload_applies_every_key_that_says_so_and_no_other() {
    let rules = RuleFile::new("reload");
    for key in KEYS {
        let before = right(&base_of(key));
        let (value, newer) = other(key, &before, &rules);
        let (merged, changes) = before.renewed(newer).unwrap_or_else(|error| panic!("{}: {error}", key.name));
        let changed: Vec<&str> = changes.changed.iter().map(|changed| changed.key).collect();
        let waiting: Vec<&str> = changes.needs_restart.iter().map(|waiting| waiting.key).collect();
        match key.fixed {
            None => {
                assert!(
                    changed.contains(&key.name) && waiting.is_empty(),
                    "{} = {value}: {changes:?}",
                    key.name
                );
                assert!(view(&merged) != view(&before), "{} = {value} changes nothing", key.name);
            }
            Some(_) => {
                assert_eq!(
                    (changed.as_slice(), waiting.as_slice()),
                    ([""; 0].as_slice(), [key.name].as_slice())
                );
                assert!(view(&merged) == view(&before), "{} = {value} changes something", key.name);
                assert_eq!(merged.settings, before.settings, "{}", key.name);
            }
        }
        assert_eq!(changes.unchanged.len(), KEYS.len() - 1, "{}", key.name);
    }
}

#[test]
fn a_variable_says_the_same_as_the_file() {
    let rules = RuleFile::new("variable");
    for key in KEYS {
        let before = right(&base_of(key));
        let (value, by_file) = other(key, &before, &rules);
        let text = value.trim_start_matches(['[', '"']).trim_end_matches([']', '"']).replace("\", \"", ",");
        for variable in [Some(key.variable()), key.alias.map(str::to_owned)].into_iter().flatten() {
            let by_variable = of_both(&base_of(key), UPSTREAM, &[(variable.clone(), text.clone())]);
            let by_variable = by_variable.unwrap_or_else(|error| panic!("{variable}={text}: {error}"));
            assert_eq!(by_variable.settings, by_file.settings, "{variable}={text}");
        }
    }
}

#[test]
fn other_words_for_the_same_are_no_change() {
    let mut keys = base();
    keys.insert("outbox.max_age", "\"300s\"".into());
    let (merged, changes) = right(&base()).renewed(right(&keys)).expect("right");
    assert_eq!((changes.changed.len(), changes.needs_restart.len()), (0, 0));
    assert_eq!(merged.settings, right(&base()).settings);
}

#[test]
fn what_changes_is_told_with_both_values_and_secrets_are_not() {
    let mut keys = base();
    keys.insert("rate_limiting.default.limit", "7".into());
    keys.insert("security.origins", "[\"https://a.example\"]".into());
    keys.insert("auth.jwt.secret", "\"another secret of these tests, 32\"".into());
    keys.insert("server.ws_port", "4003".into());
    let (_, changes) = right(&base()).renewed(right(&keys)).expect("right");
    let values = |from: &str, to: &str| Some([from.to_owned(), to.to_owned()]);
    let told: Vec<_> = changes.changed.iter().map(|changed| (changed.key, changed.values.clone())).collect();
    assert_eq!(
        told,
        [
            ("auth.jwt.secret", None),
            ("rate_limiting.default.limit", values("100", "7")),
            ("security.origins", values("[]", "[\"https://a.example\"]")),
        ]
    );
    assert_eq!(changes.needs_restart, [Waiting { key: "server.ws_port", why: "ports are bound at start" }]);
}

#[test]
fn what_needs_a_restart_does_not_break_what_does_not() {
    let before = of_file(&BTreeMap::new(), "").expect("right");
    let after =
        of_file(&[("security.trusted_proxies", "[\"10.0.0.0/8\"]".to_owned())].into(), "").expect("right");
    let (merged, changes) = before.renewed(after).expect("right");
    assert_eq!(changes.needs_restart, [Waiting { key: "security.trusted_proxies", why: PEERS }]);
    assert!(view(&merged).shard.network.trusted_proxies.is_empty());
}

#[test]
fn authentication_is_not_switched_on_in_the_middle() {
    let before = of_file(&BTreeMap::new(), "").expect("right");
    let keys = [("auth.jwt.secret", SECRET.to_owned()), ("rate_limiting.per_client", "5".to_owned())].into();
    let (merged, changes) = before.renewed(of_file(&keys, "").expect("right")).expect("right");
    assert_eq!(changes.needs_restart, [Waiting { key: "auth.jwt.secret", why: AUTH }]);
    assert_eq!(merged.settings.auth_mode(), Mode::Off);
    assert_eq!(merged.settings.shard(1, 1_000, 2).client_rate.per_second, 5.0);
}

#[test]
fn roles_keep_their_places_and_one_that_is_gone_is_a_guest() {
    let roles = |names: &[&str], rest: &str| {
        let roles =
            names.iter().map(|name| format!("[auth.roles.{name}]\npermissions = [\"read\", \"write\"]\n"));
        of_file(&base(), &format!("{}{rest}{UPSTREAM}", roles.collect::<String>())).expect("right")
    };
    let key = "[[auth.api_key]]\nname = \"k\"\nrole = \"b\"\nhash = \"sha256:HASH\"\n"
        .replace("HASH", &"0".repeat(64));
    let (merged, changes) = roles(&["a", "b"], "").renewed(roles(&["c", "b"], &key)).expect("right");
    let lists: Vec<&str> = changes.changed.iter().map(|changed| changed.key).collect();
    assert_eq!(lists, ["auth.api_key", "auth.roles", "rate_limiting.roles"]);
    let auth = merged.settings.auth();
    let names: Vec<&str> = auth.roles.iter().map(|role| &*role.name).collect();
    assert_eq!(names, ["admin", "premium", "user", "guest", "", "b", "c"]);
    assert_eq!((auth.api_keys[0].role, auth.role("b")), (Role(5), Role(5)));
    assert_eq!(auth.rules(Role(4)).permissions, auth.rules(Role::GUEST).permissions);
    let (merged, _) = merged.renewed(roles(&["a"], "")).expect("right");
    let auth = merged.settings.auth();
    assert_eq!((auth.role("a"), auth.role("b"), auth.role("c")), (Role(7), Role::GUEST, Role::GUEST));
}

#[test]
fn bounds_of_a_server_change_and_servers_do_not() {
    let of = |rest: &str| of_file(&base(), &format!("{UPSTREAM}{rest}")).expect("right");
    let before = of("");
    let (merged, changes) = before.renewed(of("timeout = \"7s\"\npool = { size = 6 }\n")).expect("right");
    assert_eq!(changes.needs_restart, []);
    let upstream = &merged.settings.shard(2, 1_000, 2).upstreams[0];
    assert_eq!((upstream.timeout, upstream.pool.size), (Duration::from_secs(7), 3));
    let (merged, changes) =
        before.renewed(of("[[upstream]]\nname = \"b\"\ncommand = [\"b\"]\n")).expect("right");
    assert_eq!(changes.needs_restart, [Waiting { key: "upstream", why: SERVERS }]);
    assert_eq!(merged.settings.upstreams, before.settings.upstreams);
}

#[test]
fn what_is_new_and_does_not_go_with_what_waits_is_refused() {
    let of = |names: &[&str], total: &str| {
        let list =
            names.iter().map(|name| UPSTREAM.replace("\"a\"", &format!("{name:?}"))).collect::<String>();
        of_file(&[("control.pool_total", total.to_owned())].into(), &list).expect("right")
    };
    let before = of(&["a", "b"], "0");
    assert!(before.renewed(of(&["a"], "2")).is_ok());
    let refused = before.renewed(of(&["a"], "1")).expect_err("two servers stay").to_string();
    assert!(refused.contains("smaller than the number of upstreams, 2"), "{refused}");
    assert!(refused.ends_with("the rest does not go: upstream"), "{refused}");
}
