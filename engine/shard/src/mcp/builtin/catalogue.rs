//! What the built-in server has, and what it says of it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use weir_transports::mcp::Method;
use weir_transports::mcp::hints::{Hints, Scope};

/// Its capabilities: text of an object.
pub(crate) const CAPABILITIES: &str =
    r#"{"tools":{},"resources":{},"prompts":{},"completions":{},"logging":{}}"#;

/// What a model should know to use it.
pub(crate) const INSTRUCTIONS: &str = "The gateway's built-in server, for trying clients: echo and add answer \
    at once, now tells the time, sleep takes its time and tells of progress. Configure an upstream to \
    serve tools of your own.";

/// All but the results of tools stays as it is while the process lives, and is the same for everyone.
pub(super) const FOREVER: Hints = Hints { ttl_ms: 300_000, scope: Scope::Public };

/// What may be kept from a log (RFC 5424 section 6.2.1), from all to the worst only.
pub(super) const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

pub(super) const TOOL_NAMES: &str = "echo, add, now and sleep";

const TOOLS: [&str; 4] = [
    r#"{"name":"echo","title":"Echo","description":"Says the message again.","inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"What to say"}},"required":["message"]},"annotations":{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}}"#,
    r#"{"name":"add","title":"Add","description":"Adds two numbers.","inputSchema":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]},"annotations":{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}}"#,
    r#"{"name":"now","title":"Now","description":"Tells the server's date and time, RFC 3339 in UTC.","inputSchema":{"type":"object","properties":{}},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"sleep","title":"Sleep","description":"Sleeps, and tells of progress after each step.","inputSchema":{"type":"object","properties":{"seconds":{"type":"number","minimum":0,"maximum":600,"description":"How long"},"steps":{"type":"integer","minimum":1,"maximum":1000,"default":1,"description":"In how many steps of the same length"}},"required":["seconds"]},"annotations":{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}}"#,
];

const PROMPTS: [&str; 1] = [
    r#"{"name":"hello","title":"Hello","description":"Has someone greeted.","arguments":[{"name":"name","description":"Whom to greet","required":true}]}"#,
];

const RESOURCES: [&str; 1] = [
    r#"{"uri":"weir://about","name":"about","title":"About Weir","description":"What this server is.","mimeType":"text/plain"}"#,
];

const TEMPLATES: [&str; 1] = [
    r#"{"uriTemplate":"weir://echo/{text}","name":"echo","title":"Echo","description":"A text that says what its URI says.","mimeType":"text/plain"}"#,
];

const ABOUT: &str = concat!(
    "Weir ",
    env!("CARGO_PKG_VERSION"),
    ", an MCP and real-time gateway. This is its built-in server.\n"
);

/// The texts of all that the list of `method` has.
pub(super) fn items(method: Method) -> &'static [&'static str] {
    match method {
        Method::ToolsList => &TOOLS,
        Method::PromptsList => &PROMPTS,
        Method::ResourcesList => &RESOURCES,
        Method::ResourceTemplatesList => &TEMPLATES,
        _ => &[],
    }
}

/// What the resource with this URI says. `None`: there is none.
pub(super) fn resource(uri: &str) -> Option<Cow<'static, str>> {
    if uri == "weir://about" {
        return Some(ABOUT.into());
    }
    // A template's variable takes a path's last segment, percent-encoded (RFC 6570 section 3.2.2).
    let text = uri.strip_prefix("weir://echo/").filter(|text| !text.contains('/'))?;
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned().into())
}

/// What is to be completed.
pub(super) enum Reference<'a> {
    /// A prompt of this name.
    Prompt(Cow<'a, str>),
    /// A template, as it is written.
    Template(Cow<'a, str>),
}

/// What may go into an argument. `None`: there is no such argument.
pub(super) fn completions(reference: &Reference<'_>, argument: &str) -> Option<&'static [&'static str]> {
    match (reference, argument) {
        (Reference::Prompt(name), "name") if name == "hello" => Some(&["Ada", "Alan", "Grace", "world"]),
        (Reference::Template(uri), "text") if uri == "weir://echo/{text}" => Some(&["hello", "hi", "world"]),
        _ => None,
    }
}
