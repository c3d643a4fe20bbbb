//! What the worst input costs in memory, counted by an allocator: the most that is held at once, and all that was ever
//! asked for, which bounds the work that goes into making things. The numbers are the same on every machine.
//!
//! Every kind of input is doubled twice. The bounds are those of `SECURITY.md`.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail as tests do.
#![allow(unsafe_code)] // An allocator that counts.

#[path = "promises/counting.rs"]
mod counting;
#[path = "promises/programs.rs"]
mod programs;
#[path = "promises/texts.rs"]
mod texts;

use counting::{Cost, cost};

/// One of each: tests that run side by side would count each other's bytes.
#[test]
fn costs_stay_within_their_bounds() {
    texts::readers();
    texts::policies();
    programs::judged();
}

/// Runs something on inputs of three sizes, each twice the one before. What is held at once is at most so many bytes for
/// each byte of the input, and 64 KiB; and all that is asked for grows no faster than the input, by a quarter at most.
fn grows(name: &str, per_byte: usize, sizes: [usize; 3], make: impl Fn(usize) -> String, run: impl Fn(&str)) {
    let mut before: Option<(usize, Cost)> = None;
    for size in sizes {
        let text = make(size);
        let now = cost(|| run(&text));
        println!("{name}: {} bytes: {} at once, {} in all", text.len(), now.peak, now.total);
        assert!(now.peak <= per_byte * text.len() + (64 << 10), "{name}: {now:?} for {} bytes", text.len());
        if let Some((bytes, last)) = before {
            let most = last.total * text.len() / bytes;
            assert!(now.total <= most + most / 4 + (64 << 10), "{name}: {last:?} for {bytes} bytes, then {now:?}");
        }
        before = Some((text.len(), now));
    }
}
