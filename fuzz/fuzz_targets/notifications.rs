//! See `callsieve::fuzzing::notifications`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::notifications(data));
