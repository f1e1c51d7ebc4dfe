//! Parameters read.

use weir_transports::json::Why;
use weir_transports::mcp::params::Type;
use weir_transports::mcp::{DecodeError, Filter, Meta, Method, Params, code};

fn read(method: Method, text: &str) -> Result<Params<'_>, DecodeError> {
    Params::read(method, Some(text))
}

#[test]
fn a_call() {
    let text = r#"{"arguments":{"name":"x","_meta":1},"na\u006de":"a\"b","_meta":{"progressToken":"p",
        "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo":{"name":"c"},"io.modelcontextprotocol/logLevel":"info",
        "io.modelcontextprotocol/subscriptionId":1,"traceparent":"00-1","tracestate":"a=1","other":[]},"unknown":null}"#;
    let read = read(Method::ToolsCall, text).unwrap();
    let meta = Meta {
        text: read.meta.text,
        progress_token: Some("\"p\""),
        protocol_version: Some("\"2026-07-28\""),
        client_capabilities: Some("{}"),
        client_info: Some(r#"{"name":"c"}"#),
        log_level: Some("\"info\""),
        subscription_id: Some("1"),
        traceparent: Some("\"00-1\""),
        tracestate: Some("\"a=1\""),
    };
    let expected = Params {
        text: Some(text),
        name: Some(r#""a\"b""#),
        arguments: Some(r#"{"name":"x","_meta":1}"#),
        meta,
        ..Params::default()
    };
    assert_eq!(read, expected);
    assert!(read.meta.text.unwrap().ends_with(r#""other":[]}"#));
    assert_eq!(read.header_name(Method::ToolsCall), read.name);
}

#[test]
fn the_rest() {
    let text = r#"{"uri":"u","cursor":"","level":"info","ref":{},"taskId":"t","requestState":"s",
        "inputResponses":{"a":1},"requestId":-4,"progressToken":"p","notifications":{},
        "protocolVersion":"v","capabilities":{},"clientInfo":{}}"#;
    let read = read(Method::Other, text).unwrap();
    let expected = Params {
        text: Some(text),
        uri: Some("\"u\""),
        cursor: Some("\"\""),
        level: Some("\"info\""),
        reference: Some("{}"),
        task_id: Some("\"t\""),
        request_state: Some("\"s\""),
        input_responses: Some(r#"{"a":1}"#),
        request_id: Some("-4"),
        progress_token: Some("\"p\""),
        notifications: Some("{}"),
        protocol_version: Some("\"v\""),
        capabilities: Some("{}"),
        client_info: Some("{}"),
        ..Params::default()
    };
    assert_eq!(read, expected);
    assert_eq!(read.header_name(Method::ResourcesRead), read.uri);
    assert_eq!(read.header_name(Method::TasksCancel), read.task_id);
    assert_eq!(read.header_name(Method::ResourcesSubscribe), None);
}

#[test]
fn null_is_none() {
    let read = read(Method::ToolsList, r#"{"cursor":null,"_meta":null,"arguments":null}"#).unwrap();
    assert_eq!((read.cursor, read.arguments, read.meta), (None, None, Meta::default()));
}

#[test]
fn refusals() {
    use DecodeError::{Duplicate, Missing, NotObject, Type as Wrong};
    let cases = [
        ("[]", NotObject),
        (r#"{"name":"a","name":"a"}"#, Duplicate("name")),
        (r#"{"uri":null,"uri":"a"}"#, Duplicate("uri")),
        (r#"{"uri":"a","uri":null}"#, Duplicate("uri")),
        (r#"{"_meta":{},"_m\u0065ta":{}}"#, Duplicate("_meta")),
        (r#"{"_meta":{"progressToken":1,"progressToken":1}}"#, Duplicate("progressToken")),
        (r#"{"name":1}"#, Wrong("name", Type::String)),
        (r#"{"_meta":[]}"#, Wrong("_meta", Type::Object)),
        (r#"{"_meta":{"progressToken":1.5}}"#, Wrong("progressToken", Type::Id)),
        (r#"{"requestId":true}"#, Wrong("requestId", Type::Id)),
        ("{}", Missing("name")),
        (r#"{"name":null}"#, Missing("name")),
    ];
    for (text, expected) in cases {
        let error = read(Method::ToolsCall, text).unwrap_err();
        assert_eq!((error, error.code()), (expected, code::INVALID_PARAMS), "{text}");
    }
    assert!(matches!(read(Method::Other, "{"), Err(DecodeError::Json(fault)) if fault.why == Why::Key));
}

#[test]
fn what_methods_need() {
    let missing = |method| match Params::read(method, None) {
        Err(DecodeError::Missing(key)) => key,
        other => panic!("{method:?}: {other:?}"),
    };
    assert_eq!(missing(Method::PromptsGet), "name");
    assert_eq!(missing(Method::ResourcesRead), "uri");
    assert_eq!(missing(Method::ResourcesUnsubscribe), "uri");
    assert_eq!(missing(Method::CompletionComplete), "ref");
    assert_eq!(missing(Method::LoggingSetLevel), "level");
    assert_eq!(missing(Method::SubscriptionsListen), "notifications");
    assert_eq!(missing(Method::TasksGet), "taskId");
    assert_eq!(missing(Method::Initialize), "protocolVersion");
    assert_eq!(missing(Method::NotificationProgress), "progressToken");
    assert_eq!(Params::read(Method::ToolsList, None), Ok(Params::default()));
}

#[test]
fn filters() {
    let text = r#"{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a:1","\u0062"],
        "x":1}"#;
    let expected = Filter {
        tools_list_changed: true,
        resource_subscriptions: Some(r#"["a:1","\u0062"]"#),
        ..Filter::default()
    };
    assert_eq!(Filter::read(text), Ok(expected));
    let more = Filter { prompts_list_changed: true, resources_list_changed: true, ..Filter::default() };
    assert_eq!(Filter::read(r#"{"resourcesListChanged":true,"promptsListChanged":true}"#), Ok(more));
    let wrong = |key, expected| Err(DecodeError::Type(key, expected));
    assert_eq!(Filter::read(r#"{"toolsListChanged":1}"#), wrong("toolsListChanged", Type::Boolean));
    for uris in ["[1]", "\"a\"", "[\"a\",{}]"] {
        let text = format!(r#"{{"resourceSubscriptions":{uris}}}"#);
        assert_eq!(Filter::read(&text), wrong("resourceSubscriptions", Type::Strings));
    }
}
