//! What is known of methods and revisions.

use weir_transports::mcp::Version::*;
use weir_transports::mcp::{Era, LEGACY_NEWEST, Method, SUPPORTED, Version, code};

#[test]
fn names_there_and_back() {
    let names = [
        "initialize",
        "server/discover",
        "tools/call",
        "resources/templates/list",
        "subscriptions/listen",
        "notifications/cancelled",
        "notifications/subscriptions/acknowledged",
    ];
    for name in names {
        assert_eq!(Method::of(name).name(), Some(name));
    }
    assert_eq!((Method::of("tools/Call"), Method::Other.name()), (Method::Other, None));
}

#[test]
fn facts() {
    assert_eq!(Method::ResourceTemplatesList.list_key(), Some("resourceTemplates"));
    assert_eq!(Method::ToolsCall.list_key(), None);
    assert!(Method::PromptsGet.is_idempotent() && !Method::ToolsCall.is_idempotent());
}

#[test]
fn which_revisions_have_a_method() {
    let lives = |method: Method| SUPPORTED.map(|version| method.is_for_servers(version));
    assert_eq!(lives(Method::ToolsCall), [true; 5]);
    assert_eq!(lives(Method::Initialize), [false, true, true, true, true]);
    assert_eq!(lives(Method::Discover), [true, false, false, false, false]);
    assert_eq!(lives(Method::TasksGet), [true, true, false, false, false]);
    assert_eq!(lives(Method::TasksList), [false, true, false, false, false]);
    for method in [Method::Other, Method::RootsList, Method::NotificationMessage] {
        assert_eq!(lives(method), [false; 5]);
    }
}

#[test]
fn revisions() {
    assert!(SUPPORTED.is_sorted_by(|newer, older| newer > older));
    for version in SUPPORTED {
        assert_eq!(Version::parse(version.as_str()), Some(version));
        assert_eq!(Era::of(version).version(), version);
        assert_eq!(version.is_modern(), version > LEGACY_NEWEST);
    }
    assert_eq!(Version::parse("2025-11-26"), None);
    assert_eq!(code::resource_not_found(Era::Modern), -32602);
    assert_eq!(code::resource_not_found(Era::Legacy(V2025_11_25)), -32002);
}
