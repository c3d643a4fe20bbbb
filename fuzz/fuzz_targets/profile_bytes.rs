//! See `callsieve::fuzzing::profile_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::profile_bytes(data));
