//! Installs a filter that was compiled when the program was.
//!
//!     cargo run --manifest-path examples/build-time/Cargo.toml
//!     cargo test --manifest-path examples/build-time/Cargo.toml     # proves the filter again

use callsieve::Install;

#[cfg(test)]
mod rules;

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

fn main() {
    Install::new().install(&FILTER).expect("a kernel with seccomp");
    let file = std::fs::File::open("/proc/version");
    println!("{} instructions; opening a file: {}", FILTER.len(), file.expect_err("a denial"));
}
