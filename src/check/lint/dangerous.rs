//! Calls that are a known way out of a sandbox, or much attack surface for little use.

use super::review::{Review, listed};
use crate::arch::Arch;
use crate::check::answers::{Reach, runs};
use crate::check::bdd::Exhausted;
use crate::profile::{Code, Diagnostic, Severity};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Calls by what they do. Nearly all of them are harmless without a capability; a new user namespace gives all of them.
const KINDS: &[(&str, &[&str])] = &[
    ("programs inside the kernel", &["bpf"]),
    ("another kernel", &["kexec_load", "kexec_file_load", "reboot"]),
    ("kernel modules", &["init_module", "finit_module", "delete_module", "create_module"]),
    (
        "the mount table",
        &[
            "mount",
            "umount",
            "umount2",
            "pivot_root",
            "move_mount",
            "open_tree",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
            "open_tree_attr",
        ],
    ),
    ("namespaces", &["setns", "unshare"]),
    ("keys, which are not in a namespace", &["keyctl", "add_key", "request_key"]),
    ("page faults of the kernel that a program delays", &["userfaultfd"]),
    ("much code of the kernel that is seldom needed", &["perf_event_open"]),
    ("files by handle, past the paths of a mount", &["open_by_handle_at"]),
    ("the hardware", &["iopl", "ioperm", "pciconfig_write"]),
    ("the clock of the whole system", &["settimeofday", "clock_settime", "clock_settime64", "stime"]),
    ("swap, quotas and accounting", &["swapon", "swapoff", "quotactl", "quotactl_fd", "acct"]),
    ("long obsolete code", &["uselib", "nfsservctl", "_sysctl", "vm86", "vm86old"]),
];

/// What is useful in a container, and reaches other processes of the same user only.
const PROCESSES: (&str, &[&str]) =
    ("other processes", &["ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"]);

/// What one entry lets run.
struct Open {
    severity: Severity,
    place: String,
    kinds: Vec<(&'static str, Vec<&'static str>)>,
    first: (Arch, &'static str),
}

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    // With a default that lets everything run this list would say nothing new.
    if review.is_deny_list() {
        return Ok(());
    }
    let mut all: Vec<Open> = Vec::new();
    let harmless = core::iter::once(&PROCESSES).map(|kind| (kind, true));
    for (&(kind, names), harmless) in KINDS.iter().map(|kind| (kind, false)).chain(harmless) {
        for &name in names {
            let Some(arch) = runs_on(review, name)? else { continue };
            let Some((rule, _)) = review.naming(name).next() else { continue };
            let guarded = !rule.includes().caps().is_empty();
            let conditional = review.runs(arch, name)? == Some(Reach::Sometimes);
            let mild = harmless || guarded || conditional;
            let severity = if mild { Severity::Note } else { Severity::Warning };
            let place = rule.path().to_string();
            let same = |open: &Open| open.place == place && open.severity == severity;
            let at = all.iter().position(same).unwrap_or(all.len());
            if at == all.len() {
                all.push(Open { severity, place, kinds: Vec::new(), first: (arch, name) });
            }
            let Some(open) = all.get_mut(at) else { continue };
            match open.kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, names)) => names.push(name),
                None => open.kinds.push((kind, alloc::vec![name])),
            }
        }
    }
    for open in all {
        let kinds: Vec<String> =
            open.kinds.iter().map(|(kind, names)| format!("{} ({kind})", listed(names, 12))).collect();
        let guard = review.entries().find(|(_, rule)| rule.path() == open.place).map(|(_, rule)| rule.includes());
        let caps = match guard {
            Some(when) if !when.caps().is_empty() => format!(", for those who have {}", when.caps().join(", ")),
            _ => String::new(),
        };
        let example = review.example_of(open.first.0, open.first.1, &runs)?;
        let text = format!("lets run {}{caps}", kinds.join("; "));
        review.push(Diagnostic::new(open.severity, Code::DangerousAllow, open.place, text).with_example(example));
    }
    Ok(())
}

/// The first ABI on which a call runs for some arguments.
fn runs_on(review: &mut Review<'_>, name: &str) -> Result<Option<Arch>, Exhausted> {
    if review.naming(name).next().is_none() {
        return Ok(None);
    }
    for arch in review.arches() {
        if review.runs(arch, name)?.is_some_and(|reach| reach != Reach::Never) {
            return Ok(Some(arch));
        }
    }
    Ok(None)
}
