#![no_main]
//! Nobody comes in with a token that was not signed; of one that was, every claim counts; no letter can be changed.

use weir_fuzz::{lines, token};
use weir_shard::fuzzing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([header, payload, forged]) = lines(data) else { return };
    let good = fuzzing::token(header, payload, token::SECRET);
    let other = fuzzing::token(header, payload, b"the secret of somebody else, also");
    let unsigned = good.rsplit_once('.').map(|(signed, _)| [signed, "."].concat()).unwrap_or_default();
    let [nobody, stranger, no_one, proved, again] = token::proved([forged, &other, &unsigned, &good, &good]);
    assert!(nobody.is_none() && stranger.is_none() && no_one.is_none() && proved == again);
    let Some(principal) = proved else { return };
    let claims: serde_json::Value = serde_json::from_str(payload).expect("what is taken is JSON");
    assert!(header.contains("HS256") && claims["iss"] == "weir" && claims["sub"] == *principal.subject);
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp + 5.0 > (token::NOW.0 / 1000) as f64), "{payload}");
});
