//! The calls whose arguments matter, and which of them: numbers that say what a call does. Not sizes, positions and
//! descriptors, which are different each time; and not addresses, behind which no filter sees.

use crate::arch::Arch;

/// How an argument is generalised by [`Arguments::Sets`](super::Arguments::Sets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A choice: the values that were seen.
    Value,
    /// Bits: those that were seen, in any combination.
    Flags,
}

/// An argument that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Watched {
    pub(super) index: u8,
    pub(super) kind: Kind,
    /// Whether the register has bits that the kernel does not read.
    pub(super) half: bool,
}

/// Arguments of one call that are kept at most.
pub(super) const MOST: usize = 3;

type Row = (&'static str, &'static [(u8, Kind)]);

use Kind::{Flags, Value};

/// By name. Sources are the manual pages of the calls.
const TABLE: &[Row] = &[
    ("arch_prctl", &[(0, Value)]),
    ("bpf", &[(0, Value)]),
    ("clone", &[(0, Flags)]),
    ("fcntl", &[(1, Value)]),
    ("fcntl64", &[(1, Value)]),
    ("getsockopt", &[(1, Value), (2, Value)]),
    ("io_uring_register", &[(1, Value)]),
    ("ioctl", &[(1, Value)]),
    ("ipc", &[(0, Value)]),
    ("keyctl", &[(0, Value)]),
    ("madvise", &[(2, Value)]),
    ("memfd_create", &[(1, Flags)]),
    ("mmap", &[(2, Flags), (3, Flags)]),
    ("mmap2", &[(2, Flags), (3, Flags)]),
    ("mount", &[(3, Flags)]),
    ("mprotect", &[(2, Flags)]),
    ("msgctl", &[(1, Value)]),
    ("personality", &[(0, Value)]),
    ("pkey_mprotect", &[(2, Flags)]),
    ("prctl", &[(0, Value)]),
    ("prlimit64", &[(1, Value)]),
    ("ptrace", &[(0, Value)]),
    ("quotactl", &[(0, Value)]),
    ("reboot", &[(2, Value)]),
    ("sched_setscheduler", &[(1, Value)]),
    ("seccomp", &[(0, Value), (1, Flags)]),
    ("semctl", &[(2, Value)]),
    ("setns", &[(1, Flags)]),
    ("setsockopt", &[(1, Value), (2, Value)]),
    ("shmctl", &[(1, Value)]),
    ("socket", &[(0, Value), (1, Value), (2, Value)]),
    ("socketcall", &[(0, Value)]),
    ("socketpair", &[(0, Value), (1, Value), (2, Value)]),
    ("umount2", &[(1, Flags)]),
    ("unshare", &[(0, Flags)]),
];

/// What matters of a call on an ABI; nothing for most calls.
pub(super) fn watched(arch: Arch, nr: u32) -> Vec<Watched> {
    let Some(name) = arch.name(nr) else { return Vec::new() };
    let Ok(at) = TABLE.binary_search_by_key(&name, |row| row.0) else { return Vec::new() };
    let list = TABLE.get(at).map_or(&[][..], |row| row.1);
    let all = list.iter().map(|&(index, kind)| {
        // s390 has the flags of clone(2) behind the stack.
        let index = if name == "clone" && matches!(arch, Arch::S390 | Arch::S390x) { 1 } else { index };
        let bits = match arch.prototype(nr) {
            // The old mmap(2) of i386 has all its arguments behind a pointer.
            Some(prototype) => prototype.arg(index).filter(|arg| !arg.is_pointer())?.bits(),
            None => 64,
        };
        Some(Watched { index, kind, half: arch.has_64bit_args() && bits <= 32 })
    });
    all.collect::<Option<_>>().unwrap_or_default()
}

impl Watched {
    /// What the kernel reads of the argument.
    pub(super) fn read(self, args: &[u64; 6]) -> u64 {
        let value = self.register(args);
        if self.half { value & 0xffff_ffff } else { value }
    }

    /// Whether there are other bits in the register.
    pub(super) fn is_odd(self, args: &[u64; 6]) -> bool {
        self.read(args) != self.register(args)
    }

    fn register(self, args: &[u64; 6]) -> u64 {
        args.get(usize::from(self.index)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Syscall;

    #[test]
    fn the_table_is_sorted_and_short_and_knows_its_names() {
        assert!(TABLE.is_sorted_by(|one, other| one.0 < other.0));
        for (name, list) in TABLE {
            assert!(Syscall::from_name(name).is_some(), "{name}");
            assert!(list.len() <= MOST && !list.is_empty(), "{name}");
            assert!(list.is_sorted_by(|one, other| one.0 < other.0), "{name}");
        }
    }

    #[test]
    fn what_matters_depends_on_the_abi() {
        let of = |arch: Arch, name: &str| watched(arch, arch.number(name).unwrap());
        assert_eq!(of(Arch::X86_64, "read"), []);
        assert_eq!(of(Arch::X86_64, "ioctl"), [Watched { index: 1, kind: Value, half: true }]);
        assert_eq!(of(Arch::X86, "ioctl"), [Watched { index: 1, kind: Value, half: false }]);
        assert_eq!(of(Arch::X86_64, "clone"), [Watched { index: 0, kind: Flags, half: false }]);
        assert_eq!(of(Arch::S390x, "clone"), [Watched { index: 1, kind: Flags, half: false }]);
        assert_eq!(of(Arch::X86_64, "mmap").len(), 2);
        assert_eq!(of(Arch::X86, "mmap"), []);
        assert_eq!(of(Arch::X86, "mmap2").len(), 2);
        assert_eq!(watched(Arch::X86_64, u32::MAX), []);
    }

    #[test]
    fn no_more_is_read_than_the_kernel_reads() {
        let ioctl = Watched { index: 1, kind: Value, half: true };
        assert_eq!(ioctl.read(&[0, 0xffff_ffff_8004_5430, 0, 0, 0, 0]), 0x8004_5430);
        assert_eq!(Watched { half: false, ..ioctl }.read(&[0, 1 << 40, 0, 0, 0, 0]), 1 << 40);
    }
}
