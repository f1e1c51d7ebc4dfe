//! What refusals say: each its own sentence for whoever is to mend it, and a status or code where one goes out.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::{Value, json};
use weir_transports::http1::response::reason_phrase;
use weir_transports::http1::{BodyError, HeadError, ResponseError};
use weir_transports::json::{Fault, Why};
use weir_transports::mcp::cursor::Invalid;
use weir_transports::mcp::headers::{EraFault, HeaderFault, SchemaFault};
use weir_transports::mcp::params::Type;
use weir_transports::phoenix::longpoll::Status;
use weir_transports::phoenix::{Field, binary};
use weir_transports::{jsonrpc, mcp, phoenix, sse};

/// Each says something, in a line that fits a log, and no two say the same.
#[track_caller]
fn each_says_its_own(errors: &[&dyn Display]) {
    let said: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), errors.len(), "{said:#?}");
    assert!(said.iter().all(|text| (10..200).contains(&text.len()) && !text.contains('\n')), "{said:#?}");
}

const HEADS: [HeadError; 27] = [
    HeadError::BareLf,
    HeadError::BareCr,
    HeadError::ControlByte,
    HeadError::LeadingBlank,
    HeadError::ObsFold,
    HeadError::LineTooLong,
    HeadError::HeadTooLong,
    HeadError::TooManyHeaders,
    HeadError::NotUtf8,
    HeadError::RequestLine,
    HeadError::Method,
    HeadError::Target,
    HeadError::Version,
    HeadError::HeaderName,
    HeadError::HeaderValue,
    HeadError::HostMissing,
    HeadError::HostRepeated,
    HeadError::HostInvalid,
    HeadError::HostMismatch,
    HeadError::ContentLengthInvalid,
    HeadError::ContentLengthRepeated,
    HeadError::TransferEncodingUnknown,
    HeadError::TransferEncodingRepeated,
    HeadError::TransferEncodingOnHttp10,
    HeadError::LengthAndChunked,
    HeadError::UpgradeWithBody,
    HeadError::Expectation,
];

const BODIES: [BodyError; 7] = [
    BodyError::TooLarge,
    BodyError::ChunkSize,
    BodyError::ChunkExtension,
    BodyError::ChunkExtensionsTooLong,
    BodyError::ChunkEnd,
    BodyError::Trailer,
    BodyError::TrailersTooLong,
];

#[test]
fn http() {
    let heads = HEADS.iter().map(|error| error as &dyn Display);
    each_says_its_own(&heads.chain(BODIES.iter().map(|error| error as &dyn Display)).collect::<Vec<_>>());
    for error in HEADS {
        assert_eq!(error.to_string(), error.reason());
        assert!([400, 414, 417, 431, 505].contains(&error.status()), "{error}");
        assert_ne!(reason_phrase(error.status()), "");
    }
    let statuses = BODIES.map(BodyError::status);
    assert_eq!(statuses, [413, 400, 400, 400, 400, 400, 400]);
    let responses =
        [ResponseError::TooLong, ResponseError::Malformed, ResponseError::Framing, ResponseError::Switching];
    each_says_its_own(&responses.each_ref().map(|error| error as &dyn Display));
}

#[test]
fn a_status_that_is_sent_has_its_phrase() {
    let phrases: Vec<(u16, &str)> = (0..1000).map(|status| (status, reason_phrase(status))).collect();
    let said: Vec<_> = phrases.iter().filter(|(_, phrase)| !phrase.is_empty()).collect();
    assert_eq!(said.iter().map(|(_, phrase)| phrase).collect::<BTreeSet<_>>().len(), said.len());
    assert!(said.iter().all(|(status, _)| (100..506).contains(status)));
    for status in
        [100, 101, 200, 202, 204, 400, 401, 403, 404, 405, 408, 409, 413, 414, 426, 429, 431, 503, 504]
    {
        assert!(said.iter().any(|(known, _)| *known == status), "{status}");
    }
}

#[test]
fn json_and_messages() {
    let whys = [
        Why::Value,
        Why::Key,
        Why::Colon,
        Why::CommaOrClose,
        Why::Trailing,
        Why::Unterminated,
        Why::Control,
        Why::Escape,
        Why::Surrogate,
        Why::Digit,
        Why::Depth,
        Why::Object,
        Why::Array,
        Why::Duplicate,
    ];
    let faults = whys.map(|why| Fault { at: 7, why });
    each_says_its_own(&faults.each_ref().map(|fault| fault as &dyn Display));
    use jsonrpc::DecodeError::{
        Batch, Duplicate, Error, Id, Json, Method, NotObject, Params, Shape, Version,
    };
    let errors =
        [Json(faults[0]), Batch, NotObject, Duplicate("id"), Version, Id, Method, Params, Error, Shape];
    each_says_its_own(&errors.each_ref().map(|error| error as &dyn Display));
    each_says_its_own(&[&sse::DecodeError::LineTooLong, &sse::DecodeError::EventTooLong]);
}

#[test]
fn channels() {
    use phoenix::DecodeError::{
        Duplicate, Json, Kind, Missing, NotArray, NotObject, NotUtf8, Truncated, Type,
    };
    let fault = Fault { at: 0, why: Why::Value };
    let mut errors = vec![Json(fault), NotArray, NotObject, Kind(1), Truncated { needed: 5, len: 1 }];
    for field in [Field::JoinRef, Field::Ref, Field::Topic, Field::Event, Field::Payload, Field::Status] {
        errors.extend([Missing(field), Type(field), Duplicate(field), NotUtf8(field)]);
    }
    each_says_its_own(&errors.iter().map(|error| error as &dyn Display).collect::<Vec<_>>());
    let mut out = b"kept".to_vec();
    let refused = binary::broadcast(&mut out, &"x".repeat(256), "event", b"").expect_err("too long a name");
    each_says_its_own(&[&phoenix::UnknownVersion, &refused]);
    assert_eq!(out, b"kept");
    let answers = [Status::Ok, Status::Empty, Status::Forbidden, Status::Gone, Status::Failed];
    assert_eq!(answers.map(Status::code), [200, 204, 403, 410, 500]);
}

#[test]
fn mcp_params_and_cursors() {
    use mcp::DecodeError::{Duplicate, Json, Missing, NotObject, Type as Wrong};
    let mut errors =
        vec![Json(Fault { at: 0, why: Why::Value }), NotObject, Duplicate("name"), Missing("name")];
    let types = [Type::Any, Type::String, Type::Object, Type::Strings, Type::Boolean, Type::Id];
    errors.extend(types.map(|expected| Wrong("name", expected)));
    each_says_its_own(&errors.iter().map(|error| error as &dyn Display).collect::<Vec<_>>());
    assert!(errors.iter().all(|error| error.code() == -32602));
    each_says_its_own(&[&Invalid]);
    assert_eq!(Invalid.code(), -32602);
}

#[test]
fn mcp_headers() {
    let mismatch = HeaderFault::Mismatch { name: "Mcp-Name".into(), says: "a".into() };
    let faults = [
        HeaderFault::Missing("Mcp-Name".into()),
        HeaderFault::Repeated("Mcp-Name".into()),
        HeaderFault::Malformed("Mcp-Name".into()),
        mismatch,
    ];
    each_says_its_own(&faults.each_ref().map(|fault| fault as &dyn Display));
    assert!(faults.iter().all(|fault| fault.status() == 400 && fault.code() == faults[0].code()));
    let schemas = [
        SchemaFault::Json(Fault { at: 0, why: Why::Value }),
        SchemaFault::Name,
        SchemaFault::Repeated,
        SchemaFault::Type,
        SchemaFault::Unreachable,
    ];
    each_says_its_own(&schemas.each_ref().map(|fault| fault as &dyn Display));
    let eras = [EraFault::UnsupportedVersion("1\"2".into()), EraFault::MissingMeta("x"), EraFault::NoSession];
    each_says_its_own(&eras.each_ref().map(|fault| fault as &dyn Display));
    let [unsupported, missing, none] = eras;
    let data: Value = serde_json::from_slice(&unsupported.data().expect("it says which are")).expect("JSON");
    assert_eq!(data["requested"], json!("1\"2"));
    assert!(data["supported"].as_array().is_some_and(|versions| versions.contains(&json!("2025-11-25"))));
    assert_eq!((missing.data(), none.data(), unsupported.status()), (None, None, 400));
    let codes = [&unsupported, &missing, &none].map(EraFault::code);
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn what_clients_write_is_escaped() {
    let mut out = Vec::new();
    mcp::object::write_str(&mut out, "\"\\\u{8}\u{c}\n\r\t\u{1}\u{1f}ä");
    assert_eq!(out, "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001fä\"".as_bytes());
}
