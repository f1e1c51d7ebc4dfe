//! Each method in either era, and each way to ask for what is not there.

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_transports::mcp::Version;

use super::*;

const LEGACY: Era = Era::Legacy(Version::V2025_11_25);

/// What a request is answered with: the result, or the failure.
fn asked(era: Era, method: &str, params: &Value) -> Result<Value, Failure> {
    let text = params.to_string();
    let method = Method::of(method);
    let params = Params::read(method, Some(&text)).expect("params");
    // What stands in the buffer before stays.
    let mut out = b"before".to_vec();
    let answered = answer(&mut out, era, method, &params, Wall(1_700_000_000_123))?;
    assert_eq!(answered, Answer::Result);
    Ok(serde_json::from_slice(out.strip_prefix(b"before").expect("kept")).expect("JSON"))
}

fn called(name: &str, arguments: &Value) -> Value {
    asked(LEGACY, "tools/call", &json!({"name": name, "arguments": arguments})).expect("result")
}

fn text_of(result: &Value) -> &str {
    assert_ne!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().expect("text")
}

fn fault_of(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().expect("text")
}

fn failed(era: Era, method: &str, params: Value) -> Failure {
    asked(era, method, &params).expect_err("failure")
}

proptest! {
    #[test]
    fn echo_says_the_message_again(message: String, other: i32) {
        let result = called("echo", &json!({"other": other, "message": message}));
        prop_assert_eq!(text_of(&result), message);
    }

    #[test]
    fn add_is_exact_for_integers(a: i64, b: i64) {
        let sum = i128::from(a) + i128::from(b);
        let result = called("add", &json!({"a": a, "b": b}));
        prop_assert_eq!(text_of(&result), sum.to_string());
    }
}

#[test]
fn echo_leaves_the_message_as_it_is_written() {
    let params = r#"{"name":"echo","arguments":{"message":"a\u0041\/é"}}"#;
    let params = Params::read(Method::ToolsCall, Some(params)).expect("params");
    let mut out = Vec::new();
    answer(&mut out, LEGACY, Method::ToolsCall, &params, Wall(0)).expect("result");
    assert_eq!(
        String::from_utf8(out).expect("UTF-8"),
        r#"{"content":[{"type":"text","text":"a\u0041\/é"}]}"#
    );
}

#[test]
fn add_takes_fractions() {
    assert_eq!(text_of(&called("add", &json!({"a": 0.5, "b": 2}))), "2.5");
    assert!(fault_of(&called("add", &json!({"a": 1e308, "b": 1e308}))).contains("too large"));
}

#[test]
fn now_tells_the_time_it_is_given() {
    assert_eq!(text_of(&called("now", &json!({}))), "2023-11-14T22:13:20.123Z");
}

#[test]
fn sleep_is_left_to_the_caller() {
    let slept_for = |arguments: &str| {
        let params = format!(r#"{{"name":"sleep","arguments":{arguments}}}"#);
        let params = Params::read(Method::ToolsCall, Some(&params)).expect("params");
        let mut out = Vec::new();
        let answered = answer(&mut out, LEGACY, Method::ToolsCall, &params, Wall(0)).expect("answer");
        (answered, out.is_empty())
    };
    let sleep = |millis, steps| Sleep { duration: Duration::from_millis(millis), steps };
    assert_eq!(slept_for(r#"{"seconds":1.5,"steps":3}"#), (Answer::Sleep(sleep(1500, 3)), true));
    assert_eq!(slept_for(r#"{"seconds":0}"#), (Answer::Sleep(sleep(0, 1)), true));
    assert_eq!(slept_for(r#"{"seconds":601}"#), (Answer::Result, false));

    let mut out = Vec::new();
    slept(&mut out, LEGACY, sleep(1500, 3));
    let result: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(text_of(&result), "slept 1.5 s in 3 steps");
}

#[test]
fn arguments_that_do_not_fit_are_results_that_say_so() {
    let cases = [
        ("echo", json!({"message": 1})),
        ("echo", json!({})),
        ("echo", json!([])),
        ("add", json!({"a": 1})),
        ("add", json!({"a": 1, "b": "2"})),
        ("add", json!({"a": true, "b": 2})),
        ("sleep", json!({"seconds": -1})),
        ("sleep", json!({"seconds": "1"})),
        ("sleep", json!({"seconds": 1, "steps": 0})),
        ("sleep", json!({"seconds": 1, "steps": 1.5})),
        ("sleep", json!({"seconds": 1, "steps": 1001})),
        ("sleep", json!(null)),
    ];
    for (tool, arguments) in cases {
        let result = called(tool, &arguments);
        assert!(!fault_of(&result).is_empty(), "{tool} {arguments}");
    }
}

#[test]
fn every_tool_that_is_listed_is_there() {
    let listed = asked(LEGACY, "tools/list", &json!({})).expect("result");
    let tools = listed["tools"].as_array().expect("tools");
    assert_eq!(tools.len(), 4);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
        let name = tool["name"].as_str().expect("name");
        assert!(catalogue::TOOL_NAMES.contains(name));
        let required = tool["inputSchema"]["required"].as_array().map_or(0, Vec::len);
        let answered = asked(LEGACY, "tools/call", &json!({"name": name, "arguments": {}})).expect("result");
        assert_eq!(answered["isError"] == true, required > 0, "{name}");
    }
    let sleep = &tools[3]["inputSchema"]["properties"];
    assert_eq!(sleep["seconds"]["maximum"], SLEEP_MAX.as_secs());
    assert_eq!(sleep["steps"]["maximum"], STEPS_MAX);
}

#[test]
fn resources_and_templates_are_read() {
    let listed = asked(LEGACY, "resources/list", &json!({})).expect("result");
    let uri = listed["resources"][0]["uri"].clone();
    let read = asked(LEGACY, "resources/read", &json!({"uri": uri})).expect("result");
    assert_eq!(read["contents"][0]["uri"], uri);
    assert!(read["contents"][0]["text"].as_str().expect("text").starts_with("Weir "));

    let listed = asked(LEGACY, "resources/templates/list", &json!({})).expect("result");
    let template = listed["resourceTemplates"][0]["uriTemplate"].as_str().expect("template");
    let uri = template.replace("{text}", "a%20b%C3%A9");
    let read = asked(LEGACY, "resources/read", &json!({"uri": uri})).expect("result");
    assert_eq!(read["contents"][0]["text"], "a bé");
}

#[test]
fn a_resource_that_is_not_there_has_its_eras_code() {
    for uri in ["weir://none", "weir://echo/a/b", "weir://echo/%ff", ""] {
        let failure = failed(LEGACY, "resources/read", json!({"uri": uri}));
        assert_eq!((failure.code, failure.data), (-32002, Some(json!({"uri": uri}).to_string())));
        assert_eq!(failed(Era::Modern, "resources/read", json!({"uri": uri})).code, -32602);
    }
}

#[test]
fn the_prompt_greets() {
    let listed = asked(LEGACY, "prompts/list", &json!({})).expect("result");
    assert_eq!(listed["prompts"][0]["arguments"][0]["name"], "name");
    let params = json!({"name": "hello", "arguments": {"name": "\"Ada\""}});
    let got = asked(LEGACY, "prompts/get", &params).expect("result");
    assert_eq!(got["messages"][0]["content"]["text"], "Say hello to \"Ada\".");
}

#[test]
fn arguments_are_completed() {
    let complete = |reference: Value, name: &str, value: &str| {
        let argument = json!({"name": name, "value": value});
        asked(LEGACY, "completion/complete", &json!({"ref": reference, "argument": argument}))
    };
    let prompt = json!({"type": "ref/prompt", "name": "hello"});
    let result = complete(prompt.clone(), "name", "A").expect("result");
    assert_eq!(result["completion"], json!({"values": ["Ada", "Alan"], "total": 2, "hasMore": false}));
    let template = json!({"type": "ref/resource", "uri": "weir://echo/{text}"});
    let result = complete(template, "text", "x").expect("result");
    assert_eq!(result["completion"]["values"], json!([]));

    assert_eq!(complete(prompt, "other", "").expect_err("failure").code, -32602);
    let unknown = json!({"type": "ref/tool", "name": "hello"});
    assert_eq!(complete(unknown, "name", "").expect_err("failure").code, -32602);
}

#[test]
fn what_is_not_there_is_the_clients_fault() {
    let cases = [
        ("tools/call", json!({"name": "none"}), -32602),
        ("prompts/get", json!({"name": "none"}), -32602),
        ("prompts/get", json!({"name": "hello"}), -32602),
        ("prompts/get", json!({"name": "hello", "arguments": {"name": 1}}), -32602),
        ("tools/list", json!({"cursor": ""}), -32602),
        ("logging/setLevel", json!({"level": "loud"}), -32602),
        ("resources/subscribe", json!({"uri": "weir://about"}), -32601),
        ("none", json!({}), -32601),
    ];
    for (method, params, code) in cases {
        let failure = failed(LEGACY, method, params);
        assert_eq!(failure.code, code, "{method}: {}", failure.message);
    }
}

#[test]
fn pings_and_levels_are_answered_with_nothing() {
    assert_eq!(asked(LEGACY, "ping", &json!({})), Ok(json!({})));
    assert_eq!(asked(LEGACY, "logging/setLevel", &json!({"level": "error"})), Ok(json!({})));
}

#[test]
fn modern_results_say_what_they_must() {
    let cases = [
        ("tools/call", json!({"name": "echo", "arguments": {"message": "m"}}), false),
        ("tools/call", json!({"name": "echo"}), false),
        ("prompts/get", json!({"name": "hello", "arguments": {"name": "Ada"}}), false),
        ("tools/list", json!({}), true),
        ("prompts/list", json!({}), true),
        ("resources/list", json!({}), true),
        ("resources/templates/list", json!({}), true),
        ("resources/read", json!({"uri": "weir://about"}), true),
    ];
    for (method, params, cacheable) in cases {
        let mut result = asked(Era::Modern, method, &params).expect("result");
        assert_eq!(result["resultType"], "complete", "{method}");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "weir", "{method}");
        assert_eq!(result["ttlMs"].is_u64() && result["cacheScope"] == "public", cacheable, "{method}");
        // Beside that it is what the legacy era has.
        let members = result.as_object_mut().expect("object");
        members.retain(|key, _| !["resultType", "_meta", "ttlMs", "cacheScope"].contains(&key.as_str()));
        assert_eq!(asked(LEGACY, method, &params), Ok(result), "{method}");
    }
}

#[test]
fn capabilities_are_json() {
    let capabilities: Value = serde_json::from_str(CAPABILITIES).expect("JSON");
    assert!(
        ["tools", "resources", "prompts", "completions", "logging"]
            .iter()
            .all(|key| capabilities[key].is_object())
    );
    assert!(!INSTRUCTIONS.contains("  "));
}
