#![no_main]
//! A result that asks for input is the same when it is written again; a retry with the answers is JSON.

use weir_fuzz::{is_json, lines, text};
use weir_transports::mcp::mrtr::{InputRequired, read_responses, write_retry};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([result, responses, params]) = lines(data) else { return };
    if let Some(asked) = InputRequired::read(result) {
        assert_eq!(InputRequired::read(&text(|out| asked.write(out))), Some(asked));
    }
    let Some(answers) = read_responses(responses).filter(|_| is_json(params) && params.starts_with('{'))
    else {
        return;
    };
    let answers = answers.iter().map(|(key, value)| (&**key, *value));
    let retry = text(|out| write_retry(out, Some(params), answers, Some(result)));
    assert!(is_json(&retry), "{retry}");
});
