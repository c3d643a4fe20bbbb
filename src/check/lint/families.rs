//! Calls that can do what another call does, so that a restriction of one alone is none.

use super::review::{Review, on};
use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use crate::check::answers::{Reach, runs};
use crate::check::bdd::Exhausted;
use crate::profile::{ActionSpec, Code, Diagnostic, Rule, Severity};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A call, and those that can do all that it does. Where they reach further is of no matter.
const WAYS: &[(&str, &[&str])] = &[
    ("open", &["openat", "openat2"]),
    ("creat", &["open", "openat", "openat2"]),
    ("openat", &["openat2"]),
    ("execve", &["execveat"]),
    ("fork", &["clone", "clone3", "vfork"]),
    ("vfork", &["clone", "clone3", "fork"]),
    ("access", &["faccessat", "faccessat2"]),
    ("faccessat", &["faccessat2"]),
    ("chmod", &["fchmodat", "fchmodat2"]),
    ("fchmodat", &["fchmodat2"]),
    ("chown", &["fchownat", "chown32"]),
    ("chown32", &["fchownat"]),
    ("lchown", &["fchownat", "lchown32"]),
    ("lchown32", &["fchownat"]),
    ("fchown", &["fchown32"]),
    ("mkdir", &["mkdirat"]),
    ("rmdir", &["unlinkat"]),
    ("unlink", &["unlinkat"]),
    ("rename", &["renameat", "renameat2"]),
    ("renameat", &["renameat2"]),
    ("link", &["linkat"]),
    ("symlink", &["symlinkat"]),
    ("readlink", &["readlinkat"]),
    ("mknod", &["mknodat"]),
    ("utime", &["utimensat", "utimensat_time64"]),
    ("utimes", &["utimensat", "utimensat_time64"]),
    ("futimesat", &["utimensat", "utimensat_time64"]),
    ("utimensat", &["utimensat_time64"]),
    ("utimensat_time64", &["utimensat"]),
    ("truncate", &["truncate64"]),
    ("ftruncate", &["ftruncate64"]),
    ("getdents", &["getdents64"]),
    ("setxattr", &["setxattrat"]),
    ("lsetxattr", &["setxattrat"]),
    ("removexattr", &["removexattrat"]),
    ("fcntl", &["fcntl64"]),
    ("fcntl64", &["fcntl"]),
    ("mmap", &["mmap2"]),
    ("mmap2", &["mmap"]),
    ("mprotect", &["pkey_mprotect"]),
    ("accept", &["accept4"]),
    ("send", &["sendto", "sendmsg", "sendmmsg"]),
    ("sendto", &["sendmsg", "sendmmsg"]),
    ("sendmsg", &["sendmmsg"]),
    ("recv", &["recvfrom", "recvmsg", "recvmmsg"]),
    ("recvfrom", &["recvmsg", "recvmmsg"]),
    ("recvmsg", &["recvmmsg", "recvmmsg_time64"]),
    ("recvmmsg", &["recvmmsg_time64"]),
    ("recvmmsg_time64", &["recvmmsg"]),
    ("setuid", &["setuid32", "setresuid", "setresuid32"]),
    ("setuid32", &["setuid", "setresuid", "setresuid32"]),
    ("setgid", &["setgid32", "setresgid", "setresgid32"]),
    ("setgid32", &["setgid", "setresgid", "setresgid32"]),
    ("setreuid", &["setreuid32", "setresuid", "setresuid32"]),
    ("setreuid32", &["setreuid", "setresuid32"]),
    ("setregid", &["setregid32", "setresgid", "setresgid32"]),
    ("setregid32", &["setregid", "setresgid32"]),
    ("setresuid", &["setresuid32"]),
    ("setresuid32", &["setresuid"]),
    ("setresgid", &["setresgid32"]),
    ("setresgid32", &["setresgid"]),
    ("setgroups", &["setgroups32"]),
    ("setgroups32", &["setgroups"]),
    ("setfsuid", &["setfsuid32"]),
    ("setfsuid32", &["setfsuid"]),
    ("setfsgid", &["setfsgid32"]),
    ("setfsgid32", &["setfsgid"]),
    ("setrlimit", &["prlimit64"]),
    ("settimeofday", &["clock_settime", "clock_settime64"]),
    ("stime", &["settimeofday", "clock_settime", "clock_settime64"]),
    ("clock_settime", &["clock_settime64"]),
    ("clock_settime64", &["clock_settime"]),
    ("adjtimex", &["clock_adjtime", "clock_adjtime64"]),
    ("clock_adjtime", &["clock_adjtime64"]),
    ("clock_adjtime64", &["clock_adjtime"]),
    ("init_module", &["finit_module"]),
    ("finit_module", &["init_module"]),
    ("kexec_load", &["kexec_file_load"]),
    ("kexec_file_load", &["kexec_load"]),
    ("umount", &["umount2"]),
    ("quotactl", &["quotactl_fd"]),
    ("tkill", &["tgkill"]),
    ("sched_setscheduler", &["sched_setattr"]),
    ("sched_setparam", &["sched_setattr"]),
    ("pread64", &["preadv", "preadv2"]),
    ("pwrite64", &["pwritev", "pwritev2"]),
    ("preadv", &["preadv2"]),
    ("pwritev", &["pwritev2"]),
    ("io_pgetevents", &["io_pgetevents_time64"]),
];

/// Calls of 32-bit ABIs in the form for times beyond 2038, and the older form. C libraries try the newer one first and
/// go on only after ENOSYS.
const TIMES: &[(&str, &str)] = &[
    ("clock_adjtime64", "clock_adjtime"),
    ("clock_getres_time64", "clock_getres"),
    ("clock_gettime64", "clock_gettime"),
    ("clock_nanosleep_time64", "clock_nanosleep"),
    ("clock_settime64", "clock_settime"),
    ("futex_time64", "futex"),
    ("io_pgetevents_time64", "io_pgetevents"),
    ("mq_timedreceive_time64", "mq_timedreceive"),
    ("mq_timedsend_time64", "mq_timedsend"),
    ("ppoll_time64", "ppoll"),
    ("pselect6_time64", "pselect6"),
    ("recvmmsg_time64", "recvmmsg"),
    ("rt_sigtimedwait_time64", "rt_sigtimedwait"),
    ("sched_rr_get_interval_time64", "sched_rr_get_interval"),
    ("semtimedop_time64", "semtimedop"),
    ("timer_gettime64", "timer_gettime"),
    ("timer_settime64", "timer_settime"),
    ("timerfd_settime64", "timerfd_settime"),
    ("utimensat_time64", "utimensat"),
];

/// The mount calls of Linux 5.2, which together do what mount does.
const NEW_MOUNT: [&str; 3] = ["fsopen", "fsmount", "move_mount"];

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    for &(call, ways) in WAYS {
        ways_around(review, call, ways)?;
    }
    new_mount(review)?;
    times(review)?;
    clone3(review)
}

/// Whether the author restricts a call: some entry names it and does not simply let it run.
pub(super) fn is_restricted(review: &Review<'_>, call: &str) -> bool {
    let runs = |rule: &Rule| matches!(rule.action(), ActionSpec::Action(action) if runs(*action));
    review.naming(call).any(|(rule, _)| !runs(rule) || !rule.args().is_empty())
}

fn ways_around(review: &mut Review<'_>, call: &str, ways: &[&str]) -> Result<(), Exhausted> {
    if !is_restricted(review, call) {
        return Ok(());
    }
    // Per other call the ABIs on which it is open.
    let mut open: Vec<(&str, Vec<Arch>)> = Vec::new();
    for arch in review.arches() {
        if review.runs(arch, call)?.is_none_or(|reach| reach == Reach::Always) {
            continue;
        }
        for &way in ways {
            if review.runs(arch, way)? == Some(Reach::Always) {
                match open.iter_mut().find(|(known, _)| *known == way) {
                    Some((_, arches)) => arches.push(arch),
                    None => open.push((way, alloc::vec![arch])),
                }
            }
        }
    }
    let Some((way, arches)) = open.first().cloned() else { return Ok(()) };
    let names: Vec<&str> = open.iter().map(|(way, _)| *way).collect();
    let text = format!(
        "{call}: restricted{}, but {} can do the same and {} with any arguments{}",
        review.on(call, &arches),
        names.join(" and "),
        if names.len() == 1 { "runs" } else { "run" },
        review.named_at(way)
    );
    let example = match arches.first() {
        Some(&arch) => review.example_of(arch, way, &runs)?,
        None => None,
    };
    let instead = format!("restrict {} as well, or do not restrict {call}", names.join(", "));
    let place = review.place_of(call);
    let found = Diagnostic::new(Severity::Warning, Code::FamilyGap, place, text);
    review.push(found.with_example(example).with_instead(instead));
    Ok(())
}

fn new_mount(review: &mut Review<'_>) -> Result<(), Exhausted> {
    if !is_restricted(review, "mount") {
        return Ok(());
    }
    for arch in review.arches() {
        if review.runs(arch, "mount")?.is_none_or(|reach| reach == Reach::Always) {
            continue;
        }
        let mut all = true;
        for call in NEW_MOUNT {
            all &= review.runs(arch, call)? == Some(Reach::Always);
        }
        if all {
            let text = format!("mount: restricted, but {} together do the same and run", NEW_MOUNT.join(", "));
            let place = review.place_of("mount");
            let example = review.example_of(arch, "move_mount", &runs)?;
            let instead = format!("restrict {} as well", NEW_MOUNT.join(", "));
            let found = Diagnostic::new(Severity::Warning, Code::FamilyGap, place, text);
            review.push(found.with_example(example).with_instead(instead));
            return Ok(());
        }
    }
    Ok(())
}

/// In an allow list: the older form runs, the newer one is denied in a way that nobody falls back from.
fn times(review: &mut Review<'_>) -> Result<(), Exhausted> {
    if !review.is_allow_list() {
        return Ok(());
    }
    let (mut missing, mut arches): (Vec<&str>, Vec<Arch>) = (Vec::new(), Vec::new());
    for arch in review.arches() {
        let enosys = Action::Errno(Errno::enosys(arch).get());
        for &(newer, older) in TIMES {
            let Some(nr) = arch.number(newer) else { continue };
            if review.runs(arch, older)? != Some(Reach::Always) {
                continue;
            }
            let falls_back = |action| runs(action) || action == enosys;
            if review.answers.reach(arch, nr, &falls_back)? == Reach::Never {
                if !missing.contains(&newer) {
                    missing.push(newer);
                }
                if !arches.contains(&arch) {
                    arches.push(arch);
                }
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{}: denied{}, although the older form is allowed: programs with 64-bit times ask for the newer one, and go on \
         with the older one only after ENOSYS",
        super::review::listed(&missing, 20),
        on(&arches)
    );
    let place = review.root("defaultAction");
    review.report(Severity::Note, Code::FamilyGap, place, text);
    Ok(())
}

/// clone3 hides its flags behind a pointer, and C libraries fall back from it only after ENOSYS.
fn clone3(review: &mut Review<'_>) -> Result<(), Exhausted> {
    let (mut open, mut wrong): (Vec<Arch>, Vec<Arch>) = (Vec::new(), Vec::new());
    for arch in review.arches() {
        let (Some(clone), Some(nr)) = (review.runs(arch, "clone")?, arch.number("clone3")) else { continue };
        let enosys = Action::Errno(Errno::enosys(arch).get());
        let reach = review.answers.reach(arch, nr, &runs)?;
        if clone != Reach::Always && reach != Reach::Never && is_restricted(review, "clone") {
            open.push(arch);
        }
        let denied = |action| matches!(action, Action::Errno(_) | Action::KillProcess | Action::KillThread);
        let other = |action| denied(action) && action != enosys;
        if clone != Reach::Never && review.answers.reach(arch, nr, &other)? == Reach::Always {
            wrong.push(arch);
        }
    }
    if let Some(&arch) = open.first() {
        let text = format!(
            "clone3: runs{}, although clone is restricted{}: its flags are behind a pointer, where no filter sees them",
            review.on("clone3", &open),
            review.named_at("clone")
        );
        let example = review.example_of(arch, "clone3", &runs)?;
        let place = review.place_of("clone3");
        review.push(Diagnostic::new(Severity::Warning, Code::Clone3Open, place, text).with_example(example));
    }
    if let Some(&arch) = wrong.first() {
        let example = review.example_of(arch, "clone3", &|_| true)?;
        let what = example.as_ref().map_or_else(String::new, |example| format!(" {}", example.action));
        let text = format!(
            "clone3: answered with{what}{}: C libraries start threads and processes with it, and fall back to clone \
             only after ENOSYS",
            review.on("clone3", &wrong)
        );
        let place = review.place_of("clone3");
        review.push(Diagnostic::new(Severity::Warning, Code::Clone3Errno, place, text).with_example(example));
    }
    Ok(())
}
