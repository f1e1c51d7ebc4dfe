//! Arguments mirrored into headers.

use weir_transports::mcp::headers::{HeaderFault, Headers, ParamHeader, SchemaFault};

fn of_schema(schema: &str) -> Result<Vec<ParamHeader>, SchemaFault> {
    ParamHeader::of_tool(&format!(r#"{{"name":"t","inputSchema":{schema}}}"#))
}

/// One annotated property, `p`.
fn of_property(property: &str) -> Result<Vec<ParamHeader>, SchemaFault> {
    of_schema(&format!(r#"{{"type":"object","properties":{{"p":{property}}}}}"#))
}

fn declared() -> Vec<ParamHeader> {
    of_schema(
        r#"{"properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "n":{"type":"integer","x-mcp-header":"N"},
            "query":{"type":"string"},
            "deep":{"type":"object","properties":{"flag":{"x-mcp-header":"Flag","type":"boolean"}}}}}"#,
    )
    .unwrap()
}

fn headers(arguments: Option<&str>) -> Vec<(Box<str>, Box<str>)> {
    let mut headers = ParamHeader::headers(&declared(), arguments);
    headers.sort();
    headers
}

fn check(headers: &[(&str, &str)], arguments: Option<&str>) -> Result<(), HeaderFault> {
    let headers: Headers<'_> = headers.iter().copied().collect();
    ParamHeader::check(&declared(), &headers, arguments)
}

#[test]
fn what_a_tool_declares() {
    let mut declared = declared();
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    let read: Vec<_> = declared.iter().map(|param| (&*param.name, param.path.join("."))).collect();
    let expected = [("Flag", "deep.flag"), ("N", "n"), ("Region", "region")];
    assert_eq!(read, expected.map(|(name, path)| (name, path.to_owned())));
    assert_eq!(ParamHeader::of_tool(r#"{"name":"t"}"#), Ok(vec![]));
    assert_eq!(of_schema("true"), Ok(vec![]));
    // A property of that name, or a default that looks like a schema, is no annotation.
    assert_eq!(of_schema(r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#), Ok(vec![]));
    assert_eq!(of_property(r#"{"type":"string","default":{"x-mcp-header":"A"}}"#), Ok(vec![]));
}

#[test]
fn what_a_tool_may_not_declare() {
    for name in ["\"\"", "\"a b\"", "\"a:b\"", "\"é\"", "1", "\"a\\r\\n\""] {
        let property = format!(r#"{{"type":"string","x-mcp-header":{name}}}"#);
        assert_eq!(of_property(&property), Err(SchemaFault::Name), "{name}");
    }
    for kind in [r#""number""#, r#""object""#, r#"["string"]"#] {
        let property = format!(r#"{{"type":{kind},"x-mcp-header":"A"}}"#);
        assert_eq!(of_property(&property), Err(SchemaFault::Type), "{kind}");
    }
    assert_eq!(of_property(r#"{"x-mcp-header":"A"}"#), Err(SchemaFault::Type));
    let annotated = r#"{"type":"string","x-mcp-header":"A"}"#;
    let unreachable = [
        annotated.to_owned(),
        format!(r#"{{"items":{annotated}}}"#),
        format!(r#"{{"oneOf":[true,{annotated}]}}"#),
        format!(r#"{{"else":{{"properties":{{"p":{annotated}}}}}}}"#),
        format!(r#"{{"$defs":{{"d":{annotated}}}}}"#),
    ];
    for schema in unreachable {
        assert_eq!(of_schema(&schema), Err(SchemaFault::Unreachable), "{schema}");
    }
    let twice = r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},
        "b":{"type":"string","x-mcp-header":"a"}}}"#;
    assert_eq!(of_schema(twice), Err(SchemaFault::Repeated));
    assert!(matches!(ParamHeader::of_tool(r#"{"x-mcp-header""#), Err(SchemaFault::Json(_))));
}

#[test]
fn headers_of_arguments() {
    let of = |arguments: &str| {
        let headers = headers(Some(arguments));
        headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
    };
    assert_eq!(
        of(r#"{"region":"us\u002dwest","n":-42.0,"query":"q","deep":{"flag":true}}"#),
        ["Mcp-Param-Flag: true", "Mcp-Param-N: -42", "Mcp-Param-Region: us-west"]
    );
    assert_eq!(of(r#"{"region":" é","n":1e2}"#), ["Mcp-Param-N: 100", "Mcp-Param-Region: =?base64?IMOp?="]);
    let none: [&str; 0] = [];
    assert_eq!(of(r#"{"region":null,"n":9007199254740992,"deep":[]}"#), none);
    assert_eq!(of(r#"{"region":{},"n":1.5,"deep":{"flag":null}}"#), none);
    assert_eq!(headers(None), []);
}

#[test]
fn headers_held_to_arguments() {
    let arguments = Some(r#"{"region":"a","n":42}"#);
    let missing = |name: &str| Err(HeaderFault::Missing(name.into()));
    assert_eq!(check(&[("Mcp-Param-Region", "a"), ("mcp-param-n", "42")], arguments), Ok(()));
    assert_eq!(check(&[("MCP-PARAM-REGION", "=?base64?YQ==?="), ("Mcp-Param-N", "42.0")], arguments), Ok(()));
    assert_eq!(check(&[("Mcp-Param-N", "42")], arguments), missing("Mcp-Param-Region"));
    assert_eq!(check(&[("Mcp-Param-Region", "a")], arguments), missing("Mcp-Param-N"));
    let with = |region| check(&[("Mcp-Param-N", "42"), ("Mcp-Param-Region", region)], arguments);
    let mismatch = HeaderFault::Mismatch { name: "Mcp-Param-Region".into(), says: "A".into() };
    assert_eq!(with("A"), Err(mismatch));
    assert_eq!(with("=?base64?YQ?="), Err(HeaderFault::Malformed("Mcp-Param-Region".into())));
    for n in ["43", "042x", "inf", "NaN", ""] {
        let headers = [("Mcp-Param-Region", "a"), ("Mcp-Param-N", n)];
        assert!(matches!(check(&headers, arguments), Err(HeaderFault::Mismatch { .. })), "{n}");
    }
    let twice = [("Mcp-Param-N", "42"), ("Mcp-Param-Region", "a"), ("mcp-param-region", "b")];
    assert_eq!(check(&twice, arguments), Err(HeaderFault::Repeated("Mcp-Param-Region".into())));
}

#[test]
fn headers_that_nothing_is_held_to() {
    // Neither what nobody declared nor what the arguments do not have.
    let headers = [("Mcp-Param-Other", "x"), ("Mcp-Param-Region", "x")];
    assert_eq!(check(&headers, None), Ok(()));
    assert_eq!(check(&headers, Some(r#"{"region":null}"#)), Ok(()));
    assert_eq!(headers.into_iter().collect::<Headers<'_>>().params, [("Other", "x"), ("Region", "x")]);
}
