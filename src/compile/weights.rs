//! How much each call counts.

use super::mix::MIX;
use crate::arch::Arch;
use crate::bpf::Action;
use crate::code::Shares;
use crate::graph::{Built, Node};
use crate::policy::{Policy, Section};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How the weight of an ABI is divided, in thousandths. Each part is shared by the known calls of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Importance {
    /// All alike.
    pub(super) any: u32,
    /// Calls that are allowed whatever their arguments.
    pub(super) allowed: u32,
    /// Calls that are not allowed whatever their arguments.
    pub(super) denied: u32,
    /// Calls whose arguments decide.
    pub(super) checked: u32,
    /// By how often servers make them.
    pub(super) mix: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Allowed,
    Denied,
    Checked,
}

/// The weights of all known calls of the listed ABIs, in ascending order of token and number. The first ABI is the
/// native one and counts most.
pub(super) fn weights(policy: &Policy, built: &Built, importance: Importance) -> Vec<Shares> {
    let mut all = BTreeMap::new();
    for (rank, section) in policy.sections.iter().enumerate() {
        // Whoever calls through a second ABI is no server of the kind that was counted.
        let importance = if rank == 0 {
            importance
        } else {
            Importance { any: importance.any + importance.mix, mix: 0, ..importance }
        };
        for share in of_section(section, built, importance, scale(rank, section.arch)) {
            all.entry((share.token, share.nr)).or_insert(share);
        }
    }
    all.into_values().collect()
}

/// What an ABI counts: first come the calls of the machine's own. Hardly anything is built for x32.
const fn scale(rank: usize, arch: Arch) -> u64 {
    const ONE: u64 = 1 << 30;
    match (rank, arch) {
        (0, _) => 8 * ONE,
        (_, Arch::X32) => ONE / 8,
        (1, _) => 2 * ONE,
        _ => ONE,
    }
}

fn of_section(section: &Section, built: &Built, importance: Importance, scale: u64) -> Vec<Shares> {
    let token = section.arch.audit();
    let calls: Vec<(u32, Kind)> = section.arch.syscalls().map(|(nr, _)| (nr, kind(built, token, nr))).collect();
    let count = |wanted| calls.iter().filter(|call| call.1 == wanted).count() as u64;
    let (allowed, denied, checked) = (count(Kind::Allowed), count(Kind::Denied), count(Kind::Checked));
    let part = |share: u32, among: u64| scale / 1000 * u64::from(share) / among.max(1);
    let mix = mix(section);
    let weight = |&(nr, kind): &(u32, Kind)| {
        let own = match kind {
            Kind::Allowed => part(importance.allowed, allowed),
            Kind::Denied => part(importance.denied, denied),
            Kind::Checked => part(importance.checked, checked),
        };
        let millionths = mix.get(&nr).copied().unwrap_or(0);
        let frequent = scale / 1_000_000_000 * u64::from(importance.mix) * u64::from(millionths);
        Shares { token, nr, weight: own + part(importance.any, calls.len() as u64) + frequent }
    };
    calls.iter().map(weight).collect()
}

/// The shares of servers by the numbers of an ABI.
pub(super) fn mix(section: &Section) -> BTreeMap<u32, u32> {
    MIX.iter().filter_map(|&(name, millionths)| Some((section.arch.number(name)?, millionths))).collect()
}

fn kind(built: &Built, token: u32, nr: u32) -> Kind {
    match built.call(token, nr).map(|id| built.graph.node(id)) {
        Some(Node::Return(Action::Allow | Action::Log)) => Kind::Allowed,
        Some(Node::Return(_)) | None => Kind::Denied,
        Some(_) => Kind::Checked,
    }
}
