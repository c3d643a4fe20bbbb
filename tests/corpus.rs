//! Real profiles, where `CALLSIEVE_CORPUS` names a directory with some: each is read and resolved as on common hosts,
//! or refused with a message.
//!
//! ```text
//! CALLSIEVE_CORPUS=DIR cargo test --test corpus -- --nocapture
//! ```

#![cfg(feature = "json")]
#![allow(clippy::unwrap_used)] // A test.

use callsieve::arch::{Arch, KernelVersion};
use callsieve::check::{Judge, Subject};
use callsieve::policy::{Policy, ResolveError, Semantics, Target};
use callsieve::profile::{Format, Profile};
use callsieve::{Compiler, Layer};
use std::path::PathBuf;
use std::{env, fs};

const HOSTS: [&[Arch]; 3] = [&[Arch::X86_64, Arch::X86, Arch::X32], &[Arch::Aarch64, Arch::Arm], &[Arch::S390x]];

fn files() -> Vec<PathBuf> {
    let Some(directory) = env::var_os("CALLSIEVE_CORPUS") else {
        println!("skipped: CALLSIEVE_CORPUS names no directory with profiles");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn resolve(profile: &Profile, arches: &[Arch], semantics: Semantics) -> Result<Policy, ResolveError> {
    profile.resolve(&Target::exactly(arches).kernel(KernelVersion::new(6, 12)).semantics(semantics))
}

/// What is said about a policy is short enough to be read.
fn check(policy: &Policy, entries: usize) {
    let lines = policy.diagnostics().len();
    assert!(lines <= 10 + 3 * entries, "{lines} lines for {entries} entries");
    for finding in policy.diagnostics() {
        assert!(finding.message().len() < 2000, "{finding}");
    }
    assert!(policy.to_string().starts_with(policy.arches().next().unwrap().short_name()));
}

#[test]
fn real_profiles() {
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let profile = match Profile::from_slice(&fs::read(&file).unwrap(), Format::Auto) {
            Ok(profile) => profile,
            Err(error) => {
                println!("{name}: not read: {error}");
                continue;
            }
        };
        for arches in HOSTS {
            match resolve(&profile, arches, Semantics::Oci) {
                Ok(policy) => {
                    check(&policy, profile.rules().len());
                    println!("{name} on {}: {} findings", arches[0], policy.diagnostics().len());
                    for finding in policy.diagnostics() {
                        println!("    {:?} {finding}", finding.severity());
                    }
                }
                Err(error) => println!("{name} on {}: {error}", arches[0]),
            }
            // Strict may refuse, but in words.
            if let Err(error) = resolve(&profile, arches, Semantics::Strict) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Neighbours of the corpus put together: exact, and written as a profile or refused with the place.
#[test]
fn real_profiles_are_merged() {
    let arches = HOSTS[0];
    let policies: Vec<(String, Policy)> = files()
        .into_iter()
        .filter_map(|file| {
            let profile = Profile::from_slice(&fs::read(&file).unwrap(), Format::Auto).ok()?;
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            Some((name, resolve(&profile, arches, Semantics::Oci).ok()?))
        })
        .collect();
    for pair in policies.windows(2) {
        let [(one, first), (other, second)] = pair else { continue };
        let parts = [first.clone(), second.clone()];
        let merged = [(Policy::union(&parts), "union"), (Policy::intersection(&parts), "intersection")];
        for (result, what) in merged {
            let policy = match result {
                Ok(policy) => policy,
                Err(error) => {
                    println!("{what} of {one} and {other}: {error}");
                    continue;
                }
            };
            let subject = if what == "union" { Subject::union(&parts) } else { Subject::intersection(&parts) };
            assert_eq!(Judge::new().witness(&Subject::policy(&policy), &subject), Ok(None), "{one} {other}");
            let len = Compiler::new().compile(&policy).unwrap().program().len();
            let written = match policy.to_oci_json() {
                Ok(text) => format!("{} entries", Profile::from_json(&text, Format::Oci).unwrap().rules().len()),
                Err(error) => error.to_string(),
            };
            println!("{what} of {one} and {other}: {len} instructions; {written}");
        }
        let filters = parts.each_ref().map(|policy| Compiler::new().compile(policy).unwrap().into_program());
        let layers = filters.each_ref().map(Layer::new);
        match Compiler::new().fuse(&layers, arches) {
            Ok(fused) => println!(
                "fused {one} and {other}: {} instructions to {}, eBPF {} to {}, mean steps {:.2} to {:.2}",
                fused.replaced().len,
                fused.filter().report().len,
                fused.replaced().ebpf_len,
                fused.filter().report().ebpf_len,
                fused.replaced().arches[0].mean_steps,
                fused.filter().report().arches[0].mean_steps,
            ),
            Err(error) => panic!("{one} and {other}: {error}"),
        }
    }
}
