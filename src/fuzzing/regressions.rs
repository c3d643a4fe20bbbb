//! Inputs that broke a target once: `tests/data/fuzz/TARGET/NAME`, where the name says what it was.

use std::fs;
use std::path::Path;

type Body = fn(&[u8]);

/// Every target, as in `fuzz/fuzz_targets`.
const TARGETS: &[(&str, Body)] = &[
    #[cfg(all(target_pointer_width = "64", feature = "nurse"))]
    ("acl_text", super::acl_text),
    ("diff_policies", super::diff_policies),
    ("expectation_text", super::expectation_text),
    ("fuse_programs", |bytes| {
        super::fuse_programs(bytes);
    }),
    ("import_text", super::import_text),
    ("log_lines", super::log_lines),
    ("merge_policies", super::merge_policies),
    ("notifications", super::notifications),
    ("policy_to_proof", |bytes| {
        super::policy_to_proof(bytes);
    }),
    ("profile_bytes", super::profile_bytes),
    ("program_bytes", super::program_bytes),
    ("recompile_program", |bytes| {
        super::recompile_program(bytes);
    }),
    ("weights_text", super::weights_text),
];

#[test]
fn what_broke_once_does_not_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz");
    let mut inputs = 0;
    for folder in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = folder.file_name().into_string().unwrap();
        let Some((_, body)) = TARGETS.iter().find(|target| target.0 == name) else {
            assert!(name == "acl_text", "no target {name}");
            continue;
        };
        for input in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            std::eprintln!("{}", input.path().display());
            body(&fs::read(input.path()).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs >= 3);
}

/// A target that is not run here would be forgotten.
#[test]
fn every_target_is_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    // Not in the published package.
    let Ok(files) = fs::read_dir(folder) else { return };
    for file in files.map(Result::unwrap) {
        let name = file.path().file_stem().unwrap().to_str().unwrap().to_owned();
        let known = TARGETS.iter().any(|target| target.0 == name);
        assert!(known || (name == "acl_text" && !cfg!(feature = "nurse")), "{name}");
    }
}
