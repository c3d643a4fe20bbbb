//! The same bytes everywhere: digests of the programs of all profiles of `tests/data`, for three kinds of targets, at every
//! level. Whatever the host, the features, the level of optimisation of this crate and the seeds of hash maps, they are as in
//! `tests/data/digests.tsv`. Golden listings show what changed; this says that nothing else did.
//!
//! `BLESS=1 cargo test --test digests` writes them again.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use callsieve::arch::{Arch, KernelVersion};
use callsieve::policy::Target;
use callsieve::profile::{Format, Profile};
use callsieve::{Compiler, Level};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const LEVELS: [Level; 5] = [Level::Size, Level::Balanced, Level::Speed, Level::Cached, Level::Fast];
const TARGETS: [&[Arch]; 3] = [&[Arch::X86_64, Arch::X86, Arch::X32], &[Arch::Aarch64, Arch::Arm], &[Arch::S390x]];

/// FNV-1a of 64 bits: not for attackers, but any change shows.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Every profile that can be read, by its name.
fn profiles(root: &Path) -> Vec<(String, Profile)> {
    let mut paths: Vec<PathBuf> = ["profiles/doubtful", "profiles/bad", "cli/files"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| Profile::from_json(&fs::read_to_string(path).ok()?, Format::Auto).ok();
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string().replace('\\', "/");
    let mut all: Vec<_> = paths.iter().filter_map(|path| Some((name(path), read(path)?))).collect();
    all.push(("container-default".to_owned(), Profile::container_default().unwrap()));
    all
}

#[test]
fn programs_are_the_same_everywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut text = String::from("profile\ttarget\tlevel\tinstructions\tdigest\n");
    for (name, profile) in profiles(&root) {
        for arches in TARGETS {
            let target = Target::exactly(arches).kernel(KernelVersion::new(6, 12));
            let Ok(policy) = profile.resolve(&target) else { continue };
            for level in LEVELS {
                let Ok(filter) = Compiler::new().level(level).compile(&policy) else { continue };
                let (len, digest) = (filter.program().len(), digest(&filter.to_bytes()));
                writeln!(text, "{name}\t{}\t{level:?}\t{len}\t{digest:016x}", arches[0]).unwrap();
            }
        }
    }
    let path = root.join("digests.tsv");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<&str> = text.lines().filter(|line| !wanted.lines().any(|other| other == *line)).collect();
    assert!(text == wanted, "not as in {}; BLESS=1 rewrites it: {changed:#?}", path.display());
    assert!(text.lines().count() > 300);
}
