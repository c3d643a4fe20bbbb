//! What filters cost on the running kernel. Each figure comes from a child of its own, because a filter stays for ever.
//!
//! Safety: children are forked while this program has one thread. They make system calls, write to memory that they
//! share with the parent, and end with `_exit`; they allocate nothing.

#![allow(unsafe_code)]

use callsieve::bpf::Program;
use callsieve::kernel::Install;
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Calls in a row whose time is taken together.
const CALLS: u64 = 4_000;
/// Of so many rows the fastest counts.
const ROWS: u32 = 4;
/// Stands for a result that a child did not write.
const MISSING: u64 = u64::MAX;

/// What one child measured, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From before to after seccomp(2); without a filter nothing.
    pub install: f64,
    /// For each call of [`Probe::calls`], in the same order.
    pub calls: [f64; 3],
}

/// The calls to make: number and first argument.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub calls: [(i64, u64); 3],
}

/// Keeps this program and its children on the CPU on which it runs.
pub fn pin() {
    // SAFETY: the set is on the stack and as large as stated. If it fails, times are only noisier.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap_or(0), &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Installs the program in a child, if there is one, and makes the calls.
pub fn sample(program: Option<&Program>, probe: Probe) -> io::Result<Sample> {
    let shared = shared_memory()?;
    // SAFETY: see the top.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            child(program, probe, shared);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: waits for our own child.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            let values: [u64; 4] = std::array::from_fn(|index| shared[index].load(SeqCst));
            release(shared);
            if status != 0 || values.contains(&MISSING) {
                return Err(io::Error::other(format!("a child ended with status {status:#x}")));
            }
            let per_call = |total: u64| total as f64 / CALLS as f64;
            Ok(Sample { install: values[0] as f64, calls: [values[1], values[2], values[3]].map(per_call) })
        }
    }
}

fn child(program: Option<&Program>, probe: Probe, shared: &[AtomicU64; 4]) {
    // SAFETY: a prctl(2) without pointers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let begin = now();
    if let Some(program) = program
        && Install::new().no_new_privs(false).spec_allow(true).install(program).is_err()
    {
        return;
    }
    shared[0].store(now() - begin, SeqCst);
    for (place, (number, argument)) in shared.iter().skip(1).zip(probe.calls) {
        let row = |_| {
            let begin = now();
            for _ in 0..CALLS {
                // SAFETY: the calls of the probe take no pointers.
                black_box(unsafe { libc::syscall(number, argument, 0, 0, 0, 0, 0) });
            }
            now() - begin
        };
        place.store((0..ROWS).map(row).min().unwrap_or(MISSING), SeqCst);
    }
}

/// Nanoseconds since some point in time. No system call, so no filter sees it.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to the stack.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn shared_memory() -> io::Result<&'static [AtomicU64; 4]> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, page-aligned and larger than the array; `release` ends it.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; any bits are valid atomics.
    let shared = unsafe { &*place.cast::<[AtomicU64; 4]>() };
    for value in shared {
        value.store(MISSING, SeqCst);
    }
    Ok(shared)
}

fn release(shared: &'static [AtomicU64; 4]) {
    // SAFETY: the mapping of `shared_memory`, which nobody uses any more.
    unsafe { libc::munmap(std::ptr::from_ref(shared).cast_mut().cast(), 4096) };
}
