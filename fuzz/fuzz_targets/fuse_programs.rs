//! See `callsieve::fuzzing::fuse_programs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    callsieve::fuzzing::fuse_programs(data);
});
