//! See `callsieve::fuzzing::import_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::import_text(data));
