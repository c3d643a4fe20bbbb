//! Which calls the nurse judges, which nobody may make, and the filter that follows.
//!
//! What is not named here is not known to be harmless, so it gets ENOSYS, as on an older kernel.

use super::target::{Answer, Step, Target};
use super::{attributes, change, exec, net, open, send, stat};
use crate::bpf::Action;
use crate::profile::{Profile, arg};
use alloc::vec::Vec;

/// `sendto` is judged if it has an address.
pub(super) const SENDTO: (&str, Handler) = ("sendto", send::sendto);

pub(super) type Handler = fn(&Target<'_>) -> Step<Answer>;

/// Calls that are judged, and by what.
pub(super) const JUDGED: &[(&str, Handler)] = &[
    ("open", open::open),
    ("openat", open::openat_),
    ("openat2", open::openat2),
    ("creat", open::creat),
    ("stat", stat::stat),
    ("lstat", stat::lstat),
    ("newfstatat", stat::newfstatat),
    ("statx", stat::statx),
    ("statfs", stat::statfs),
    ("access", stat::access),
    ("faccessat", stat::faccessat),
    ("faccessat2", stat::faccessat2),
    ("readlink", stat::readlink),
    ("readlinkat", stat::readlinkat_),
    ("inotify_add_watch", stat::inotify_add_watch),
    ("execve", exec::execve),
    ("execveat", exec::execveat),
    ("chroot", exec::chroot),
    ("memfd_create", exec::memfd_create),
    ("mkdir", change::mkdir),
    ("mkdirat", change::mkdirat),
    ("mknod", change::mknod),
    ("mknodat", change::mknodat),
    ("unlink", change::unlink),
    ("rmdir", change::rmdir),
    ("unlinkat", change::unlinkat),
    ("rename", change::rename),
    ("renameat", change::renameat),
    ("renameat2", change::renameat2),
    ("link", change::link),
    ("linkat", change::linkat_),
    ("symlink", change::symlink),
    ("symlinkat", change::symlinkat),
    ("chmod", change::chmod),
    ("fchmod", change::fchmod),
    ("fchmodat", change::fchmodat),
    ("fchmodat2", change::fchmodat2),
    ("chown", change::chown),
    ("lchown", change::lchown),
    ("fchown", change::fchown),
    ("fchownat", change::fchownat),
    ("truncate", change::truncate),
    ("utime", change::utime),
    ("utimes", change::utimes),
    ("futimesat", change::futimesat),
    ("utimensat", change::utimensat),
    ("getxattr", attributes::getxattr),
    ("lgetxattr", attributes::lgetxattr),
    ("listxattr", attributes::listxattr),
    ("llistxattr", attributes::llistxattr),
    ("setxattr", attributes::setxattr),
    ("lsetxattr", attributes::lsetxattr),
    ("fsetxattr", attributes::fsetxattr),
    ("removexattr", attributes::removexattr),
    ("lremovexattr", attributes::lremovexattr),
    ("fremovexattr", attributes::fremovexattr),
    ("connect", net::connect),
    ("bind", net::bind),
    ("listen", net::listen),
    ("sendmsg", send::sendmsg),
    ("sendmmsg", send::sendmmsg),
];

/// Calls that nobody may make: each would open, reach or change something past the ACL. EPERM.
#[rustfmt::skip]
pub(super) const REFUSED: &[&str] = &[
    // Other processes.
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp",
    "migrate_pages", "move_pages",
    // What paths mean.
    "mount", "umount", "umount2", "pivot_root", "move_mount", "mount_setattr", "setns",
    // Files by handle, or by another door.
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "quotactl", "quotactl_fd", "acct",
    "swapon", "swapoff",
    // Programs in the kernel.
    "bpf", "perf_event_open", "userfaultfd", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "iopl", "ioperm", "reboot", "syslog", "vhangup", "sethostname", "setdomainname", "settimeofday",
    "clock_settime", "stime", "adjtimex", "clock_adjtime",
    // Keys of other programs.
    "add_key", "request_key", "keyctl",
];

/// Calls that are harmless by their arguments, or whose objects are open already: what the ACL said of them was said then.
#[rustfmt::skip]
pub(super) const ALLOWED: &[&str] = &[
    "accept", "accept4", "alarm", "arch_prctl", "brk", "cachestat", "capget", "capset", "chdir",
    "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range", "copy_file_range",
    "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "exit", "exit_group", "fadvise64",
    "fallocate", "fchdir", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fstat", "fstatfs",
    "fsync", "ftruncate", "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "get_mempolicy",
    "get_robust_list", "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid",
    "getgroups", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom",
    "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid",
    "gettimeofday", "getuid", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy",
    "io_getevents", "io_pgetevents", "io_setup", "io_submit", "ioprio_get", "ioprio_set", "kill",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lseek", "lsm_get_self_attr",
    "lsm_list_modules", "lsm_set_self_attr", "madvise", "map_shadow_stack", "mbind", "membarrier", "memfd_secret",
    "mincore", "mlock", "mlock2", "mlockall", "mmap", "modify_ldt", "mprotect", "mq_getsetattr", "mq_notify",
    "mq_timedreceive", "mq_timedsend", "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock",
    "munlockall", "munmap", "nanosleep", "pause", "personality", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64", "preadv", "preadv2", "pselect6",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readv", "recvfrom", "recvmmsg", "recvmsg",
    "remap_file_pages", "restart_syscall", "riscv_flush_icache", "riscv_hwprobe", "rseq", "rseq_slice_yield",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget",
    "semop", "semtimedop", "sendfile", "set_mempolicy", "set_mempolicy_home_node", "set_robust_list",
    "set_thread_area", "set_tid_address", "setitimer", "setpgid", "setpriority", "setrlimit", "setsid",
    "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "socketpair", "splice",
    "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "times", "tkill", "umask", "uname", "ustat", "vfork", "vmsplice", "wait4", "waitid", "write", "writev",
];

/// Calls that are known and get ENOSYS all the same: programs have another way then, or need none.
#[cfg(test)]
#[rustfmt::skip]
const MISSING: &[&str] = &[
    "io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "fsopen", "fsconfig", "fsmount", "fspick",
    "open_tree", "open_tree_attr", "statmount", "listmount", "listns", "file_getattr", "file_setattr", "setxattrat",
    "getxattrat", "listxattrat", "removexattrat", "mq_open", "mq_unlink", "lookup_dcookie", "_sysctl", "afs_syscall",
    "create_module", "get_kernel_syms", "getpmsg", "nfsservctl", "putpmsg", "query_module", "security", "sysfs",
    "tuxcall", "uselib", "vserver", "uprobe", "uretprobe", "fchroot",
];

/// Flags of clone(2) and unshare(2) that make a mount or a user namespace: paths, and rights, mean something else there.
const NAMESPACES: u64 = 0x0002_0000 | 0x1000_0000;

/// `ioctl` requests that change a file that is only open for reading (FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR), open files by
/// handle (XFS_IOC_OPEN_BY_HANDLE), or type into the terminal of the nurse (TIOCSTI, TIOCLINUX).
const REFUSED_IOCTLS: [u64; 5] = [0x4008_6602, 0x401c_5820, 0xc030_586b, 0x5412, 0x541c];

/// The profile that sends what is judged to the nurse. `user` and `group` are those of this process, which opens files
/// with its own rights: a target that becomes somebody else must not be served with them.
pub(super) fn profile(user: u32, group: u32) -> Profile {
    const EPERM: Action = Action::Errno(1);
    const ENOSYS: Action = Action::Errno(38);
    let mut profile = Profile::new(ENOSYS).portable();
    profile = profile.rule(Action::Notify, JUDGED.iter().map(|(name, _)| *name).collect::<Vec<_>>(), []);
    profile = profile.rule(EPERM, REFUSED.to_vec(), []);
    profile = profile.allow(ALLOWED.to_vec());
    // New processes, but no namespaces in which paths or rights mean something else.
    for call in ["clone", "unshare"] {
        profile = profile.rule(EPERM, call, []).allow_if(call, [arg::<0>().masked_eq(NAMESPACES, 0)]);
    }
    profile = profile.rule(EPERM, "prlimit64", []).allow_if("prlimit64", [arg::<0>().as_u32().eq(0)]);
    profile = profile.allow("ioctl").rule(EPERM, "ioctl", arg::<1>().as_u32().is_in(REFUSED_IOCTLS));
    profile = identities(profile, user, group);
    sockets(profile)
}

/// A program stays who it is.
fn identities(profile: Profile, user: u32, group: u32) -> Profile {
    const EPERM: Action = Action::Errno(1);
    // -1 leaves an identity as it is.
    let own = |id: u32| [u64::from(id), 0xffff_ffff];
    let (user, group) = (own(user), own(group));
    let (first, second, third) = (arg::<0>().as_u32(), arg::<1>().as_u32(), arg::<2>().as_u32());
    profile
        .rule(EPERM, ["setuid", "setfsuid", "setreuid", "setresuid"], [])
        .rule(EPERM, ["setgid", "setfsgid", "setregid", "setresgid", "setgroups"], [])
        .allow_if(["setuid", "setfsuid"], first.is_in(user))
        .allow_if(["setgid", "setfsgid"], first.is_in(group))
        .allow_if("setreuid", (first.is_in(user), second.is_in(user)))
        .allow_if("setregid", (first.is_in(group), second.is_in(group)))
        .allow_if("setresuid", (first.is_in(user), second.is_in(user), third.is_in(user)))
        .allow_if("setresgid", (first.is_in(group), second.is_in(group), third.is_in(group)))
}

/// Sockets whose addresses the nurse understands: Unix, TCP and UDP.
fn sockets(profile: Profile) -> Profile {
    const EAFNOSUPPORT: Action = Action::Errno(97);
    const TYPE: u64 = 0xf;
    const UNIX: u64 = 1;
    const INET: u64 = 2;
    const INET6: u64 = 10;
    const EPERM: Action = Action::Errno(1);
    const IP_OPTIONS: u64 = 4;
    // IPV6_RTHDR, and IPV6_2292RTHDR and IPV6_2292PKTOPTIONS before it.
    const ROUTING_HEADERS: [u64; 3] = [57, 5, 6];
    let (family, kind, protocol) = (arg::<0>().as_u32(), arg::<1>().as_u32(), arg::<2>().as_u32());
    let (level, option) = (kind, protocol);
    profile
        .rule(EAFNOSUPPORT, "socket", [])
        .allow_if("socket", [family.eq(UNIX)])
        .allow_if("socket", (family.is_in([INET, INET6]), kind.masked_eq(TYPE, 1), protocol.is_in([0, 6])))
        .allow_if("socket", (family.is_in([INET, INET6]), kind.masked_eq(TYPE, 2), protocol.is_in([0, 17])))
        // Options that say over which stations packets go, which are addresses as well.
        .allow("setsockopt")
        .rule(EPERM, "setsockopt", [level.eq(0), option.eq(IP_OPTIONS)])
        .rule(EPERM, "setsockopt", (level.eq(41), option.is_in(ROUTING_HEADERS)))
        // Without an address it goes where the socket is connected to.
        .rule(Action::Notify, "sendto", [])
        .allow_if("sendto", [arg::<4>().eq(0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::bpf::SyscallData;
    use crate::compile::Compiler;
    use crate::policy::Target as Machine;
    use std::collections::BTreeSet;

    const CONDITIONAL: &[&str] = &[
        "clone",
        "unshare",
        "prlimit64",
        "ioctl",
        "setuid",
        "setfsuid",
        "setreuid",
        "setresuid",
        "setgid",
        "setfsgid",
        "setregid",
        "setresgid",
        "setgroups",
        "socket",
        "sendto",
        "setsockopt",
    ];

    /// A call that somebody adds to the table stands in none of the lists, and somebody has to say in which it belongs.
    #[test]
    fn every_call_is_in_one_list() {
        let judged = JUDGED.iter().map(|(name, _)| *name);
        let lists = judged.chain(REFUSED.iter().copied()).chain(ALLOWED.iter().copied());
        let lists: Vec<_> = lists.chain(MISSING.iter().copied()).chain(CONDITIONAL.iter().copied()).collect();
        let set: BTreeSet<_> = lists.iter().copied().collect();
        assert_eq!(set.len(), lists.len(), "a call stands twice");
        for arch in [Arch::X86_64, Arch::Aarch64, Arch::Riscv64] {
            let missing: Vec<_> = arch.syscalls().map(|(_, name)| name).filter(|name| !set.contains(name)).collect();
            assert!(missing.is_empty(), "{arch}: {missing:?}");
        }
    }

    #[test]
    fn the_filter() {
        let policy = profile(1000, 100).resolve(&Machine::new(Arch::X86_64)).unwrap();
        assert!(Compiler::new().compile(&policy).is_ok());
        let decide = |arch: Arch, nr: u32, args: [u64; 6]| {
            policy.decide(&SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() })
        };
        let native = |name: &str, args: [u64; 3]| {
            let [a, b, c] = args;
            decide(Arch::X86_64, Arch::X86_64.number(name).unwrap(), [a, b, c, 0, 0, 0])
        };
        for (name, args, action) in [
            ("read", [0; 3], Action::Allow),
            ("openat", [0; 3], Action::Notify),
            ("io_uring_setup", [0; 3], Action::Errno(38)),
            ("clone3", [0; 3], Action::Errno(38)),
            ("mount", [0; 3], Action::Errno(1)),
            ("clone", [0x0101_0000, 0, 0], Action::Allow),
            ("clone", [0x0002_0000, 0, 0], Action::Errno(1)),
            ("unshare", [0x1000_0000, 0, 0], Action::Errno(1)),
            ("ioctl", [0, 0x5401, 0], Action::Allow),
            ("ioctl", [0, 0x1_0000_5412, 0], Action::Errno(1)),
            ("setuid", [1000, 0, 0], Action::Allow),
            ("setuid", [0, 0, 0], Action::Errno(1)),
            ("setresuid", [1000, 0xffff_ffff, 1000], Action::Allow),
            ("setresuid", [1000, 0, 1000], Action::Errno(1)),
            ("socket", [2, 0x80001, 6], Action::Allow),
            ("socket", [2, 3, 0], Action::Errno(97)),
            ("socket", [16, 3, 0], Action::Errno(97)),
            ("socket", [2, 1, 132], Action::Errno(97)),
            ("sendto", [0; 3], Action::Allow),
            ("setsockopt", [3, 1, 2], Action::Allow),
            ("setsockopt", [3, 0, 4], Action::Errno(1)),
            ("setsockopt", [3, 41, 57], Action::Errno(1)),
        ] {
            assert_eq!(native(name, args), action, "{name} {args:x?}");
        }
        // Other ABIs of the machine.
        assert_eq!(decide(Arch::X86, 5, [0; 6]), Action::KillProcess);
        assert_eq!(decide(Arch::X86_64, 0x4000_0002, [0; 6]), Action::KillProcess);
        assert_eq!(decide(Arch::X86_64, 9999, [0; 6]), Action::Errno(38));
    }
}
