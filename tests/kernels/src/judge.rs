//! Whether what the kernel did is what the policy says.

use crate::case::Call;
use callsieve::arch::{Arch, Errno};
use callsieve::bpf::Action;

/// The answer of the guest's base filters; see `probe.c`.
const MARK: u16 = 3703;
/// `si_code` of a SIGSYS that a filter sends.
const SYS_SECCOMP: i32 = 1;

/// Whether the looks of the guest at a call show this action; `probe.c` tells how they are written.
pub fn agrees(arch: Arch, call: &Call, action: Action, looks: &[&str]) -> bool {
    let first = first(arch, call, action);
    let Some(second) = second(arch, action) else {
        return looks == [first];
    };
    match looks {
        [a, b] => !call.carry && [*a, *b] == [first, second],
        [a, b, c] => call.carry && [*a, *b] == [first, second] && third_agrees(arch, action, c),
        _ => false,
    }
}

/// With a base of ERRNO.
fn first(arch: Arch, call: &Call, action: Action) -> String {
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
fn second(arch: Arch, action: Action) -> Option<String> {
    match action {
        Action::Notify => Some(missing(arch)),
        Action::Trace(data) => Some(format!("m{data}")),
        Action::Log | Action::Allow => Some(format!("m{MARK}")),
        _ => None,
    }
}

/// Carried out, without any base.
fn third_agrees(arch: Arch, action: Action, look: &str) -> bool {
    match action {
        // Nobody listens, nobody traces: as if the call did not exist, which may be true as well.
        Action::Notify | Action::Trace(_) => {
            let missing = missing(arch);
            look == missing.clone() + "!0" || look == missing + "=0"
        }
        Action::Log => look.starts_with('r') && look.ends_with("=1"),
        _ => look.starts_with('r') && look.ends_with("=0"),
    }
}

/// ENOSYS.
fn missing(arch: Arch) -> String {
    format!("r-{}", Errno::enosys(arch))
}
