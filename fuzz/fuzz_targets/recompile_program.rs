//! See `callsieve::fuzzing::recompile_program`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    callsieve::fuzzing::recompile_program(data);
});
