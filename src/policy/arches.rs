//! The list of ABIs that a policy covers.

use super::findings::{Finding, Findings};
use super::{ResolveError, Semantics, Target};
use crate::arch::Arch;
use crate::bpf::Endian;
use crate::profile::{Code, ListedArch, Profile, Severity};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The ABIs in the order of the policy: as the target gives them, or the host's own first and the others in a fixed
/// order, so that the order in the file does not matter.
pub(super) fn listed(
    profile: &Profile,
    target: &Target,
    semantics: Semantics,
    findings: &mut Findings<'_>,
) -> Result<Vec<Arch>, ResolveError> {
    let arches = match &target.arches {
        Some(given) => without_duplicates(given),
        None => of_profile(profile, target, semantics, findings),
    };
    if arches.is_empty() {
        return Err(ResolveError::NoArch);
    }
    let (little, big): (Vec<_>, Vec<_>) = arches.iter().partition(|arch| arch.endian() == Endian::Little);
    if !little.is_empty() && !big.is_empty() {
        return Err(ResolveError::MixedByteOrder { little, big });
    }
    Ok(arches)
}

fn of_profile(profile: &Profile, target: &Target, semantics: Semantics, findings: &mut Findings<'_>) -> Vec<Arch> {
    let written = written(profile, target);
    let mut arches = without_duplicates(&written);
    if arches.len() < written.len() {
        findings.add(about_list(Severity::Note, "lists an architecture twice".into()));
    }
    arches.sort_unstable_by_key(|arch| (*arch != target.native, *arch));
    if arches.first() == Some(&target.native) {
        return arches;
    }
    let native = target.native;
    if arches.is_empty() {
        arches.push(native);
    } else if semantics == Semantics::Oci {
        let text = format!("does not list {native}; added, because container runtimes always cover the host's own ABI");
        findings.add(about_list(Severity::Note, text));
        arches.insert(0, native);
    } else {
        let text = format!("does not list the host's own {native}, whose calls then get the bad-arch action");
        findings.add(about_list(Severity::Warning, text));
    }
    arches
}

fn about_list(severity: Severity, text: String) -> Finding {
    Finding { text, ..Finding::new(severity, Code::ArchList, None) }
}

/// The list as written: `architectures`, or the entry of `archMap` for the host.
fn written(profile: &Profile, target: &Target) -> Vec<Arch> {
    let resolved = |listed: &ListedArch| match listed {
        ListedArch::Arch(arch) => *arch,
        ListedArch::Native => target.native,
    };
    let mut list: Vec<Arch> = profile.architectures.iter().map(resolved).collect();
    if let Some(entry) = profile.arch_map.iter().find(|entry| entry.architecture == target.native) {
        list.push(entry.architecture);
        list.extend(&entry.sub_architectures);
    }
    list
}

fn without_duplicates(list: &[Arch]) -> Vec<Arch> {
    let mut arches = Vec::with_capacity(list.len().min(Arch::ALL.len()));
    for arch in list {
        if !arches.contains(arch) {
            arches.push(*arch);
        }
    }
    arches
}
