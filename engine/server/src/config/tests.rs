use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::Settings;
use super::*;

/// What `text` as a file makes of the defaults, or what is wrong with it.
pub(super) fn file(text: &str) -> Result<Settings, String> {
    let (mut settings, mut said, mut problems) = (Settings::default(), Said::default(), Vec::new());
    match Document::parse(Path::new("weir.toml"), text) {
        Ok(document) => {
            document.sections(&mut settings, &mut said, &mut problems);
            document.lists(&mut settings, &mut problems);
        }
        Err(problem) => problems.push(problem),
    }
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(settings) } else { Err(problems.join("\n")) }
}

pub(super) fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flag(name: &'static str, key: &'static str, value: &str) -> Flag {
    Flag { name, key, value: value.to_owned() }
}

/// A file that is gone at the end of the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("weir-config-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).expect("a writable folder for temporary files");
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn the_default_file_says_the_defaults() {
    assert_eq!(file(DEFAULT_FILE), Ok(Settings::default()));
}

#[test]
fn the_default_file_holds_every_key_in_order_and_its_bounds() {
    let mut section = "";
    let mut comment = String::new();
    let mut keys = KEYS.iter();
    for line in DEFAULT_FILE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if line.starts_with('#') {
            comment.push_str(line);
            continue;
        } else if let Some((name, _)) = line.split_once(" = ") {
            let key = keys.next().expect("a key of the table");
            assert_eq!(key.name, format!("{section}.{name}"));
            if let Some(alias) = key.alias {
                assert!(comment.contains(alias), "{}: {alias} is not explained", key.name);
            }
            if let keys::Kind::Time { min, max, .. } = key.kind
                && !key.name.starts_with("rate_limiting.backend")
            {
                let (min, max) = (value::duration_text(min), value::duration_text(max));
                let hours = |text: &str| value::duration(text).expect("a duration");
                assert!(comment.contains(&format!("{min:?} to ")), "{}: from {min}", key.name);
                let said =
                    comment.split("to \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
                assert_eq!(hours(said), hours(&max), "{}", key.name);
            }
        }
        comment.clear();
    }
    assert_eq!(keys.next().map(|key| key.name), None);
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    assert_eq!(file(""), Ok(Settings::default()));
    assert_eq!(load(None, &[], &[]).expect("defaults"), Settings::default());
}

#[test]
fn keys_set_what_they_name() {
    let settings = file(
        "[http_sse]\nheartbeat_interval = \"1s\"\nmax_connections = 2\n[rate_limiting]\ndefault = { limit = 60, \
         per = \"1m\", burst = 5 }\n[server]\ncores = \"0,2-3\"\nbind = \"::1\"\n",
    )
    .expect("right");
    let shard = settings.shard(1, 1_000, 2);
    assert_eq!(shard.sse.heartbeat_interval, Duration::from_secs(1));
    assert_eq!(shard.sse.connections_max, 2);
    assert_eq!((shard.client_rate.per_second, shard.client_rate.burst), (1.0, 5));
    assert_eq!(settings.server.cores, [0, 2, 3]);
    assert!(settings.server.bind.is_ipv6());
}

#[test]
fn methods_have_limits_of_their_own() {
    let text = "[rate_limiting.methods]\n\"tools/call\" = { limit = 10, per = \"1m\" }\nping = { limit = 5, burst = 9 }\n";
    let shard = file(text).expect("right").shard(1, 1_000, 2);
    let limits =
        shard.method_limits.iter().map(|limit| (&*limit.name, limit.rate.per_second, limit.rate.burst));
    assert_eq!(limits.collect::<Vec<_>>(), [("ping", 5.0, 9), ("tools/call", 10.0 / 60.0, 10)]);
    for (text, said) in [
        (
            "a = 1",
            "weir.toml:2: rate_limiting.methods.a is 1 and must be a section such as { limit = 10, per = \"1s\" }",
        ),
        ("a = { per = \"1s\" }", "weir.toml:2: this rate_limiting.methods.a has no limit"),
        (
            "a = { limit = 1, bursts = 1 }",
            "weir.toml:2: there is no rate_limiting.methods.a.bursts; did you mean rate_limiting.methods.*.burst?",
        ),
    ] {
        assert_eq!(file(&format!("[rate_limiting.methods]\n{text}\n")).expect_err("wrong"), said);
    }
}

#[test]
fn network_addresses_have_limits_and_proxies_are_trusted_by_name() {
    let text = "[security]\nhandshakes_per_second = 30\ntrusted_proxies = [\"10.0.0.0/8\"]\n";
    let settings = file(text).expect("right");
    let network = settings.shard(3, 1_000, 2).network;
    assert_eq!((network.handshake_rate.per_second, network.handshake_rate.burst), (10.0, 30));
    assert!(network.trusts("10.1.2.3".parse().expect("an address")));
    assert!(settings.asks_for_peers() && !Settings::default().asks_for_peers());
    assert!(file("[server]\nbind = \"0.0.0.0\"\n").expect("right").asks_for_peers());
    assert_eq!(file("[memory]\nbudget = 1048576\n").expect("right").memory_budget, Some(1 << 20));
}

#[test]
fn time_outs_that_are_off_never_come() {
    let shard = file("[websocket]\nping_interval = \"0s\"\n").expect("right").shard(1, 1_000, 2);
    assert!(shard.websocket.ping_interval > Duration::from_secs(10 * 365 * 24 * 3_600));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
    let said = file("# first\n[websocket]\nping_intervall = \"3s\"\n").expect_err("unknown");
    assert_eq!(
        said,
        "weir.toml:3: there is no websocket.ping_intervall; did you mean websocket.ping_interval?"
    );
    let said = file("[web_socket]\nping_interval = \"3s\"\n").expect_err("unknown");
    assert_eq!(said, "weir.toml:1: there is no web_socket; did you mean websocket?");
    let said = file("[mailer]\nurl = \"x\"\n").expect_err("unknown");
    assert_eq!(said, "weir.toml:1: there is no mailer; `weir default-config` shows every key");
    let said = file("[jwt]\ncache_ttl = \"5m\"\n").expect_err("unknown");
    assert_eq!(said, "weir.toml:1: there is no jwt; did you mean auth.jwt?");
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    for (text, said) in [
        (
            "[message]\nmax_size = \"many\"",
            "weir.toml:2: message.max_size is \"many\" and must be a whole number from 1024 to 67108864",
        ),
        (
            "[message]\nmax_size = -1",
            "weir.toml:2: message.max_size is -1 and must be a whole number from 1024 to 67108864",
        ),
        (
            "[message]\nmax_size = 1.5",
            "weir.toml:2: message.max_size is 1.5 and must be a whole number from 1024 to 67108864",
        ),
        (
            "[message]\nmax_size = 0x1_0000_0000",
            "weir.toml:2: message.max_size is 4294967296 and must be a whole number from 1024 to 67108864",
        ),
        (
            "[http]\nhead_deadline = 5",
            "weir.toml:2: http.head_deadline is 5 and must be a whole number of ms, s, m or h from \"10ms\" to \"1h\", or \"0s\" to switch it off",
        ),
        (
            "[http_sse]\nretry = \"0s\"",
            "weir.toml:2: http_sse.retry is \"0s\" and must be a whole number of ms, s, m or h from \"1ms\" to \"1h\"",
        ),
        (
            "[server]\nbind = \"localhost\"",
            "weir.toml:2: server.bind is \"localhost\" and must be an IP address such as \"127.0.0.1\" or \"::1\"",
        ),
        (
            "[websocket]\ncompression = \"yes\"",
            "weir.toml:2: websocket.compression is \"yes\" and must be true or false",
        ),
        (
            "[durability]\ndir = 1",
            "weir.toml:2: durability.dir is 1 and must be a folder, such as \"/var/lib/weir\" or \"./1\", or \"\" for none",
        ),
        (
            "[rate_limiting]\ndefault = 5",
            "weir.toml:2: rate_limiting.default is a section, not a key; its keys go below [rate_limiting.default]",
        ),
        (
            "[outbox]\nmax_age = { s = 5 }",
            "weir.toml:2: outbox.max_age is a section and must be a whole number of ms, s, m or h from \"1s\" to \"168h\", or \"0s\" to switch it off",
        ),
    ] {
        assert_eq!(file(text).expect_err(text), said);
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = file("[message]\nmax_size = 1\n[outbox]\nmax_ages = \"3s\"\n").expect_err("two faults");
    assert_eq!(said.lines().count(), 2);
    assert!(said.contains("weir.toml:2: message.max_size") && said.contains("weir.toml:4:"), "{said}");
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let said = file("\n[message\n").expect_err("syntax");
    assert!(said.starts_with("weir.toml:2: this is no TOML: "), "{said}");
    let said = file("[message]\nmax_size = 4096\nmax_size = 5000\n").expect_err("twice");
    assert!(said.starts_with("weir.toml:3: this is no TOML: duplicate key"), "{said}");
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file() {
    let file = Temporary::new("precedence", "[server]\nadmin_port = 1\nsse_port = 1\nws_port = 10\n");
    let variables = environment(&[("WEIR_SERVER_SSE_PORT", "2"), ("MCP_WS_PORT", "20"), ("PATH", "x")]);
    let flags = [flag("--ws-port", "server.ws_port", "3")];
    let server = load(Some(&file.0), &variables, &flags).expect("right").server;
    assert_eq!((server.admin_port, server.sse_port, server.ws_port), (1, 2, 3));
}

#[test]
fn every_key_is_a_variable_and_goes_before_its_alias() {
    let variables =
        environment(&[("WEIR_SERVER_WS_PORT", "5"), ("MCP_WS_PORT", "6"), ("WEIR_OUTBOX_MAX_AGE", "60s")]);
    let settings = load(None, &variables, &[]).expect("right");
    assert_eq!(settings.server.ws_port, 5);
    assert_eq!(settings.shard(1, 1_000, 2).outbox.age_max, Duration::from_secs(60));
}

#[test]
fn a_wrong_variable_or_flag_is_named_as_it_was_given() {
    let variables = environment(&[("MCP_WS_PORT", "65536")]);
    let said =
        load(None, &variables, &[flag("--cores", "server.cores", "two")]).expect_err("wrong").to_string();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(
        said,
        [
            "environment variable MCP_WS_PORT: server.ws_port is 65536 and must be a whole number from 0 to 65535",
            "--cores: server.cores is \"two\" and must be core numbers and ranges such as \"0,2-5\"",
        ]
    );
}

#[test]
fn what_has_no_effect_is_told_with_the_reason() {
    let variables = environment(&[
        ("MCP_WS_PORT", "1"),
        ("MCP_POOL_SIZE", "9"),
        ("MCP_POOL_SICE", "9"),
        ("WEIR_SERVER_BIND", "::1"),
        ("DATABASE_URL", "x"),
        ("HOME", "x"),
    ]);
    let text = "[database]\nurl = \"x\"\n[http_sse]\nchunk_size = 1\nretry = \"2s\"\n";
    let found = read(Path::new("weir.toml"), text, &variables, &[]).expect("right");
    let told: Vec<&str> = found.idle().iter().map(String::as_str).collect();
    let database = "there is no database: what must outlive the process is kept in the folder durability.dir";
    assert_eq!(
        told,
        [
            format!("weir.toml:1: database has no effect, because {database}"),
            "weir.toml:4: http_sse.chunk_size has no effect, because an event leaves whole, as soon as it is there".into(),
            "the environment variable MCP_POOL_SICE has no effect, because no key of this version has that name".into(),
            format!("the environment variable DATABASE_URL has no effect, because {database}"),
        ]
    );
}

#[test]
fn what_is_wrong_is_told_to_programs_too() {
    let variables = environment(&[("MCP_WS_PORT", "-1")]);
    let text = "[http_sse]\nretri = \"2s\"\n";
    let wrong = read(Path::new("weir.toml"), text, &variables, &[]).expect_err("wrong");
    let told = wrong.problems();
    assert_eq!((&told[0]["file"], &told[0]["line"]), (&"weir.toml".into(), &2.into()));
    assert_eq!((&told[0]["key"], &told[0]["nearest"]), (&"http_sse.retri".into(), &"http_sse.retry".into()));
    assert_eq!((&told[1]["variable"], &told[1]["key"]), (&"MCP_WS_PORT".into(), &"server.ws_port".into()));
    let wrong = file("[message]\nmax_size = 2097152\n").expect("fine alone").contradictions();
    assert_eq!(ConfigError::Contradictions(wrong).problems().len(), 2);
}

#[test]
fn settings_that_contradict_each_other_are_refused_with_the_way_out() {
    for (text, said) in [
        (
            "[message]\nmax_size = 2097152\n[outbox]\nmax_bytes = 2097152",
            "Set connection.queue_bytes to at least 2101248",
        ),
        ("[connection]\nqueue_bytes = 1048576", "Set connection.queue_bytes to at least 1052672"),
        (
            "[durability]\nmax_bytes = 67108864",
            "smaller than two segments of durability.segment_bytes = 67108864",
        ),
        ("[outbox]\nmax_bytes = 4096", "outbox.max_bytes = 4096 is smaller than message.max_size = 1048576"),
        (
            "[http]\nmax_line_size = 20000",
            "http.max_head_size = 16384 is smaller than http.max_line_size = 20000",
        ),
        ("[server]\nws_port = 4001", "server.sse_port and server.ws_port are both 4001"),
    ] {
        let found = file(text).expect("each value is fine alone").contradictions();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(said), "{}", found[0]);
    }
    let free = file("[server]\nadmin_port = 0\nsse_port = 0\nws_port = 0").expect("free ports");
    assert_eq!(free.contradictions(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let said = load(Some(Path::new("no/such/weir.toml")), &[], &[]).expect_err("no file").to_string();
    assert!(said.starts_with("no/such/weir.toml cannot be read: "), "{said}");
}

#[test]
fn tls_is_made_of_files() {
    let settings = file(
        "[tls]\ncert = \"a.pem\"\nkey = \"a.key\"\nmin_version = \"1.3\"\nclient_auth = \"optional\"\nclient_ca = \
         \"ca.pem\"\n[[tls.certificate]]\ncert = \"b.pem\"\nkey = \"b.key\"\n",
    )
    .expect("right");
    let listeners = settings.tls_files().listeners;
    let pair = |name: &str| Pair { cert: format!("{name}.pem").into(), key: format!("{name}.key").into() };
    assert_eq!((listeners.first(), listeners.certificates), (Some(pair("a")), vec![pair("b")]));
    assert_eq!((listeners.client_auth, listeners.tls13_only), (ClientAuth::Optional, true));
    let variables =
        environment(&[("WEIR_TLS_MIN_VERSION", "1.3"), ("WEIR_TLS_CERT", "a"), ("WEIR_TLS_KEY", "b")]);
    assert!(load(None, &variables, &[]).expect("right").tls_files().listeners.tls13_only);
}

#[test]
fn tls_without_what_it_needs_is_refused() {
    for (text, said) in [
        ("cert = \"a.pem\"", "tls.cert has no tls.key"),
        ("key = \"a.pem\"", "tls.key has no tls.cert"),
        ("client_auth = \"required\"", "tls.client_ca does not say whose"),
        ("client_ca = \"a.pem\"", "nobody is asked"),
        ("min_version = \"1.3\"", "has no certificate"),
        ("[[tls.certificate]]\ncert = \"b.pem\"\nkey = \"b.key\"", "has no certificate"),
    ] {
        let settings = file(&format!("[tls]\n{text}\n")).expect(text);
        let found = settings.contradictions().join("\n");
        assert!(found.contains(said), "{text}\n{found}");
    }
    for text in
        ["certificate = 1", "[[tls.certificate]]\ncert = \"b.pem\"", "[[tls.certificate]]\nname = \"b\""]
    {
        let found = file(&format!("[tls]\n{text}\n")).expect_err(text);
        assert!(found.contains("begins with [[tls.certificate]]"), "{text}\n{found}");
    }
    for (text, said) in [
        ("url = \"https://[::1]/\"\ncert = \"a.pem\"", "the upstream a: cert has no"),
        ("url = \"http://[::1]/\"\nca = \"a.pem\"", "no URL that begins with https://"),
    ] {
        let settings = file(&format!("[[upstream]]\nname = \"a\"\n{text}\n")).expect(text);
        let found = settings.contradictions().join("\n");
        assert!(found.contains(said), "{text}\n{found}");
    }
}
