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
                let program = program(theirs);
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

/// Random filters: every operator, both types, constants at borders, calls with several entries.
#[test]
fn random_filters_are_what_seccompiler_compiles() {
    let mut state = 0x243f_6a88_85a3_08d3_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let values =
        [0, 1, 2, 7, 0x5401, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 1 << 63, u64::MAX];
    let calls = ["read", "write", "ioctl", "socket", "mmap", "futex"];
    let actions = [r#""allow""#, r#""trap""#, r#""log""#, r#""kill_process""#, r#"{"errno": 1}"#, r#"{"trace": 5}"#];
    let mut pick = |count: usize| usize::try_from(random(count as u64)).unwrap();
    for round in 0..400 {
        let mut entries = Vec::new();
        for _ in 0..pick(8) {
            let mut conditions = Vec::new();
            for _ in 0..pick(4) {
                let op = match pick(7) {
                    6 => format!(r#"{{"masked_eq": {}}}"#, values[pick(values.len())]),
                    plain => format!("{:?}", ["eq", "ne", "lt", "le", "gt", "ge"][plain]),
                };
                let (index, width, value) = (pick(6), ["dword", "qword"][pick(2)], values[pick(values.len())]);
                conditions.push(format!(r#"{{"index": {index}, "type": "{width}", "op": {op}, "val": {value}}}"#));
            }
            let args =
                if conditions.is_empty() { String::new() } else { format!(r#", "args": [{}]"#, conditions.join(", ")) };
            entries.push(format!(r#"{{"syscall": "{}"{args}}}"#, calls[pick(calls.len())]));
        }
        let (one, two) = (pick(actions.len()), pick(actions.len() - 1));
        let other = actions[(one + 1 + two) % actions.len()];
        let text = format!(
            r#"{{"main": {{"mismatch_action": {}, "match_action": {other}, "filter": [{}]}}}}"#,
            actions[one],
            entries.join(", ")
        );
        let theirs = &compile_from_json(text.as_bytes(), TargetArch::x86_64).unwrap()["main"];
        let ours = Importer::new(Language::Seccompiler, Arch::X86_64).read(&text).unwrap();
        let policy = ours[0].profile().resolve(&Target::new(Arch::X86_64)).unwrap();
        let outcome = prove(&program(theirs), &policy);
        assert!(outcome.is_ok(), "round {round}: {outcome:?}\n{text}");
    }
}

fn program(filter: &[seccompiler::sock_filter]) -> Program {
    let insn = |insn: &seccompiler::sock_filter| Insn { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k };
    Program::new(filter.iter().map(insn).collect::<Vec<_>>()).unwrap()
}
