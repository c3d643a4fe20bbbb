//! See `callsieve::fuzzing::merge_policies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::merge_policies(data));
