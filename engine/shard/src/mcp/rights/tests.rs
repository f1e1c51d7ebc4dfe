//! Roles that may use a part of what there is.

use std::sync::Arc;

use weir_ring::token::Member;

use super::*;
use crate::limits::{Config, Pattern, Permissions, Prefix, Role, Upstream};
use crate::mcp::servers::BUILTIN;

const FILES: UpstreamId = UpstreamId(0);

fn patterns(texts: &[&str]) -> Box<[Pattern]> {
    texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
}

/// A shard with the built-in server behind one called `files`, both of which have a tool `echo`, and somebody whose
/// role has these rules.
fn shard(allow: &[&str], deny: &[&str]) -> (Shard, Arc<Principal>) {
    let mut config = Config::default();
    config.mcp.prefix = Prefix::OnConflict;
    config.upstreams = vec![Upstream { name: "files".into(), ..Upstream::default() }];
    config.auth.roles[2].mcp_allow = patterns(allow);
    config.auth.roles[2].mcp_deny = patterns(deny);
    let mut shard = Shard::new(Arc::new(config), Member(0), 1);
    for (server, tools) in [(FILES, ["echo", "read"]), (BUILTIN, ["echo", "now"])] {
        for tool in tools {
            shard.mcp.catalog.learn(Kind::Tool, tool, server);
        }
    }
    (shard, Arc::new(somebody(Role(2))))
}

fn somebody(role: Role) -> Principal {
    Principal {
        subject: "u1".into(),
        role,
        permissions: Permissions::READ | Permissions::WRITE,
        scopes: Box::default(),
        expires: None,
        token_id: None,
        issuer: None,
        audience: Box::default(),
        bearer: None,
    }
}

/// Whether somebody may use each of these: tools by server and name.
fn tools(allow: &[&str], deny: &[&str], asked: &[(UpstreamId, &str)]) -> Vec<bool> {
    let (shard, who) = shard(allow, deny);
    asked.iter().map(|(server, own)| shard.may_use(Some(&who), Kind::Tool, *server, own).is_ok()).collect()
}

#[test]
fn who_may_use_everything_is_not_asked() {
    let (shard, who) = shard(&["*"], &[]);
    assert!(!shard.is_restricted(Some(&who)) && !shard.is_restricted(None));
    assert_eq!(shard.may_use(None, Kind::Tool, FILES, "read"), Ok(()));
    assert_eq!(shard.may_ask(Some(&who), Method::TasksGet), Ok(()));
}

#[test]
fn only_what_is_allowed_may_be_used() {
    let all = [(FILES, "read"), (FILES, "echo"), (BUILTIN, "echo"), (BUILTIN, "now")];
    assert_eq!(tools(&["tools/call:read"], &[], &all), [true, false, false, false]);
    assert_eq!(tools(&["tools/call:files__*"], &[], &all), [true, true, false, false]);
    assert_eq!(tools(&["tools/*"], &[], &all), [true; 4]);
    assert_eq!(tools(&["prompts/*", "read"], &[], &all), [false; 4]);
    // Two have it, so it is seen as theirs.
    assert_eq!(tools(&["tools/call:echo"], &[], &all), [false; 4]);
    assert_eq!(tools(&["tools/call:weir__echo"], &[], &all), [false, false, true, false]);
}

#[test]
fn what_is_denied_is_denied_by_any_of_its_names() {
    let all = [(FILES, "read"), (FILES, "echo"), (BUILTIN, "echo"), (BUILTIN, "now")];
    assert_eq!(tools(&["*"], &["tools/call:echo"], &all), [true, false, false, true]);
    assert_eq!(tools(&["*"], &["tools/call:files__read"], &all), [false, true, true, true]);
    assert_eq!(tools(&["*"], &["tools/call:*"], &all), [false; 4]);
    assert_eq!(tools(&["tools/call:read"], &["*"], &all), [false; 4]);
}

#[test]
fn resources_are_told_by_their_uris_which_lead_nowhere_else() {
    let (shard, who) = shard(&["resources/read:file:///srv/{sub}/*"], &[]);
    let may = |uri| shard.may_use(Some(&who), Kind::Resource, FILES, uri).is_ok();
    assert!(may("file:///srv/u1/a.txt"));
    for uri in [
        "file:///srv/u2/a.txt",
        "file:///etc/passwd",
        "file:///srv/u1/../u2/a.txt",
        "file:///srv/u1/%2e%2E/u2",
        "file:///srv/u1/.%2E%2fu2",
        "file:///srv/u1/..\\u2",
    ] {
        assert!(!may(uri), "{uri}");
    }
}

#[test]
fn what_finds_its_way_needs_no_allowance_and_can_be_denied() {
    let (shard, who) = shard(&["tools/call:read"], &["logging/*", "prompts/list"]);
    let may = |method| shard.may_ask(Some(&who), method).is_ok();
    assert!(may(Method::Initialize) && may(Method::Ping) && may(Method::ToolsList) && may(Method::ToolsCall));
    assert!(!may(Method::LoggingSetLevel) && !may(Method::PromptsList) && !may(Method::TasksGet));
}

#[test]
fn lists_show_what_may_be_used() {
    let (shard, who) = shard(&["tools/call:*", "resources/read:file:///srv/*"], &["tools/call:weir__*"]);
    let sees = |method, server, item| shard.sees(Some(&who), method, server, item);
    assert!(sees(Method::ToolsList, FILES, r#"{"name":"read"}"#));
    assert!(!sees(Method::ToolsList, BUILTIN, r#"{"name":"now"}"#));
    assert!(!sees(Method::PromptsList, FILES, r#"{"name":"read"}"#));
    assert!(sees(Method::ResourcesList, FILES, r#"{"uri":"file:///srv/a"}"#));
    assert!(sees(Method::ResourceTemplatesList, FILES, r#"{"uriTemplate":"file:///srv/{path}"}"#));
    assert!(!sees(Method::ResourceTemplatesList, FILES, r#"{"uriTemplate":"file:///{path}"}"#));
    assert!(!sees(Method::ToolsList, FILES, "{}"));
}

#[test]
fn a_refusal_says_why() {
    let (shard, who) = shard(&[], &[]);
    let Err(refused) = shard.may_use(Some(&who), Kind::Tool, FILES, "read") else { panic!("allowed") };
    assert_eq!(refused.code, 403);
    let data = String::from_utf8(refused.data.expect("data")).expect("text");
    assert!(data.contains(r#""error":"forbidden","reason":"insufficient_scope""#), "{data}");
    assert!(refused.message.contains("tool"), "{}", refused.message);
}
