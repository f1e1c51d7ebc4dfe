#![no_main]
//! Whole turns of the production shards, from bytes: what a client sends and when, how the network cuts it, in which
//! order things happen. No panic, no breach of the driver's contract, no promise broken, nothing left over.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let outcome = weir_sim::run_script(data);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
});
