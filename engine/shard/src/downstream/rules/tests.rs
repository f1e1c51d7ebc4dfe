use std::time::Duration;

use weir_ring::token::{Member, Token};

use crate::downstream::mcp::tests::World;
use crate::limits::{Effect, Injection, Matchers, Names, Rate, Rule, RuleSet, Rules};
use crate::mail::{Answer, Mail, Question};
use crate::policy::rules;

fn names(texts: &[&str]) -> Names {
    Names::parse(texts).expect("patterns")
}

fn rule(name: &str, when: Matchers, effect: Effect) -> Rule {
    Rule { name: name.into(), when, effect, dry_run: false }
}

fn types(texts: &[&str]) -> Matchers {
    Matchers { types: names(texts), ..Matchers::default() }
}

fn methods(texts: &[&str]) -> Matchers {
    Matchers { methods: names(texts), ..Matchers::default() }
}

fn world(rules: Vec<Rule>) -> World {
    World::with(|config| {
        config.rules.set = RuleSet { dry_run: false, rules };
        config.websocket.ping_interval = Duration::from_secs(3_600);
    })
}

/// A joined client.
fn client(world: &mut World, name: &str) -> Token {
    let socket = world.upgrade(&format!("/mcp/ws/websocket?vsn=2.0.0&client_id={name}"), "");
    world.push(socket, "mcp:gateway", "phx_join", "{}");
    world.push(socket, "room:1", "phx_join", "{}");
    socket
}

fn http(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A call of `echo` in a session of its own.
fn echo(world: &mut World, headers: &str) -> String {
    let connection = world.accept();
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let opened = world.ask(connection, &http("/mcp", headers, hello));
    let Some((_, rest)) = opened.split_once("Mcp-Session-Id: ") else { return opened };
    let id = rest.split_once("\r\n").expect("a header line").0;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}"#;
    world.ask(connection, &http("/mcp", &format!("Mcp-Session-Id: {id}\r\n{headers}"), call))
}

fn is_ok(reply: &[String]) -> bool {
    reply.concat().contains(r#""status":"ok""#)
}

fn reason(rule: &str) -> String {
    format!(r#""error":"policy_violation","reason":"{rule}""#)
}

#[test]
fn what_clients_push_and_publish_is_refused_with_the_rule_and_why() {
    let on_topic = Matchers { topics: names(&["room:*"]), ..types(&["!fine"]) };
    let mut world = world(vec![
        rule("small", types(&["note"]), Effect::Require { fields: Vec::new(), bytes_max: 4 }),
        rule("no-rooms", on_topic, Effect::Deny),
    ]);
    let ann = client(&mut world, "ann");
    assert!(is_ok(&world.push(ann, "mcp:gateway", "note", "{}")));
    let refused = world.push(ann, "mcp:gateway", "note", r#"{"a":1}"#).concat();
    assert!(refused.contains(&reason("small")) && refused.contains("allows 4 bytes at most"), "{refused}");
    assert!(world.push(ann, "room:1", "said", "{}").concat().contains(&reason("no-rooms")));
    assert!(is_ok(&world.push(ann, "room:1", "fine", "{}")));
    assert!(is_ok(&world.push(ann, "mcp:gateway", "said", "{}")), "no topic");
    let backend = world.accept();
    let refused = world.ask(backend, &http("/mcp/topics/room:1/messages", "", r#"{"type":"said","data":1}"#));
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains(&reason("no-rooms")), "{refused}");
    assert_eq!(world.shard.stats.forbidden, 3);
}

#[test]
fn who_is_closed_is_told_why() {
    let mut world = world(vec![rule("out", types(&["bye"]), Effect::Close)]);
    let ann = client(&mut world, "ann");
    let said = world.push(ann, "mcp:gateway", "bye", "{}").concat();
    assert!(said.contains(&reason("out")), "{said}");
    assert!(!is_ok(&world.push(ann, "mcp:gateway", "hello", "{}")), "it is closing");
}

#[test]
fn calls_of_tools_are_judged_once_however_they_come() {
    let twice = Rate::new(0.001, 2);
    let mut world = world(vec![
        rule("boss", Matchers { clients: names(&["boss"]), ..Matchers::default() }, Effect::Allow),
        rule("twice", methods(&["tools/call"]), Effect::Throttle(twice)),
        rule("no-lists", methods(&["tools/list"]), Effect::Deny),
    ]);
    let (named, boss) = ("X-Client-ID: ann\r\n", "X-Client-ID: boss\r\n");
    assert!(echo(&mut world, named).contains(r#""text":"hi""#));
    assert!(echo(&mut world, named).contains(r#""text":"hi""#), "each call takes one token");
    let refused = echo(&mut world, named);
    assert!(refused.contains(r#""code":429"#) && refused.contains(&reason("twice")), "{refused}");
    assert!((0..4).all(|_| echo(&mut world, boss).contains(r#""text":"hi""#)), "allowed before");
    let socket = world.upgrade("/mcp/ws/websocket?vsn=2.0.0&client_id=ben", "");
    world.push(socket, "mcp:tools", "phx_join", "{}");
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    world.push(socket, "mcp:tools", "mcp", hello);
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let refused = world.push(socket, "mcp:tools", "mcp", list).concat();
    assert!(refused.contains(&reason("no-lists")) && refused.contains(r#""code":403"#), "{refused}");
}

#[test]
fn rules_know_how_much_of_its_limit_somebody_has_used_and_its_score() {
    let busy = Matchers { used: 0.5, ..types(&["busy"]) };
    let odd = Matchers { suspicion: 2.0, ..types(&["odd"]) };
    let mut world = World::with(|config| {
        config.client_rate = Rate::new(0.001, 10);
        config.websocket.ping_interval = Duration::from_secs(3_600);
        let bad = rule("bad", types(&["bad"]), Effect::Deny);
        config.rules.set.rules = vec![rule("busy", busy, Effect::Deny), rule("odd", odd, Effect::Deny), bad];
    });
    let ann = client(&mut world, "ann");
    // The join of a topic has taken one of ten.
    for _ in 0..3 {
        assert!(is_ok(&world.push(ann, "mcp:gateway", "busy", "{}")));
    }
    let refused = world.push(ann, "mcp:gateway", "busy", "{}").concat();
    assert!(refused.contains(&reason("busy")), "{refused}");
    assert!(is_ok(&world.push(ann, "mcp:gateway", "odd", "{}")), "one point");
    world.push(ann, "mcp:gateway", "bad", "{}");
    assert!(world.push(ann, "mcp:gateway", "odd", "{}").concat().contains(&reason("odd")), "two");
}

#[test]
fn other_rules_hold_from_the_next_message_on_and_count_anew() {
    let mut world = world(vec![rule("old", types(&["note"]), Effect::Deny)]);
    let ann = client(&mut world, "ann");
    assert!(world.push(ann, "mcp:gateway", "note", "{}").concat().contains(&reason("old")));
    let tried = Rule { dry_run: true, ..rule("tried", types(&["note"]), Effect::Deny) };
    let set = RuleSet { dry_run: false, rules: vec![tried, rule("new", types(&["chat"]), Effect::Deny)] };
    let limits = Rules { injection: Injection::Off, set, ..Rules::default() };
    let rules = rules::Rules::new(&limits, &world.shard.config.auth.roles, 3);
    world.post.inbox.push(Mail::Rules(Box::new(rules)));
    assert!(is_ok(&world.push(ann, "mcp:gateway", "note", "{}")), "it is only reported");
    assert!(world.push(ann, "mcp:gateway", "chat", "{}").concat().contains(&reason("new")));
    assert!(is_ok(&world.push(ann, "mcp:gateway", "other", r#"{"a":"<script>"}"#)));
    world.post.inbox.push(Mail::Ask { from: Member(1), ask: 5, question: Question::Rules });
    world.turn();
    let counts = world.post.outbox.drain(..).find_map(|(_, letter)| match letter {
        Mail::Answer { answer: Answer::Rules(counts), .. } => Some(counts),
        _ => None,
    });
    let counts = counts.expect("an answer");
    assert_eq!([counts[0].reported, counts[0].refused, counts[1].refused], [1, 0, 1]);
}
