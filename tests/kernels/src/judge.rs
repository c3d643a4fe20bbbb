//! Whether what the kernel did is what the policy says.

use crate::case::{Call, Look};
use callsieve::arch::{Arch, Errno};
use callsieve::bpf::Action;

/// The answer of the guest's base filters; see `probe.c`.
const MARK: u16 = 3703;
/// `si_code` of a SIGSYS that a filter sends.
const SYS_SECCOMP: i32 = 1;

/// Whether what the guest saw of a call shows this action; `probe.c` tells how that is written. `logs` says whether the
/// kernel writes what LOG logs.
pub fn agrees(arch: Arch, call: &Call, action: Action, logs: bool, seen: &[&str]) -> bool {
    let first = over_errno(arch, call, action);
    let Some(traced) = over_trace(arch, action) else {
        return seen == [first];
    };
    let runs = call.look == Look::Run;
    match seen {
        [a] => call.look == Look::First && *a == first,
        // Really run, so there is no need to look again.
        [a, c] if runs => *a == first && has_run(arch, c) && ran(arch, action, logs, c),
        [a, c, b] if runs => [*a, *b] == [first, traced] && !has_run(arch, c) && ran(arch, action, logs, c),
        [a, b] => call.look == Look::Trace && [*a, *b] == [first, traced],
        _ => false,
    }
}

/// With a base of ERRNO.
fn over_errno(arch: Arch, call: &Call, action: Action) -> String {
    match action {
        Action::KillProcess => "K".to_owned(),
        Action::KillThread => "k".to_owned(),
        Action::Trap(data) => {
            format!("t{},{SYS_SECCOMP},{data},{:x},{:x}", arch.sigsys(), arch.audit(), call.seen_number(arch))
        }
        Action::Errno(0) => "r0".to_owned(),
        Action::Errno(errno) => format!("r-{}", errno.min(Action::MAX_ERRNO)),
        _ => format!("r-{MARK}"),
    }
}

/// With a base of TRACE and a tracer, for actions that are weaker than ERRNO.
fn over_trace(arch: Arch, action: Action) -> Option<String> {
    match action {
        Action::Notify => Some(missing(arch)),
        Action::Trace(data) => Some(format!("m{data}")),
        Action::Log | Action::Allow => Some(format!("m{MARK}")),
        _ => None,
    }
}

/// Without any base.
fn ran(arch: Arch, action: Action, logs: bool, seen: &str) -> bool {
    match action {
        // Nobody listens, nobody traces: as if the call did not exist, which may be true as well.
        Action::Notify | Action::Trace(_) => {
            let missing = missing(arch).replace('r', "c");
            seen == missing.clone() + "!0" || seen == missing + "=0"
        }
        Action::Log if logs => seen.starts_with('c') && seen.ends_with("=1"),
        _ => seen.starts_with('c') && seen.ends_with("=0"),
    }
}

/// Whether this is the answer of a call that exists.
fn has_run(arch: Arch, seen: &str) -> bool {
    let missing = missing(arch).replace('r', "c");
    seen.contains('=') && !seen.starts_with(&(missing + "="))
}

/// ENOSYS.
fn missing(arch: Arch) -> String {
    format!("r-{}", Errno::enosys(arch))
}

#[cfg(test)]
mod tests {
    use super::agrees;
    use crate::case::{Call, Look};
    use callsieve::arch::Arch;
    use callsieve::bpf::Action;

    const STAYS: Call = Call { nr: 100, args: [0; 6], look: Look::Trace };
    const RUNS: Call = Call { nr: 100, args: [0; 6], look: Look::Run };

    /// What is seen of each action on MIPS n64, of a call that exists and may run.
    const SEEN: [(Action, &[&str]); 9] = [
        (Action::KillProcess, &["K"]),
        (Action::KillThread, &["k"]),
        (Action::Trap(9), &["t12,1,9,c0000008,64"]),
        (Action::Errno(0), &["r0"]),
        (Action::Errno(1), &["r-1"]),
        (Action::Notify, &["r-3703", "c-89!0", "r-89"]),
        (Action::Trace(5), &["r-3703", "c-89!0", "m5"]),
        (Action::Log, &["r-3703", "c77=1"]),
        (Action::Allow, &["r-3703", "c77=0"]),
    ];

    #[test]
    fn an_action_agrees_with_itself_only() {
        for (action, _) in SEEN {
            for (shown, seen) in SEEN {
                assert_eq!(agrees(Arch::Mipsel64, &RUNS, action, true, seen), action == shown, "{action}: {seen:?}");
            }
        }
    }

    #[test]
    fn what_must_not_be_seen() {
        let cases: [(Call, Action, &[&str]); 16] = [
            (RUNS, Action::Allow, &[]),
            (RUNS, Action::Allow, &["r-3703"]),
            (RUNS, Action::Allow, &["x22"]),
            (RUNS, Action::Allow, &["s11"]),
            // Other than without a filter, or logged, or the log could not be read.
            (RUNS, Action::Allow, &["r-3703", "c77!0"]),
            (RUNS, Action::Allow, &["r-3703", "c77=1"]),
            (RUNS, Action::Allow, &["r-3703", "c77=-1"]),
            // It looks as if it did not exist, and the tracer was not asked, or said so.
            (RUNS, Action::Allow, &["r-3703", "c-89=0"]),
            (RUNS, Action::Allow, &["r-3703", "c-89=0", "r-89"]),
            (RUNS, Action::Allow, &["r-3703", "c-89=0", "m5"]),
            // Carried out although it must not be, or the other way round.
            (STAYS, Action::Allow, &["r-3703", "c77=0"]),
            (RUNS, Action::Allow, &["r-3703", "m3703"]),
            // Something of a trap is wrong: code, data, architecture, number.
            (STAYS, Action::Trap(9), &["t12,2,9,c0000008,64"]),
            (STAYS, Action::Trap(9), &["t12,1,8,c0000008,64"]),
            (STAYS, Action::Trap(9), &["t12,1,9,80000008,64"]),
            (STAYS, Action::Trap(9), &["t12,1,9,c0000008,65"]),
        ];
        for (call, action, seen) in cases {
            assert!(!agrees(Arch::Mipsel64, &call, action, true, seen), "{action}: {seen:?}");
        }
        assert!(agrees(Arch::Mipsel64, &STAYS, Action::Allow, true, &["r-3703", "m3703"]));
        assert!(agrees(Arch::Mipsel64, &RUNS, Action::Allow, true, &["r-3703", "c-89=0", "m3703"]));
        assert!(agrees(Arch::Mipsel64, &RUNS, Action::Log, false, &["r-3703", "c77=0"]));
        // Looked at once.
        let once = Call { look: Look::First, ..STAYS };
        assert!(agrees(Arch::Mipsel64, &once, Action::Trace(5), true, &["r-3703"]));
        assert!(!agrees(Arch::Mipsel64, &once, Action::Errno(5), true, &["r-3703"]));
        assert!(!agrees(Arch::Mipsel64, &once, Action::Allow, true, &["r-5"]));
        assert!(!agrees(Arch::Mipsel64, &once, Action::Allow, true, &["r-3703", "m3703"]));
        assert!(!agrees(Arch::Mipsel64, &STAYS, Action::Allow, true, &["r-3703"]));
    }
}
