//! What programs, container runtimes and supervisors need, and what actions do to them.

use super::review::{Review, listed};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::check::answers::Reach;
use crate::check::bdd::Exhausted;
use crate::profile::{ActionSpec, Call, Code, Diagnostic, Flag, Rule, Severity};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Without one of a group no program ends, or returns from a signal handler.
const NEEDED: &[&[&str]] = &[&["exit_group"], &["rt_sigreturn", "sigreturn"]];

/// What threads and C libraries use where they can, and do without badly.
const EXPECTED: &[&str] = &["exit", "futex", "restart_syscall", "rseq"];

/// What a runtime still calls behind the filter when `noNewPrivileges` is off: the filter is installed before
/// capabilities and ids are set.
const RUNTIME: &[&str] =
    &["capset", "capget", "setuid", "setgid", "setgroups", "prctl", "openat", "close", "read", "write", "fcntl"];

/// What the runtime calls while it hands over the listener, besides write.
const HANDOVER: &[&str] = &["sendmsg", "close", "read", "fcntl"];

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    essentials(review)?;
    runtime_calls(review)?;
    sigreturn(review)?;
    kill_thread(review);
    trace(review);
    handover(review);
    flags(review);
    Ok(())
}

/// The calls of a list that never run on an ABI that has them.
fn denied<'n>(review: &mut Review<'_>, arch: Arch, names: &[&'n str]) -> Result<Vec<&'n str>, Exhausted> {
    let mut denied = Vec::new();
    for &name in names {
        if review.runs(arch, name)? == Some(Reach::Never) {
            denied.push(name);
        }
    }
    Ok(denied)
}

fn essentials(review: &mut Review<'_>) -> Result<(), Exhausted> {
    if !review.is_allow_list() {
        return Ok(());
    }
    // One ABI speaks for all: the first, which is the machine's own.
    let Some(arch) = review.policy.arches().next() else { return Ok(()) };
    let mut missing = Vec::new();
    for group in NEEDED {
        let here: Vec<&str> = group.iter().copied().filter(|name| arch.number(name).is_some()).collect();
        let gone = denied(review, arch, &here)?;
        if gone.len() == here.len() {
            missing.extend(gone.first());
        }
    }
    if review.is_for_containers() {
        missing.extend(denied(review, arch, &["execve"])?);
    }
    let place = review.root("defaultAction");
    if !missing.is_empty() {
        let text = format!(
            "{}: denied on {arch}; without it a program can neither start nor end as usual",
            listed(&missing, 10)
        );
        let first = missing.first().copied().unwrap_or_default();
        let example = review.example_of(arch, first, &|_| true)?;
        let found = Diagnostic::new(Severity::Warning, Code::MissingEssentials, place.as_str(), text);
        review.push(found.with_example(example));
    }
    let missing = denied(review, arch, EXPECTED)?;
    if !missing.is_empty() {
        let text = format!("{}: denied on {arch}; C libraries and threads count on it", listed(&missing, 10));
        review.report(Severity::Note, Code::MissingEssentials, place, text);
    }
    Ok(())
}

fn runtime_calls(review: &mut Review<'_>) -> Result<(), Exhausted> {
    if !review.is_for_containers() || !review.is_allow_list() {
        return Ok(());
    }
    let Some(arch) = review.policy.arches().next() else { return Ok(()) };
    let missing = denied(review, arch, RUNTIME)?;
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{}: denied; where noNewPrivileges is off, the runtime calls it after it has installed the filter, and the \
         container does not start",
        listed(&missing, 20)
    );
    let place = review.root("defaultAction");
    review.report(Severity::Note, Code::RuntimeCalls, place, text);
    Ok(())
}

/// A TRAP is delivered as a signal, whose handler has to return.
fn sigreturn(review: &mut Review<'_>) -> Result<(), Exhausted> {
    let Some((place, action)) = uses(review, |action| matches!(action, Action::Trap(_))) else { return Ok(()) };
    for arch in review.arches() {
        let here: Vec<&str> =
            ["rt_sigreturn", "sigreturn"].into_iter().filter(|name| arch.number(name).is_some()).collect();
        if !here.is_empty() && denied(review, arch, &here)?.len() == here.len() {
            let text = format!("{action}, but rt_sigreturn does not run on {arch}: a handler of SIGSYS cannot return");
            let example = review.example_of(arch, "rt_sigreturn", &|_| true)?;
            let found = Diagnostic::new(Severity::Warning, Code::TrapWithoutSigreturn, place, text);
            review.push(found.with_example(example));
            return Ok(());
        }
    }
    Ok(())
}

/// The first place with such an action: an entry that counts, or else the default.
fn uses(review: &Review<'_>, wanted: impl Fn(Action) -> bool) -> Option<(String, Action)> {
    let of = |spec: &ActionSpec| match spec {
        ActionSpec::Action(action) if wanted(*action) => Some(*action),
        _ => None,
    };
    let entries = review.entries().find_map(|(_, rule)| Some((rule.path().to_string(), of(rule.action())?)));
    let default = || Some((review.root("defaultAction"), of(review.profile.default_action())?));
    entries.or_else(default)
}

/// A dead thread leaves a process that waits for it.
fn kill_thread(review: &mut Review<'_>) {
    let text = "KILL_THREAD ends one thread and leaves the others waiting for it";
    if review.profile.default_action() == &ActionSpec::Action(Action::KillThread) {
        let place = review.root("defaultAction");
        review.report(Severity::Warning, Code::KillThread, place, text);
    } else if let Some((place, _)) = uses(review, |action| action == Action::KillThread) {
        review.report(Severity::Note, Code::KillThread, place, text);
    }
}

fn trace(review: &mut Review<'_>) {
    if let Some((place, action)) = uses(review, |action| matches!(action, Action::Trace(_))) {
        let text = format!("{action} asks a tracer; without one the call fails with ENOSYS");
        review.report(Severity::Note, Code::TraceNoTracer, place, text);
    }
}

fn notifies(rule: &Rule) -> bool {
    rule.action() == &ActionSpec::Action(Action::Notify)
}

fn handover(review: &mut Review<'_>) {
    if !review.is_for_containers() {
        return;
    }
    let mut found: Vec<(String, &str)> = Vec::new();
    for (_, rule) in review.entries().filter(|(_, rule)| notifies(rule)) {
        for (position, call) in rule.calls().iter().enumerate() {
            let name = HANDOVER.iter().find(|name| matches!(call, Call::Name(own) if own == *name));
            found.extend(name.map(|name| (review.name_place(rule, position), *name)));
        }
    }
    for (place, name) in found {
        let text = format!(
            "{name}: NOTIFY, but runtimes call it while they hand over the listener, when nobody can answer yet"
        );
        review.report(Severity::Warning, Code::NotifyHandover, place, text);
    }
}

fn flags(review: &mut Review<'_>) {
    let flags = review.profile.flags();
    let notify = uses(review, |action| action == Action::Notify).is_some();
    if flags.is_some_and(|flags| flags.contains(&Flag::Tsync)) && notify {
        let text = "TSYNC and a listener go together only with SECCOMP_FILTER_FLAG_TSYNC_ESRCH (Linux 5.7), which no \
                    profile can name: the kernel refuses the filter (EINVAL)";
        let place = review.root("flags");
        review.report(Severity::Warning, Code::TsyncListener, place, text);
    }
    if flags.is_some_and(<[Flag]>::is_empty) && review.is_for_containers() {
        let text = "an empty list asks for no flag at all: speculation mitigations stay on and cost speed; without the \
                    list runc and crun set SECCOMP_FILTER_FLAG_SPEC_ALLOW";
        let place = review.root("flags");
        review.report(Severity::Note, Code::EmptyFlags, place, text);
    }
}
