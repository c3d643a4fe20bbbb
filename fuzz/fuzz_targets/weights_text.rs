//! See `callsieve::fuzzing::weights_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::weights_text(data));
