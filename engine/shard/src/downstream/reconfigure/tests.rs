use std::sync::Arc;
use std::time::Duration;

use weir_ring::token::Token;

use super::*;
use crate::downstream::mcp::tests::World;
use crate::limits::{
    ApiKey, Effect, Matchers, MethodLimit, Mode, Names, Pattern, Permissions, Rate, Role, RoleRules, Rule,
    RuleSet,
};
use crate::mail::Mail;
use crate::policy::auth::hash_api_key;
use crate::policy::{Caller, Verdict};

/// Gives the shard what `change` makes of what it has; the rules only if there are others.
fn renew(world: &mut World, change: impl FnOnce(&mut Config)) {
    let mut config = (*world.shard.config).clone();
    change(&mut config);
    let rules = (config.rules != world.shard.config.rules || config.auth != world.shard.config.auth)
        .then(|| Rules::new(&config.rules, &config.auth.roles, 7));
    let renewal = Renewal { config: Arc::new(config), rules };
    world.post.inbox.push(Mail::Reconfigure(Box::new(renewal)));
    world.turn();
}

fn publish(headers: &str, data: &str) -> String {
    let body = format!(r#"{{"type":"t","data":{data}}}"#);
    format!(
        "POST /mcp/clients/u/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn stream(client: &str, headers: &str) -> String {
    format!("GET /mcp/sse?client_id={client} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{headers}\r\n")
}

fn open(world: &mut World, request: &str) -> (Token, String) {
    let connection = world.accept();
    let sent = world.ask(connection, request);
    (connection, sent)
}

fn reason(reason: &str, status: u16) -> (u16, String) {
    (status, reason.to_owned())
}

#[test]
fn a_bucket_goes_on_at_the_new_rate() {
    let mut world = World::with(|config| config.backend_rate = Rate::new(100.0, 100));
    let named = "X-Client-ID: billing\r\n";
    assert_eq!(world.verdict(&publish(named, "1")).0, 202);
    renew(&mut world, |config| config.backend_rate = Rate::new(1.0, 2));
    let answers: Vec<u16> = (0..3).map(|_| world.verdict(&publish(named, "1")).0).collect();
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    renew(&mut world, |config| config.backend_rate = Rate::new(0.0, 1));
    assert_eq!(world.verdict(&publish(named, "1")).0, 202);
}

#[test]
fn a_method_has_a_new_limit() {
    let mut world = World::with(|_| {});
    let limit = MethodLimit { name: "t".into(), rate: Rate::new(1.0, 1) };
    renew(&mut world, |config| config.method_limits = [limit].into());
    let (caller, now) = (Caller::Client("u"), world.now().mono);
    let mut take = || matches!(world.shard.methods.take(caller, "t", now), Verdict::Allow { .. });
    assert_eq!([take(), take()], [true, false]);
}

#[test]
fn the_largest_message_is_another_and_rules_are_others() {
    let mut world = World::with(|_| {});
    let large = format!("\"{}\"", "x".repeat(3_000));
    assert_eq!(world.verdict(&publish("", &large)).0, 202);
    renew(&mut world, |config| config.message_bytes_max = 2_048);
    assert_eq!(world.verdict(&publish("", &large)), reason("message_too_large", 413));
    let when = Matchers { types: Names::parse(&["t"]).expect("names"), ..Matchers::default() };
    let rule = Rule { name: "no-t".into(), when, effect: Effect::Deny, dry_run: false };
    renew(&mut world, |config| config.rules.set = RuleSet { rules: vec![rule], dry_run: false });
    assert_eq!(world.verdict(&publish("", "1")), reason("no-t", 403));
}

#[test]
fn a_stream_that_is_there_gets_heartbeats_as_often_as_is_said_now() {
    let mut world = World::with(|_| {});
    let (token, _) = open(&mut world, &stream("u", ""));
    renew(&mut world, |config| config.sse.heartbeat_interval = Duration::from_secs(1));
    let _ = world.read(token);
    world.wait(Duration::from_millis(1_010));
    let sent = world.read(token);
    assert!(sent.contains("event: heartbeat"), "{sent}");
}

#[test]
fn who_came_with_a_key_that_is_gone_goes_and_others_stay() {
    let key = |name: &str| ApiKey {
        name: name.into(),
        hash: hash_api_key(&format!("weir_{name}")),
        role: Role::USER,
        permissions: None,
    };
    let mut world = World::with(|config| {
        config.auth.mode = Mode::Required;
        config.auth.api_keys = [key("a"), key("b")].into();
    });
    let header = |name: &str| format!("X-API-Key: weir_{name}\r\n");
    let (a, first) = open(&mut world, &stream("a", &header("a")));
    let (b, _) = open(&mut world, &stream("b", &header("b")));
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    renew(&mut world, |config| config.auth.api_keys = [key("b")].into());
    world.wait(Duration::from_millis(20));
    let said = world.read(a);
    assert!(said.contains("token_revoked"), "{said}");
    assert!(!world.read(b).contains("token_revoked"));
    let status = |world: &mut World, name| open(world, &stream(name, &header(name))).1[9..12].to_owned();
    assert_eq!((status(&mut world, "a"), status(&mut world, "b")), ("401".into(), "200".into()));
}

#[test]
fn a_role_that_comes_is_one_and_may_what_it_says() {
    let mut world = World::with(|config| config.auth.mode = Mode::Required);
    let partner = RoleRules {
        topics_allow: Pattern::parse("room:*").into_iter().collect(),
        ..RoleRules::new("partner", 5, Permissions::READ)
    };
    renew(&mut world, |config| {
        let roles = config.auth.roles.iter().cloned().chain([partner]);
        config.auth.roles = roles.collect();
        config.auth.api_keys =
            [ApiKey { name: "p".into(), hash: hash_api_key("weir_p"), role: Role(4), permissions: None }]
                .into();
    });
    let (_, said) = open(&mut world, &stream("p", "X-API-Key: weir_p\r\n"));
    assert!(said.contains(r#""role":"partner""#), "{said}");
}

#[test]
fn idempotency_presence_events_and_timed_turns_have_their_new_bounds() {
    let mut world = World::with(|_| {});
    renew(&mut world, |config| {
        config.idempotency.keys_max = 1;
        config.events = false;
        config.timed_turns = 0;
    });
    let keyed = |key: &str| publish(&format!("Idempotency-Key: {key}\r\n"), "1");
    assert_eq!(world.verdict(&keyed("k1")).0, 202);
    assert_eq!(world.verdict(&keyed("k2")).0, 503);
    world.post.outbox.clear();
    let _ = open(&mut world, &stream("new", ""));
    world.wait(Duration::from_millis(200));
    let told = world.post.outbox.iter().any(|(_, letter)| matches!(letter, Mail::Events { .. }));
    assert!(!told, "nothing is said any more");
}
