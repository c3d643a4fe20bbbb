//! Data-driven cases: a profile, a target, calls and the expected answers, in `tests/data/cases/`.
//!
//! One corpus, three judges: `Policy::decide`, the simulator on the compiled program, and (for ABIs that the running
//! kernel has) the kernel itself.
//!
//! A call is `[ABI, NAME or NUMBER, ARGUMENTS, ACTION]`.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::SyscallData;
use callsieve::policy::{Policy, Semantics, Target};
use callsieve::profile::{Format, Profile};
use callsieve::{Compiler, check};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    #[serde(default = "oci")]
    from: String,
    semantics: Option<String>,
    arches: Vec<String>,
    kernel: Option<String>,
    /// An object, or the name of our own profile.
    profile: serde_json::Value,
    calls: Vec<(String, Number, Vec<u64>, String)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Raw(u32),
    Name(String),
}

fn oci() -> String {
    "oci".to_owned()
}

struct Loaded {
    name: String,
    policy: Policy,
    calls: Vec<(Arch, SyscallData, String)>,
}

fn load_all() -> Vec<Loaded> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the cases are gone");
    files.iter().map(load).collect()
}

fn load(path: &PathBuf) -> Loaded {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let case: Case =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(!case.about.is_empty());
    let policy = profile(&case).resolve(&target(&case)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let calls = case.calls.iter().map(|(abi, number, args, expected)| {
        let arch: Arch = abi.parse().unwrap();
        let nr = match number {
            Number::Raw(nr) => *nr,
            Number::Name(call) => arch.number(call).unwrap_or_else(|| panic!("{name}: {abi} has no {call}")),
        };
        let mut data = SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
        data.args[..args.len()].copy_from_slice(args);
        (arch, data, expected.clone())
    });
    Loaded { calls: calls.collect(), name, policy }
}

fn profile(case: &Case) -> Profile {
    if case.profile == "container-default" {
        return Profile::container_default().unwrap();
    }
    let format = if case.from == "docker" { Format::Docker } else { Format::Oci };
    Profile::from_json(&case.profile.to_string(), format).unwrap_or_else(|e| panic!("{}: {e}", case.about))
}

fn target(case: &Case) -> Target {
    let arches: Vec<Arch> = case.arches.iter().map(|name| name.parse().unwrap()).collect();
    let mut target = Target::exactly(&arches);
    if let Some(kernel) = &case.kernel {
        target = target.kernel(kernel.parse().unwrap());
    }
    match case.semantics.as_deref() {
        Some("strict") => target.semantics(Semantics::Strict),
        Some("oci") => target.semantics(Semantics::Oci),
        _ => target,
    }
}

#[test]
fn decide_says_so() {
    for case in load_all() {
        for (arch, call, expected) in &case.calls {
            assert_eq!(case.policy.decide(call).to_string(), *expected, "{}: {arch} {call:x?}", case.name);
        }
    }
}

#[test]
fn the_program_does_so() {
    for case in load_all() {
        let filter = Compiler::new().compile(&case.policy).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        for (arch, call, expected) in &case.calls {
            let run = check::simulate(filter.program(), call, filter.endian());
            assert_eq!(run.action().to_string(), *expected, "{}: {arch} {call:x?}", case.name);
        }
    }
}

/// Filters that list an ABI of this machine are asked in the kernel, all their calls at once.
#[test]
#[cfg(target_os = "linux")]
fn the_kernel_does_so() {
    use common::judge::{Observed, probe_calls};

    if !common::kernel_has_filters("the_kernel_does_so") {
        return;
    }
    let mut asked = 0;
    for case in load_all() {
        if !case.policy.arches().any(|arch| Some(arch.audit()) == Arch::NATIVE.map(Arch::audit) || arch == Arch::X86) {
            continue;
        }
        let filter = Compiler::new().compile(&case.policy).unwrap();
        let calls: Vec<SyscallData> = case.calls.iter().map(|(_, call, _)| *call).collect();
        for (call, observed) in calls.iter().zip(probe_calls(filter.program(), &calls)) {
            let wanted = case.policy.decide(call);
            assert!(observed.agrees_with(wanted), "{}: {call:x?} was {observed:?}, not {wanted}", case.name);
            asked += usize::from(!matches!(observed, Observed::NoSuchAbi | Observed::Exempt));
        }
    }
    if Arch::NATIVE == Some(Arch::X86_64) {
        assert!(asked > 500, "the kernel was asked about {asked} calls only");
    }
}
