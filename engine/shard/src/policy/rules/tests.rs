use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limits::{Matchers, Names, Rule, RuleSet};
use crate::policy::Caller;

const ADMIN: Role = Role(0);
const NOW: Instant = Instant(1);

fn event<'a>(event: &'a str, payload: &'a str) -> Message<'a> {
    Message::Event { event, payload }
}

fn names(texts: &[&str]) -> Names {
    Names::parse(texts).expect("patterns")
}

fn rule(name: &str, when: Matchers, effect: Effect) -> Rule {
    Rule { name: name.into(), when, effect, dry_run: false }
}

fn deny(name: &str, when: Matchers) -> Rule {
    rule(name, when, Effect::Deny)
}

fn everything() -> Matchers {
    Matchers::default()
}

fn require(name: &str, fields: &[&str], bytes_max: usize) -> Rule {
    let fields = fields.iter().map(|field| (*field).into()).collect();
    rule(name, everything(), Effect::Require { fields, bytes_max })
}

fn set(set: RuleSet) -> Rules {
    Rules::new(&limits::Rules { set, ..limits::Rules::default() }, &RoleRules::shipped(), 7)
}

fn rules(rules: Vec<Rule>) -> Rules {
    set(RuleSet { dry_run: false, rules })
}

fn ann() -> Doer<'static> {
    Doer { caller: Caller::Client("ann"), role: None, used: 0.0, suspicion: 0.0 }
}

fn push(message: Message<'_>) -> Deed<'_> {
    Deed { act: Act::Push, message, who: ann() }
}

/// What a deed breaks, each by the rule's name.
fn broken(rules: &mut Rules, deed: &Deed<'_>) -> Vec<String> {
    let breaches = rules.judge(deed, NOW);
    breaches.iter().map(|breach| breach.error().reason().to_owned()).collect()
}

fn pushed(rules: &mut Rules, message: Message<'_>) -> Vec<String> {
    broken(rules, &push(message))
}

#[test]
fn injection_is_refused_reported_or_not_looked_for() {
    let evil = event("chat", r#"{"text":"\u003cscript"}"#);
    let judge = |injection, backend_injection, sender| {
        let limits = limits::Rules { injection, backend_injection, set: RuleSet::default() };
        Rules::new(&limits, &[], 1).injected(&evil, sender).map(|breach| breach.outcome)
    };
    use Injection::{Enforce, Off, Report};
    assert_eq!(judge(Enforce, Off, Sender::Client), Some(Outcome::Denied));
    assert_eq!(judge(Enforce, Off, Sender::Backend), None);
    assert_eq!(judge(Off, Report, Sender::Backend), Some(Outcome::Reported));
    assert_eq!(judge(Off, Enforce, Sender::Client), None);
    assert_eq!(judge(Enforce, Off, Sender::Mcp), Some(Outcome::Reported), "tools are called with code");
    assert_eq!(judge(Off, Enforce, Sender::Mcp), None);
    let rules = rules(Vec::new());
    assert!(rules.injected(&event("<script", "{}"), Sender::Client).is_some());
    let bytes = Message::Binary { event: "blob", payload: b"<script" };
    assert_eq!(rules.injected(&bytes, Sender::Client), None);
}

#[test]
fn every_matcher_that_is_there_must_hold() {
    let deed = Deed {
        act: Act::Publish { topic: Some("room:1") },
        message: event("order.new", r#"{"iban":1}"#),
        who: Doer { caller: Caller::Client("ann"), role: Some(Role::GUEST), used: 0.8, suspicion: 5.0 },
    };
    let (fits, others): (Vec<Matchers>, Vec<Matchers>) = [
        (
            Matchers { roles: vec!["guest".into()], ..everything() },
            Matchers { roles: vec!["admin".into()], ..everything() },
        ),
        (
            Matchers { clients: names(&["a*"]), ..everything() },
            Matchers { clients: names(&["!ann"]), ..everything() },
        ),
        (
            Matchers { methods: names(&["publish"]), ..everything() },
            Matchers { methods: names(&["push", "tools/*"]), ..everything() },
        ),
        (
            Matchers { topics: names(&["room:*"]), ..everything() },
            Matchers { topics: names(&["room:{sub}"]), ..everything() },
        ),
        (
            Matchers { types: names(&["order.*"]), ..everything() },
            Matchers { types: names(&["order"]), ..everything() },
        ),
        (Matchers { bytes_min: 10, ..everything() }, Matchers { bytes_min: 11, ..everything() }),
        (
            Matchers { pattern: Some("(?i)IBAN".into()), ..everything() },
            Matchers { pattern: Some("bic".into()), ..everything() },
        ),
        (Matchers { used: 0.8, ..everything() }, Matchers { used: 0.81, ..everything() }),
        (Matchers { suspicion: 5.0, ..everything() }, Matchers { suspicion: 5.1, ..everything() }),
        (everything(), Matchers { tools: names(&["*"]), ..everything() }),
    ]
    .into_iter()
    .unzip();
    for (fit, other) in fits.into_iter().zip(others) {
        assert_eq!(broken(&mut rules(vec![deny("r", fit.clone())]), &deed), ["r"], "{fit:?}");
        assert_eq!(broken(&mut rules(vec![deny("r", other.clone())]), &deed), [""; 0], "{other:?}");
    }
}

#[test]
fn what_a_message_does_not_have_does_not_fit() {
    let nameless =
        Doer { caller: Caller::Connection(weir_ring::token::Token { index: 1, generation: 0 }), ..ann() };
    let publish = |topic| Deed { act: Act::Publish { topic }, message: event("a", "{}"), who: nameless };
    let with = |when| rules(vec![deny("r", when)]);
    assert!(
        broken(&mut with(Matchers { clients: names(&["!ann"]), ..everything() }), &publish(None)).is_empty()
    );
    assert!(
        broken(&mut with(Matchers { topics: names(&["!room"]), ..everything() }), &publish(None)).is_empty()
    );
    assert!(
        broken(&mut with(Matchers { roles: vec!["guest".into()], ..everything() }), &publish(None))
            .is_empty()
    );
    let call = Deed {
        act: Act::Call { method: "ping", tool: None },
        message: Message::Call { params: "{}", data: "{}" },
        who: ann(),
    };
    assert_eq!(broken(&mut with(Matchers { methods: names(&["p*"]), ..everything() }), &call), ["r"]);
    for when in [
        Matchers { tools: names(&["*"]), ..everything() },
        Matchers { types: names(&["*"]), ..everything() },
        Matchers { topics: names(&["*"]), ..everything() },
    ] {
        assert!(broken(&mut with(when.clone()), &call).is_empty(), "{when:?}");
    }
}

#[test]
fn a_tool_is_refused_by_each_of_its_names_and_allowed_by_the_one_that_is_seen() {
    let tool =
        Tool { shown: vec!["files__delete".into()], all: vec!["delete".into(), "files__delete".into()] };
    let call = Deed {
        act: Act::Call { method: "tools/call", tool: Some(&tool) },
        message: Message::Call { params: "{}", data: "{}" },
        who: ann(),
    };
    let of = |tools: &[&str]| Matchers { tools: names(tools), ..everything() };
    assert_eq!(broken(&mut rules(vec![deny("r", of(&["delete"]))]), &call), ["r"]);
    assert_eq!(broken(&mut rules(vec![deny("r", of(&["*__delete"]))]), &call), ["r"]);
    let allow = |tools: &[&str]| rules(vec![rule("a", of(tools), Effect::Allow), deny("r", everything())]);
    assert_eq!(broken(&mut allow(&["delete"]), &call), ["r"]);
    assert_eq!(broken(&mut allow(&["files__*"]), &call), [""; 0]);
    assert_eq!(broken(&mut allow(&["!delete"]), &call), ["r"]);
}

#[test]
fn a_requirement_means_the_same_whichever_way_a_message_comes() {
    let mut order = rules(vec![require("order-fields", &["amount", "to.name"], usize::MAX)]);
    let poor = r#"{"amount":1,"to":{"name":null}}"#;
    for (data, fine) in
        [(r#"{"amount":1,"to":{"name":"a"}}"#, true), (poor, false), ("7", false), ("{}", false)]
    {
        let enveloped = format!(r#"{{"type":"order","data":{data}}}"#);
        let params = format!(r#"{{"name":"order","arguments":{data}}}"#);
        for message in [
            event("order", data),
            event("message", &enveloped),
            Message::Envelope { kind: "order", data },
            Message::Call { params: &params, data },
        ] {
            assert_eq!(pushed(&mut order, message).is_empty(), fine, "{message:?}");
        }
    }
    let bytes = Message::Binary { event: "order", payload: b"\0" };
    assert_eq!(pushed(&mut order, bytes), ["order-fields"], "bytes have no fields");
    let why = |message| match order.clone().judge(&push(message), NOW).pop().map(|breach| breach.law) {
        Some(Law::Rule { why, .. }) => Some(why),
        _ => None,
    };
    assert_eq!(why(event("order", poor)), Some(Violation::Lacks { field: "to.name".into() }));
}

#[test]
fn sizes_and_patterns() {
    let mut small = rules(vec![require("small", &[], 4)]);
    assert!(pushed(&mut small, event("a", "1234")).is_empty());
    assert_eq!(pushed(&mut small, event("a", "12345")), ["small"]);
    let pattern = Some(r#""(?i:password|пароль)""#.into());
    let mut secret = rules(vec![deny("no-secrets", Matchers { pattern, ..everything() })]);
    assert_eq!(pushed(&mut secret, event("a", r#"{"PassWord":1}"#)), ["no-secrets"]);
    assert_eq!(
        pushed(&mut secret, event("a", r#"{"\u043f\u0430\u0440\u043e\u043b\u044c":1}"#)),
        ["no-secrets"]
    );
    assert!(pushed(&mut secret, event("a", r#"{"pass\u0022word":"\ud83d\ude00 \\u0070"}"#)).is_empty());
    assert!(pattern_fault("(").is_some_and(|fault| fault.contains("unclosed group")));
    assert_eq!(pattern_fault("a+"), None);
}

#[test]
fn who_is_throttled_has_a_bucket_for_each_rule() {
    let rate = Rate::new(1.0, 2);
    let mut slow =
        rules(vec![rule("slow", Matchers { types: names(&["a"]), ..everything() }, Effect::Throttle(rate))]);
    let mut at = |caller, kind, now| {
        let deed = Deed { act: Act::Push, message: event(kind, "{}"), who: Doer { caller, ..ann() } };
        slow.judge(&deed, Instant(now)).pop().map(|breach| breach.error().retry_after())
    };
    let (ann, ben) = (Caller::Client("ann"), Caller::Client("ben"));
    assert_eq!([at(ann, "a", 0), at(ann, "a", 0)], [None, None]);
    assert_eq!(at(ann, "a", 0), Some(Some(Duration::from_secs(1))));
    assert_eq!([at(ann, "b", 0), at(ben, "a", 0)], [None, None]);
    assert_eq!(at(ann, "a", 1_000_000_000), None);
}

#[test]
fn what_is_tried_out_reports_and_goes_on() {
    let tried = |name| Rule { dry_run: true, ..deny(name, everything()) };
    let list = vec![tried("first"), rule("second", everything(), Effect::Close), deny("third", everything())];
    let mut some = rules(list.clone());
    let outcomes = |rules: &mut Rules| {
        let breaches = rules.judge(&push(event("a", "{}")), NOW);
        breaches.iter().map(|breach| (breach.error().reason().to_owned(), breach.outcome)).collect::<Vec<_>>()
    };
    let (first, second) = ("first".to_owned(), "second".to_owned());
    assert_eq!(outcomes(&mut some), [(first.clone(), Outcome::Reported), (second.clone(), Outcome::Closed)]);
    let count = |refused, reported| RuleCount { allowed: 0, refused, reported };
    assert_eq!(some.counts(), [count(0, 1), count(1, 0), count(0, 0)]);
    let mut all = set(RuleSet { dry_run: true, rules: list });
    assert_eq!(outcomes(&mut all), [(first, Outcome::Reported), (second, Outcome::Reported)]);
}

#[test]
fn nothing_is_looked_up_that_no_rule_asks_for() {
    assert_eq!(rules(Vec::new()).asks(Kind::Push, Some(ADMIN)), Asks::default());
    let asking = rules(vec![
        deny("a", Matchers { used: 0.5, roles: vec!["guest".into()], ..everything() }),
        deny("b", Matchers { tools: names(&["x"]), suspicion: 1.0, ..everything() }),
    ]);
    let asks = |kind, role| asking.asks(kind, role);
    assert_eq!(asks(Kind::Push, Some(ADMIN)), Asks::default(), "one is of guests, the other of tools");
    assert_eq!(asks(Kind::Push, Some(Role::GUEST)), Asks { any: true, used: true, ..Asks::default() });
    assert_eq!(
        asks(Kind::Call, Some(ADMIN)),
        Asks { any: true, tools: true, suspicion: true, ..Asks::default() }
    );
}

/// A rule about types from a to d.
fn some_rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![
        Just(Effect::Allow),
        Just(Effect::Deny),
        Just(Effect::Close),
        Just(Effect::Require { fields: vec!["x".into()], bytes_max: usize::MAX }),
    ];
    let roles = prop::sample::select(vec![Vec::new(), vec!["guest".into()], vec!["admin".into()]]);
    (prop::collection::vec("!?[a-d]", 0..3), roles, effect, any::<bool>()).prop_map(
        |(types, roles, effect, tried)| {
            let when =
                Matchers { types: Names::parse(&types).expect("patterns"), roles, ..Matchers::default() };
            let dry_run = tried && effect != Effect::Allow;
            Rule { name: "".into(), when, effect, dry_run }
        },
    )
}

/// What is refused, by the definition: the first rule that decides does.
fn model(list: &[Rule], kind: &str, role: &str, has_field: bool) -> Option<usize> {
    for (at, rule) in list.iter().enumerate() {
        let of_role = rule.when.roles.is_empty() || rule.when.roles.iter().any(|one| **one == *role);
        if !of_role || !rule.when.types.has(kind, "") || rule.dry_run {
            continue;
        }
        match rule.effect {
            Effect::Allow => return None,
            Effect::Require { .. } if has_field => {}
            _ => return Some(at),
        }
    }
    None
}

proptest! {
    /// The first rule that decides counts; what is tried out never refuses, and refuses for nobody else.
    #[test]
    fn the_first_that_decides_counts(
        list in prop::collection::vec(some_rule(), 0..12),
        kind in "[a-d]",
        guest in any::<bool>(),
        has_field in any::<bool>(),
        all_tried in any::<bool>(),
    ) {
        let list: Vec<Rule> =
            list.into_iter().enumerate().map(|(at, rule)| Rule { name: at.to_string().into(), ..rule }).collect();
        let (role, name) = if guest { (Role::GUEST, "guest") } else { (ADMIN, "admin") };
        let expected = model(&list, &kind, name, has_field);
        let payload = if has_field { r#"{"x":1}"# } else { "{}" };
        let deed = Deed { act: Act::Push, message: event(&kind, payload), who: Doer { role: Some(role), ..ann() } };
        let mut rules = set(RuleSet { dry_run: all_tried, rules: list.clone() });
        let breaches = rules.judge(&deed, NOW);
        let refused = breaches.iter().find(|breach| breach.refuses()).map(|breach| breach.error().reason().to_owned());
        prop_assert_eq!(refused, expected.filter(|_| !all_tried).map(|at| at.to_string()));
        prop_assert!(breaches.iter().rev().skip(1).all(|breach| !breach.refuses()), "the last one ends it");
        if all_tried && let Some(at) = expected {
            let last = breaches.last().map(|breach| breach.error().reason().to_owned());
            prop_assert_eq!(last, Some(at.to_string()), "it says what it would have refused");
        }
    }
}
