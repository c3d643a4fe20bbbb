//! The JSON of seccompiler against the filters that seccompiler makes of it.

use callsieve::Program;
use callsieve::arch::Arch;
use callsieve::bpf::Insn;
use callsieve::check::prove;
use callsieve::import::{Importer, Language};
use callsieve::policy::Target;
use seccompiler::{TargetArch, compile_from_json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ARCHES: [(Arch, TargetArch); 3] =
    [(Arch::X86_64, TargetArch::x86_64), (Arch::Aarch64, TargetArch::aarch64), (Arch::Riscv64, TargetArch::riscv64)];

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/import").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

/// Each filter of each file, for each machine that has its calls: equal for every possible input.
#[test]
fn what_is_imported_is_what_seccompiler_compiles() {
    let (mut proven, mut read) = (0, BTreeSet::new());
    for file in files("seccompiler") {
        let text = fs::read_to_string(&file).unwrap();
        for (arch, theirs) in ARCHES {
            let imported = Importer::new(Language::Seccompiler, arch).read(&text);
            let compiled = compile_from_json(text.as_bytes(), theirs);
            let (imported, compiled) = match (imported, compiled) {
                (Ok(imported), Ok(compiled)) => (imported, compiled),
                (Err(_), Err(_)) => continue,
                // The action came after version 0.5.
                (Ok(_), Err(error)) if format!("{error:?}").contains("unknown variant `user_notif`") => continue,
                (ours, theirs) => panic!("{}: only one of us reads it: {ours:?}\n{theirs:?}", file.display()),
            };
            assert_eq!(imported.len(), compiled.len());
            for filter in imported {
                let theirs = &compiled[filter.name().unwrap()];
                let insn =
                    |insn: &seccompiler::sock_filter| Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k };
                let program = Program::new(theirs.iter().map(insn).collect::<Vec<_>>()).unwrap();
                let policy = filter.profile().resolve(&Target::new(arch)).unwrap();
                let outcome = prove(&program, &policy);
                assert!(outcome.is_ok(), "{} ({}) on {arch}: {outcome:?}", file.display(), filter.name().unwrap());
                proven += 1;
                read.insert(file.clone());
            }
        }
    }
    println!("{proven} filters of {} files proven equal", read.len());
    assert!(read.len() >= 20 && proven >= 50, "{proven} filters of {} files", read.len());
}

/// What seccompiler refuses, we refuse; what we refuse beyond that is listed here.
#[test]
fn wrong_files_are_refused_by_both() {
    for file in files("seccompiler/wrong") {
        let text = fs::read_to_string(&file).unwrap();
        assert!(Importer::new(Language::Seccompiler, Arch::X86_64).read(&text).is_err(), "{}", file.display());
        let theirs = compile_from_json(text.as_bytes(), TargetArch::x86_64);
        let accepted = ["empty"];
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert_eq!(theirs.is_ok(), accepted.contains(&name), "{name}: {theirs:?}");
    }
}
