//! Expectations against policies.

use super::*;
use crate::policy::Target;
use crate::profile::{Profile, arg};
use alloc::string::ToString;

/// What does not hold, as `LINE: EXAMPLE`; or the errors.
#[track_caller]
fn broken(profile: &Profile, arches: &[Arch], text: &str) -> Result<Vec<String>, String> {
    let policy = profile.resolve(&Target::exactly(arches)).unwrap();
    let expectations: Expectations = text.parse().unwrap();
    let found = expectations.check(&policy).map_err(|errors| errors.to_string())?;
    Ok(found.iter().map(|one| format!("{}: {}", one.line, one.example)).collect())
}

#[track_caller]
fn assert_holds(profile: &Profile, arches: &[Arch], text: &str) {
    assert_eq!(broken(profile, arches, text), Ok(Vec::new()));
}

#[test]
fn lines_are_counted() {
    let count = |text: &str| {
        let expectations: Expectations = text.parse().unwrap();
        (expectations.len(), expectations.is_empty())
    };
    assert_eq!(count("# nothing"), (0, true));
    assert_eq!(count("read: allow"), (1, false));
    assert_eq!(count("read: allow\nwrite: deny\n"), (2, false));
    let errors = "red: allow\nread: allow\nwrote: deny\n".parse::<Expectations>().unwrap_err();
    assert_eq!((&errors).into_iter().map(|error| error.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn answers_are_kinds_of_actions() {
    let actions = [
        ("read", Action::Allow, "allow"),
        ("write", Action::Log, "log"),
        ("open", Action::Notify, "notify"),
        ("close", Action::Trace(7), "trace 7"),
        ("stat", Action::Errno(13), "errno EACCES"),
        ("fstat", Action::Errno(38), "errno 38"),
        ("lseek", Action::Trap(0), "trap"),
        ("mmap", Action::KillProcess, "kill-process"),
        ("munmap", Action::KillThread, "kill-thread"),
    ];
    let profile = actions
        .iter()
        .fold(Profile::new(Action::Errno(1)), |profile, (name, action, _)| profile.rule(*action, *name, []));
    let kinds: [(&str, &[&str]); 9] = [
        ("allow", &["read", "write"]),
        ("deny", &["stat", "fstat", "lseek", "mmap", "munmap"]),
        ("log", &["write"]),
        ("errno", &["stat", "fstat"]),
        ("errno 13", &["stat"]),
        ("errno ENOSYS", &["fstat"]),
        ("trace", &["close"]),
        ("kill", &["mmap", "munmap"]),
        ("kill-thread", &["munmap"]),
    ];
    for (name, _, exactly) in actions {
        assert_holds(&profile, &[Arch::X86_64], &format!("{name}: {exactly}"));
        for (kind, members) in kinds {
            let found = broken(&profile, &[Arch::X86_64], &format!("{name}: {kind}")).unwrap();
            assert_eq!(found.is_empty(), members.contains(&name), "{name}: {kind}: {found:?}");
        }
    }
    // An error has the number of its ABI.
    let profile = Profile::new(Action::Errno(89));
    assert_holds(&profile, &[Arch::Mips], "read: errno ENOSYS");
    assert_eq!(broken(&profile, &[Arch::X86], "read: errno ENOSYS").unwrap(), ["1: read() on x86: ERRNO(89)"]);
}

#[test]
fn examples_show_the_arguments_that_matter() {
    let profile = Profile::new(Action::Errno(1)).allow("read").allow_if("socket", [arg::<1>().ne(5)]);
    let arches = [Arch::X86_64, Arch::X86];
    let found = broken(&profile, &arches, "read: allow\nsocket: allow\nsocket(1): allow\nread: deny").unwrap();
    assert_eq!(
        found,
        [
            "2: socket(0x0, 0x5) on x86_64: ERRNO(1)",
            "2: socket(0x0, 0x5) on x86: ERRNO(1)",
            "3: socket(0x1, 0x5) on x86_64: ERRNO(1)",
            "3: socket(0x1, 0x5) on x86: ERRNO(1)",
            "4: read() on x86_64: ALLOW",
            "4: read() on x86: ALLOW",
        ]
    );
    assert_eq!(broken(&profile, &arches, "x86/read: deny\nx86_64/0: kill").unwrap().len(), 2);
    let missing = broken(&profile, &[Arch::Aarch64, Arch::Arm], "arch_prctl: deny").unwrap_err();
    assert_eq!(missing, "line 1, column 1: aarch64, arm has no such call");
}

#[test]
fn ranges_hold_both_ends() {
    let profile = Profile::new(Action::Allow).rule(Action::Errno(1), "socket", [arg::<0>().eq(9)]);
    let one = |line: &str| broken(&profile, &[Arch::X86_64], line);
    for holds in ["socket(3..8): allow", "socket(10..0xffffffff): allow", "socket(9..9): deny", "socket(8): allow"] {
        assert_eq!(one(holds), Ok(Vec::new()), "{holds}");
    }
    let example = Ok(alloc::vec!["1: socket(0x9) on x86_64: ERRNO(1)".to_string()]);
    for broken in ["socket(3..9): allow", "socket(9..12): allow", "socket(9..9): allow", "socket(9): allow"] {
        assert_eq!(one(broken), example, "{broken}");
    }
    let empty = one("socket(0x11..0x10): allow").unwrap_err();
    assert_eq!(empty, "line 1, column 8: the range 0x11..0x10 is empty");
}

/// A whole register where the ABI has it, else its low half.
#[test]
fn values_have_the_width_of_the_abi() {
    let wide = Profile::new(Action::Errno(1)).allow_if("lseek", [arg::<1>().eq(u64::MAX)]);
    assert_holds(&wide, &[Arch::X86_64], "lseek(*, -1): allow\nlseek(*, 0xffffffff): deny");
    assert_eq!(
        broken(&wide, &[Arch::X86_64], "lseek(*, -1): deny").unwrap(),
        ["1: lseek(0x0, 0xffffffffffffffff) on x86_64: ALLOW"]
    );
    let narrow = Profile::new(Action::Errno(1)).allow_if("lseek", [arg::<1>().as_u32().eq(0xffff_ffff)]);
    assert_holds(&narrow, &[Arch::X86], "lseek(*, -1): allow\nlseek(*, 0xffffffff): allow\nlseek(*, 0x7fffffff): deny");
    let error = broken(&narrow, &[Arch::X86], "lseek(*, 0x100000000): deny").unwrap_err();
    assert_eq!(error, "line 1, column 10: 0x100000000 does not fit the 32 bits that x86 has");
    // Terms are or-ed, whether names or numbers.
    let flags = Profile::new(Action::Errno(1)).allow_if("open", [arg::<1>().eq(0x242)]);
    assert_holds(&flags, &[Arch::X86_64], "open(*, O_RDWR|O_CREAT|0x200): allow\nopen(*, 0x242|2): allow");
}
