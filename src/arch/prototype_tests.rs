//! Facts about arguments that do not come from the source that the table was made from: man pages and headers of C
//! libraries.

use super::ArgPart::{High, Low, Unused, Whole};
use super::*;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

fn prototype(arch: Arch, name: &str) -> Prototype {
    Syscall::from_name(name).unwrap().prototype(arch).unwrap_or_else(|| panic!("{arch} {name}"))
}

fn shown(arch: Arch, name: &str) -> String {
    prototype(arch, name).to_string()
}

#[test]
fn rows_belong_to_the_table_of_calls() {
    assert_eq!(PROTOTYPES.len(), Syscall::all().count());
    for (call, variants) in Syscall::all().zip(PROTOTYPES) {
        let mut seen = 0;
        for (columns, _) in variants {
            assert_eq!(seen & columns, 0, "{call}: a column stands twice");
            seen |= columns;
        }
        for arch in Arch::ALL {
            let has = seen & 1 << column(arch) != 0;
            assert!(!has || call.number(arch).is_some(), "{arch} {call}");
            assert_eq!(call.prototype(arch).is_some(), has, "{arch} {call}");
        }
    }
}

/// syscall(2), "Architecture-specific requirements".
#[test]
fn pairs_are_aligned_where_the_abi_wants_it() {
    let parts = |arch, name| prototype(arch, name).args().map(ArgType::part).collect::<Vec<_>>();
    for (name, index) in [("pread64", 3), ("pwrite64", 3), ("readahead", 1), ("truncate64", 1), ("ftruncate64", 1)] {
        for arch in [Arch::Arm, Arch::Mips, Arch::Mipsel, Arch::Ppc] {
            assert_eq!(parts(arch, name)[index], Unused, "{arch} {name}");
        }
        for arch in [Arch::X86, Arch::S390, Arch::M68k, Arch::Parisc, Arch::Riscv32] {
            assert!(!parts(arch, name).contains(&Unused), "{arch} {name}");
        }
        for arch in [Arch::X86_64, Arch::X32, Arch::Mips64n32, Arch::S390x] {
            let Some(prototype) = Syscall::from_name(name).unwrap().prototype(arch) else { continue };
            assert!(prototype.args().all(|arg| arg.part() == Whole), "{arch} {name}");
        }
    }
    assert_eq!(parts(Arch::X86, "pread64"), [Whole, Whole, Whole, Low, High]);
    assert_eq!(parts(Arch::S390, "pread64"), [Whole, Whole, Whole, High, Low]);
    assert_eq!(parts(Arch::Arm, "arm_fadvise64_64"), [Whole, Whole, Low, High, Low, High]);
    assert_eq!(parts(Arch::Ppc, "sync_file_range2"), [Whole, Whole, High, Low, High, Low]);
    assert_eq!(parts(Arch::Mipsel, "sync_file_range"), [Whole, Unused, Low, High, Low, High, Whole]);
    assert_eq!(parts(Arch::Arm, "fanotify_mark"), [Whole, Whole, Low, High, Whole, Whole]);
    assert_eq!(parts(Arch::Sh, "pread64"), [Whole, Whole, Whole, Whole, Low, High]);
}

#[test]
fn calls_that_differ_between_abis() {
    assert_eq!(
        shown(Arch::S390x, "clone"),
        "newsp: u64, clone_flags: u64, parent_tidptr: pointer, child_tidptr: pointer, tls: u64"
    );
    assert_eq!(prototype(Arch::S390, "clone").arg(1).unwrap().name(), "clone_flags");
    for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::M68k, Arch::Mips64n32] {
        assert_eq!(prototype(arch, "clone").arg(0).unwrap().name(), "clone_flags", "{arch}");
    }
    for arch in [Arch::X86, Arch::M68k, Arch::S390, Arch::S390x] {
        assert_eq!(shown(arch, "mmap"), "arg: pointer", "{arch}");
    }
    assert_eq!(prototype(Arch::X86_64, "mmap").args().count(), 6);
    assert_eq!(prototype(Arch::Aarch64, "clone3").args().count(), 2);
    assert_eq!(prototype(Arch::X86, "socketcall").args().count(), 2);
    assert_eq!((prototype(Arch::S390x, "ipc").args().count(), prototype(Arch::Ppc64, "ipc").args().count()), (5, 6));
    // 64-bit registers and 32-bit types: what the compat entry points cut.
    assert_eq!(prototype(Arch::X32, "ioctl").arg(2).unwrap().bits(), 32);
    assert_eq!(prototype(Arch::X32, "read").arg(2).unwrap().bits(), 64);
    assert_eq!(prototype(Arch::Mips64n32, "pread64").arg(3).unwrap().bits(), 64);
}

#[test]
fn widths_and_signs() {
    let arg = |name, index| prototype(Arch::X86_64, name).arg(index).unwrap();
    for (name, index, bits, signed, pointer) in [
        ("socket", 0, 32, true, false),
        ("personality", 0, 32, false, false),
        ("ioctl", 1, 32, false, false),
        ("ioctl", 2, 64, false, false),
        ("kill", 0, 32, true, false),
        ("chmod", 1, 16, false, false),
        ("setuid", 0, 32, false, false),
        ("lseek", 1, 64, true, false),
        ("read", 1, 64, false, true),
        ("futex", 2, 32, false, false),
    ] {
        let arg = arg(name, index);
        assert_eq!((arg.bits(), arg.is_signed(), arg.is_pointer()), (bits, signed, pointer), "{name} {index}");
    }
    for arch in Arch::ALL.into_iter().filter(|arch| !arch.has_64bit_args()) {
        for (number, name) in arch.syscalls() {
            let Some(prototype) = arch.prototype(number) else { continue };
            assert!(prototype.args().all(|arg| arg.bits() <= 32), "{arch} {name}");
            assert!(prototype.args().count() <= 7, "{arch} {name}");
        }
    }
}

#[test]
fn what_has_no_code_has_no_prototype() {
    for name in ["afs_syscall", "vserver", "tuxcall"] {
        assert_eq!(Syscall::from_name(name).unwrap().prototype(Arch::X86_64), None, "{name}");
    }
    assert_eq!(Syscall::from_name("open").unwrap().prototype(Arch::Aarch64), None);
    // Nearly everything else has one.
    for arch in Arch::ALL {
        let unknown = arch.syscalls().filter(|(number, _)| arch.prototype(*number).is_none()).count();
        assert!(unknown <= 39, "{arch}: {unknown} calls without a prototype");
    }
}
