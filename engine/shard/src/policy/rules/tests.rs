use super::*;

const ADMIN: Role = Role(0);

fn event<'a>(event: &'a str, payload: &'a str) -> Message<'a> {
    Message::Event { event, payload }
}

fn rule(name: &str) -> MessageRule {
    MessageRule { name: name.into(), ..MessageRule::default() }
}

fn names(list: &[&str]) -> Vec<Box<str>> {
    list.iter().map(|name| (*name).into()).collect()
}

fn rules(messages: Vec<MessageRule>) -> Rules {
    Rules::new(&limits::Rules { messages, ..limits::Rules::default() }, &RoleRules::shipped())
}

/// What a client's message breaks, each as the error's reason.
fn broken(rules: &Rules, message: &Message<'_>, role: Option<Role>) -> Vec<String> {
    let breaches = rules.judge(message, Sender::Client, role);
    breaches.iter().map(|breach| breach.error().reason().to_owned()).collect()
}

#[test]
fn injection_is_refused_reported_or_not_looked_for() {
    let evil = event("chat", r#"{"text":"\u003cscript"}"#);
    let judge = |injection, backend_injection, source| {
        let limits = limits::Rules { injection, backend_injection, messages: Vec::new() };
        Rules::new(&limits, &[]).judge(&evil, source, None).first().map(|breach| breach.effect)
    };
    use Injection::{Enforce, Off, Report};
    assert_eq!(judge(Enforce, Off, Sender::Client), Some(Effect::Deny));
    assert_eq!(judge(Enforce, Off, Sender::Backend), None);
    assert_eq!(judge(Off, Report, Sender::Backend), Some(Effect::Report));
    assert_eq!(judge(Off, Enforce, Sender::Client), None);
    assert_eq!(judge(Enforce, Off, Sender::Mcp), Some(Effect::Report), "tools are called with code");
    assert_eq!(judge(Off, Enforce, Sender::Mcp), None);
    assert_eq!(broken(&rules(Vec::new()), &evil, None), ["potential_injection"]);
    assert_eq!(broken(&rules(Vec::new()), &event("<script", "{}"), None), ["potential_injection"]);
    let bytes = Message::Binary { event: "blob", payload: b"<script" };
    assert_eq!(broken(&rules(Vec::new()), &bytes, None), [""; 0]);
}

#[test]
fn a_rule_is_about_types_and_roles() {
    let of = |types: &[&str], roles: &[&str]| {
        rules(vec![MessageRule { types: names(types), roles: names(roles), ..rule("r") }])
    };
    let breaks = |rules: &Rules, kind: &str, role| !broken(rules, &event(kind, "{}"), role).is_empty();
    let exact = of(&["chat", "order.*"], &[]);
    assert!(breaks(&exact, "chat", None) && breaks(&exact, "order.new", Some(ADMIN)));
    assert!(!breaks(&exact, "chats", None) && !breaks(&exact, "order", None));
    let others = of(&["!chat", "!order.*"], &[]);
    assert!(breaks(&others, "delete", None) && !breaks(&others, "chat", None));
    assert!(!breaks(&others, "order.new", None));
    let guests = of(&[], &["guest"]);
    assert!(breaks(&guests, "any", Some(Role::GUEST)));
    assert!(!breaks(&guests, "any", Some(ADMIN)) && !breaks(&guests, "any", None));
}

#[test]
fn a_rule_means_the_same_whichever_way_a_message_comes() {
    let order = rules(vec![MessageRule {
        types: names(&["order"]),
        required: names(&["amount", "to.name"]),
        ..rule("order-fields")
    }]);
    let data = r#"{"amount":1,"to":{"name":"a"}}"#;
    let poor = r#"{"amount":1,"to":{"name":null}}"#;
    for (data, fine) in [(data, true), (poor, false), ("7", false), ("{}", false)] {
        let enveloped = format!(r#"{{"type":"order","data":{data}}}"#);
        for message in
            [event("order", data), event("message", &enveloped), Message::Envelope { kind: "order", data }]
        {
            assert_eq!(broken(&order, &message, None).is_empty(), fine, "{message:?}");
        }
    }
    assert!(
        broken(&order, &event("message", data), None).is_empty(),
        "a message without a type is a `message`"
    );
    let bytes = Message::Binary { event: "order", payload: b"\0" };
    assert_eq!(broken(&order, &bytes, None), ["order-fields"], "bytes have no fields");
}

#[test]
fn sizes_and_patterns() {
    let small = rules(vec![MessageRule { bytes_max: Some(4), ..rule("small") }]);
    assert!(broken(&small, &event("a", "1234"), None).is_empty());
    assert_eq!(broken(&small, &event("a", "12345"), None), ["small"]);
    let pattern = Some(r#""(?i:password|пароль)""#.into());
    let secret = rules(vec![MessageRule { pattern, ..rule("no-secrets") }]);
    assert_eq!(broken(&secret, &event("a", r#"{"PassWord":1}"#), None), ["no-secrets"]);
    assert_eq!(
        broken(&secret, &event("a", r#"{"\u043f\u0430\u0440\u043e\u043b\u044c":1}"#), None),
        ["no-secrets"]
    );
    assert!(broken(&secret, &event("a", r#"{"pass\u0022word":"\ud83d\ude00 \\u0070"}"#), None).is_empty());
    assert!(pattern_fault("(").is_some_and(|fault| fault.contains("unclosed group")));
    assert_eq!(pattern_fault("a+"), None);
}

#[test]
fn reports_go_on_and_refusals_end() {
    let all = rules(vec![
        MessageRule { effect: Effect::Report, ..rule("first") },
        MessageRule { effect: Effect::Close, ..rule("second") },
        rule("third"),
    ]);
    assert_eq!(broken(&all, &event("a", "{}"), None), ["first", "second"]);
    let effects: Vec<Effect> =
        all.judge(&event("a", "{}"), Sender::Backend, None).iter().map(|breach| breach.effect).collect();
    assert_eq!(effects, [Effect::Report, Effect::Close]);
    assert!(all.judge(&event("a", "{}"), Sender::Mcp, None).is_empty());
}
