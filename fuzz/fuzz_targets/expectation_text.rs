//! See `callsieve::fuzzing::expectation_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::expectation_text(data));
