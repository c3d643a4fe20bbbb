//! See `callsieve::fuzzing::diff_policies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::diff_policies(data));
