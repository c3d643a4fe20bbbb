//! The second layer: what the kernel itself enforces in the target, whatever it manages to call.
//!
//! Landlock keeps the target from opening, making or removing anything by itself; it may only execute, and for that read,
//! what the ACL grants. Descriptors that the nurse opens are not restricted by it: the restriction is that of the one that
//! opens. So a call that got past the filter would find nothing but programs.

use super::acl::{Acl, PathRule};
use super::error::NurseError;
use super::rights::Rights;
use alloc::collections::BTreeSet;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The rights that are known here; of those a kernel has as many as it knows.
const KNOWN: ABI = ABI::V6;

/// The most objects that a ruleset names.
const MAX_OBJECTS: usize = 100_000;

/// The ruleset for an ACL. An error if the kernel has no Landlock.
pub(super) fn ruleset(acl: &Acl) -> Result<RulesetCreated, NurseError> {
    let programs = programs(acl).ok_or(NurseError::TooManyPrograms { most: MAX_OBJECTS })?;
    restrict(&programs).map_err(|error| NurseError::NoLandlock { cause: error.to_string() })
}

fn restrict(programs: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Execute)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::Signal)?
        .create()?;
    let rights: BitFlags<AccessFs> = AccessFs::Execute | AccessFs::ReadFile;
    for path in programs {
        // What is not there cannot be executed.
        let Ok(handle) = PathFd::new(path) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(handle, rights))?;
    }
    Ok(ruleset)
}

/// Files and folders that may be executed, all of each. Landlock knows no denials, so of a folder with something denied
/// below it the other entries are named. `None` if they are too many.
fn programs(acl: &Acl) -> Option<Vec<PathBuf>> {
    let exec = |rule: &PathRule| rule.rights.has(Rights::EXEC);
    let denied: Vec<PathBuf> =
        acl.rules().filter(|rule| rule.deny && exec(rule)).map(|rule| path(&rule.path)).collect();
    // Under another name, too.
    let data = denied.iter().filter_map(|path| fs::symlink_metadata(path).ok());
    let linked = data.filter(|data| data.is_file() && data.nlink() > 1).map(|data| (data.dev(), data.ino()));
    let without = Without { denied: &denied, inodes: linked.collect() };
    let mut found = Vec::new();
    for rule in acl.rules().filter(|rule| !rule.deny && exec(rule)) {
        let path = path(&rule.path);
        // A folder alone can be given nothing that is not given to what is below it.
        if !rule.itself || !path.is_dir() {
            without.collect(&path, &mut found);
        }
    }
    (found.len() <= MAX_OBJECTS).then_some(found)
}

fn path(bytes: &[u8]) -> PathBuf {
    if bytes.is_empty() { "/".into() } else { OsStr::from_bytes(bytes).into() }
}

struct Without<'d> {
    denied: &'d [PathBuf],
    inodes: BTreeSet<(u64, u64)>,
}

impl Without<'_> {
    fn collect(&self, path: &Path, found: &mut Vec<PathBuf>) {
        let Ok(data) = fs::symlink_metadata(path) else { return };
        let is_denied = self.denied.iter().any(|denied| path.starts_with(denied))
            || self.inodes.contains(&(data.dev(), data.ino()));
        if is_denied || data.is_symlink() || found.len() > MAX_OBJECTS {
            return;
        }
        let split = data.is_dir() && self.denied.iter().any(|denied| denied.starts_with(path));
        // Another name of a denied file may stand anywhere.
        let names = data.is_dir() && !self.inodes.is_empty();
        if !split && !names {
            found.push(path.to_owned());
            return;
        }
        let Ok(entries) = fs::read_dir(path) else { return };
        for entry in entries.filter_map(Result::ok) {
            let name = PathBuf::from(std::ffi::OsString::from_vec(entry.file_name().into_vec()));
            self.collect(&path.join(name), found);
        }
    }
}
