//! How much each call counts.

use super::mix::MIX;
use crate::arch::Arch;
use crate::bpf::Action;
use crate::code::Shares;
use crate::graph::{Built, Node};
use alloc::string::String;
use alloc::vec::Vec;

/// How much each call counts when the order of comparisons is chosen. Weights never change what a filter means.
///
/// The weight of an architecture is divided into five parts, in any unit; each part is shared by the known calls of its
/// kind. A pure frequency is harmful: calls that were never seen end in long chains, so always keep another part.
///
/// ```
/// use callsieve::{Compiler, Weights};
/// // For a program that mostly makes calls with argument checks, no way longer than 20 instructions if possible.
/// let weights = Weights::shares(60, 0, 0, 30, 10).worst_case(20);
/// let compiler = Compiler::new().weights(weights);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Weights {
    importance: Importance,
    /// Name and share in millionths; `None` for the built-in ones.
    frequencies: Option<Vec<(String, u32)>>,
    worst_case: Option<u32>,
}

impl Weights {
    /// Every call alike.
    pub const fn uniform() -> Self {
        Self::shares(1, 0, 0, 0, 0)
    }

    /// Half every call alike, half by how often servers make it: the average of traces of nginx, redis, HAProxy and
    /// PostgreSQL.
    pub const fn mix() -> Self {
        Self::shares(1, 0, 0, 0, 1)
    }

    /// The five parts: every call alike, calls that are always allowed, calls that are never allowed, calls whose
    /// arguments decide, and by frequency.
    pub const fn shares(any: u32, allowed: u32, denied: u32, checked: u32, frequency: u32) -> Self {
        let importance = Importance { any, allowed, denied, checked, mix: frequency };
        Self { importance, frequencies: None, worst_case: None }
    }

    /// Frequencies of calls by name, in any unit, instead of the built-in ones. Names that an architecture lacks are
    /// left out.
    pub fn frequencies<N: Into<String>>(mut self, counts: impl IntoIterator<Item = (N, u64)>) -> Self {
        let counts: Vec<(String, u64)> = counts.into_iter().map(|(name, count)| (name.into(), count)).collect();
        let sum: u128 = counts.iter().map(|(_, count)| u128::from(*count)).sum();
        let millionths = |count: u64| u32::try_from(u128::from(count) * 1_000_000 / sum.max(1)).unwrap_or(0);
        self.frequencies = Some(counts.into_iter().map(|(name, count)| (name, millionths(count))).collect());
        self
    }

    /// The longest way through the filter, in steps, that is aimed at. Calls with longer ways are weighed more and more
    /// until none is left or it does not help any longer; it costs time to compile.
    pub const fn worst_case(mut self, steps: u32) -> Self {
        self.worst_case = Some(steps);
        self
    }

    pub(super) const fn aim(&self) -> Option<u32> {
        self.worst_case
    }
}

/// How the weight of an ABI is divided. Each part is shared by the known calls of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Importance {
    any: u32,
    allowed: u32,
    denied: u32,
    checked: u32,
    mix: u32,
}

impl Importance {
    /// In thousandths of the whole.
    fn normal(self) -> Self {
        let parts = [self.any, self.allowed, self.denied, self.checked, self.mix];
        let sum: u64 = parts.iter().map(|&part| u64::from(part)).sum();
        let part = |part: u32| u32::try_from(u64::from(part) * 1000 / sum.max(1)).unwrap_or(1000);
        Self {
            any: part(self.any),
            allowed: part(self.allowed),
            denied: part(self.denied),
            checked: part(self.checked),
            mix: part(self.mix),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Allowed,
    Denied,
    Checked,
}

/// The weights of all known calls of the listed ABIs, in ascending order of token and number. The first ABI is the
/// native one and counts most.
pub(super) fn weights(arches: &[Arch], built: &Built, weights: &Weights) -> Vec<Shares> {
    let importance = weights.importance.normal();
    let mut all = Vec::new();
    for (rank, &arch) in arches.iter().enumerate() {
        // Whoever calls through a second ABI is no server of the kind that was counted.
        let importance = if rank == 0 {
            importance
        } else {
            Importance { any: importance.any + importance.mix, mix: 0, ..importance }
        };
        let mix = match &weights.frequencies {
            None => mix(arch),
            Some(own) => numbered(arch, own.iter().map(|(name, share)| (name.as_str(), *share))),
        };
        of_arch(arch, built, importance, &mix, scale(rank, arch), &mut all);
    }
    // ABIs with one token may have a number in common; the first counts.
    all.sort_by_key(|share| (share.token, share.nr));
    all.dedup_by_key(|share| (share.token, share.nr));
    all
}

/// What an ABI counts: first come the calls of the machine's own. Hardly anything is built for x32.
const fn scale(rank: usize, arch: Arch) -> u64 {
    const ONE: u64 = 1 << 30;
    match (rank, arch) {
        (0, _) => 8 * ONE,
        (_, Arch::X32) => ONE / 64,
        (1, _) => 2 * ONE,
        _ => ONE,
    }
}

/// Appends the weights of the calls of one ABI.
fn of_arch(arch: Arch, built: &Built, importance: Importance, mix: &[(u32, u32)], scale: u64, all: &mut Vec<Shares>) {
    let token = arch.audit();
    let calls: Vec<(u32, Kind)> = arch.syscalls().map(|(nr, _)| (nr, kind(built, token, nr))).collect();
    let part = |share: u32, among: usize| scale / 1000 * u64::from(share) / (among as u64).max(1);
    let any = part(importance.any, calls.len());
    let [allowed, denied, checked] =
        [(Kind::Allowed, importance.allowed), (Kind::Denied, importance.denied), (Kind::Checked, importance.checked)]
            .map(|(kind, share)| part(share, calls.iter().filter(|call| call.1 == kind).count()));
    let frequent = scale / 1_000_000_000 * u64::from(importance.mix);
    let mut mix = mix.iter().peekable();
    all.extend(calls.into_iter().map(|(nr, kind)| {
        let own = match kind {
            Kind::Allowed => allowed,
            Kind::Denied => denied,
            Kind::Checked => checked,
        };
        // Both ascend.
        while mix.next_if(|other| other.0 < nr).is_some() {}
        let millionths = mix.next_if(|other| other.0 == nr).map_or(0, |other| other.1);
        Shares { token, nr, weight: own + any + frequent * u64::from(millionths) }
    }));
}

/// The shares of servers by the numbers of an ABI, ascending.
pub(super) fn mix(arch: Arch) -> Vec<(u32, u32)> {
    numbered(arch, MIX.iter().copied())
}

/// Of shares with one number the last counts.
fn numbered<'a>(arch: Arch, shares: impl DoubleEndedIterator<Item = (&'a str, u32)>) -> Vec<(u32, u32)> {
    let numbers = shares.rev().filter_map(|(name, millionths)| Some((arch.number(name)?, millionths)));
    let mut numbers: Vec<(u32, u32)> = numbers.collect();
    numbers.sort_by_key(|share| share.0);
    numbers.dedup_by_key(|share| share.0);
    numbers
}

fn kind(built: &Built, token: u32, nr: u32) -> Kind {
    match built.call(token, nr).map(|id| built.graph.node(id)) {
        Some(&Node::Return(raw)) if matches!(Action::as_kernel(raw), Action::Allow | Action::Log) => Kind::Allowed,
        Some(Node::Return(_)) | None => Kind::Denied,
        Some(_) => Kind::Checked,
    }
}
