//! The server that is built in: something to try a client on when no upstream is configured. A pure
//! function from a request to its answer.

mod catalogue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use weir_ring::time::Wall;
use weir_transports::mcp::hints::write_complete;
use weir_transports::mcp::object::{find, string, write_str};
use weir_transports::mcp::{Era, Method, Params, code, list};

use crate::message::timestamp;
use catalogue::{FOREVER, Reference};

pub(crate) use catalogue::{CAPABILITIES, INSTRUCTIONS};

/// The longest that `sleep` sleeps.
const SLEEP_MAX: Duration = Duration::from_secs(600);

/// The most steps in which it does.
const STEPS_MAX: u32 = 1000;

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The text of its result is written.
    Result,
    /// Nothing is written yet: tell of progress after each step, and write [`slept`] after the last.
    Sleep(Sleep),
}

/// What `sleep` was called for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sleep {
    /// All steps together.
    pub(crate) duration: Duration,
    /// Of the same length each; at least one.
    pub(crate) steps: u32,
}

/// Why a request has no result. The client's fault; nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    /// What is wrong and what there is instead.
    pub(crate) message: String,
    /// Text of an object.
    pub(crate) data: Option<String>,
}

impl Failure {
    fn params(message: impl Into<String>) -> Failure {
        Failure { code: code::INVALID_PARAMS, message: message.into(), data: None }
    }
}

/// Appends the result of a request to `out`.
///
/// # Errors
/// The method is not served, or what it asks for does not exist. Arguments that a tool cannot work with are
/// a result that says so (2025-11-25, server/tools, Error Handling).
pub(crate) fn answer(
    out: &mut Vec<u8>,
    era: Era,
    method: Method,
    params: &Params<'_>,
    now: Wall,
) -> Result<Answer, Failure> {
    match method {
        Method::ToolsCall => return call(out, era, params, now),
        Method::ToolsList | Method::PromptsList | Method::ResourcesList | Method::ResourceTemplatesList => {
            list_all(out, era, method, params)?
        }
        Method::ResourcesRead => read(out, era, params)?,
        Method::PromptsGet => prompt(out, era, params)?,
        Method::CompletionComplete => complete(out, era, params)?,
        Method::LoggingSetLevel => set_level(out, era, params)?,
        Method::Ping => result(out, era, &[]),
        _ => {
            let name = method.name().unwrap_or("asked for");
            let message = format!("the method {name} is not served by the built-in server");
            return Err(Failure { code: code::METHOD_NOT_FOUND, message, data: None });
        }
    }
    Ok(Answer::Result)
}

/// Appends the result of a `sleep` that is over.
pub(crate) fn slept(out: &mut Vec<u8>, era: Era, sleep: Sleep) {
    said(out, era, &format!("slept {} s in {} steps", sleep.duration.as_secs_f64(), sleep.steps));
}

/// `tools/call`.
fn call(out: &mut Vec<u8>, era: Era, params: &Params<'_>, now: Wall) -> Result<Answer, Failure> {
    let name = params.name.and_then(string).unwrap_or_default();
    let arguments = params.arguments.unwrap_or("{}");
    let done = match &*name {
        "echo" => echo(out, era, arguments),
        "add" => add(arguments).map(|sum| said(out, era, &sum)),
        "now" => {
            said(out, era, &timestamp(now));
            Ok(())
        }
        "sleep" => match sleep(arguments) {
            Ok(sleep) => return Ok(Answer::Sleep(sleep)),
            Err(fault) => Err(fault),
        },
        _ => {
            return Err(Failure::params(format!(
                "no tool is called {name}: there are {}",
                catalogue::TOOL_NAMES
            )));
        }
    };
    if let Err(fault) = done {
        let mut text = Vec::new();
        write_str(&mut text, &fault);
        result(out, era, &[b"\"content\":[{\"type\":\"text\",\"text\":", &text, b"}],\"isError\":true"]);
    }
    Ok(Answer::Result)
}

/// Says the message again, as it stands in the request.
fn echo(out: &mut Vec<u8>, era: Era, arguments: &str) -> Result<(), String> {
    match find(arguments, ["message"]) {
        Ok([Some(message)]) if message.starts_with('"') => {
            said_json(out, era, message.as_bytes());
            Ok(())
        }
        _ => Err("echo needs the argument message, a string".to_owned()),
    }
}

/// The sum of two numbers: exact for integers of 64 bits.
fn add(arguments: &str) -> Result<String, String> {
    let fault = || "add needs the arguments a and b, both numbers".to_owned();
    let Ok([Some(a), Some(b)]) = find(arguments, ["a", "b"]) else { return Err(fault()) };
    if let (Ok(a), Ok(b)) = (a.parse::<i64>(), b.parse::<i64>()) {
        return Ok((i128::from(a) + i128::from(b)).to_string());
    }
    let sum = a.parse::<f64>().map_err(|_| fault())? + b.parse::<f64>().map_err(|_| fault())?;
    if sum.is_finite() { Ok(sum.to_string()) } else { Err("the sum is too large for a number".to_owned()) }
}

/// How long to sleep.
fn sleep(arguments: &str) -> Result<Sleep, String> {
    let [seconds, steps] = find(arguments, ["seconds", "steps"]).unwrap_or_default();
    let duration = seconds
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| *duration <= SLEEP_MAX)
        .ok_or_else(|| {
            format!("sleep needs the argument seconds, a number from 0 to {}", SLEEP_MAX.as_secs())
        })?;
    let steps = steps
        .map_or(Some(1), |text| text.parse().ok())
        .filter(|steps| (1..=STEPS_MAX).contains(steps))
        .ok_or_else(|| format!("steps must be a whole number from 1 to {STEPS_MAX}"))?;
    Ok(Sleep { duration, steps })
}

/// `tools/list` and its like. Each list is one page.
fn list_all(out: &mut Vec<u8>, era: Era, method: Method, params: &Params<'_>) -> Result<(), Failure> {
    if params.cursor.is_some() {
        return Err(Failure::params("the cursor is none of this server's: its lists have one page"));
    }
    let items = catalogue::items(method).iter().map(|item| item.as_bytes());
    list::write_page(out, method, items, None, (era == Era::Modern).then_some(FOREVER));
    Ok(())
}

/// `resources/read`.
fn read(out: &mut Vec<u8>, era: Era, params: &Params<'_>) -> Result<(), Failure> {
    let json = params.uri.unwrap_or("\"\"");
    let uri = string(json).unwrap_or_default();
    let Some(text) = catalogue::resource(&uri) else {
        return Err(Failure {
            code: code::resource_not_found(era),
            message: format!("no resource has the URI {uri}"),
            data: Some(format!("{{\"uri\":{json}}}")),
        });
    };
    out.push(b'{');
    if era == Era::Modern {
        write_complete(out, Some(FOREVER));
        out.push(b',');
    }
    out.extend_from_slice(b"\"contents\":[{\"uri\":");
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(b",\"mimeType\":\"text/plain\",\"text\":");
    write_str(out, &text);
    out.extend_from_slice(b"}]}");
    Ok(())
}

/// `prompts/get`.
fn prompt(out: &mut Vec<u8>, era: Era, params: &Params<'_>) -> Result<(), Failure> {
    let prompt = params.name.and_then(string).unwrap_or_default();
    if prompt != "hello" {
        return Err(Failure::params(format!("no prompt is called {prompt}: there is hello")));
    }
    let name = params.arguments.and_then(|arguments| find(arguments, ["name"]).ok()?[0]).and_then(string);
    let name = name.ok_or_else(|| Failure::params("hello needs the argument name, a string"))?;
    let mut text = Vec::new();
    write_str(&mut text, &format!("Say hello to {name}."));
    let before = b"\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":";
    result(out, era, &[before, &text, b"}}]"]);
    Ok(())
}

/// `completion/complete`.
fn complete(out: &mut Vec<u8>, era: Era, params: &Params<'_>) -> Result<(), Failure> {
    let [kind, name, uri] =
        params.reference.and_then(|text| find(text, ["type", "name", "uri"]).ok()).unwrap_or_default();
    let reference = match kind.and_then(string).as_deref() {
        Some("ref/prompt") => name.and_then(string).map(Reference::Prompt),
        Some("ref/resource") => uri.and_then(string).map(Reference::Template),
        _ => None,
    };
    let argument = params.text.and_then(|text| find(text, ["argument"]).ok()?[0]);
    let [name, value] = argument.and_then(|text| find(text, ["name", "value"]).ok()).unwrap_or_default();
    let (Some(reference), Some(name), Some(value)) =
        (reference, name.and_then(string), value.and_then(string))
    else {
        return Err(Failure::params(
            "completion needs ref, of a prompt or a template, and argument with name and value",
        ));
    };
    let known = catalogue::completions(&reference, &name)
        .ok_or_else(|| Failure::params(format!("nothing that ref names has an argument {name}")))?;
    let fitting: Vec<_> = known.iter().filter(|known| known.starts_with(&*value)).collect();
    let mut text = Vec::new();
    for (place, value) in fitting.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        write_str(&mut text, value);
    }
    let after = format!("],\"total\":{},\"hasMore\":false}}", fitting.len());
    result(out, era, &[b"\"completion\":{\"values\":[", &text, after.as_bytes()]);
    Ok(())
}

/// `logging/setLevel`. The server has nothing to log; the level must be one all the same.
fn set_level(out: &mut Vec<u8>, era: Era, params: &Params<'_>) -> Result<(), Failure> {
    let level = params.level.and_then(string).unwrap_or_default();
    if !catalogue::LEVELS.contains(&&*level) {
        return Err(Failure::params(format!("no such level: there are {}", catalogue::LEVELS.join(", "))));
    }
    result(out, era, &[]);
    Ok(())
}

/// Appends the result of a tool that says `text`.
fn said(out: &mut Vec<u8>, era: Era, text: &str) {
    let mut json = Vec::new();
    write_str(&mut json, text);
    said_json(out, era, &json);
}

/// Appends the result of a tool that says what is the text of a JSON string.
fn said_json(out: &mut Vec<u8>, era: Era, json: &[u8]) {
    result(out, era, &[b"\"content\":[{\"type\":\"text\",\"text\":", json, b"}]"]);
}

/// Appends a result that may not be kept, of the parts of its members' text.
fn result(out: &mut Vec<u8>, era: Era, parts: &[&[u8]]) {
    out.push(b'{');
    if era == Era::Modern {
        write_complete(out, None);
        if !parts.is_empty() {
            out.push(b',');
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out.push(b'}');
}
