//! The first version. What is here stays as it is; new calls and mended mistakes go into `v2`.
//!
//! What the sets have in common:
//!
//! - Calls are named as in the kernel; a name that the ABI of the machine lacks is passed over.
//! - Conditions look at the 32 bits that the kernel looks at.
//! - `no such call` means ENOSYS, as from a kernel that does not have the call, so that C libraries take the older way.
//!   It gives way to whatever allows the call.
//!
//! See the example of [`Set`].

use super::{Grant, Set, set};
use crate::arch::{Arch, KernelVersion};
use crate::profile::{Operand, arg};

/// Calls that are newer than this release did not exist when the sets were made. A sandbox answers them with ENOSYS.
pub const KERNEL: KernelVersion = KernelVersion::new(7, 3);

const fn int<const N: u8>() -> Operand {
    arg::<N>().as_u32()
}

/// ABIs whose numbers of open(2) flags are those of MIPS or PA-RISC.
const OTHER_FLAGS: &[Arch] = &[
    Arch::Mips,
    Arch::Mipsel,
    Arch::Mips64,
    Arch::Mipsel64,
    Arch::Mips64n32,
    Arch::Mipsel64n32,
    Arch::Parisc,
    Arch::Parisc64,
];
/// ABIs with their own numbers of terminal requests.
const OTHER_TERMINALS: &[Arch] = &[
    Arch::Mips,
    Arch::Mipsel,
    Arch::Mips64,
    Arch::Mipsel64,
    Arch::Mips64n32,
    Arch::Mipsel64n32,
    Arch::Parisc,
    Arch::Parisc64,
    Arch::Ppc,
    Arch::Ppc64,
    Arch::Ppc64le,
    Arch::Sh,
    Arch::Sheb,
];
/// ABIs whose mmap takes one pointer to its six arguments.
const MMAP_BY_POINTER: &[Arch] = &[Arch::X86, Arch::M68k, Arch::S390, Arch::S390x];
/// ABIs whose clone takes the stack first.
const STACK_FIRST: &[Arch] = &[Arch::S390, Arch::S390x];

const PROT_EXEC: u64 = 4;
const SIGABRT: u64 = 6;
const AT_EMPTY_PATH: u64 = 0x1000;
/// CLONE_VM, CLONE_SIGHAND and CLONE_THREAD: a thread of this process.
const THREAD: u64 = 0x0001_0900;
/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and CLONE_NEWTIME, which clone(2) takes for a signal.
const NAMESPACES: u64 = 0x7e02_0000;
/// O_ACCMODE, O_CREAT, O_TRUNC.
const WRITING: u64 = 0o3 | 0o100 | 0o1000;
const WRITING_OTHER: u64 = 0x3 | 0x100 | 0x200;

set! {
    /// What every program needs to go on and to end: memory, locks, signals, clocks, randomness, and the descriptors that
    /// it already has.
    ///
    /// Memory cannot be made executable; on 32-bit x86, m68k and s390 the older mmap takes its arguments behind a pointer,
    /// where that cannot be seen, and only s390x needs it.
    RUNTIME:
    "end" [exit exit_group];
    "return from a signal handler, go on after a stop" [rt_sigreturn sigreturn restart_syscall];
    "own signal handlers and masks" [rt_sigaction rt_sigprocmask sigaltstack];
    "abort: a signal to itself" [tgkill].all(&[int::<2>().eq(SIGABRT)]);
    "memory" [brk munmap mremap madvise];
    "memory that is not executable" [mmap].all(&[int::<2>().no_bits(PROT_EXEC)]).except(MMAP_BY_POINTER);
    "memory, arguments behind a pointer" [mmap].only(&[Arch::S390x]);
    "memory that is not executable, 32-bit ABIs" [mmap2].all(&[int::<2>().no_bits(PROT_EXEC)]);
    "protections, never executable" [mprotect].all(&[int::<2>().no_bits(PROT_EXEC)]);
    "locks" [futex futex_time64 set_robust_list get_robust_list rseq membarrier sched_yield];
    "its own ids" [getpid gettid];
    "random numbers" [getrandom];
    "clocks, where the vDSO passes the question on" [clock_gettime clock_gettime64 clock_getres clock_getres_time64
        gettimeofday time getcpu];
    "sleep" [nanosleep clock_nanosleep clock_nanosleep_time64];
    "descriptors that are open" [read write readv writev pread64 pwrite64 close lseek _llseek fstat fstat64];
    "what a descriptor is, as C libraries ask" [newfstatat fstatat64].all(&[int::<3>().has_bits(AT_EMPTY_PATH)]);
    "flags of descriptors (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC)" [fcntl fcntl64]
        .one_of(int::<1>(), &[0, 1, 2, 3, 4, 1030]);
    "wait for descriptors" [poll ppoll ppoll_time64];
    "is this a terminal (TCGETS)" [ioctl].one_of(int::<1>(), &[0x5401]).except(OTHER_TERMINALS);
    "is this a terminal (TCGETS), MIPS" [ioctl].one_of(int::<1>(), &[0x540d]).only(&[
        Arch::Mips, Arch::Mipsel, Arch::Mips64, Arch::Mipsel64, Arch::Mips64n32, Arch::Mipsel64n32]);
    "is this a terminal (TCGETS), PowerPC" [ioctl].one_of(int::<1>(), &[0x402c_7413])
        .only(&[Arch::Ppc, Arch::Ppc64, Arch::Ppc64le]);
    "no such call: C libraries try them before older ones" [clone3 openat2 close_range faccessat2 fchmodat2 statx
        futex_waitv epoll_pwait2 pidfd_open].no_such_call();
}

set! {
    /// Threads of this process, and nothing that makes another process.
    ///
    /// clone3 takes its flags behind a pointer, so it is answered with ENOSYS and C libraries use clone.
    THREADS:
    "start a thread" [clone].all(&[int::<0>().has_bits(THREAD), int::<0>().no_bits(NAMESPACES)]).except(STACK_FIRST);
    "start a thread, stack first" [clone].all(&[int::<1>().has_bits(THREAD), int::<1>().no_bits(NAMESPACES)])
        .only(STACK_FIRST);
    "no such call: its flags cannot be seen" [clone3].no_such_call();
    "set up and end a thread" [set_tid_address set_robust_list rseq exit futex futex_time64 madvise munmap];
    "names of threads and memory (PR_SET_NAME, PR_GET_NAME, PR_SET_VMA)" [prctl]
        .one_of(int::<0>(), &[15, 16, 0x5356_4d41]);
    "how a thread is scheduled, for reading" [sched_getaffinity sched_getparam sched_getscheduler
        sched_get_priority_max sched_get_priority_min];
}

set! {
    /// Signals between the threads of this process, and waiting for them.
    ///
    /// Numbers of processes and threads are not checked: kill reaches every process of the same user, so only the calls
    /// that wait are here, and tgkill for threads, which C libraries use with the own process.
    SIGNALS:
    "handlers, masks, stacks" [rt_sigaction rt_sigprocmask rt_sigpending sigaltstack rt_sigreturn sigreturn];
    "wait for a signal" [rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 pause signalfd signalfd4];
    "a signal to a thread" [tgkill];
    "alarms" [alarm setitimer getitimer];
}

set! {
    /// Timers, and clocks for reading.
    TIME:
    "clocks, for reading" [clock_gettime clock_gettime64 clock_getres clock_getres_time64 gettimeofday time times];
    "sleep" [nanosleep clock_nanosleep clock_nanosleep_time64];
    "timers" [timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64];
    "timers as descriptors" [timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64];
}

set! {
    /// Waiting for many descriptors, as event loops and async runtimes do.
    EVENTS:
    "epoll" [epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2];
    "poll and select" [poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64];
    "wake-ups and timers as descriptors" [eventfd eventfd2 timerfd_create timerfd_settime timerfd_settime64
        timerfd_gettime timerfd_gettime64];
    "pipes" [pipe pipe2];
}

set! {
    /// Facts about this process and the machine, for reading.
    INFO:
    "ids" [getpid gettid getppid getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid
        getresuid32 getresgid getresgid32 getgroups getgroups32 getpgid getpgrp getsid];
    "the machine" [uname sysinfo getcpu];
    "use and limits of resources" [getrusage getrlimit ugetrlimit];
    "limits, for reading: no new one is given" [prlimit64].all(&[arg::<2>().eq(0)]);
    "how threads are scheduled" [sched_getaffinity getpriority];
    "the working directory" [getcwd];
}

set! {
    /// Opens and reads files and directories. Which ones is decided by their permissions, or by Landlock: a filter cannot
    /// see a path.
    ///
    /// open_by_handle_at is not here. openat2 takes its flags behind a pointer and gets ENOSYS.
    FILE_READ:
    "open, not for writing and without creating" [open].all(&[int::<1>().no_bits(WRITING)]).except(OTHER_FLAGS);
    "open, not for writing and without creating, MIPS and PA-RISC" [open]
        .all(&[int::<1>().no_bits(WRITING_OTHER)]).only(OTHER_FLAGS);
    "open relative to a directory, not for writing" [openat]
        .all(&[int::<2>().no_bits(WRITING)]).except(OTHER_FLAGS);
    "open relative to a directory, not for writing, MIPS and PA-RISC" [openat]
        .all(&[int::<2>().no_bits(WRITING_OTHER)]).only(OTHER_FLAGS);
    "no such call: its flags cannot be seen" [openat2].no_such_call();
    "read" [read readv pread64 preadv preadv2 readahead fadvise64 fadvise64_64 arm_fadvise64_64 lseek _llseek close];
    "copy between descriptors" [sendfile sendfile64 splice tee];
    "what a file is" [stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs
        fstatfs64 access faccessat faccessat2 readlink readlinkat];
    "directories" [getdents getdents64 getcwd chdir fchdir];
    "extended attributes" [getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr];
    "duplicate descriptors" [dup dup2 dup3];
    "watch for changes" [inotify_init inotify_init1 inotify_add_watch inotify_rm_watch];
    "locks of files" [flock];
    "descriptors (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, locks, F_DUPFD_CLOEXEC)" [fcntl fcntl64]
        .one_of(int::<1>(), &[0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 36, 37, 38, 1030]);
}

set! {
    /// Creates, writes, renames and removes files and directories. Use it with [`FILE_READ`].
    ///
    /// No owners, no devices, no mounts.
    FILE_WRITE:
    "open and create" [open openat creat];
    "no such call: its flags cannot be seen" [openat2].no_such_call();
    "write" [write writev pwrite64 pwritev pwritev2 copy_file_range fallocate truncate truncate64 ftruncate
        ftruncate64 fsync fdatasync sync_file_range sync_file_range2 arm_sync_file_range];
    "names" [mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat];
    "permissions and times" [chmod fchmod fchmodat fchmodat2 umask utime utimes futimesat utimensat
        utimensat_time64];
}

set! {
    /// Sends and receives on sockets that are open.
    NET_IO:
    "send" [send sendto sendmsg sendmmsg];
    "receive" [recv recvfrom recvmsg recvmmsg recvmmsg_time64];
    "end a direction" [shutdown close];
    "options and names" [setsockopt getsockopt getsockname getpeername];
    "plain reading and writing" [read write readv writev];
    "how much can be read (FIONREAD), wait or not (FIONBIO)" [ioctl].one_of(int::<1>(), &[0x541b, 0x5421])
        .except(OTHER_TERMINALS);
    "files into sockets" [sendfile sendfile64 splice];
}

set! {
    /// Makes connections: sockets of the families UNIX, IPv4, IPv6, and NETLINK, which C libraries use to learn about the
    /// interfaces.
    ///
    /// On ABIs that have it, socketcall takes its arguments behind a pointer and is not allowed.
    NET_CLIENT:
    "a socket" [socket].one_of(int::<0>(), &[1, 2, 10, 16]);
    "a pair of sockets" [socketpair].one_of(int::<0>(), &[1]);
    "connect" [connect bind];
    "send" [send sendto sendmsg sendmmsg];
    "receive" [recv recvfrom recvmsg recvmmsg recvmmsg_time64];
    "end a direction" [shutdown close];
    "options and names" [setsockopt getsockopt getsockname getpeername];
    "wait for an answer" [poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64];
    "how much can be read (FIONREAD), wait or not (FIONBIO)" [ioctl].one_of(int::<1>(), &[0x541b, 0x5421])
        .except(OTHER_TERMINALS);
}

set! {
    /// Listens and serves: sockets of the families UNIX, IPv4 and IPv6, with what event loops need.
    ///
    /// On ABIs that have it, socketcall takes its arguments behind a pointer and is not allowed.
    NET_SERVER:
    "a socket" [socket].one_of(int::<0>(), &[1, 2, 10]);
    "a pair of sockets" [socketpair].one_of(int::<0>(), &[1]);
    "listen and accept" [bind listen accept accept4];
    "send" [send sendto sendmsg sendmmsg];
    "receive" [recv recvfrom recvmsg recvmmsg recvmmsg_time64];
    "end a direction" [shutdown close];
    "options and names" [setsockopt getsockopt getsockname getpeername];
    "wait for connections" [poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create
        epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2];
    "how much can be read (FIONREAD), wait or not (FIONBIO)" [ioctl].one_of(int::<1>(), &[0x541b, 0x5421])
        .except(OTHER_TERMINALS);
    "files into sockets" [sendfile sendfile64 splice];
}

set! {
    /// Starts and awaits other processes, which run under the same filter.
    ///
    /// A program that is executed also needs what its loader does: [`LOADER`]. No new namespaces.
    PROCESS:
    "fork" [fork vfork];
    "clone without new namespaces" [clone].all(&[int::<0>().no_bits(NAMESPACES)]).except(STACK_FIRST);
    "clone without new namespaces, stack first" [clone].all(&[int::<1>().no_bits(NAMESPACES)]).only(STACK_FIRST);
    "no such call: its flags cannot be seen" [clone3].no_such_call();
    "execute" [execve execveat];
    "wait" [wait4 waitid waitpid];
    "pipes to it" [pipe pipe2 dup dup2 dup3 socketpair fcntl fcntl64 close_range];
    "process as a descriptor" [pidfd_open pidfd_send_signal];
    "signal it" [kill];
    "groups and sessions" [setpgid getpgid getpgrp setsid getsid];
}

set! {
    /// What the kernel and the dynamic loader do between execve and main: they map code, and set up the thread.
    ///
    /// Memory may become executable.
    LOADER:
    "map code" [mmap mmap2 mprotect munmap brk];
    "find libraries, not for writing" [open].all(&[int::<1>().no_bits(WRITING)]).except(OTHER_FLAGS);
    "find libraries, not for writing, MIPS and PA-RISC" [open].all(&[int::<1>().no_bits(WRITING_OTHER)]).only(OTHER_FLAGS);
    "find libraries relative to a directory" [openat].all(&[int::<2>().no_bits(WRITING)]).except(OTHER_FLAGS);
    "find libraries relative to a directory, MIPS and PA-RISC" [openat]
        .all(&[int::<2>().no_bits(WRITING_OTHER)]).only(OTHER_FLAGS);
    "libraries and their facts" [access faccessat faccessat2 readlink readlinkat read pread64 close fstat fstat64
        newfstatat fstatat64 stat stat64 statx];
    "set up the thread" [arch_prctl set_thread_area set_tls set_tid_address set_robust_list rseq];
    "limits, for reading: no new one is given" [prlimit64].all(&[arg::<2>().eq(0)]);
    "limits" [getrlimit ugetrlimit];
    "random numbers" [getrandom];
    "flush the instruction cache" [cacheflush riscv_flush_icache];
    "what the processor can" [riscv_hwprobe uname];
}

set! {
    /// Memory that is executable: for programs that generate code. It gives up what stops injected code.
    EXECUTABLE_MEMORY:
    "memory" [mmap mmap2 mprotect pkey_mprotect pkey_alloc pkey_free];
    "memory as a file" [memfd_create ftruncate ftruncate64];
    "flush the instruction cache" [cacheflush riscv_flush_icache];
}

/// All sets of this version.
pub const ALL: [Set; 14] = [
    RUNTIME,
    THREADS,
    SIGNALS,
    TIME,
    EVENTS,
    INFO,
    FILE_READ,
    FILE_WRITE,
    NET_IO,
    NET_CLIENT,
    NET_SERVER,
    PROCESS,
    LOADER,
    EXECUTABLE_MEMORY,
];
