//! Calls that a run may or may not make, by chance or because of another version of the C library, and that give nothing
//! to whoever may make them.

/// A call of the closure and why it belongs there.
///
/// See the example of [`Draft`](super::Draft).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Benign {
    /// The name.
    pub name: &'static str,
    /// Why a program may need it although no run showed it.
    pub why: &'static str,
}

const START: &str = "starts the program, under a filter that is there before";
const END: &str = "ends threads and programs; is never notified";
const SIGNAL: &str = "ends a signal handler; is never notified";
const RESTART: &str = "goes on with a call that was stopped; is never notified";
const CHANCE: &str = "waits for another thread or process, which is by chance";
const THREADS: &str = "prepares threads, in some versions of the C library";
const CLOCK: &str = "reads clocks where the vDSO cannot";
const MEMORY: &str = "gives memory to the allocator or back, which is by chance with threads";
const RANDOM: &str = "gives random numbers where the vDSO cannot";

const fn benign(name: &'static str, why: &'static str) -> Benign {
    Benign { name, why }
}

/// The closure; sorted by name.
pub(super) const CLOSURE: [Benign; 28] = [
    benign("brk", MEMORY),
    benign("clock_getres", CLOCK),
    benign("clock_getres_time64", CLOCK),
    benign("clock_gettime", CLOCK),
    benign("clock_gettime64", CLOCK),
    benign("clock_nanosleep", CHANCE),
    benign("clock_nanosleep_time64", CHANCE),
    benign("execve", START),
    benign("exit", END),
    benign("exit_group", END),
    benign("futex", CHANCE),
    benign("futex_time64", CHANCE),
    benign("getcpu", CLOCK),
    benign("getrandom", RANDOM),
    benign("gettimeofday", CLOCK),
    benign("madvise", MEMORY),
    benign("membarrier", THREADS),
    benign("munmap", MEMORY),
    benign("nanosleep", CHANCE),
    benign("restart_syscall", RESTART),
    benign("rseq", THREADS),
    benign("rt_sigreturn", SIGNAL),
    // Shells in `wait`, if what they wait for has not ended by then.
    benign("rt_sigsuspend", CHANCE),
    benign("sched_yield", CHANCE),
    benign("set_robust_list", THREADS),
    benign("set_tid_address", THREADS),
    benign("sigreturn", SIGNAL),
    benign("time", CLOCK),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Syscall;
    use crate::supervise::NEVER_NOTIFIED;

    #[test]
    fn the_closure_is_sorted_and_known_and_has_what_is_never_notified() {
        assert!(CLOSURE.is_sorted_by(|one, other| one.name < other.name));
        for Benign { name, .. } in CLOSURE {
            assert!(Syscall::from_name(name).is_some(), "{name}");
        }
        for name in NEVER_NOTIFIED {
            assert!(CLOSURE.iter().any(|benign| benign.name == name), "{name}");
        }
    }
}
