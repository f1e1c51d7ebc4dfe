//! What comes from an upstream, as its clients see it: names and URIs that tell which upstream they are of,
//! wherever results, notifications and server requests have such, and all else to the byte.
//!
//! What has not the shape that the schema wants is passed on as it stands.

use super::object::{elements, members, string, write_str};
use super::splice::splice;
use super::{Method, names, uris};

/// How an upstream is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Its name.
    pub upstream: &'a str,
    /// Whether names of tools and prompts are prefixed with it.
    pub names: bool,
    /// Whether URIs are.
    pub uris: bool,
}

/// Appends `text` as clients see it: the result of a request of this method, or the params of a
/// notification or a request to the client.
pub fn write(out: &mut Vec<u8>, method: Method, text: &str, shown: Shown<'_>) {
    write_places(out, of_method(method), text, shown);
}

/// Appends one item of a list, as [`write`] would.
pub fn write_item(out: &mut Vec<u8>, method: Method, item: &str, shown: Shown<'_>) {
    write_places(out, of_item(method), item, shown);
}

/// Which parts of a text are names or URIs.
enum Places {
    /// It holds none.
    Nowhere,
    /// It is the name of a tool or prompt itself.
    Name,
    /// It is a URI itself, or a template of such.
    Uri,
    /// Those under these keys hold some.
    Keys(&'static [(&'static str, &'static Places)]),
    /// It is an array whose elements hold some, or one such element by itself.
    Elements(&'static Places),
    /// The values of all its members hold some.
    Values(&'static Places),
}

use Places::{Elements, Keys, Name, Nowhere, Uri, Values};

/// A tool. Its user interface (MCP Apps) is named by `_meta.ui.resourceUri`, formerly by
/// `_meta["ui/resourceUri"]`.
const TOOL: Places = Keys(&[
    ("name", &Name),
    ("_meta", &Keys(&[("ui", &Keys(&[("resourceUri", &Uri)])), ("ui/resourceUri", &Uri)])),
]);
const PROMPT: Places = Keys(&[("name", &Name)]);
/// Also the params of notifications about a resource.
const RESOURCE: Places = Keys(&[("uri", &Uri)]);
const TEMPLATE: Places = Keys(&[("uriTemplate", &Uri)]);

/// A block of content: a link has `uri`, an embedded resource `resource.uri`, a tool's result that goes
/// into sampling `content`.
const BLOCK: Places = Keys(&[("uri", &Uri), ("resource", &RESOURCE), ("content", &Elements(&INNER_BLOCK))]);
/// A block inside of a tool's result.
const INNER_BLOCK: Places = Keys(&[("uri", &Uri), ("resource", &RESOURCE)]);
const MESSAGES: Places = Elements(&Keys(&[("content", &Elements(&BLOCK))]));
/// Params of `sampling/createMessage`.
const SAMPLING: Places = Keys(&[("messages", &MESSAGES)]);
/// `inputRequests` of an `InputRequiredResult`.
const INPUT_REQUESTS: Places = Values(&Keys(&[("params", &SAMPLING)]));

const TOOL_RESULT: Places = Keys(&[("content", &Elements(&BLOCK)), ("inputRequests", &INPUT_REQUESTS)]);

/// The places in an item of a list.
fn of_item(method: Method) -> &'static Places {
    match method {
        Method::ToolsList => &TOOL,
        Method::PromptsList => &PROMPT,
        Method::ResourcesList => &RESOURCE,
        Method::ResourceTemplatesList => &TEMPLATE,
        _ => &Nowhere,
    }
}

fn of_method(method: Method) -> &'static Places {
    match method {
        Method::ToolsList => &Keys(&[("tools", &Elements(&TOOL))]),
        Method::PromptsList => &Keys(&[("prompts", &Elements(&PROMPT))]),
        Method::ResourcesList => &Keys(&[("resources", &Elements(&RESOURCE))]),
        Method::ResourceTemplatesList => &Keys(&[("resourceTemplates", &Elements(&TEMPLATE))]),
        Method::ToolsCall | Method::TasksResult => &TOOL_RESULT,
        // SEP-2663 puts the outcome of the task, or what it needs, into what it says of it.
        Method::TasksGet => &Keys(&[("result", &TOOL_RESULT), ("inputRequests", &INPUT_REQUESTS)]),
        Method::PromptsGet => &Keys(&[("messages", &MESSAGES), ("inputRequests", &INPUT_REQUESTS)]),
        Method::ResourcesRead => {
            &Keys(&[("contents", &Elements(&RESOURCE)), ("inputRequests", &INPUT_REQUESTS)])
        }
        Method::NotificationResourcesUpdated => &RESOURCE,
        Method::SamplingCreateMessage => &SAMPLING,
        _ => &Nowhere,
    }
}

fn write_places(out: &mut Vec<u8>, places: &Places, text: &str, shown: Shown<'_>) {
    let mut changed = Vec::new();
    if shown.names || shown.uris {
        collect(&mut changed, places, text, shown);
    }
    let edits: Vec<_> = changed.iter().map(|(part, with)| (*part, with.as_slice())).collect();
    splice(out, text, &edits);
}

/// Collects the parts of `text` that change and what takes their place, in the order of the text. Recurses
/// as deep as `places` does.
fn collect<'a>(changed: &mut Vec<(&'a str, Vec<u8>)>, places: &Places, text: &'a str, shown: Shown<'_>) {
    match places {
        Name if shown.names => replace(changed, text, |name| names::prefixed(shown.upstream, name)),
        Uri if shown.uris => replace(changed, text, |uri| uris::shown(shown.upstream, uri)),
        Nowhere | Name | Uri => {}
        Keys(keys) => {
            for (key, value) in members(text).map_while(Result::ok) {
                if let Some((_, places)) = keys.iter().find(|(known, _)| *known == key) {
                    collect(changed, places, value, shown);
                }
            }
        }
        Elements(places) if text.starts_with('[') => {
            for element in elements(text).map_while(Result::ok) {
                collect(changed, places, element, shown);
            }
        }
        Elements(places) => collect(changed, places, text, shown),
        Values(places) => {
            for (_, value) in members(text).map_while(Result::ok) {
                collect(changed, places, value, shown);
            }
        }
    }
}

/// Notes what takes the place of the string `text`; nothing where it is none.
fn replace<'a>(changed: &mut Vec<(&'a str, Vec<u8>)>, text: &'a str, with: impl FnOnce(&str) -> String) {
    if let Some(said) = string(text) {
        let mut written = Vec::new();
        write_str(&mut written, &with(&said));
        changed.push((text, written));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: Shown<'_> = Shown { upstream: "files", names: true, uris: true };

    fn written(method: &str, text: &str, shown: Shown<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, Method::of(method), text, shown);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_and_uris_are_shown_wherever_the_schema_has_them() {
        let cases = [
            ("tools/list", r#"{"tools":[{"name":"$N","_meta":{"ui":{"resourceUri":"ui://@v"}}}]}"#),
            ("tools/list", r#"{"tools":[{"_meta":{"ui/resourceUri":"ui://@v"},"name":"$N","title":"N"}]}"#),
            ("prompts/list", r#"{"prompts":[{"name":"$N","arguments":[{"name":"N"}]}, {"name" : "$M"}]}"#),
            ("resources/list", r#"{ "resources" : [ {"name":"N","uri":"@a:1"} , {"uri":"@b:2"}]}"#),
            ("resources/templates/list", r#"{"resourceTemplates":[{"uriTemplate":"@a:{x}","name":"N"}]}"#),
            ("resources/read", r#"{"contents":[{"uri":"@a:1","text":"a:1"},{"uri":"@b:2","blob":""}]}"#),
            (
                "tools/call",
                r#"{"content":[{"type":"resource_link","uri":"@a:1"},{"type":"text","text":"t"}]}"#,
            ),
            ("tools/call", r#"{"content":[{"type":"resource","resource":{"uri":"@a:1","text":"a:1"}}]}"#),
            ("tools/call", r#"{"structuredContent":{"uri":"a:1","content":[{"uri":"a:1"}]},"content":[]}"#),
            ("tasks/result", r#"{"content":[{"type":"resource_link","uri":"@a:1"}]}"#),
            ("tasks/get", r#"{"status":"completed","result":{"content":[{"uri":"@a:1"}]}}"#),
            ("prompts/get", r#"{"messages":[{"role":"user","content":{"resource":{"uri":"@a:1"}}}]}"#),
            (
                "prompts/get",
                r#"{"inputRequests":{"k":{"params":{"messages":[{"content":{"uri":"@a:1"}}]}}}}"#,
            ),
            (
                "sampling/createMessage",
                r#"{"messages":[{"content":[{"type":"tool_result","content":[{"uri":"@a:1"}]}]}]}"#,
            ),
            ("notifications/resources/updated", r#"{"uri":"@a:1"}"#),
            ("completion/complete", r#"{"completion":{"values":["a:1"]},"uri":"a:1","name":"N"}"#),
        ];
        for (method, marked) in cases {
            let text = marked.replace(['$', '@'], "");
            let shown =
                marked.replace("ui://@", "ui://files+").replace('$', "files__").replace('@', "files+");
            assert_eq!(written(method, &text, FILES), shown, "{method}");
        }
    }

    #[test]
    fn names_and_uris_are_shown_apart() {
        let tool = r#"{"tools":[{"name":"N","_meta":{"ui":{"resourceUri":"ui://v"}}}]}"#;
        let names = written("tools/list", tool, Shown { uris: false, ..FILES });
        assert_eq!(names, tool.replace('N', "files__N"));
        let uris = written("tools/list", tool, Shown { names: false, ..FILES });
        assert_eq!(uris, tool.replace("//v", "//files+v"));
        assert_eq!(written("tools/list", tool, Shown { names: false, uris: false, ..FILES }), tool);
    }

    #[test]
    fn what_is_escaped_is_understood() {
        let text = r#"{"contents":[{"\u0075ri":"ui:\/\/v\"w","x":1.0e5}]}"#;
        let shown = r#"{"contents":[{"\u0075ri":"ui://files+v\"w","x":1.0e5}]}"#;
        assert_eq!(written("resources/read", text, FILES), shown);
    }

    #[test]
    fn what_has_another_shape_is_passed_on() {
        for text in
            [r#"{"contents":{"uri":1}}"#, r#"{"contents":7}"#, "[]", "null", "{", "{\"contents\":[{]}"]
        {
            assert_eq!(written("resources/read", text, FILES), text);
        }
    }

    #[test]
    fn an_item_is_written_as_in_its_list() {
        let mut out = Vec::new();
        write_item(&mut out, Method::ToolsList, r#"{"name": "N"}"#, FILES);
        assert_eq!(out, br#"{"name": "files__N"}"#);
    }
}
