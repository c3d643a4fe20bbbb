//! What the running kernel supports.
//!
//! All of it asks by calls that change nothing. A thread that already has a filter may be killed by that filter for
//! asking, or be lied to.

use super::flags::{FilterFlag, FilterFlags};
use super::raw;
use crate::bpf::{Action, Program, opcode};

/// The actions without their data, most restrictive first.
const ACTIONS: [Action; 8] = [
    Action::KillProcess,
    Action::KillThread,
    Action::Trap(0),
    Action::Errno(0),
    Action::Notify,
    Action::Trace(0),
    Action::Log,
    Action::Allow,
];

/// Whether the running kernel knows an action; its data does not matter.
///
/// Asks `SECCOMP_GET_ACTION_AVAIL`. Kernels before 4.14 do not have that; they know the five actions of Linux 3.5.
///
/// ```
/// use callsieve::{bpf::Action, kernel};
/// if !kernel::action_available(Action::KillProcess) {
///     eprintln!("this kernel can only kill threads");
/// }
/// ```
pub fn action_available(action: Action) -> bool {
    match raw::seccomp_action_avail(without_data(action).to_raw()) {
        Ok(()) => true,
        Err(libc::EOPNOTSUPP) => false,
        Err(_) => has_filter_mode() && is_original(action),
    }
}

/// Whether the running kernel knows a flag of seccomp(2).
///
/// Asks by installing "nothing" with the flag, which fails with EFAULT if the flag is known and with EINVAL if not.
///
/// ```
/// use callsieve::kernel::{FilterFlag, flag_available};
/// if !flag_available(FilterFlag::WaitKillableRecv) {
///     eprintln!("signals interrupt calls that a supervisor works on");
/// }
/// ```
#[inline]
pub fn flag_available(flag: FilterFlag) -> bool {
    // This one is valid only together with a listener.
    let with = if flag == FilterFlag::WaitKillableRecv { FilterFlag::NewListener.bit() } else { 0 };
    raw::seccomp_probe_flags(flag.bit() | with) == libc::EFAULT
}

/// What the running kernel supports, all at once.
///
/// ```
/// let support = callsieve::kernel::probe();
/// for action in support.actions() {
///     println!("{}", action.kind());
/// }
/// println!("{}", support.flags());
/// ```
pub fn probe() -> Support {
    let mut actions = [false; 8];
    for (known, action) in actions.iter_mut().zip(ACTIONS) {
        *known = action_available(action);
    }
    let flags = FilterFlag::ALL.into_iter().filter(|&flag| flag_available(flag));
    Support {
        filter_mode: has_filter_mode(),
        actions,
        flags: flags.fold(FilterFlags::NONE, |set, flag| set.with(flag, true)),
    }
}

/// What a kernel supports; made by [`probe()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Support {
    filter_mode: bool,
    actions: [bool; 8],
    flags: FilterFlags,
}

impl Support {
    /// A kernel with filters that knows these.
    #[cfg(all(test, feature = "std"))]
    pub(crate) fn of(actions: &[Action], flags: FilterFlags) -> Self {
        let known = ACTIONS.map(|action| actions.iter().any(|&known| without_data(known) == action));
        Self { filter_mode: true, actions: known, flags }
    }

    /// A kernel without filters.
    #[cfg(all(test, feature = "std"))]
    pub(crate) const NONE: Self = Self { filter_mode: false, actions: [false; 8], flags: FilterFlags::NONE };

    /// Whether filters can be installed at all: `false` without `CONFIG_SECCOMP_FILTER` and under qemu-user.
    pub const fn filter_mode(&self) -> bool {
        self.filter_mode
    }

    /// The actions that are known, most restrictive first, each with data 0.
    pub fn actions(&self) -> impl Iterator<Item = Action> + '_ {
        ACTIONS.into_iter().zip(self.actions).filter_map(|(action, known)| known.then_some(action))
    }

    /// Whether an action is known; its data does not matter.
    pub fn has_action(&self, action: Action) -> bool {
        self.actions().any(|known| known == without_data(action))
    }

    /// The flags that are known.
    pub const fn flags(&self) -> FilterFlags {
        self.flags
    }

    /// The most restrictive action that a program returns by a constant and this kernel does not know. Such a return
    /// value kills the process, on kernels before 4.14 only the thread.
    ///
    /// ```
    /// use callsieve::bpf::{Action, Insn, Program, opcode};
    /// static KILL: Program = Program::from_static(&[Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw())]);
    /// if let Some(action) = callsieve::kernel::probe().missing_action(&KILL) {
    ///     eprintln!("this kernel does not know {action}");
    /// }
    /// ```
    pub fn missing_action(&self, program: &Program) -> Option<Action> {
        let returned = program.as_insns().iter().filter(|insn| insn.code == opcode::RET_K);
        returned.map(|insn| Action::as_kernel(insn.k)).filter(|&action| !self.has_action(action)).min()
    }
}

/// Those of the flags that the kernel does not know.
#[inline]
pub(super) fn unknown_flags(flags: FilterFlags) -> FilterFlags {
    let unknown = flags.iter().filter(|&flag| !flag_available(flag));
    unknown.fold(FilterFlags::NONE, |set, flag| set.with(flag, true))
}

fn has_filter_mode() -> bool {
    raw::prctl_probe_filter() == libc::EFAULT
}

/// `GET_ACTION_AVAIL` knows no action with data.
const fn without_data(action: Action) -> Action {
    match action {
        Action::Trap(_) => Action::Trap(0),
        Action::Errno(_) => Action::Errno(0),
        Action::Trace(_) => Action::Trace(0),
        other => other,
    }
}

/// Whether filters could return it from the beginning, Linux 3.5.
const fn is_original(action: Action) -> bool {
    matches!(action, Action::KillThread | Action::Trap(_) | Action::Errno(_) | Action::Trace(_) | Action::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Insn;

    #[test]
    fn the_most_restrictive_missing_action_is_named() {
        let old = Support {
            filter_mode: true,
            actions: ACTIONS.map(is_original),
            flags: FilterFlags::NONE.with(FilterFlag::Tsync, true),
        };
        let returns = |actions: &[Action]| {
            Program::new(actions.iter().map(|a| Insn::stmt(opcode::RET_K, a.to_raw())).collect()).unwrap()
        };
        assert_eq!(old.missing_action(&returns(&[Action::Errno(7), Action::Trap(1), Action::Allow])), None);
        let newer = returns(&[Action::Log, Action::KillProcess, Action::Allow]);
        assert_eq!(old.missing_action(&newer), Some(Action::KillProcess));
        assert!(old.has_action(Action::Trace(9)) && !old.has_action(Action::Notify));
    }
}
