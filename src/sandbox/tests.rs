use super::*;
use crate::bpf::SyscallData;
use crate::profile::arg;
use sets::v1;
use std::fmt::Write as _;

fn decide(sandbox: &Sandbox, arch: Arch, name: &str, args: [u64; 6]) -> Action {
    let nr = arch.number(name).unwrap_or_else(|| panic!("{arch} has no {name}"));
    sandbox.policy(arch).unwrap().decide(&SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() })
}

fn all_sets() -> Sandbox {
    Sandbox::deny_by_default().allow(v1::ALL)
}

#[test]
fn every_name_of_a_set_exists() {
    for set in v1::ALL {
        for call in set.calls().chain(set.unknown()) {
            assert!(crate::arch::Syscall::from_name(call).is_some(), "{}: {call}", set.name());
        }
    }
}

#[test]
fn each_set_alone_and_all_together_compile_on_every_abi() {
    for arch in Arch::ALL {
        for set in v1::ALL {
            Sandbox::deny_by_default()
                .allow(set)
                .filter(arch)
                .unwrap_or_else(|error| panic!("{} {arch}: {error}", set.name()));
        }
        all_sets().filter(arch).unwrap();
    }
}

/// What is in version 1 never changes.
#[test]
fn sets_are_pinned() {
    // FNV-1a over the printed sets.
    let mut text = String::new();
    for set in v1::ALL {
        writeln!(text, "{set}").unwrap();
    }
    let digest = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(format!("{digest:016x}"), "aecbad8407d0139a", "a published set changed; make a new version instead");
}

#[test]
fn the_daemon_of_the_documentation() {
    let sandbox =
        Sandbox::deny_by_default().allow(v1::RUNTIME).allow(v1::NET_SERVER).allow_if("ioctl", [arg::<1>().eq(0x541b)]);
    let x86_64 = |name, args| decide(&sandbox, Arch::X86_64, name, args);
    assert_eq!(x86_64("accept4", [0; 6]), Action::Allow);
    assert_eq!(x86_64("socket", [2, 1, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(x86_64("socket", [16, 3, 0, 0, 0, 0]), Action::KillProcess);
    assert_eq!(x86_64("ioctl", [3, 0x541b, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(x86_64("ioctl", [3, 0x5412, 0, 0, 0, 0]), Action::KillProcess);
    assert_eq!(x86_64("execve", [0; 6]), Action::KillProcess);
    assert_eq!(x86_64("mmap", [0, 4096, 3, 0x22, 0, 0]), Action::Allow);
    assert_eq!(x86_64("mmap", [0, 4096, 7, 0x22, 0, 0]), Action::KillProcess);
    assert_eq!(x86_64("clone3", [0; 6]), Action::Errno(38));
}

#[test]
fn an_answer_of_a_set_gives_way() {
    let before = Sandbox::deny_by_default().allow(v1::RUNTIME);
    assert_eq!(decide(&before, Arch::Aarch64, "statx", [0; 6]), Action::Errno(38));
    assert_eq!(decide(&before.clone().allow(v1::FILE_READ), Arch::Aarch64, "statx", [0; 6]), Action::Allow);
    assert_eq!(decide(&before.clone().allow("clone3"), Arch::Aarch64, "clone3", [0; 6]), Action::Allow);
    // ENOSYS has another number on MIPS.
    assert_eq!(decide(&before, Arch::Mips64, "statx", [0; 6]), Action::Errno(89));
}

#[test]
fn a_call_of_the_future_is_unknown_and_an_old_one_a_violation() {
    for arch in Arch::ALL {
        let policy = Sandbox::deny_by_default().allow(v1::RUNTIME).policy(arch).unwrap();
        let answer = |nr| policy.decide(&SyscallData { nr, arch: arch.audit(), ..SyscallData::default() });
        let enosys = Action::Errno(crate::arch::Errno::enosys(arch).get());
        let newest = arch.syscalls().map(|(nr, _)| nr).filter(|nr| nr & 0xf_0000 == 0).max().unwrap();
        assert_eq!(answer(newest + 1), enosys, "{arch}");
        assert_eq!(answer(arch.number("mknodat").unwrap()), Action::KillProcess, "{arch}");
    }
}

#[test]
fn threads_but_no_processes() {
    const THREAD_FLAGS: u64 = 0x003d_0f00; // What pthread_create uses.
    for (arch, args) in [(Arch::X86_64, [THREAD_FLAGS, 0]), (Arch::S390x, [0, THREAD_FLAGS])] {
        let sandbox = Sandbox::deny_by_default().allow(v1::THREADS);
        let clone = |flags: [u64; 2]| decide(&sandbox, arch, "clone", [flags[0], flags[1], 0, 0, 0, 0]);
        assert_eq!(clone(args), Action::Allow, "{arch}");
        assert_eq!(clone([17, 17]), Action::KillProcess, "{arch}");
        assert_eq!(clone(args.map(|flags| flags | 0x1000_0000)), Action::KillProcess, "{arch}");
    }
}

#[test]
fn reading_is_not_writing() {
    let read = Sandbox::deny_by_default().allow(v1::FILE_READ);
    for (arch, create) in [(Arch::X86_64, 0o100), (Arch::Mipsel64, 0x100)] {
        let openat = |flags| decide(&read, arch, "openat", [0, 0, flags, 0, 0, 0]);
        assert_eq!(openat(0), Action::Allow);
        assert_eq!(openat(0o2_000_000), Action::Allow); // O_CLOEXEC
        for flags in [1, 2, create] {
            assert_eq!(openat(flags), Action::KillProcess, "{arch} {flags:#x}");
        }
    }
    let write = read.allow(v1::FILE_WRITE);
    assert_eq!(decide(&write, Arch::X86_64, "openat", [0, 0, 0o101, 0, 0, 0]), Action::Allow);
}

#[test]
fn danger_needs_its_word() {
    let error = Sandbox::deny_by_default().allow(["read", "ptrace"]).policy(Arch::X86_64).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ptrace is dangerous: it controls other processes; if the program needs it, say so with \
         Sandbox::allow_dangerous"
    );
    let sandbox = Sandbox::deny_by_default().allow_dangerous("ptrace");
    assert_eq!(decide(&sandbox, Arch::X86_64, "ptrace", [0; 6]), Action::Allow);
    // To deny one is no danger.
    let sandbox = Sandbox::deny_by_default().rule(Action::Errno(1), "ptrace", []);
    assert_eq!(decide(&sandbox, Arch::X86_64, "ptrace", [0; 6]), Action::Errno(1));
    let conditional = Sandbox::deny_by_default().allow_if("mount", [arg::<3>().eq(0)]);
    assert!(matches!(conditional.policy(Arch::X86_64), Err(SandboxError::Dangerous { .. })));
}

#[test]
fn unknown_names_and_contradictions_are_errors() {
    let unknown = Sandbox::deny_by_default().allow("opennat").policy(Arch::X86_64).unwrap_err().to_string();
    assert!(unknown.contains("did you mean \"openat\""), "{unknown}");
    let twice = Sandbox::deny_by_default().allow("read").rule(Action::Errno(1), "read", []);
    assert!(matches!(twice.policy(Arch::X86_64), Err(SandboxError::Resolve(_))));
    // A name that only other ABIs have is none.
    Sandbox::deny_by_default().allow("arch_prctl").policy(Arch::Aarch64).unwrap();
}

mod old_kernels {
    use super::*;

    fn plan(sandbox: &Sandbox, support: &Support, threads: usize) -> Result<Plan, SandboxError> {
        sandbox.plan(Threads::All, sandbox.filter(Arch::X86_64)?.program(), support, || threads)
    }

    fn support(actions: &[Action], flags: &[FilterFlag]) -> Support {
        let flags = flags.iter().fold(FilterFlags::NONE, |set, &flag| set.with(flag, true));
        Support::of(actions, flags)
    }

    #[test]
    fn without_filters() {
        let none = Support::NONE;
        let sandbox = Sandbox::deny_by_default().allow(v1::RUNTIME);
        assert!(matches!(plan(&sandbox, &none, 1), Err(SandboxError::NoSeccomp)));
        let reported = sandbox.clone().compat(Compat::Reported);
        assert!(matches!(plan(&reported, &none, 1), Err(SandboxError::NoSeccomp)));
        let status = plan(&sandbox.compat(Compat::Optional), &none, 1).unwrap().status;
        assert_eq!(
            (status.enforcement(), status.to_string().as_str()),
            (Enforcement::None, "no sandbox: this kernel has no seccomp filters")
        );
    }

    #[test]
    fn without_an_action_or_a_flag() {
        let old = support(&[Action::KillThread, Action::Errno(0), Action::Allow], &[FilterFlag::Tsync]);
        let sandbox = Sandbox::deny_by_default().allow(v1::RUNTIME).log_violations(true);
        assert!(matches!(plan(&sandbox, &old, 1), Err(SandboxError::MissingAction { action: Action::KillProcess })));
        let errno = sandbox.clone().on_violation(Action::Errno(1)).compat(Compat::Required);
        // Foreign architectures are killed still.
        assert!(matches!(plan(&errno, &old, 1), Err(SandboxError::MissingAction { .. })));
        let plan = plan(&sandbox.compat(Compat::Reported), &old, 3).unwrap();
        assert_eq!(plan.status.enforcement(), Enforcement::Partial);
        assert_eq!(plan.status.missing_action(), Some(Action::KillProcess));
        assert!(plan.status.missing_flags().contains(FilterFlag::Log));
        assert_eq!(plan.install, Install::new().tsync(true));
    }

    #[test]
    fn without_a_way_to_reach_all_threads() {
        let old = support(&[Action::KillProcess, Action::Errno(0), Action::Allow], &[]);
        let sandbox = Sandbox::deny_by_default().allow(v1::RUNTIME).compat(Compat::Optional);
        assert!(matches!(plan(&sandbox, &old, 2), Err(SandboxError::Threads { threads: 2 })));
        let plan = plan(&sandbox, &old, 1).unwrap();
        assert_eq!((plan.install, plan.status.enforcement()), (Install::new(), Enforcement::Full));
    }
}
