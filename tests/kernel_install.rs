//! Installing: modes, privileges, limits, flags and probing, each in a forked child. The names are those of the
//! kernel's own tests (`tools/testing/selftests/seccomp/seccomp_bpf.c`).
#![cfg(all(target_os = "linux", feature = "std"))]

mod common;

use callsieve::arch::KernelVersion;
use callsieve::bpf::{Action, Insn, Program, VerifyError, opcode};
use callsieve::kernel::{
    FilterFlag, FilterFlags, Install, InstallError, Mode, StatusError, action_available, flag_available, host, probe,
    status, status_of, strict_mode,
};
use common::calls::{become_nobody, exit_thread, getpid, getppid, native};
use common::{End, always, child, child_passes, kernel_has_filters, number, only, program, skip};

/// Filters that whoever started the tests has put on them; `None` if that cannot be told.
fn filters_outside() -> Option<u32> {
    status().ok().and_then(|status| status.filters())
}

#[test]
fn mode_strict_support() {
    if !kernel_has_filters("mode_strict_support") || filters_outside() != Some(0) {
        return skip("mode_strict_support", "strict mode needs a thread without filters");
    }
    let end = child(|checks| {
        checks.that(strict_mode() == Ok(()));
        let nothing = [2, [0_u8; 1].as_ptr() as u64, 0, 0, 0, 0];
        checks.that(native(number(libc::SYS_write), nothing) == 0);
        exit_thread(42);
    });
    assert_eq!(end, End::Exit(42));
}

#[test]
fn mode_strict_cannot_call_prctl() {
    if !kernel_has_filters("mode_strict_cannot_call_prctl") || filters_outside() != Some(0) {
        return skip("mode_strict_cannot_call_prctl", "strict mode needs a thread without filters");
    }
    let end = child(|checks| {
        checks.that(strict_mode() == Ok(()));
        native(number(libc::SYS_prctl), [libc::PR_GET_SECCOMP as u64, 0, 0, 0, 0, 0]);
        checks.that(false);
    });
    assert_eq!(end, End::Signal(libc::SIGKILL));
}

#[test]
fn no_new_privs_support() {
    if !kernel_has_filters("no_new_privs_support") {
        return;
    }
    child_passes(|checks| {
        let installed = Install::new().install(&always(Action::Allow));
        checks.that(installed.is_ok_and(|i| i.no_new_privs() && i.flags().is_empty()));
        checks.that(status().is_ok_and(|s| s.no_new_privs() && s.mode() == Mode::Filter));
    });
}

#[test]
fn no_new_privs_is_left_alone() {
    if !kernel_has_filters("no_new_privs_is_left_alone") {
        return;
    }
    if status().is_ok_and(|status| status.no_new_privs()) {
        return skip("no_new_privs_is_left_alone", "no_new_privs is set already");
    }
    child_passes(|checks| match Install::new().no_new_privs(false).install(&always(Action::Allow)) {
        // With CAP_SYS_ADMIN, else it is refused: the next test.
        Ok(installed) => {
            checks.that(!installed.no_new_privs());
            checks.that(status().is_ok_and(|s| !s.no_new_privs() && s.mode() == Mode::Filter));
        }
        Err(error) => checks.that(error == InstallError::PermissionDenied),
    });
}

#[test]
fn mode_filter_without_nnp() {
    if !kernel_has_filters("mode_filter_without_nnp") {
        return;
    }
    if status().is_ok_and(|status| status.no_new_privs()) {
        return skip("mode_filter_without_nnp", "no_new_privs is set already");
    }
    child_passes(|checks| {
        become_nobody();
        let before = filters_outside();
        let install = Install::new().no_new_privs(false);
        for install in [install, install.tsync(true), install.via_prctl(true)] {
            let refused = install.install(&always(Action::Errno(1)));
            checks.that(refused == Err(InstallError::PermissionDenied));
        }
        checks.that(status().is_ok_and(|s| !s.no_new_privs()) && filters_outside() == before);
        checks.that(Install::new().install(&always(Action::Allow)).is_ok());
    });
}

#[test]
fn no_new_privs_stays_after_a_failure() {
    if !kernel_has_filters("no_new_privs_stays_after_a_failure") {
        return;
    }
    child_passes(|checks| {
        let deny = only(libc::SYS_seccomp, Action::Errno(77).to_raw());
        checks.that(Install::new().install(&deny).is_ok());
        let failed = Install::new().install(&always(Action::Allow));
        checks.that(failed == Err(InstallError::Other { errno: 77 }));
        checks.that(status().is_ok_and(|s| s.no_new_privs()));
    });
}

/// An older filter can answer anything to seccomp(2) and prctl(2); that must not be mistaken for success.
#[test]
fn an_older_filter_denies() {
    if !kernel_has_filters("an_older_filter_denies") {
        return;
    }
    let answer = |nr, errno| only(nr, Action::Errno(errno).to_raw());
    for (errno, expected) in [
        (38, InstallError::NoSeccomp),
        (16, InstallError::Busy),
        (14, InstallError::Fault),
        (1, InstallError::Other { errno: 1 }),
        (3, InstallError::Other { errno: 3 }),
    ] {
        child_passes(|checks| {
            checks.that(Install::new().install(&answer(libc::SYS_seccomp, errno)).is_ok());
            checks.that(Install::new().install(&always(Action::Allow)) == Err(expected));
            checks.that(expected.raw_os_error() == Some(i32::from(errno)));
            // The other way is still open.
            checks.that(Install::new().via_prctl(true).install(&always(Action::Allow)).is_ok());
        });
    }
    child_passes(|checks| {
        checks.that(Install::new().install(&answer(libc::SYS_prctl, 1)).is_ok());
        let failed = Install::new().install(&always(Action::Allow));
        checks.that(failed == Err(InstallError::NoNewPrivs { errno: 1 }));
        checks.that(Install::new().no_new_privs(false).install(&always(Action::Allow)).is_ok());
    });
}

#[test]
fn filter_size_limits() {
    let allow = Insn::stmt(opcode::RET_K, Action::Allow.to_raw());
    assert_eq!(Program::new(vec![allow; 4097]), Err(VerifyError::TooLong { len: 4097 }));
    assert_eq!(Program::new(vec![]), Err(VerifyError::Empty));
    if !kernel_has_filters("filter_size_limits") {
        return;
    }
    let longest = program(&vec![allow; 4096]);
    child_passes(|checks| checks.that(Install::new().install(&longest).is_ok()));
}

/// The kernel's limit for all filters of a thread is on the converted length, which `Program::ebpf_len` predicts.
#[test]
fn filter_chain_limits() {
    if !kernel_has_filters("filter_chain_limits") {
        return;
    }
    let blinded = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_harden").is_ok_and(|text| text.trim() != "0");
    if blinded || filters_outside() != Some(0) {
        return skip("filter_chain_limits", "constant blinding or older filters make filters count for more");
    }
    let allow = Insn::stmt(opcode::RET_K, Action::Allow.to_raw());
    let load = Insn::stmt(opcode::LD_W_ABS, 0);
    let mut loads = vec![load; 4096];
    loads[4095] = allow;
    let mut jumps: Vec<_> = (0..4000).map(|k| Insn::new(opcode::JEQ_K, 0, u8::from(k % 3 == 0), 0xc000_0000)).collect();
    jumps.extend([Insn::new(opcode::JSET_K, 0, 1, 7), allow, allow]);
    for (name, tested) in
        [("returns", vec![allow; 4096]), ("loads", loads), ("jumps", jumps), ("one", vec![allow; 900])]
    {
        let tested = program(&tested);
        let len = tested.ebpf_len();
        child_passes(|checks| {
            let mut used = 0;
            while used + len <= 32768 {
                checks.that(Install::new().install(&tested).is_ok());
                used += len + 4;
            }
            let failed = Install::new().install(&tested);
            checks.that(failed == Err(InstallError::TooLong { ebpf_len: len }));
            // What still fits, fits.
            let rest = program(
                &vec![load; (32768 - used).saturating_sub(5).min(4095)].into_iter().chain([allow]).collect::<Vec<_>>(),
            );
            checks.that(rest.ebpf_len() + used > 32768 || Install::new().install(&rest).is_ok());
        });
        assert!(len > 900, "{name}");
    }
}

#[test]
fn mode_filter_cannot_move_to_strict() {
    if !kernel_has_filters("mode_filter_cannot_move_to_strict") {
        return;
    }
    child_passes(|checks| {
        checks.that(Install::new().install(&always(Action::Allow)).is_ok());
        checks.that(strict_mode() == Err(InstallError::ModeLocked));
        checks.that(getpid() > 0);
    });
}

#[test]
fn mode_filter_get_seccomp() {
    if !kernel_has_filters("mode_filter_get_seccomp") {
        return;
    }
    child_passes(|checks| {
        let before = filters_outside();
        for added in 1..=3 {
            checks.that(Install::new().install(&always(Action::Allow)).is_ok());
            checks.that(status().is_ok_and(|s| s.mode() == Mode::Filter));
            checks.that(filters_outside() == before.map(|count| count + added));
        }
        let own = status_of(std::process::id());
        checks.that(own == status());
        let mode = native(number(libc::SYS_prctl), [libc::PR_GET_SECCOMP as u64, 0, 0, 0, 0, 0]);
        checks.that(mode == 2);
    });
    assert_eq!(status_of(u32::MAX), Err(StatusError::NoProcess { pid: u32::MAX }));
}

/// Without /proc the answer comes from prctl(2); a filter that denies opening files shows it.
#[test]
fn status_without_proc() {
    if !kernel_has_filters("status_without_proc") {
        return;
    }
    child_passes(|checks| {
        checks.that(Install::new().install(&only(libc::SYS_openat, Action::Errno(2).to_raw())).is_ok());
        #[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm"))]
        checks.that(Install::new().install(&only(libc::SYS_open, Action::Errno(2).to_raw())).is_ok());
        let seen = status();
        checks.that(seen.is_ok_and(|s| s.mode() == Mode::Filter && s.filters().is_none() && s.no_new_privs()));
        checks.that(Install::new().install(&only(libc::SYS_prctl, Action::Errno(1).to_raw())).is_ok());
        checks.that(status() == Err(StatusError::Refused { errno: 1 }));
    });
}

#[test]
fn both_entry_points() {
    if !kernel_has_filters("both_entry_points") {
        return;
    }
    for install in [Install::new(), Install::new().via_prctl(true)] {
        child_passes(|checks| {
            checks.that(getppid() > 0);
            checks.that(install.install(&only(libc::SYS_getppid, Action::Errno(7).to_raw())).is_ok());
            checks.that(getppid() == -7);
        });
    }
}

#[test]
fn prctl_takes_no_flags() {
    child_passes(|checks| {
        let failed = Install::new().via_prctl(true).log(true).install(&always(Action::Errno(1)));
        let flags = FilterFlags::NONE.with(FilterFlag::Log, true);
        checks.that(failed == Err(InstallError::FlagsNeedSeccomp { flags }));
        // Refused before anything was changed.
        checks.that(getpid() > 0);
    });
}

#[test]
fn filter_flags() {
    if !kernel_has_filters("filter_flags") {
        return;
    }
    for install in [
        Install::new().log(true),
        Install::new().spec_allow(true),
        Install::new().tsync(true),
        Install::new().tsync_esrch(true),
        Install::new().tsync(true).tsync_esrch(true).log(true).spec_allow(true),
    ] {
        child_passes(|checks| {
            let known = install.flags().iter().all(flag_available);
            let answer = install.install(&only(libc::SYS_getppid, Action::Errno(7).to_raw()));
            if known {
                checks.that(answer.is_ok_and(|installed| installed.flags() == install.flags()));
                checks.that(getppid() == -7);
            } else {
                checks.that(matches!(answer, Err(InstallError::UnknownFlags { .. })));
                checks.that(getppid() > 0);
            }
        });
    }
}

#[test]
fn detect_seccomp_filter_flags() {
    if !kernel_has_filters("detect_seccomp_filter_flags") {
        return;
    }
    let introduced = [(3, 17), (4, 14), (4, 17), (5, 0), (5, 7), (5, 19)];
    let kernel = host().unwrap().kernel();
    for (flag, (major, minor)) in FilterFlag::ALL.into_iter().zip(introduced) {
        // Distributions bring flags to older kernels, so only one direction is certain.
        assert!(kernel < KernelVersion::new(major, minor) || flag_available(flag), "{flag}");
        assert_eq!(probe().flags().contains(flag), flag_available(flag));
        // The kernel really takes it, alone or with the listener that it needs.
        let with = if flag == FilterFlag::WaitKillableRecv { 8 } else { 0 };
        child_passes(|checks| {
            let fprog = [Insn::stmt(opcode::RET_K, Action::Allow.to_raw())];
            let answer = common::calls::seccomp_set_filter(flag.bit() | with, &fprog);
            checks.that((answer >= 0) == flag_available(flag));
        });
    }
}

/// What the kernel says one by one is what it lists in /proc.
#[test]
fn get_action_avail() {
    if !kernel_has_filters("get_action_avail") {
        return;
    }
    let Ok(listed) = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") else {
        return skip("get_action_avail", "the kernel does not list its actions");
    };
    let names = ["kill_process", "kill_thread", "trap", "errno", "user_notif", "trace", "log", "allow"];
    let actions = [
        Action::KillProcess,
        Action::KillThread,
        Action::Trap(3),
        Action::Errno(0xffff),
        Action::Notify,
        Action::Trace(1),
        Action::Log,
        Action::Allow,
    ];
    for (name, action) in names.into_iter().zip(actions) {
        assert_eq!(action_available(action), listed.split_whitespace().any(|word| word == name), "{name}");
        assert_eq!(action_available(action), probe().has_action(action), "{name}");
    }
    assert_eq!(probe().missing_action(&always(Action::Errno(5))), None);
    assert_eq!(probe().actions().count(), listed.split_whitespace().count());
}

/// Kernels before 4.14 answer EINVAL to the question; a filter plays such a kernel.
#[test]
fn actions_of_old_kernels() {
    if !kernel_has_filters("actions_of_old_kernels") {
        return;
    }
    child_passes(|checks| {
        let old = common::only_if(libc::SYS_seccomp, 0, 2, Action::Errno(22).to_raw());
        checks.that(Install::new().install(&old).is_ok());
        let support = probe();
        checks.that(support.filter_mode() && support.has_action(Action::Trap(1)));
        checks.that(!support.has_action(Action::KillProcess) && !support.has_action(Action::Log));
        checks.that(support.actions().count() == 5);
        checks.that(support.missing_action(&always(Action::KillProcess)) == Some(Action::KillProcess));
    });
    // And one that does not know a flag.
    child_passes(|checks| {
        let old = common::only_if(libc::SYS_seccomp, 1, 2, Action::Errno(22).to_raw());
        checks.that(Install::new().install(&old).is_ok());
        let answer = Install::new().log(true).install(&always(Action::Allow));
        let flags = FilterFlags::NONE.with(FilterFlag::Log, true);
        checks.that(answer == Err(InstallError::UnknownFlags { flags }));
        checks.that(!flag_available(FilterFlag::Log) && flag_available(FilterFlag::SpecAllow));
    });
}

#[test]
fn the_host_is_told() {
    let host = host().unwrap();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(release.starts_with(&format!("{}.", host.kernel())), "{release} {host:?}");
    assert_eq!(Some(host.program_arch()), callsieve::arch::Arch::NATIVE);
    // Here both are the same, or the kernel has the 64-bit partner.
    let kernel = host.kernel_arch().unwrap();
    assert!(kernel == host.program_arch() || kernel.has_64bit_args());
}
