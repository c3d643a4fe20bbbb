//! What is open: by default, for other ABIs, through io_uring, and by calls that are a way out.

use super::review::{Review, listed, on};
use crate::arch::{Arch, Errno, KernelVersion, Syscall};
use crate::bpf::{Action, SyscallData};
use crate::check::answers::{Reach, runs};
use crate::check::bdd::Exhausted;
use crate::policy::Gate;
use crate::profile::{Call, Code, Diagnostic, Example, Severity};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Calls that C libraries and language runtimes make first, and the older calls that they go on with after ENOSYS, and
/// only then. clone3 and the calls with 64-bit times are looked at in `families.rs`.
const FALLBACKS: [(&str, &[&str]); 9] = [
    ("close_range", &["close"]),
    ("faccessat2", &["faccessat", "access"]),
    ("fchmodat2", &["fchmodat", "chmod"]),
    ("futex_waitv", &["futex"]),
    ("openat2", &["openat", "open"]),
    ("preadv2", &["preadv"]),
    ("pwritev2", &["pwritev"]),
    ("renameat2", &["renameat", "rename"]),
    ("statx", &["newfstatat", "fstatat64", "stat64", "stat", "fstat"]),
];

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    newer(review)?;
    other_abis(review);
    partners(review);
    enosys_stub(review);
    Ok(())
}

/// The newest release that introduced a call which the profile names.
fn newest_named(review: &Review<'_>) -> Option<KernelVersion> {
    let names = review.entries().flat_map(|(_, rule)| rule.calls());
    let since = names.filter_map(|call| match call {
        Call::Name(name) => Syscall::from_name(name)?.since(),
        Call::Number(arch, number) => Syscall::from_number(*arch, *number)?.since(),
    });
    since.max()
}

/// Calls that the author cannot have known get the default action.
fn newer(review: &mut Review<'_>) -> Result<(), Exhausted> {
    let Some(arch) = review.policy.arches().next() else { return Ok(()) };
    let newest = newest_named(review);
    let is_newer = |call: &Syscall| newest.is_some() && call.number(arch).is_some() && call.since() > newest;
    let mut unknown: Vec<Syscall> = Syscall::all().filter(is_newer).collect();
    unknown.sort_by_key(|call| core::cmp::Reverse(call.since()));
    let newest = newest.map_or_else(String::new, |newest| newest.to_string());
    let names: Vec<&str> = unknown.iter().map(|call| call.name()).collect();
    let place = review.root("defaultAction");
    if review.is_deny_list() {
        let text = match names.as_slice() {
            [] => "whatever no entry names runs, every call of later kernels included".into(),
            names => format!(
                "whatever no entry names runs, also what kernels later than {newest} brought ({}) and will bring",
                listed(names, 5)
            ),
        };
        let example = match names.first() {
            Some(name) => review.example_of(arch, name, &runs)?,
            None => None,
        };
        review.push(Diagnostic::new(Severity::Warning, Code::DefaultAllow, place, text).with_example(example));
        return Ok(());
    }
    if hidden_fallbacks(review)? {
        return Ok(());
    }
    let section = review.policy.sections.first();
    // With an answer of its own for what no entry names, the target takes care of it.
    let default = section.filter(|section| section.unlisted.is_empty()).map(|section| section.default);
    if let Some(default) = default.filter(|&default| hides(arch, default)) {
        let examples = match names.as_slice() {
            [] => "calls of later kernels".into(),
            names => format!("calls of kernels later than {newest} ({})", listed(names, 5)),
        };
        let text = format!(
            "{examples} get {default}, where C libraries expect ENOSYS to fall back to older calls; runc answers some \
             of them with ENOSYS by itself, crun and youki do not"
        );
        let example = match names.first() {
            Some(name) => review.example_of(arch, name, &|action| action == default)?,
            None => None,
        };
        review.push(Diagnostic::new(Severity::Note, Code::EpermForNew, place, text).with_example(example));
    }
    Ok(())
}

/// Whether an answer looks like a refusal where a program asks whether the kernel has the call.
fn hides(arch: Arch, action: Action) -> bool {
    match action {
        Action::Errno(number) => number != Errno::enosys(arch).get(),
        _ => matches!(action, Action::KillProcess | Action::KillThread | Action::Trap(_)),
    }
}

/// Warns of calls that no entry names and that are refused, while what programs would fall back to runs.
fn hidden_fallbacks(review: &mut Review<'_>) -> Result<bool, Exhausted> {
    let (mut refused, mut arches): (Vec<&str>, Vec<Arch>) = (Vec::new(), Vec::new());
    for (newer, older) in FALLBACKS {
        for arch in review.arches() {
            let Some(nr) = arch.number(newer) else { continue };
            if review.naming(newer).next().is_some()
                || review.answers.reach(arch, nr, &|action| hides(arch, action))? != Reach::Always
            {
                continue;
            }
            let mut falls_back = false;
            for name in older {
                falls_back |= matches!(review.runs(arch, name)?, Some(Reach::Always | Reach::Sometimes));
            }
            if falls_back && !refused.contains(&newer) {
                refused.push(newer);
            }
            if falls_back && !arches.contains(&arch) {
                arches.push(arch);
            }
        }
    }
    let (Some(&newer), Some(&arch)) = (refused.first(), arches.first()) else { return Ok(false) };
    let example = review.example_of(arch, newer, &|action| hides(arch, action))?;
    let what = example.as_ref().map_or_else(String::new, |example| format!(" {}", example.action));
    let text = format!(
        "{}: no entry names {}, so the default action answers{what}{}; C libraries and language runtimes ask for the \
         newer call first, and go on with the older one, which runs, only after ENOSYS",
        listed(&refused, 20),
        if refused.len() == 1 { "it" } else { "them" },
        on(&arches)
    );
    let place = review.root("defaultAction");
    review.push(Diagnostic::new(Severity::Warning, Code::EpermForNew, place, text).with_example(example));
    Ok(true)
}

/// Calls of ABIs that are not listed run, although no rule was written for their numbers.
fn other_abis(review: &mut Review<'_>) {
    let place = review.root("architectures");
    if runs(review.policy.bad_arch) {
        let text = format!(
            "calls of architectures that are not listed get {}: the same numbers mean other calls there",
            review.policy.bad_arch
        );
        review.report(Severity::Warning, Code::NoArchGate, place.as_str(), text);
    }
    let listed = |arch| review.policy.arches().any(|own| own == arch);
    if !listed(Arch::X86_64) || listed(Arch::X32) {
        return;
    }
    // Number 1 of x32 is write; what the gate says about it holds for all of them.
    let nr = Arch::X32_BIT | 1;
    let open = matches!(review.policy.gate(Arch::X32.audit(), nr), Gate::Refused(action) if runs(action));
    if open {
        let call = SyscallData { nr, arch: Arch::X32.audit(), ..SyscallData::default() };
        let example = Example::new(Arch::X32, call, 0, review.policy.decide(&call));
        let text = "every x32 call runs: the kernel takes the calls of x86_64 by these numbers too, and no rule is \
                    asked";
        let found = Diagnostic::new(Severity::Warning, Code::X32Reachable, place, text);
        review.push(found.with_example(Some(example)));
    }
}

/// 32-bit partners of the machine that no list covers.
fn partners(review: &mut Review<'_>) {
    let native = review.target.native();
    // Who names the ABIs by hand knows what is not among them; a kernel with x32 is rare.
    if review.target.arches.is_some() || !review.policy.arches().any(|arch| arch == native) {
        return;
    }
    let covered: Vec<Arch> = review.arches();
    let missing: Vec<Arch> = native
        .compat()
        .iter()
        .copied()
        .filter(|arch| !covered.contains(arch) && *arch != Arch::X32 && !arch.has_64bit_args())
        .collect();
    if missing.is_empty() || runs(review.policy.bad_arch) {
        return;
    }
    let text =
        format!("does not cover programs{}: they get {} at their first call", on(&missing), review.policy.bad_arch);
    let place = review.root("architectures");
    review.report(Severity::Note, Code::CompatNotCovered, place, text);
}

/// runc answers numbers above the highest that a profile names with ENOSYS; ARM's private calls are far above all.
fn enosys_stub(review: &mut Review<'_>) {
    if !review.is_for_containers() || !review.is_allow_list() || !review.arches().contains(&Arch::Arm) {
        return;
    }
    let private = |call: &Call| match call {
        Call::Name(name) => Arch::Arm.number(name).is_some_and(|number| number >= 0xf_0000),
        Call::Number(..) => false,
    };
    let found = review.entries().find_map(|(_, rule)| Some((rule, rule.calls().iter().position(private)?)));
    let Some((rule, position)) = found else { return };
    let name = rule.calls().get(position).map_or_else(String::new, ToString::to_string);
    let text = format!(
        "{name}: a private number of arm, far above all others: runc answers numbers above the highest named one with \
         ENOSYS, which on arm then never happens"
    );
    let place = review.name_place(rule, position);
    review.report(Severity::Note, Code::EnosysMax, place, text);
}

/// What io_uring does in place of a call, and since when (`io_uring_op` in `linux/io_uring.h`).
const RING: &[(&str, KernelVersion)] = &[
    ("read", KernelVersion::new(5, 6)),
    ("write", KernelVersion::new(5, 6)),
    ("openat", KernelVersion::new(5, 6)),
    ("openat2", KernelVersion::new(5, 6)),
    ("statx", KernelVersion::new(5, 6)),
    ("sendmsg", KernelVersion::new(5, 3)),
    ("recvmsg", KernelVersion::new(5, 3)),
    ("accept4", KernelVersion::new(5, 5)),
    ("connect", KernelVersion::new(5, 5)),
    ("fallocate", KernelVersion::new(5, 6)),
    ("renameat2", KernelVersion::new(5, 11)),
    ("unlinkat", KernelVersion::new(5, 11)),
    ("mkdirat", KernelVersion::new(5, 15)),
    ("symlinkat", KernelVersion::new(5, 15)),
    ("linkat", KernelVersion::new(5, 15)),
    ("setxattr", KernelVersion::new(5, 19)),
    ("socket", KernelVersion::new(5, 19)),
    ("bind", KernelVersion::new(6, 11)),
    ("listen", KernelVersion::new(6, 11)),
];

/// io_uring makes calls that no filter is asked about.
pub(super) fn io_uring(review: &mut Review<'_>) -> Result<(), Exhausted> {
    let kernel = review.target.kernel;
    for arch in review.arches() {
        let [setup, enter] = [review.runs(arch, "io_uring_setup")?, review.runs(arch, "io_uring_enter")?];
        if setup.is_none_or(|reach| reach == Reach::Never) || enter.is_none_or(|reach| reach == Reach::Never) {
            continue;
        }
        let mut passed = Vec::new();
        for &(name, since) in RING {
            let reach = review.runs(arch, name)?;
            // Who may open files by openat loses nothing by openat2.
            let same = name == "openat2" && review.runs(arch, "openat")? == Some(Reach::Always);
            if since <= kernel && reach.is_some_and(|reach| reach != Reach::Always) && !same {
                passed.push(name);
            }
        }
        if passed.is_empty() {
            continue;
        }
        let text = format!(
            "io_uring_setup: runs, and with it what {} would do, which {} restricted: no filter is asked about the \
             requests in a ring",
            listed(&passed, 20),
            if passed.len() == 1 { "is" } else { "are" }
        );
        let example = review.example_of(arch, "io_uring_setup", &runs)?;
        let place = review.place_of("io_uring_setup");
        review.push(Diagnostic::new(Severity::Warning, Code::IoUringBypass, place, text).with_example(example));
        return Ok(());
    }
    Ok(())
}
