//! How much heap a compilation takes at its peak.
//!
//! Safety: the four functions stand in for those of the C library, which the linker then gives to everybody, C libraries
//! included, so that all generators are counted alike. Each passes its arguments on to the library's own function
//! unchanged and only looks at the size of the result. The counters are constant-initialised cells of the thread, so they
//! allocate nothing themselves.

#![allow(unsafe_code)]

use libc::{c_void, size_t};
use std::cell::Cell;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn __libc_malloc(size: size_t) -> *mut c_void;
    fn __libc_calloc(count: size_t, size: size_t) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: size_t) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
    fn malloc_usable_size(block: *mut c_void) -> size_t;
}

/// Runs `work` and returns the most bytes that this thread uses at a time, on top of what was in use before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    LIVE.set(0);
    PEAK.set(0);
    COUNTING.set(true);
    let result = work();
    COUNTING.set(false);
    (usize::try_from(PEAK.get()).unwrap_or(0), result)
}

fn count(block: *mut c_void, sign: isize) {
    if block.is_null() || !COUNTING.get() {
        return;
    }
    // SAFETY: the caller got the block from the C library, or gives it back right after this.
    let size = isize::try_from(unsafe { malloc_usable_size(block) }).unwrap_or(0);
    let live = LIVE.get() + sign * size;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: size_t) -> *mut c_void {
    // SAFETY: any size is allowed.
    let block = unsafe { __libc_malloc(size) };
    count(block, 1);
    block
}

#[unsafe(no_mangle)]
extern "C" fn calloc(number: size_t, size: size_t) -> *mut c_void {
    // SAFETY: any sizes are allowed.
    let block = unsafe { __libc_calloc(number, size) };
    count(block, 1);
    block
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: size_t) -> *mut c_void {
    count(block, -1);
    // SAFETY: the caller keeps the contract of realloc(3).
    let new = unsafe { __libc_realloc(block, size) };
    count(new, 1);
    new
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    count(block, -1);
    // SAFETY: the caller keeps the contract of free(3).
    unsafe { __libc_free(block) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_and_c_are_counted() {
        const SIZE: usize = 1 << 20;
        let (bytes, ()) = peak(|| drop((vec![1_u8; SIZE], vec![1_u8; 10])));
        assert!((SIZE..SIZE + 8192).contains(&bytes), "{bytes}");
        let (bytes, filter) = peak(|| libseccomp::ScmpFilterContext::new(libseccomp::ScmpAction::Allow).is_ok());
        assert!(filter && bytes > 100, "{bytes}");
    }
}
