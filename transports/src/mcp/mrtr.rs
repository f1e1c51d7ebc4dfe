//! Multi round-trip requests (2026-07-28, basic/patterns/mrtr): a server that needs something of its client
//! says so in its result, and the client asks again with what was needed. In the legacy era the server
//! sends the same requests to the client while the call is under way.

use std::borrow::Cow;

use super::members::rebuild;
use super::object::{find, members, string, write_str};

/// What a server needs before it can go on: an `InputRequiredResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired<'a> {
    /// What it asks of the client.
    pub requests: Vec<InputRequest<'a>>,
    /// What the client must send with its next try, as it came; understood, without its quotes.
    pub request_state: Option<Cow<'a, str>>,
}

/// One request to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest<'a> {
    /// Under which its answer is expected.
    pub key: Cow<'a, str>,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: Cow<'a, str>,
    /// The text of an object.
    pub params: Option<&'a str>,
}

impl<'a> InputRequired<'a> {
    /// Reads an `InputRequiredResult`. `None`: it is none, or none that can be answered, as it has neither
    /// requests nor state or a request without method; the server's fault.
    pub fn read(result: &'a str) -> Option<InputRequired<'a>> {
        let [result_type, requests, state] =
            find(result, ["resultType", "inputRequests", "requestState"]).ok()?;
        if result_type != Some("\"input_required\"") || requests.or(state).is_none() {
            return None;
        }
        let requests = members(requests.unwrap_or("{}")).map(|member| {
            let (key, request) = member.ok()?;
            let [method, params] = find(request, ["method", "params"]).ok()?;
            Some(InputRequest { key, method: string(method?)?, params })
        });
        let request_state = match state {
            None => None,
            Some(text) => Some(string(text)?),
        };
        Some(InputRequired { requests: requests.collect::<Option<_>>()?, request_state })
    }

    /// Appends it as a result.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"resultType\":\"input_required\",\"inputRequests\":{");
        for (place, request) in self.requests.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_str(out, &request.key);
            out.extend_from_slice(b":{\"method\":");
            write_str(out, &request.method);
            if let Some(params) = request.params {
                out.extend_from_slice(b",\"params\":");
                out.extend_from_slice(params.as_bytes());
            }
            out.push(b'}');
        }
        out.push(b'}');
        if let Some(state) = &self.request_state {
            out.extend_from_slice(b",\"requestState\":");
            write_str(out, state);
        }
        out.push(b'}');
    }
}

/// The client's answers, the text of `inputResponses`: key of the request, and the text of its result.
/// `None`: it is no object of objects, which is the client's fault.
pub fn read_responses(input_responses: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    members(input_responses).map(|member| member.ok().filter(|(_, result)| result.starts_with('{'))).collect()
}

/// Appends the params of the next try: `params`, those of the first or of an earlier one, with these
/// answers, keys and texts of results, and this state in place of any that they had.
pub fn write_retry<'a>(
    out: &mut Vec<u8>,
    params: Option<&str>,
    responses: impl IntoIterator<Item = (&'a str, &'a str)>,
    request_state: Option<&str>,
) {
    let mut added = b"\"inputResponses\":{".to_vec();
    for (place, (key, result)) in responses.into_iter().enumerate() {
        if place > 0 {
            added.push(b',');
        }
        write_str(&mut added, key);
        added.push(b':');
        added.extend_from_slice(result.as_bytes());
    }
    added.push(b'}');
    if let Some(state) = request_state {
        added.extend_from_slice(b",\"requestState\":");
        write_str(&mut added, state);
    }
    rebuild(out, params.unwrap_or("{}"), &added, &["inputResponses", "requestState"]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mcp::{Method, Params};

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Keys, of which none is there twice, and the text of an object for each.
    fn objects() -> impl Strategy<Value = Vec<(String, String)>> {
        let object = ".{0,9}".prop_map(|value| serde_json::json!({"x": value, "y": [1]}).to_string());
        proptest::collection::btree_map(any::<String>(), object, 0..5)
            .prop_map(|objects| objects.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_required_reads_back(objects in objects(), method: String, bare: bool, state: Option<String>) {
            let requests = objects.iter().map(|(key, params)| InputRequest {
                key: key.into(),
                method: (&method).into(),
                params: (!bare).then_some(params),
            });
            let required = InputRequired {
                requests: requests.collect(),
                request_state: state.as_ref().map(Into::into),
            };
            let result = text(|out| required.write(out));
            prop_assert_eq!(InputRequired::read(&result), Some(required));
        }

        #[test]
        fn the_next_try_reads_back(
            responses in objects(), state: Option<String>, earlier: Option<String>, name: String,
        ) {
            let first = serde_json::json!({"name": name, "arguments": {"inputResponses": 1}}).to_string();
            let pairs = || responses.iter().map(|(key, result)| (&**key, &**result));
            // Whatever an earlier try had is gone after the next.
            let earlier = text(|out| write_retry(out, Some(&first), [("old", "{}")], earlier.as_deref()));
            let retry = text(|out| write_retry(out, Some(&earlier), pairs(), state.as_deref()));
            let params = Params::read(Method::ToolsCall, Some(&retry)).unwrap();
            prop_assert_eq!(params.name.and_then(string), Some(name.into()));
            prop_assert_eq!(params.arguments, Some(r#"{"inputResponses":1}"#));
            prop_assert_eq!(params.request_state.and_then(string), state.map(Cow::Owned));
            let read = read_responses(params.input_responses.unwrap()).unwrap();
            let read: Vec<_> = read.iter().map(|(key, result)| (&**key, *result)).collect();
            prop_assert_eq!(read, pairs().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_cannot_be_answered_is_told() {
        let cases = [
            r#"{"resultType":"input_required"}"#,
            r#"{"resultType":"complete","requestState":"s"}"#,
            r#"{"requestState":"s"}"#,
            r#"{"resultType":"input_required","requestState":7}"#,
            r#"{"resultType":"input_required","inputRequests":[]}"#,
            r#"{"resultType":"input_required","inputRequests":{"k":{"params":{}}}}"#,
        ];
        for result in cases {
            assert_eq!(InputRequired::read(result), None, "{result}");
        }
        assert_eq!(read_responses(r#"{"k":1}"#), None);
        assert_eq!(read_responses("[]"), None);
    }

    #[test]
    fn state_alone_is_an_answer() {
        let read = InputRequired::read(r#"{"resultType":"input_required","requestState":"s"}"#).unwrap();
        assert_eq!(read, InputRequired { requests: vec![], request_state: Some("s".into()) });
    }
}
