//! What the program may do, for `build.rs` and for the test that proves the filter.

use callsieve::{Action, Arch, Policy, Profile, Target};

/// The policy for a machine.
pub fn policy(arch: Arch) -> Policy {
    let profile = Profile::new(Action::Errno(1))
        .portable()
        .allow(["write", "exit", "exit_group", "rt_sigreturn", "restart_syscall", "sigaltstack", "munmap"])
        .allow(["futex", "futex_time64", "brk"]);
    profile.resolve(&Target::exactly(&[arch])).expect("rules without contradictions")
}
