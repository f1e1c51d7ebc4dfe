//! What a server says of itself: in the result of `initialize` (2025-11-25, basic/lifecycle), or since
//! 2026-07-28 in that of `server/discover` (server/discover). What the gateway says when it is the server,
//! and how it asks when it is the client.

use std::borrow::Cow;

use super::hints::{Hints, write_complete};
use super::object::{elements, find, string, write_str};
use super::{Version, key};

/// The gateway's `serverInfo`, and its `clientInfo` where it asks on nobody's behalf.
pub const SERVER_INFO: &str =
    concat!(r#"{"name":"weir","title":"Weir","version":""#, env!("CARGO_PKG_VERSION"), "\"}");

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// The revisions it speaks: all of them, or the one it chose in `initialize`.
    pub versions: Vec<Cow<'a, str>>,
    /// Text of an object.
    pub capabilities: &'a str,
    /// What a model should know to use it.
    pub instructions: Option<Cow<'a, str>>,
    /// Text of an object: its name and version.
    pub server_info: Option<&'a str>,
}

impl<'a> About<'a> {
    /// Reads the result of `initialize` or `server/discover`. `None`: it is neither, which is the
    /// upstream's fault.
    pub fn read(result: &'a str) -> Option<About<'a>> {
        let keys =
            ["protocolVersion", "supportedVersions", "capabilities", "instructions", "serverInfo", "_meta"];
        let [chosen, supported, capabilities, instructions, server_info, meta] = find(result, keys).ok()?;
        let versions = match (chosen, supported) {
            (Some(chosen), _) => vec![string(chosen)?],
            (None, Some(supported)) => {
                elements(supported).map(|version| string(version.ok()?)).collect::<Option<_>>()?
            }
            (None, None) => return None,
        };
        let in_meta = || find(meta?, [key::SERVER_INFO]).ok()?[0];
        Some(About {
            versions,
            capabilities: capabilities.filter(|text| text.starts_with('{'))?,
            instructions: instructions.and_then(string),
            server_info: server_info.or_else(in_meta).filter(|text| text.starts_with('{')),
        })
    }
}

/// Appends the gateway's result of `initialize`. `capabilities` is the text of an object.
pub fn write_initialize(out: &mut Vec<u8>, version: Version, capabilities: &str, instructions: Option<&str>) {
    out.extend_from_slice(b"{\"protocolVersion\":");
    write_str(out, version.as_str());
    write_common(out, capabilities, instructions);
    out.extend_from_slice(b",\"serverInfo\":");
    out.extend_from_slice(SERVER_INFO.as_bytes());
    out.push(b'}');
}

/// Appends the gateway's result of `server/discover`. `capabilities` is the text of an object.
pub fn write_discover(
    out: &mut Vec<u8>,
    versions: &[Version],
    capabilities: &str,
    instructions: Option<&str>,
    hints: Hints,
) {
    out.extend_from_slice(b"{\"supportedVersions\":[");
    for (place, version) in versions.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_str(out, version.as_str());
    }
    out.push(b']');
    write_common(out, capabilities, instructions);
    out.push(b',');
    write_complete(out, Some(hints));
    out.push(b'}');
}

/// Appends the members that both results have.
fn write_common(out: &mut Vec<u8>, capabilities: &str, instructions: Option<&str>) {
    out.extend_from_slice(b",\"capabilities\":");
    out.extend_from_slice(capabilities.as_bytes());
    if let Some(instructions) = instructions {
        out.extend_from_slice(b",\"instructions\":");
        write_str(out, instructions);
    }
}

/// Appends the params of the `initialize` that opens a session with an upstream. `capabilities`, what the
/// client can be asked for, and `client`, its `clientInfo`, are texts of objects.
pub fn write_initialize_params(out: &mut Vec<u8>, version: Version, capabilities: &str, client: &str) {
    out.extend_from_slice(b"{\"protocolVersion\":");
    write_str(out, version.as_str());
    for (key, value) in [("capabilities", capabilities), ("clientInfo", client)] {
        out.extend_from_slice(format!(",\"{key}\":{value}").as_bytes());
    }
    out.push(b'}');
}

/// Appends the params of the `server/discover` that probes an upstream, with texts of objects as in
/// [`write_initialize_params`].
pub fn write_discover_params(out: &mut Vec<u8>, capabilities: &str, client: &str) {
    out.extend_from_slice(format!("{{\"_meta\":{{\"{}\":", key::PROTOCOL_VERSION).as_bytes());
    write_str(out, Version::V2026_07_28.as_str());
    for (key, value) in [(key::CLIENT_CAPABILITIES, capabilities), (key::CLIENT_INFO, client)] {
        out.extend_from_slice(format!(",\"{key}\":{value}").as_bytes());
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{Method, Params, SUPPORTED};

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_for_initialize_reads_back() {
        let result = text(|out| write_initialize(out, Version::V2025_06_18, r#"{"tools":{}}"#, Some("a\nb")));
        let expected = About {
            versions: vec!["2025-06-18".into()],
            capabilities: r#"{"tools":{}}"#,
            instructions: Some("a\nb".into()),
            server_info: Some(SERVER_INFO),
        };
        assert_eq!(About::read(&result), Some(expected));
        let bare = text(|out| write_initialize(out, Version::V2025_06_18, "{}", None));
        assert_eq!(About::read(&bare).unwrap().instructions, None);
    }

    #[test]
    fn what_is_written_for_discover_reads_back() {
        let result = text(|out| write_discover(out, &SUPPORTED, "{}", Some("a"), Hints::NONE));
        let about = About::read(&result).unwrap();
        assert_eq!(about.versions.len(), SUPPORTED.len());
        assert_eq!(about.versions[0], "2026-07-28");
        assert_eq!(about.server_info, Some(SERVER_INFO));
        assert_eq!(Hints::read(&result), Hints::NONE);
        assert!(result.contains(r#""resultType":"complete""#));
    }

    #[test]
    fn what_is_neither_is_told() {
        for result in ["{}", "[]", r#"{"protocolVersion":1,"capabilities":{}}"#, r#"{"capabilities":{}}"#] {
            assert_eq!(About::read(result), None, "{result}");
        }
        assert_eq!(About::read(r#"{"supportedVersions":["a"],"capabilities":[]}"#), None);
        assert_eq!(About::read(r#"{"supportedVersions":[1],"capabilities":{}}"#), None);
    }

    #[test]
    fn what_is_asked_is_understood() {
        let asked =
            text(|out| write_initialize_params(out, Version::V2025_11_25, r#"{"roots":{}}"#, SERVER_INFO));
        let params = Params::read(Method::Initialize, Some(&asked)).unwrap();
        assert_eq!(params.protocol_version, Some("\"2025-11-25\""));
        assert_eq!(params.capabilities, Some(r#"{"roots":{}}"#));
        assert_eq!(params.client_info, Some(SERVER_INFO));

        let asked = text(|out| write_discover_params(out, r#"{"roots":{}}"#, SERVER_INFO));
        let meta = Params::read(Method::Discover, Some(&asked)).unwrap().meta;
        assert_eq!(meta.protocol_version, Some("\"2026-07-28\""));
        assert_eq!(meta.client_capabilities, Some(r#"{"roots":{}}"#));
        assert_eq!(meta.client_info, Some(SERVER_INFO));
    }
}
