//! See `callsieve::fuzzing::acl_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callsieve::fuzzing::acl_text(data));
