//! The table as a whole, and single facts of every ABI that do not come from the headers it was made from.

use super::*;
use crate::arch::TABLE_KERNEL;

#[test]
fn rows_are_sorted_and_found() {
    for pair in ROWS.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
    }
    for call in Syscall::all() {
        assert_eq!(Syscall::from_name(call.name()), Some(call));
        assert!(call.arches().next().is_some(), "{call} exists nowhere");
        assert!(call.since().is_none_or(|since| since <= TABLE_KERNEL), "{call}");
    }
    for name in ["", "opena", "openatx", "OPENAT", "Linux", "unused18", "\0", "ä"] {
        assert_eq!(Syscall::from_name(name), None, "{name}");
    }
    assert_eq!(Syscall::from_name(&"x".repeat(1 << 20)), None);
}

#[test]
fn calls_are_shown_by_name() {
    let call = Syscall::from_name("openat").unwrap();
    assert_eq!(alloc::format!("{call:>8} {call:?}"), "  openat Syscall(\"openat\")");
}

#[test]
fn the_index_is_as_long_as_it_must_be() {
    let of = |arch: Arch| arch.syscalls().map(move |(number, _)| number - arch.number_base());
    let most = Arch::ALL.into_iter().flat_map(of).filter(|&number| number < PRIVATE).max().unwrap();
    assert_eq!(u32::try_from(NUMBERS), Ok(most + 1));
    assert!(Syscall::all().all(|call| call.name().len() < LONGEST_NAME));
}

#[test]
fn numbers_lead_back_to_names() {
    for arch in Arch::ALL {
        let mut last = None;
        for (number, name) in arch.syscalls() {
            assert!(last < Some(number), "{arch} {name}: order");
            last = Some(number);
            assert_eq!(arch.number(name), Some(number), "{arch} {name}");
            assert_eq!(arch.name(number), Some(name), "{arch} {number}");
        }
        for call in Syscall::all() {
            let Some(number) = call.number(arch) else { continue };
            let name = arch.name(number).unwrap();
            let alias = (arch, call.name(), name) == (Arch::Arm, "sync_file_range2", "arm_sync_file_range");
            assert!(name == call.name() || alias, "{arch} {call} {number} is {name}");
        }
        for number in [arch.number_base().wrapping_sub(1), arch.number_base() + 4000, 0xefff, 0xf0000, 0xf0007, !0] {
            assert_eq!(arch.name(number), None, "{arch} {number:#x}");
        }
    }
    assert_eq!(Arch::X32.name(0), None);
    assert_eq!(Arch::X86_64.name(Arch::X32_BIT), None);
}

/// How many calls the headers of 7.3 list, counted apart from this table; ARM has six private calls and one second name
/// more, s390 is counted as of 6.18.
#[test]
fn every_abi_is_complete() {
    let expected = [
        (Arch::X86_64, 386),
        (Arch::X86, 462),
        (Arch::X32, 375),
        (Arch::Aarch64, 328),
        (Arch::Arm, 425 + 6 + 1),
        (Arch::Riscv64, 329),
        (Arch::Riscv32, 319),
        (Arch::Loongarch64, 325),
        (Arch::S390x, 391),
        (Arch::S390, 440),
        (Arch::Ppc, 453),
        (Arch::Ppc64, 425),
        (Arch::Ppc64le, 425),
        (Arch::Mips, 446 - 8),
        (Arch::Mipsel, 446 - 8),
        (Arch::Mips64, 376 - 2),
        (Arch::Mipsel64, 376 - 2),
        (Arch::Mips64n32, 400 - 2),
        (Arch::Mipsel64n32, 400 - 2),
        (Arch::Parisc, 408),
        (Arch::Parisc64, 387),
        (Arch::M68k, 444),
        (Arch::Sh, 437),
        (Arch::Sheb, 437),
    ];
    assert_eq!(TABLE_KERNEL, KernelVersion::new(7, 3), "count again for a newer table");
    for (arch, count) in expected {
        assert_eq!(Syscall::all().filter(|call| call.number(arch).is_some()).count(), count, "{arch}");
    }
    assert_eq!(expected.map(|(arch, _)| arch), Arch::ALL);
}

#[test]
fn known_numbers() {
    // seccomp(2), and restart_syscall, which a filter must not forget.
    for (arch, seccomp, restart) in [
        (Arch::X86_64, 317, 219),
        (Arch::X86, 354, 0),
        (Arch::X32, 0x4000_0000 + 317, 0x4000_0000 + 219),
        (Arch::Aarch64, 277, 128),
        (Arch::Arm, 383, 0),
        (Arch::Riscv64, 277, 128),
        (Arch::Riscv32, 277, 128),
        (Arch::Loongarch64, 277, 128),
        (Arch::S390x, 348, 7),
        (Arch::S390, 348, 7),
        (Arch::Ppc, 358, 0),
        (Arch::Ppc64, 358, 0),
        (Arch::Ppc64le, 358, 0),
        (Arch::Mips, 4352, 4253),
        (Arch::Mipsel, 4352, 4253),
        (Arch::Mips64, 5312, 5213),
        (Arch::Mipsel64, 5312, 5213),
        (Arch::Mips64n32, 6316, 6214),
        (Arch::Mipsel64n32, 6316, 6214),
        (Arch::Parisc, 338, 0),
        (Arch::Parisc64, 338, 0),
        (Arch::M68k, 380, 0),
        (Arch::Sh, 372, 0),
        (Arch::Sheb, 372, 0),
    ] {
        assert_eq!(arch.number("seccomp"), Some(seccomp), "{arch}");
        assert_eq!(arch.number("restart_syscall"), Some(restart), "{arch}");
        let openat2 = 437 + arch.number_base();
        assert_eq!(arch.name(openat2), Some("openat2"), "{arch}");
    }
    assert_eq!(Arch::X32.number("execve"), Some(0x4000_0000 + 520));
    assert_eq!(Arch::X86_64.number("execve"), Some(59));
    assert_eq!(Arch::Arm.number("set_tls"), Some(0xf0005));
    assert_eq!(Arch::Arm.name(0xf0002), Some("cacheflush"));
    assert_eq!(Arch::Arm.number("sync_file_range2"), Arch::Arm.number("arm_sync_file_range"));
    assert_eq!(Arch::Aarch64.number("newfstatat"), Some(79));
    assert_eq!(Arch::Aarch64.number("clock_gettime64"), None);
    assert_eq!(Arch::Mips.number("break"), Some(4017));
}

#[test]
fn known_releases() {
    for (name, major, minor) in [
        ("read", 1, 0),
        ("seccomp", 3, 17),
        ("rseq", 4, 18),
        ("futex_time64", 5, 1),
        ("clone3", 5, 3),
        ("close_range", 5, 9),
        ("uretprobe", 6, 11),
        ("fchroot", 7, 3),
    ] {
        let since = Syscall::from_name(name).and_then(Syscall::since);
        assert_eq!(since, Some(KernelVersion::new(major, minor)), "{name}");
    }
    // From 424 on a number is the same call everywhere, and its release is known.
    for arch in Arch::ALL {
        for (number, name) in arch.syscalls() {
            let number = number - arch.number_base();
            let x32_only = arch == Arch::X32 && number >= 512;
            if (424..0xf_0000).contains(&number) && !x32_only {
                let call = Syscall::from_name(name).unwrap();
                assert!(call.since() >= Some(KernelVersion::new(5, 1)), "{name}");
                assert_eq!(Arch::Sh.number(name).unwrap_or(number), number, "{name}");
            }
        }
    }
}

/// The allow bitmap ends with the newest call, and x32 and MIPS have none.
#[test]
fn bitmap_covers_the_table() {
    for arch in Arch::ALL {
        let without = arch.audit() & 0xffff == 8 || arch == Arch::X32;
        let expected = if arch == Arch::S390 { 470 } else { 473 };
        assert_eq!(arch.bitmap_len(), (!without).then_some(expected), "{arch}");
    }
    for &number in Arch::X86_64.forced_allow() {
        assert!(Arch::X86_64.name(number).is_some_and(|name| name.ends_with("probe")));
    }
}

#[test]
fn partners_are_mutual_and_of_one_byte_order() {
    for arch in Arch::ALL {
        for partner in arch.compat() {
            assert_eq!(partner.endian(), arch.endian());
            assert!(*partner != arch && partner.compat().contains(&arch), "{arch} {partner}");
        }
    }
}
