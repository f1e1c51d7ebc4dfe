use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use weir_ring::token::Address;
use weir_shard::limits::{Config, TargetKind};

use super::*;
use crate::config::Said;

/// What the defaults become with the upstreams of `text`, or what is wrong with it.
fn read(text: &str) -> Result<Settings, String> {
    let (mut settings, mut said, mut problems) = (Settings::default(), Said::default(), Vec::new());
    let document = Document::parse(Path::new("weir.toml"), text).map_err(|problem| problem.to_string())?;
    document.sections(&mut settings, &mut said, &mut problems);
    document.lists(&mut settings, &mut problems);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(settings) } else { Err(problems.join("\n")) }
}

/// The bounds of one of so many shards.
fn shard(text: &str, shards: u16) -> Config {
    read(text).expect(text).shard(shards, 1_000, 2)
}

const TOOLS: &str = "[[upstream]]\nname = \"tools\"\nurl = \"http://127.0.0.1:3000/mcp\"\n";

#[test]
fn a_command_is_what_a_child_is_started_with() {
    let settings = read(
        "[[upstream]]\ncwd = \"/srv\"\nname = \"files\"\ncommand = [\"npx\", \"-y\", \"server\"]\nenv = { A = \"1\" }\n",
    )
    .expect("right");
    let command = Command {
        program: "npx".into(),
        arguments: vec!["-y".into(), "server".into()],
        environment: vec![("A".into(), "1".into())],
        directory: Some("/srv".into()),
    };
    assert_eq!(settings.commands().collect::<Vec<_>>(), [(0, &command)]);
    let upstream = &settings.shard(1, 1_000, 2).upstreams[0];
    assert_eq!((&*upstream.name, upstream.targets.len()), ("files", 0));
}

#[test]
fn urls_are_replicas() {
    let config = shard(
        "[[upstream]]\nname = \"tools\"\nurls = [\"http://127.0.0.1:3000/mcp\", { url = \"http://[::1]\", weight = 2 }]\n\
         headers = { Authorization = \"Bearer a b\" }\n",
        1,
    );
    let upstream = &config.upstreams[0];
    let http = |host: &str, path: &str| TargetKind::Http { host: host.into(), path: path.into(), tls: None };
    let [one, two] = &upstream.targets[..] else { panic!("two targets: {:?}", upstream.targets) };
    assert_eq!(one.address, Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 3000))));
    assert_eq!((&one.kind, one.weight), (&http("127.0.0.1:3000", "/mcp"), 1));
    assert_eq!((&two.kind, two.weight), (&http("[::1]", "/"), 2));
    assert_eq!(upstream.headers, [("Authorization".into(), "Bearer a b".into())]);
}

#[test]
fn what_an_upstream_does_not_say_the_sections_say() {
    let text = format!(
        "{TOOLS}share = true\ntimeout = \"5s\"\npool.size = 7\n[upstream.circuit_breaker]\nthreshold = 1\n\
         [[upstream]]\nname = \"other\"\nurl = \"http://127.0.0.1:1/\"\nfailover_threshold = 9\n\
         [pool]\nsize = 20\noverflow = 3\n[routing]\nfailover_threshold = 4\n[circuit_breaker]\ntimeout = \"1s\"\n"
    );
    let config = shard(&text, 1);
    let [tools, other] = &config.upstreams[..] else { panic!("two upstreams") };
    assert_eq!((tools.share, other.share), (true, false));
    assert_eq!((tools.timeout, other.timeout), (Duration::from_secs(5), Duration::from_secs(60)));
    assert_eq!((tools.pool.size, other.pool.size), (7, 20));
    assert_eq!((tools.pool.overflow, other.pool.overflow), (3, 3));
    assert_eq!((tools.breaker.threshold, other.breaker.threshold), (1.0, 0.5));
    assert_eq!(other.breaker.timeout, Duration::from_secs(1));
    assert_eq!((tools.failover_threshold, other.failover_threshold), (4, 9));
}

#[test]
fn variables_hold_for_upstreams_that_do_not_say_otherwise() {
    let path = std::env::temp_dir().join(format!("weir-upstream-{}.toml", std::process::id()));
    std::fs::write(&path, format!("{TOOLS}pool.overflow = 1\n")).expect("a writable folder");
    let variables = [("MCP_POOL_SIZE", "12"), ("MCP_OVERFLOW", "13")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = crate::config::load(Some(&path), &variables, &[]);
    let _ = std::fs::remove_file(&path);
    let pool = &settings.expect("right").shard(1, 1_000, 2).upstreams[0].pool;
    assert_eq!((pool.size, pool.overflow), (12, 1));
}

#[test]
fn shards_share_a_pool_and_each_has_something() {
    let pool =
        &shard(&format!("{TOOLS}pool = {{ size = 1, overflow = 0, queue = 7 }}\n"), 3).upstreams[0].pool;
    assert_eq!((pool.size, pool.overflow, pool.queue), (1, 0, 3));
}

#[test]
fn the_built_in_server_is_there_when_no_other_is() {
    assert!(shard("", 1).mcp.builtin);
    assert!(!shard(TOOLS, 1).mcp.builtin);
    assert!(shard(&format!("{TOOLS}[mcp]\nbuiltin = true\n"), 1).mcp.builtin);
    assert!(!shard("[mcp]\nbuiltin = false\n", 1).mcp.builtin);
}

#[test]
fn hosts_follow_the_address_unless_they_are_named() {
    let hosts = |text: &str| shard(text, 1).browser.hosts.join(" ");
    assert_eq!(hosts(""), "localhost");
    assert_eq!(hosts("[server]\nbind = \"127.0.0.2\"\n"), "localhost");
    assert_eq!(hosts("[server]\nbind = \"0.0.0.0\"\n"), "");
    assert_eq!(hosts("[security]\nhosts = [\"Weir.example\"]\n"), "localhost weir.example");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, said) in [
        ("[[upstreams]]\nname = \"a\"\n", "1: there is no upstreams; did you mean upstream?"),
        (
            "[upstream]\nname = \"a\"\n",
            "1: upstream is a section and must be a list of sections, each of which begins with [[upstream]]",
        ),
        ("[[upstream]]\nurl = \"http://127.0.0.1/\"\n", "1: this upstream has no name"),
        (
            "\n[[upstream]]\nname = \"a\"\n",
            "2: this upstream has no command, url or urls; say what is to be started, or where it is",
        ),
        ("T pol = 5\n", "4: there is no upstream.pol; did you mean upstream.pool?"),
        ("T time_out = \"5s\"\n", "4: there is no upstream.time_out; did you mean upstream.timeout?"),
        ("T pool.sise = 5\n", "4: there is no upstream.pool.sise; did you mean upstream.pool.size?"),
        ("T pool = 5\n", "4: upstream.pool is a section, not a key; its keys go below [upstream.pool]"),
        ("T pool.size = 0\n", "4: upstream.pool.size is 0 and must be a whole number from 1 to 100000"),
        (
            "T command = [\"cat\"]\n",
            "3: upstream.url cannot stand beside upstream.command; leave one of them out",
        ),
        (
            "T urls = [\"http://127.0.0.1\"]\n",
            "4: upstream.urls cannot stand beside upstream.url; leave one of them out",
        ),
        ("T cwd = \"/\"\n", "4: upstream.cwd cannot stand beside upstream.url; leave one of them out"),
        ("T T ", "5: upstream.name is \"tools\", and so is another's; rename one of them"),
        (
            "T circuit_breaker.threshold = 1.5\n",
            "4: upstream.circuit_breaker.threshold is 1.5 and must be a number above 0 and up to 1",
        ),
    ] {
        let text = text.replace("T ", TOOLS);
        let found = read(&text).expect_err(&text);
        assert!(found.split('\n').any(|line| line == format!("weir.toml:{said}")), "{text}\n{found}\n{said}");
    }
}

#[test]
fn values_that_cannot_work_are_refused() {
    let named = |line: &str| format!("[[upstream]]\nname = \"a\"\n{line}\n");
    for (line, key) in [
        ("command = []", "upstream.command is a list and must be a list of a program"),
        ("command = [\"\"]", "upstream.command is a list and must be a list of a program"),
        ("command = [\"a\", 1]", "upstream.command is a list and must be a list of a program"),
        ("command = \"npx x\"", "upstream.command is \"npx x\" and must be a list of a program"),
        ("command = [\"a\"]\nenv = { A = 1 }", "upstream.env is 1 and must be a section of variables"),
        ("command = [\"a\"]\nenv = { \"A=\" = \"1\" }", "upstream.env is \"1\" and must be"),
        ("command = [\"a\"]\ncwd = \"\"", "upstream.cwd is \"\" and must be a folder's path"),
        ("url = \"127.0.0.1:3000\"", "upstream.url is \"127.0.0.1:3000\" and must be a URL such as"),
        ("url = \"https://[::1]/mcp\"\nca = \"\"", "upstream.ca is \"\" and must be a file's path"),
        (
            "url = \"http://no..where/\"",
            "upstream.url names the host \"no..where\", which cannot be resolved",
        ),
        ("urls = []", "upstream.urls is a list and must be a list of URLs"),
        ("urls = [{ url = \"http://[::1]\", weight = 0 }]", "upstream.urls is a list and must be"),
        ("urls = [{ url = \"http://[::1]\", wait = 1 }]", "upstream.urls is a list and must be"),
        ("url = \"http://[::1]\"\nheaders = { Host = \"a\" }", "upstream.headers is \"a\" and must be"),
        ("url = \"http://[::1]\"\nheaders = { A = \"b\\r\\nC: d\" }", "upstream.headers is"),
        ("url = \"http://[::1]\"\nheaders = { Mcp-Session-Id = \"a\" }", "upstream.headers is"),
    ] {
        let found = read(&named(line)).expect_err(line);
        assert!(found.contains(key), "{line}\n{found}\n{key}");
    }
    for name in ["", "A", "1a", "a_b", "a.b", &"a".repeat(33)] {
        let text = format!("[[upstream]]\nname = \"{name}\"\nurl = \"http://[::1]\"\n");
        let found = read(&text).expect_err(name);
        assert!(found.starts_with("weir.toml:2: upstream.name is "), "{found}");
    }
}

#[test]
fn a_bound_on_progress_below_the_time_out_is_a_contradiction() {
    let found =
        read(&format!("{TOOLS}timeout_max = \"30s\"\n")).expect("each is fine alone").contradictions();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("timeout_max = 30s of the upstream tools"), "{}", found[0]);
}
