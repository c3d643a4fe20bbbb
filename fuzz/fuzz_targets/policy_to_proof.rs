//! See `callsieve::fuzzing::policy_to_proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    callsieve::fuzzing::policy_to_proof(data);
});
