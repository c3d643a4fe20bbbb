//! See `callsieve::fuzzing::log_lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::log_lines(data));
