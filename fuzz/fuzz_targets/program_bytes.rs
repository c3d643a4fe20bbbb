//! See `callsieve::fuzzing::program_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::program_bytes(data));
