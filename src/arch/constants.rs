//! Names of argument values that rules are often about.
//!
//! Values are those of the kernel's exported headers: `linux/socket.h` and `bits/socket.h` (AF), `linux/net.h` (SOCK),
//! `linux/sched.h` (CLONE), `asm-generic/mman-common.h` (PROT, MAP, MADV), `asm-generic/fcntl.h` (O, F, AT),
//! `asm-generic/signal.h` (SIG), `linux/in.h` (IPPROTO), `asm-generic/ioctls.h` (TIOC, FIO), `linux/prctl.h` (PR),
//! `linux/personality.h` (PER, ADDR), `linux/futex.h` (FUTEX), `linux/keyctl.h`, `linux/seccomp.h`. A test compares them
//! with the C library's of the machine.

use super::Arch;

/// Where a value is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// On every ABI.
    All,
    /// Where the kernel uses its generic headers for it.
    Generic,
    /// The same without ARM, which orders some flags of open(2) differently.
    Plain,
}

impl Scope {
    fn has(self, arch: Arch) -> bool {
        let plain = matches!(
            arch,
            Arch::X86_64 | Arch::X86 | Arch::X32 | Arch::Riscv64 | Arch::S390 | Arch::S390x | Arch::Loongarch64
        );
        match self {
            Self::All => true,
            Self::Generic => plain || matches!(arch, Arch::Aarch64 | Arch::Arm),
            Self::Plain => plain,
        }
    }
}

type Row = (&'static str, u64, Scope);

use Scope::{All, Generic, Plain};

const ROWS: &[Row] = &[
    ("AF_UNSPEC", 0, All),
    ("AF_UNIX", 1, All),
    ("AF_LOCAL", 1, All),
    ("AF_INET", 2, All),
    ("AF_AX25", 3, All),
    ("AF_IPX", 4, All),
    ("AF_APPLETALK", 5, All),
    ("AF_NETROM", 6, All),
    ("AF_BRIDGE", 7, All),
    ("AF_ATMPVC", 8, All),
    ("AF_X25", 9, All),
    ("AF_INET6", 10, All),
    ("AF_ROSE", 11, All),
    ("AF_DECnet", 12, All),
    ("AF_NETBEUI", 13, All),
    ("AF_SECURITY", 14, All),
    ("AF_KEY", 15, All),
    ("AF_NETLINK", 16, All),
    ("AF_PACKET", 17, All),
    ("AF_ASH", 18, All),
    ("AF_ECONET", 19, All),
    ("AF_ATMSVC", 20, All),
    ("AF_RDS", 21, All),
    ("AF_SNA", 22, All),
    ("AF_IRDA", 23, All),
    ("AF_PPPOX", 24, All),
    ("AF_WANPIPE", 25, All),
    ("AF_LLC", 26, All),
    ("AF_IB", 27, All),
    ("AF_MPLS", 28, All),
    ("AF_CAN", 29, All),
    ("AF_TIPC", 30, All),
    ("AF_BLUETOOTH", 31, All),
    ("AF_IUCV", 32, All),
    ("AF_RXRPC", 33, All),
    ("AF_ISDN", 34, All),
    ("AF_PHONET", 35, All),
    ("AF_IEEE802154", 36, All),
    ("AF_CAIF", 37, All),
    ("AF_ALG", 38, All),
    ("AF_NFC", 39, All),
    ("AF_VSOCK", 40, All),
    ("AF_KCM", 41, All),
    ("AF_QIPCRTR", 42, All),
    ("AF_SMC", 43, All),
    ("AF_XDP", 44, All),
    ("AF_MCTP", 45, All),
    ("SOCK_STREAM", 1, Generic),
    ("SOCK_DGRAM", 2, Generic),
    ("SOCK_RAW", 3, All),
    ("SOCK_RDM", 4, All),
    ("SOCK_SEQPACKET", 5, All),
    ("SOCK_PACKET", 10, All),
    ("SOCK_NONBLOCK", 0o4000, Generic),
    ("SOCK_CLOEXEC", 0o2000000, Generic),
    ("CLONE_NEWTIME", 0x80, All),
    ("CLONE_VM", 0x100, All),
    ("CLONE_FS", 0x200, All),
    ("CLONE_FILES", 0x400, All),
    ("CLONE_SIGHAND", 0x800, All),
    ("CLONE_PIDFD", 0x1000, All),
    ("CLONE_PTRACE", 0x2000, All),
    ("CLONE_VFORK", 0x4000, All),
    ("CLONE_PARENT", 0x8000, All),
    ("CLONE_THREAD", 0x1_0000, All),
    ("CLONE_NEWNS", 0x2_0000, All),
    ("CLONE_SYSVSEM", 0x4_0000, All),
    ("CLONE_SETTLS", 0x8_0000, All),
    ("CLONE_PARENT_SETTID", 0x10_0000, All),
    ("CLONE_CHILD_CLEARTID", 0x20_0000, All),
    ("CLONE_DETACHED", 0x40_0000, All),
    ("CLONE_UNTRACED", 0x80_0000, All),
    ("CLONE_CHILD_SETTID", 0x100_0000, All),
    ("CLONE_NEWCGROUP", 0x200_0000, All),
    ("CLONE_NEWUTS", 0x400_0000, All),
    ("CLONE_NEWIPC", 0x800_0000, All),
    ("CLONE_NEWUSER", 0x1000_0000, All),
    ("CLONE_NEWPID", 0x2000_0000, All),
    ("CLONE_NEWNET", 0x4000_0000, All),
    ("CLONE_IO", 0x8000_0000, All),
    ("PROT_NONE", 0, All),
    ("PROT_READ", 1, All),
    ("PROT_WRITE", 2, All),
    ("PROT_EXEC", 4, All),
    ("MAP_SHARED", 1, All),
    ("MAP_PRIVATE", 2, All),
    ("MAP_FIXED", 0x10, Generic),
    ("MAP_ANONYMOUS", 0x20, Generic),
    ("O_RDONLY", 0, All),
    ("O_WRONLY", 1, All),
    ("O_RDWR", 2, All),
    ("O_CREAT", 0o100, Generic),
    ("O_EXCL", 0o200, Generic),
    ("O_NOCTTY", 0o400, Generic),
    ("O_TRUNC", 0o1000, Generic),
    ("O_APPEND", 0o2000, Generic),
    ("O_NONBLOCK", 0o4000, Generic),
    ("O_CLOEXEC", 0o2000000, Generic),
    ("O_PATH", 0o10000000, Generic),
    ("O_DIRECT", 0o40000, Plain),
    ("O_DIRECTORY", 0o200000, Plain),
    ("O_NOFOLLOW", 0o400000, Plain),
    ("O_TMPFILE", 0o20200000, Plain),
    ("AT_FDCWD", 0xffff_ffff_ffff_ff9c, All),
    ("F_DUPFD", 0, All),
    ("F_GETFD", 1, All),
    ("F_SETFD", 2, All),
    ("F_GETFL", 3, All),
    ("F_SETFL", 4, All),
    ("F_DUPFD_CLOEXEC", 1030, All),
    ("F_ADD_SEALS", 1033, All),
    ("F_GET_SEALS", 1034, All),
    ("TCGETS", 0x5401, Generic),
    ("TCSETS", 0x5402, Generic),
    ("TIOCSCTTY", 0x540e, Generic),
    ("TIOCGPGRP", 0x540f, Generic),
    ("TIOCSPGRP", 0x5410, Generic),
    ("TIOCOUTQ", 0x5411, Generic),
    ("TIOCSTI", 0x5412, Generic),
    ("TIOCGWINSZ", 0x5413, Generic),
    ("TIOCSWINSZ", 0x5414, Generic),
    ("TIOCLINUX", 0x541c, Generic),
    ("TIOCCONS", 0x541d, Generic),
    ("FIONREAD", 0x541b, Generic),
    ("FIONBIO", 0x5421, Generic),
    ("TIOCNOTTY", 0x5422, Generic),
    ("TIOCSETD", 0x5423, Generic),
    ("FIONCLEX", 0x5450, Generic),
    ("FIOCLEX", 0x5451, Generic),
    ("PR_SET_PDEATHSIG", 1, All),
    ("PR_GET_PDEATHSIG", 2, All),
    ("PR_GET_DUMPABLE", 3, All),
    ("PR_SET_DUMPABLE", 4, All),
    ("PR_GET_KEEPCAPS", 7, All),
    ("PR_SET_KEEPCAPS", 8, All),
    ("PR_SET_NAME", 15, All),
    ("PR_GET_NAME", 16, All),
    ("PR_GET_SECCOMP", 21, All),
    ("PR_SET_SECCOMP", 22, All),
    ("PR_CAPBSET_READ", 23, All),
    ("PR_CAPBSET_DROP", 24, All),
    ("PR_GET_SECUREBITS", 27, All),
    ("PR_SET_SECUREBITS", 28, All),
    ("PR_SET_MM", 35, All),
    ("PR_SET_CHILD_SUBREAPER", 36, All),
    ("PR_SET_NO_NEW_PRIVS", 38, All),
    ("PR_GET_NO_NEW_PRIVS", 39, All),
    ("PR_CAP_AMBIENT", 47, All),
    ("PR_SET_VMA", 0x5356_4d41, All),
    ("PR_SET_PTRACER", 0x5961_6d61, All),
    ("PER_LINUX", 0, All),
    ("PER_LINUX32", 8, All),
    ("UNAME26", 0x2_0000, All),
    ("ADDR_NO_RANDOMIZE", 0x4_0000, All),
    ("READ_IMPLIES_EXEC", 0x40_0000, All),
    ("MADV_NORMAL", 0, Generic),
    ("MADV_RANDOM", 1, Generic),
    ("MADV_SEQUENTIAL", 2, Generic),
    ("MADV_WILLNEED", 3, Generic),
    ("MADV_DONTNEED", 4, Generic),
    ("MADV_FREE", 8, Generic),
    ("MADV_REMOVE", 9, Generic),
    ("MADV_DONTFORK", 10, Generic),
    ("MADV_DOFORK", 11, Generic),
    ("MADV_MERGEABLE", 12, Generic),
    ("MADV_UNMERGEABLE", 13, Generic),
    ("MADV_HUGEPAGE", 14, Generic),
    ("MADV_NOHUGEPAGE", 15, Generic),
    ("MADV_DONTDUMP", 16, Generic),
    ("MADV_DODUMP", 17, Generic),
    ("MADV_WIPEONFORK", 18, Generic),
    ("MADV_KEEPONFORK", 19, Generic),
    ("MADV_COLD", 20, Generic),
    ("MADV_PAGEOUT", 21, Generic),
    ("MADV_POPULATE_READ", 22, Generic),
    ("MADV_POPULATE_WRITE", 23, Generic),
    ("MADV_GUARD_INSTALL", 102, Generic),
    ("MADV_GUARD_REMOVE", 103, Generic),
    ("SIGHUP", 1, Generic),
    ("SIGINT", 2, Generic),
    ("SIGQUIT", 3, Generic),
    ("SIGILL", 4, Generic),
    ("SIGTRAP", 5, Generic),
    ("SIGABRT", 6, Generic),
    ("SIGBUS", 7, Generic),
    ("SIGFPE", 8, Generic),
    ("SIGKILL", 9, Generic),
    ("SIGUSR1", 10, Generic),
    ("SIGSEGV", 11, Generic),
    ("SIGUSR2", 12, Generic),
    ("SIGPIPE", 13, Generic),
    ("SIGALRM", 14, Generic),
    ("SIGTERM", 15, Generic),
    ("SIGCHLD", 17, Generic),
    ("SIGCONT", 18, Generic),
    ("SIGSTOP", 19, Generic),
    ("SIGSYS", 31, Generic),
    ("IPPROTO_IP", 0, All),
    ("IPPROTO_ICMP", 1, All),
    ("IPPROTO_TCP", 6, All),
    ("IPPROTO_UDP", 17, All),
    ("IPPROTO_IPV6", 41, All),
    ("SOL_SOCKET", 1, Generic),
    ("FUTEX_WAIT", 0, All),
    ("FUTEX_WAKE", 1, All),
    ("FUTEX_PRIVATE_FLAG", 128, All),
    ("KEYCTL_JOIN_SESSION_KEYRING", 1, All),
    ("SECCOMP_SET_MODE_STRICT", 0, All),
    ("SECCOMP_SET_MODE_FILTER", 1, All),
];

/// Why a name has no value.
///
/// See the example of [`Arch::constant`](crate::Arch::constant).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstantError {
    /// The name is not in the table.
    #[error(
        "unknown name; known are common ones of AF_, SOCK_, IPPROTO_, CLONE_, PROT_, MAP_, MADV_, O_, F_, TIOC, FIO, PR_, \
         PER_, SIG and FUTEX_"
    )]
    Unknown,
    /// The value differs from one ABI to another, and that of this ABI is not in the table.
    #[error("its value on {0} is not the common one; give the number")]
    OtherArch(Arch),
}

impl Arch {
    /// The value of a constant that arguments of system calls often have, such as `AF_INET` or `CLONE_NEWUSER`.
    ///
    /// ```
    /// use callsieve::arch::{Arch, ConstantError};
    /// assert_eq!(Arch::X86_64.constant("AF_VSOCK"), Ok(40));
    /// assert_eq!(Arch::X86_64.constant("TIOCSTI"), Ok(0x5412));
    /// assert_eq!(Arch::Mips.constant("TIOCSTI"), Err(ConstantError::OtherArch(Arch::Mips)));
    /// assert_eq!(Arch::X86_64.constant("AF_WSOCK"), Err(ConstantError::Unknown));
    /// ```
    pub fn constant(self, name: &str) -> Result<u64, ConstantError> {
        let row = ROWS.iter().find(|(own, ..)| *own == name).ok_or(ConstantError::Unknown)?;
        let (_, value, scope) = *row;
        if scope.has(self) { Ok(value) } else { Err(ConstantError::OtherArch(self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_name_once() {
        let names: BTreeSet<_> = ROWS.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), ROWS.len());
    }

    /// Bit 31 makes an int negative; only one name is meant so.
    fn mask(name: &str) -> u64 {
        if name == "AT_FDCWD" { u64::MAX } else { 0xffff_ffff }
    }

    /// Against the constants of the C library of this machine.
    #[test]
    #[cfg(target_os = "linux")]
    // Constants of several types.
    #[allow(clippy::cast_sign_loss, clippy::cast_lossless, clippy::cast_possible_wrap, clippy::unnecessary_cast)]
    fn values_are_those_of_the_machine() {
        macro_rules! check {
            ($($name:ident)*) => {
                $(match Arch::NATIVE.unwrap().constant(stringify!($name)) {
                    Err(ConstantError::OtherArch(_)) => {}
                    found => assert_eq!(found, Ok(libc::$name as i64 as u64 & mask(stringify!($name))), stringify!($name)),
                })*
            };
        }
        check!(AF_UNSPEC AF_UNIX AF_INET AF_AX25 AF_IPX AF_INET6 AF_KEY AF_NETLINK AF_PACKET AF_RDS AF_PPPOX AF_LLC AF_IB);
        check!(AF_MPLS AF_CAN AF_TIPC AF_BLUETOOTH AF_IUCV AF_RXRPC AF_PHONET AF_IEEE802154 AF_CAIF AF_ALG AF_NFC);
        check!(AF_VSOCK AF_XDP SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_NONBLOCK SOCK_CLOEXEC);
        check!(CLONE_NEWTIME CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE CLONE_VFORK);
        check!(CLONE_PARENT CLONE_THREAD CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID);
        check!(CLONE_CHILD_CLEARTID CLONE_DETACHED CLONE_UNTRACED CLONE_CHILD_SETTID CLONE_NEWCGROUP CLONE_NEWUTS);
        check!(CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_IO PROT_NONE PROT_READ PROT_WRITE PROT_EXEC);
        check!(MAP_SHARED MAP_PRIVATE MAP_FIXED MAP_ANONYMOUS O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_NOCTTY O_TRUNC);
        check!(O_APPEND O_NONBLOCK O_CLOEXEC O_PATH O_DIRECT O_DIRECTORY O_NOFOLLOW O_TMPFILE AT_FDCWD F_DUPFD F_GETFD);
        check!(F_SETFD F_GETFL F_SETFL F_DUPFD_CLOEXEC F_ADD_SEALS F_GET_SEALS TCGETS TCSETS TIOCSCTTY TIOCGPGRP);
        check!(TIOCSPGRP TIOCOUTQ TIOCSTI TIOCGWINSZ TIOCSWINSZ TIOCLINUX TIOCCONS FIONREAD FIONBIO TIOCNOTTY);
        check!(FIONCLEX FIOCLEX PR_SET_PDEATHSIG PR_GET_PDEATHSIG PR_GET_DUMPABLE PR_SET_DUMPABLE PR_GET_KEEPCAPS);
        check!(PR_SET_KEEPCAPS PR_SET_NAME PR_GET_NAME PR_GET_SECCOMP PR_SET_SECCOMP PR_CAPBSET_READ PR_CAPBSET_DROP);
        check!(PR_GET_SECUREBITS PR_SET_SECUREBITS PR_SET_MM PR_SET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS);
        check!(PR_GET_NO_NEW_PRIVS PR_CAP_AMBIENT PR_SET_PTRACER ADDR_NO_RANDOMIZE READ_IMPLIES_EXEC);
        // The headers of musl lack it.
        #[cfg(not(target_env = "musl"))]
        check!(UNAME26);
        check!(MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE MADV_REMOVE MADV_DONTFORK);
        check!(MADV_DOFORK MADV_MERGEABLE MADV_UNMERGEABLE MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP MADV_DODUMP);
        check!(MADV_WIPEONFORK MADV_KEEPONFORK MADV_COLD MADV_PAGEOUT MADV_POPULATE_READ MADV_POPULATE_WRITE);
        check!(SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM);
        check!(SIGTERM SIGCHLD SIGCONT SIGSTOP SIGSYS IPPROTO_IP IPPROTO_ICMP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 SOL_SOCKET);
        check!(FUTEX_WAIT FUTEX_WAKE FUTEX_PRIVATE_FLAG KEYCTL_JOIN_SESSION_KEYRING SECCOMP_SET_MODE_FILTER);
    }
}
