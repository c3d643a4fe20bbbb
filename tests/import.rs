//! Files of other programs: what they mean, and what is said of wrong ones.
//!
//! `tests/data/import/LANGUAGE/` holds files in the variety of each language, `wrong/` those that are refused, each with
//! its message; `BLESS=1` writes the messages anew. What the good ones mean is judged
//!
//! - for Firecracker, minijail and kafel by a plain evaluator of its own (`tests/import/LANGUAGE.rs`) that shares no code
//!   with the importer, on every number and on arguments around all constants of the file,
//! - for systemd by systemd itself: a container runs the units, and their filters are read back,
//! - for seccompiler by its own compiler, in `tests/oracles/`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A helper that fails is a test that fails.

mod common;
#[path = "import/firecracker.rs"]
mod firecracker;
#[path = "import/inputs.rs"]
mod inputs;
#[path = "import/kafel.rs"]
mod kafel;
#[path = "import/minijail.rs"]
mod minijail;
#[path = "import/systemd.rs"]
mod systemd;

use callsieve::Target;
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::export::ExportError;
use callsieve::import::{Imported, Importer, Language};
use callsieve::policy::UnlistedX32;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn folder(language: Language) -> PathBuf {
    // Relative, because messages show at most so much of a path; tests run in the folder of the package.
    Path::new("tests/data/import").join(language.name())
}

/// The files of a folder, but for those that only others include.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "expected"));
    files.sort();
    files
}

fn read(language: Language, arch: Arch, path: &Path) -> Result<Vec<Imported>, callsieve::profile::ProfileError> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.to_str().unwrap();
    let files = |path: &str| fs::read_to_string(path).map_err(|_| "no such file".to_owned());
    Importer::new(language, arch).path(name).files(&files).read(&text)
}

/// Good files for the judges: at least twenty of each language.
fn good_files(language: Language) -> Vec<PathBuf> {
    let files = files(&folder(language));
    assert!(files.len() >= 20, "{language}: {} files", files.len());
    files
}

#[test]
fn wrong_files_are_refused_with_line_and_column() {
    for &language in Language::ALL {
        let files = files(&folder(language).join("wrong"));
        assert!(!files.is_empty(), "{language}");
        for file in files {
            let outcome = read(language, Arch::X86_64, &file);
            let error = outcome.expect_err(file.to_str().unwrap());
            for found in error.diagnostics() {
                assert!(found.path().contains("line ") && found.path().contains(", column "), "{found}");
            }
            let folder = format!("{}/", file.parent().unwrap().display());
            let message = format!("{}\n", error.to_string().replace(&folder, ""));
            let expected = PathBuf::from(format!("{}.expected", file.display()));
            if std::env::var_os("BLESS").is_some() {
                fs::write(&expected, &message).unwrap();
            }
            assert_eq!(message, fs::read_to_string(&expected).unwrap_or_default(), "{}", file.display());
        }
    }
}

/// What is read says where, and every good file compiles.
#[test]
fn good_files_compile() {
    let mut read_files = BTreeSet::new();
    for &language in Language::ALL {
        for file in good_files(language) {
            for imported in
                read(language, Arch::X86_64, &file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            {
                let policy = imported.profile().resolve(&Target::new(Arch::X86_64));
                let policy = policy.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                callsieve::Compiler::new().compile(&policy).unwrap();
                read_files.insert(file.clone());
            }
        }
    }
    assert!(read_files.len() >= 20 * Language::ALL.len());
}

/// The files of every language in every other one: what can be written is proven to mean the same, what cannot is named.
#[test]
fn every_language_in_every_other_one() {
    let mut written: BTreeMap<(Language, Language), usize> = BTreeMap::new();
    for &from in Language::ALL {
        let profiles = good_files(from).into_iter().flat_map(|file| read(from, Arch::X86_64, &file).unwrap());
        for imported in profiles {
            for &to in Language::ALL {
                // The answers to other architectures that the language always gives.
                let (bad_arch, x32) = match to {
                    Language::Seccompiler | Language::Minijail => (Action::KillProcess, UnlistedX32::Default),
                    Language::Kafel => (Action::KillThread, UnlistedX32::Default),
                    _ => (Action::KillThread, UnlistedX32::BadArch),
                };
                let target = Target::exactly(&[Arch::X86_64]).bad_arch(bad_arch).unlisted_x32(x32);
                let Ok(policy) = imported.profile().resolve(&target) else { continue };
                match policy.to_language(to) {
                    Ok(_) => *written.entry((from, to)).or_default() += 1,
                    Err(
                        ExportError::Language { .. }
                        | ExportError::Region { .. }
                        | ExportError::Defaults { .. }
                        | ExportError::BadArch { .. },
                    ) => {}
                    Err(other) => panic!("{from} to {to}: {other}\n{:?}", imported.profile()),
                }
            }
        }
    }
    for (&from, &to) in Language::ALL.iter().flat_map(|from| Language::ALL.iter().map(move |to| (from, to))) {
        let count = written.get(&(from, to)).copied().unwrap_or_default();
        // Units know no conditions, and the numbers of calls that files of kafel name are known to nobody else.
        assert!(count > 0, "{from} to {to}: none of the files");
    }
    println!("{written:?}");
}
