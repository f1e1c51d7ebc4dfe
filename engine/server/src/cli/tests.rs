use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("weir").chain(words.split_whitespace()))
}

/// What serve would use, or what it would say.
fn settings(words: &str) -> Result<Settings, String> {
    match parse(words).map_err(|error| error.to_string())?.command {
        Some(Command::Serve(options)) => {
            let configuration = options.sources(&[]).read().map_err(|error| error.to_string())?;
            Ok(configuration.settings)
        }
        other => Err(format!("{other:?} is not serve")),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_serves() {
    let cli = parse("--sse-port 0 --shards 2 --insecure").expect("flags of serve");
    assert!(cli.command.is_none());
    assert_eq!(cli.serve.sse_port.as_deref(), Some("0"));
    assert_eq!(cli.serve.shards.as_deref(), Some("2"));
    assert!(cli.serve.insecure);
    assert!(parse("").is_ok());
}

#[test]
fn flags_reach_their_keys() {
    let settings = settings(
        "serve --shards 3 --cores 0,1 --admin-port 1 --sse-port 2 --ws-port 3 --bind ::1 --rate-limit 7 \
         --backend-rate-limit 0 --data-dir /srv/weir --driver epoll --test-endpoints",
    )
    .expect("right");
    let server = &settings.server;
    assert_eq!((server.shards, server.cores.as_slice()), (3, [0, 1].as_slice()));
    assert_eq!((server.admin_port, server.sse_port, server.ws_port), (1, 2, 3));
    assert!(server.bind.is_loopback() && server.bind.is_ipv6());
    assert_eq!(settings.data_dir.as_deref(), Some(std::path::Path::new("/srv/weir")));
    assert_eq!(server.driver, Some(weir_ring::driver::Kind::Epoll));
    let shard = settings.shard(3, 1_000, 2);
    assert!(shard.test_endpoints);
    assert_eq!((shard.client_rate.per_second, shard.client_rate.burst), (7.0, 7));
    assert_eq!(shard.backend_rate.per_second, 0.0);
}

#[test]
fn one_core_is_a_list_too() {
    assert_eq!(settings("serve --cores 1").expect("right").server.cores, [1]);
}

#[test]
fn wrong_flags_are_refused() {
    assert_eq!(parse("serve --sse-prot 1").expect_err("unknown").kind(), ErrorKind::UnknownArgument);
    assert_eq!(parse("server").expect_err("unknown").kind(), ErrorKind::InvalidSubcommand);
    assert_eq!(parse("serve --sse-port").expect_err("empty").kind(), ErrorKind::InvalidValue);
    let said = settings("serve --sse-port -1").expect_err("below the bounds");
    assert_eq!(said, "--sse-port: server.sse_port is -1 and must be a whole number from 0 to 65535");
}

#[test]
fn help_explains_the_exit_codes() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("130  stopped at once by a second signal"), "{help}");
}

#[test]
fn flags_are_those_of_the_table_of_keys() {
    let mut command = Cli::command();
    let serve = command.find_subcommand_mut("serve").expect("serve");
    // What they are for is said once, here; which keys they set, the table of keys says, too.
    for (flag, key) in config::flags() {
        let argument = serve.get_arguments().find(|argument| argument.get_long() == flag.strip_prefix("--"));
        assert!(argument.is_some(), "serve has no {flag}, which sets {key}");
    }
    let options = Serve {
        shards: Some("1".into()),
        cores: Some("0".into()),
        admin_port: Some("0".into()),
        sse_port: Some("0".into()),
        ws_port: Some("0".into()),
        bind: Some("::1".into()),
        driver: Some("epoll".into()),
        tls_cert: Some("a".into()),
        tls_key: Some("b".into()),
        data_dir: Some("c".into()),
        rules: Some("d".into()),
        rate_limit: Some("1".into()),
        backend_rate_limit: Some("1".into()),
        test_endpoints: true,
        ..Serve::default()
    };
    let mut given: Vec<_> = options.flags().iter().map(|flag| (flag.name, flag.key)).collect();
    let mut known: Vec<_> = config::flags().collect();
    given.sort_unstable();
    known.sort_unstable();
    assert_eq!(given, known);
}

#[test]
fn keys_are_printed_and_one_that_is_none_has_a_nearest() {
    let doc = |words: &str| match parse(words).expect("right").command {
        Some(Command::ConfigDoc(doc)) => doc.run().map_err(|failure| failure.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(doc("config-doc http_sse.retry"), Ok(ExitCode::SUCCESS));
    let said = "there is no http_sse.retri; did you mean http_sse.retry?";
    assert_eq!(doc("config-doc http_sse.retri"), Err(said.to_owned()));
}
