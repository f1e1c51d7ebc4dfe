//! Which era a message belongs to.

use weir_transports::jsonrpc;
use weir_transports::mcp::headers::{EraFault, era};
use weir_transports::mcp::{Era, Meta, Method, Params, Version, key};

const MODERN: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
const CAPABILITIES: &str = r#""io.modelcontextprotocol/clientCapabilities":{}"#;

/// The era of a request of `method` with such `_meta`.
fn of(header: Option<&str>, session: bool, method: &str, meta: &str) -> Result<Era, EraFault> {
    let params = format!(r#"{{"_meta":{{{meta}}}}}"#);
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let meta = Params::read(Method::Other, Some(&params)).unwrap().meta;
    era(header, session, &jsonrpc::decode(&text).unwrap(), &meta)
}

fn unsupported(version: &str) -> Result<Era, EraFault> {
    Err(EraFault::UnsupportedVersion(version.into()))
}

#[test]
fn modern_is_what_says_so() {
    let envelope = format!("{MODERN},{CAPABILITIES}");
    for header in [Some("2026-07-28"), None, Some("2025-11-25")] {
        for (session, method) in [(false, "tools/list"), (true, "tools/list"), (false, "initialize")] {
            assert_eq!(of(header, session, method, &envelope), Ok(Era::Modern));
        }
    }
}

#[test]
fn a_modern_request_says_all_about_itself() {
    let missing = |key| Err(EraFault::MissingMeta(key));
    let header = Some("2026-07-28");
    assert_eq!(of(header, false, "server/discover", ""), missing(key::PROTOCOL_VERSION));
    assert_eq!(of(header, true, "server/discover", CAPABILITIES), missing(key::PROTOCOL_VERSION));
    assert_eq!(of(header, false, "initialize", MODERN), missing(key::CLIENT_CAPABILITIES));
    assert_eq!(of(None, false, "tools/list", MODERN), missing(key::CLIENT_CAPABILITIES));
    assert_eq!((EraFault::MissingMeta("k").code(), EraFault::MissingMeta("k").status()), (-32602, 400));
}

#[test]
fn revisions_that_nobody_speaks() {
    let strange = format!(r#""io.modelcontextprotocol/protocolVersion":"v999.0.0",{CAPABILITIES}"#);
    assert_eq!(of(Some("v999.0.0"), false, "server/discover", &strange), unsupported("v999.0.0"));
    assert_eq!(of(Some("v999.0.0"), true, "tools/list", ""), unsupported("v999.0.0"));
    assert_eq!(of(None, false, "tools/list", &strange), unsupported("v999.0.0"));
    // The header is not what the body says: for that there is another error, later.
    assert_eq!(of(Some("2026-07-28"), false, "tools/list", &strange), Ok(Era::Modern));
    let fault = EraFault::UnsupportedVersion("v\"".into());
    assert_eq!((fault.code(), fault.status()), (-32022, 400));
    assert_eq!(
        String::from_utf8(fault.data().unwrap()).unwrap(),
        r#"{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"v\""}"#
    );
}

#[test]
fn legacy_is_the_rest() {
    let legacy = |version| Ok(Era::Legacy(version));
    assert_eq!(of(None, false, "initialize", ""), legacy(Version::V2025_03_26));
    assert_eq!(of(None, true, "tools/list", ""), legacy(Version::V2025_03_26));
    assert_eq!(of(Some("2025-11-25"), true, "tools/list", ""), legacy(Version::V2025_11_25));
    assert_eq!(of(Some("2025-06-18"), false, "initialize", ""), legacy(Version::V2025_06_18));
    let body = r#""io.modelcontextprotocol/protocolVersion":"2025-11-25""#;
    assert_eq!(of(Some("2025-11-25"), true, "tools/list", body), legacy(Version::V2025_11_25));
    assert_eq!(of(None, false, "tools/list", ""), Err(EraFault::NoSession));
    assert_eq!(of(Some("2025-11-25"), false, "ping", ""), Err(EraFault::NoSession));
    assert_eq!(EraFault::NoSession.data(), None);
}

#[test]
fn notifications_and_responses() {
    let of = |header, session, text| era(header, session, &jsonrpc::decode(text).unwrap(), &Meta::default());
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for text in [notification, response] {
        assert_eq!(of(Some("2026-07-28"), false, text), Ok(Era::Modern));
        assert_eq!(of(Some("2025-06-18"), true, text), Ok(Era::Legacy(Version::V2025_06_18)));
        assert_eq!(of(None, false, text), Err(EraFault::NoSession));
    }
}
