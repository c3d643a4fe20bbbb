//! Calls that undo a sandbox or reach far beyond a process. They need an explicit word.

/// Calls with the reason why they are dangerous.
#[rustfmt::skip]
const DANGEROUS: &[(&str, &[&str])] = &[
    ("it controls other processes", &["ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
        "pidfd_getfd", "kcmp"]),
    ("its operations are not seen by seccomp", &["io_uring_setup", "io_uring_enter", "io_uring_register"]),
    ("it gives orders to the kernel that no filter sees", &["bpf", "perf_event_open", "userfaultfd"]),
    ("it loads code into the kernel", &["init_module", "finit_module", "delete_module", "create_module", "kexec_load",
        "kexec_file_load"]),
    ("it changes what paths mean", &["mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
        "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"]),
    ("it opens files past the permissions of directories", &["open_by_handle_at"]),
    ("it makes or enters namespaces", &["unshare", "setns"]),
    ("it reaches keys of other programs", &["add_key", "request_key", "keyctl"]),
    ("it reaches the hardware", &["iopl", "ioperm", "reboot", "swapon", "swapoff"]),
    ("it changes clocks for all programs", &["settimeofday", "stime", "clock_settime", "clock_settime64", "adjtimex",
        "clock_adjtime", "clock_adjtime64"]),
    ("it changes what the kernel does for all programs", &["acct", "quotactl", "quotactl_fd", "syslog", "_sysctl",
        "sethostname", "setdomainname", "vhangup", "nfsservctl"]),
    ("it makes calls of any number", &["syscall", "socketcall", "ipc"]),
];

/// Why a call is dangerous, if it is.
pub(super) fn why(call: &str) -> Option<&'static str> {
    DANGEROUS.iter().find(|(_, calls)| calls.contains(&call)).map(|&(why, _)| why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Syscall;
    use crate::sandbox::sets::v1;

    #[test]
    fn every_name_exists_and_stands_once() {
        let mut names: Vec<_> = DANGEROUS.iter().flat_map(|(_, calls)| calls.iter().copied()).collect();
        assert!(names.iter().all(|name| Syscall::from_name(name).is_some()), "{names:?}");
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn no_set_has_one() {
        for set in v1::ALL {
            assert_eq!(set.calls().find(|call| why(call).is_some()), None, "{}", set.name());
        }
    }
}
