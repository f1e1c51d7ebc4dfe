//! Which arguments of tools are mirrored into headers (2026-07-28): learned from the lists of tools that pass by.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_transports::mcp::headers::ParamHeader;

/// Tools of which it is kept; of more, calls go without.
const TOOLS_MAX: usize = 10_000;

/// The tools with such arguments, by name.
#[derive(Debug, Default)]
pub(super) struct Tools(Mutex<BTreeMap<String, Vec<ParamHeader>>>);

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: List<'a>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    params: Call<'a>,
}

#[derive(Deserialize)]
struct Call<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Tools {
    /// Learns from an answer to `tools/list`.
    pub(super) fn learn(&self, answer: &str) {
        let Ok(answer) = serde_json::from_str::<Answer<'_>>(answer) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in answer.result.tools {
            let Ok(Named { name }) = serde_json::from_str(tool.get()) else { continue };
            // A tool whose annotations break the rules is called without; its server says what it thinks of that.
            let mirrored = ParamHeader::of_tool(tool.get()).unwrap_or_default();
            if mirrored.is_empty() {
                known.remove(&name);
            } else if known.len() < TOOLS_MAX {
                known.insert(name, mirrored);
            }
        }
    }

    /// The headers that mirror the arguments of a `tools/call`.
    pub(super) fn headers(&self, line: &str) -> Vec<(Box<str>, Box<str>)> {
        let Ok(Request { params }) = serde_json::from_str::<Request<'_>>(line) else { return Vec::new() };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mirrored = known.get(&params.name).map(Vec::as_slice).unwrap_or_default();
        ParamHeader::headers(mirrored, params.arguments.map(RawValue::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_mirrored_once_the_tool_was_listed() {
        let tools = Tools::default();
        let call =
            r#"{"id":1,"method":"tools/call","params":{"name":"t","arguments":{"region":"Bern","n":1}}}"#;
        assert!(tools.headers(call).is_empty());
        tools.learn(
            r#"{"id":1,"result":{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer"}}}},{"name":"u"}]}}"#,
        );
        assert_eq!(tools.headers(call), [("Mcp-Param-Region".into(), "Bern".into())]);
        tools.learn(r#"{"id":2,"result":{"tools":[{"name":"t"}]}}"#);
        assert!(tools.headers(call).is_empty(), "it is not mirrored any more");
    }
}
