#![no_main]
//! What is written into headers is what is read from them, and agrees with the arguments it is from.

use weir_fuzz::lines;
use weir_transports::mcp::headers::{Headers, PARAM_PREFIX, ParamHeader, decode, encode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([tool, arguments]) = lines(data) else { return };
    let _ = decode(arguments);
    assert_eq!(decode(&encode(arguments)).as_deref(), Some(arguments));
    let Ok(declared) = ParamHeader::of_tool(tool) else { return };
    let written = ParamHeader::headers(&declared, Some(arguments));
    assert!(written.iter().all(|(name, _)| name.starts_with(PARAM_PREFIX)));
    let headers: Headers<'_> = written.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(ParamHeader::check(&declared, &headers, Some(arguments)), Ok(()));
});
