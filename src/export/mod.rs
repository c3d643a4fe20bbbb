//! A policy as a profile again: the JSON that container runtimes read, or the language of another program
//! ([`Policy::to_language`]).
//!
//! What a policy does is written down as regions of arguments by the judge, and each region as entries of the profile
//! (`cubes`). Every entry has at most one comparison an argument, and no two entries of one call share an argument vector:
//! then it does not matter which of overlapping rules a runtime prefers, that an index which occurs twice means "or", or
//! that entries with the default action are skipped. An entry without arguments stands for a call alone.
//!
//! The text is read back, resolved, and proven equal to the policy before it is handed out. What the format cannot say is
//! an error that names the region; nothing is ever approximated.
//!
//! [`Policy::from_program`] is the way back: what somebody's filter does, as rules.
//!
//! See the example of [`Policy::to_oci_json`](crate::Policy::to_oci_json).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod cubes;
mod error;
mod languages;
mod program;
#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod tests;

pub use error::{ExportError, Obstacle};
pub use program::ProgramError;

use crate::arch::Arch;
use crate::bpf::Action;
use crate::check::{Judge, Region, Regions, Subject, Word};
use crate::policy::{Policy, Semantics, Span, Target};
use crate::profile::{Arg, Call, Dialect, Format, ListedArch, Op, Profile, Rule};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Entries of a profile that are written at most. The largest of real profiles has 318.
pub const MAX_ENTRIES: usize = 4096;

/// Calls that carry others.
const CARRIERS: [&str; 2] = ["socketcall", "ipc"];

impl Policy {
    /// Writes the policy as a profile in the OCI dialect that means exactly the same: to runc, to crun and to
    /// [`Profile::from_json`]. That is proven before this returns.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::Action;
    /// use callsieve::policy::{Semantics, Target};
    /// use callsieve::profile::Format;
    /// use callsieve::{Policy, Profile, arg};
    ///
    /// let target = Target::exactly(&[Arch::X86_64]).semantics(Semantics::Oci);
    /// let one = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<0>().ne(40)]).resolve(&target)?;
    /// let two = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<1>().eq(1)]).resolve(&target)?;
    /// let text = Policy::union([&one, &two])?.to_oci_json()?;
    /// assert_eq!(Profile::from_json(&text, Format::Oci)?.rules().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ExportError`] if the format cannot say it: rules for numbers without a name, rules that are not the same on all
    /// ABIs, data of TRAP, an action for calls of other ABIs that is not KILL_THREAD, or more than [`MAX_ENTRIES`]
    /// entries. It names the region that is in the way.
    pub fn to_oci_json(&self) -> Result<String, ExportError> {
        let export = Export::of(self)?;
        export.check_others()?;
        let profile = export.profile()?;
        let text = profile.to_json().map_err(ExportError::Text)?;
        let again = Profile::from_json(&text, Format::Oci).map_err(ExportError::Text)?;
        let arches: Vec<Arch> = self.arches().collect();
        let target = Target::exactly(&arches).semantics(Semantics::Oci);
        let resolved = again.resolve(&target).map_err(ExportError::Resolve)?;
        match Judge::new().witness(&Subject::policy(self), &Subject::policy(&resolved))? {
            None => Ok(text),
            Some(witness) => Err(export.difference(&witness.call)),
        }
    }
}

struct Export<'a> {
    policy: &'a Policy,
    default: Action,
    regions: Regions,
}

/// What entries have in common: the action and the comparisons.
type Entry = (Action, Vec<Arg>);

impl<'a> Export<'a> {
    /// What runtimes answer to calls of other architectures, which the format does not say.
    fn check_others(&self) -> Result<(), ExportError> {
        let policy = self.policy;
        let lists = |arch: Arch| policy.arches().any(|listed| listed == arch);
        if policy.bad_arch != Action::KillThread {
            return Err(ExportError::BadArch { action: policy.bad_arch, is_x32: false });
        }
        if lists(Arch::X86_64) && !lists(Arch::X32) && policy.unlisted_x32 != Action::KillThread {
            return Err(ExportError::BadArch { action: policy.unlisted_x32, is_x32: true });
        }
        Ok(())
    }

    fn of(policy: &'a Policy) -> Result<Self, ExportError> {
        let mut defaults = policy.sections.iter().map(|section| (section.arch, section.default));
        let one = defaults.next().unwrap_or((Arch::X86_64, Action::KillThread));
        if let Some(other) = defaults.find(|other| other.1 != one.1) {
            return Err(ExportError::Defaults { one, other });
        }
        let regions = Judge::new().regions(&Subject::policy(policy))?;
        Ok(Self { policy, default: one.1, regions })
    }

    fn profile(&self) -> Result<Profile, ExportError> {
        self.check_numbers()?;
        let mut entries: BTreeMap<Entry, Vec<Call>> = BTreeMap::new();
        let mut count = 0_usize;
        for (name, numbers) in self.names() {
            let mut own = self.entries(&numbers, &mut count)?;
            // Left out, they would follow the entries of the calls that they carry.
            if own.is_empty() && CARRIERS.contains(&name.as_str()) {
                own.push((self.default, Vec::new()));
            }
            for entry in own {
                entries.entry(entry).or_default().push(Call::Name(name.clone()));
            }
        }
        let options = &self.policy.install_options;
        let rule = |(at, ((action, args), calls)): (usize, (Entry, Vec<Call>))| {
            Rule::new(calls, action, args, format!("$.syscalls[{at}]"))
        };
        let mut profile = Profile::new(self.default);
        profile.dialect = Dialect::Oci;
        profile.architectures = self.policy.arches().map(ListedArch::Arch).collect();
        profile.flags.clone_from(&options.flags);
        profile.listener_path.clone_from(&options.listener_path);
        profile.listener_metadata.clone_from(&options.listener_metadata);
        profile.rules = entries.into_iter().enumerate().map(rule).collect();
        Ok(profile)
    }

    /// Rules for numbers that have no name.
    fn check_numbers(&self) -> Result<(), ExportError> {
        for section in &self.policy.sections {
            let other_half = |nr: u32| match section.arch {
                Arch::X86_64 => nr & Arch::X32_BIT != 0 && nr != u32::MAX,
                Arch::X32 => nr & Arch::X32_BIT == 0,
                _ => false,
            };
            // The names of an ABI are few, so the first number without one is near.
            let unnamed = |span: &Span| {
                let mut numbers = (span.first..=span.last).filter(|nr| !section.calls.contains_key(nr));
                numbers.find(|&nr| section.arch.name(nr).is_none())
            };
            if let Some(nr) = section.unlisted.iter().find_map(unnamed) {
                let regions = self.regions.of(section.arch.audit(), nr);
                if let Some(region) = regions.iter().find(|region| region.action() != self.default) {
                    return Err(obstacle(section.arch, nr, region, Obstacle::Unnamed));
                }
            }
            for &nr in section.calls.keys().filter(|&&nr| !other_half(nr) && section.arch.name(nr).is_none()) {
                let regions = self.regions.of(section.arch.audit(), nr);
                if let Some(region) = regions.iter().find(|region| region.action() != self.default) {
                    return Err(obstacle(section.arch, nr, region, Obstacle::Unnamed));
                }
            }
        }
        Ok(())
    }

    /// The names of all calls of the listed ABIs, with their numbers.
    fn names(&self) -> BTreeMap<String, Vec<(Arch, u32)>> {
        let mut names: BTreeMap<String, Vec<(Arch, u32)>> = BTreeMap::new();
        for arch in self.policy.arches() {
            for (nr, name) in arch.syscalls() {
                names.entry(name.into()).or_default().push((arch, nr));
            }
        }
        names
    }

    /// The entries for one name: what it does on the first ABI that has all bits of an argument. Whether that is what it
    /// does on all of them is for the proof to say.
    fn entries(&self, numbers: &[(Arch, u32)], count: &mut usize) -> Result<Vec<Entry>, ExportError> {
        let Some(&(arch, nr)) = numbers.iter().find(|(arch, _)| is_wide(*arch)).or(numbers.first()) else {
            return Ok(Vec::new());
        };
        let narrow = numbers.iter().map(|(arch, _)| *arch).find(|arch| !is_wide(*arch));
        let mut entries = Vec::new();
        for region in self.regions.of(arch.audit(), nr).iter().filter(|region| region.action() != self.default) {
            let wrong = |why| obstacle(arch, nr, region, why);
            if matches!(region.action(), Action::Trap(1..)) {
                return Err(wrong(Obstacle::TrapData));
            }
            let left = MAX_ENTRIES.saturating_sub(*count);
            let too_many = || wrong(Obstacle::TooManyEntries { limit: MAX_ENTRIES });
            let cubes = cubes(region, arch, left).ok_or_else(too_many)?;
            *count = count.saturating_add(cubes.len());
            for args in cubes {
                // Of a mask it does not matter that its upper half is cut off: there the argument is 0.
                let above = |arg: &Arg| match arg.op() {
                    Op::MaskedEq => arg.value_two() >> 32 != 0,
                    _ => arg.value() >> 32 != 0,
                };
                if let Some(narrow) = narrow.filter(|_| args.iter().any(above)) {
                    return Err(wrong(Obstacle::WideConstant { on: narrow }));
                }
                entries.push((region.action(), args));
            }
        }
        Ok(entries)
    }

    /// Why the text does not mean the same for a call.
    fn difference(&self, call: &crate::bpf::SyscallData) -> ExportError {
        let is_own = |arch: &Arch| match self.policy.gate(call.arch, call.nr) {
            crate::policy::Gate::Section(section) => section.arch == *arch,
            crate::policy::Gate::Refused(_) => false,
        };
        let arch = self.policy.arches().find(is_own);
        let region = self.regions.of(call.arch, call.nr).iter().find(|region| region.contains(call));
        match (arch, region) {
            (Some(arch), Some(region)) => {
                let name = arch.name(call.nr);
                let shares = |other: &Arch| *other != arch && name.is_some_and(|name| other.number(name).is_some());
                let others: Vec<Arch> = self.policy.arches().filter(shares).collect();
                match others.first() {
                    Some(&other) => obstacle(arch, call.nr, region, Obstacle::DiffersFrom { other }),
                    None => ExportError::Wrong(Box::new(*call)),
                }
            }
            _ => ExportError::Wrong(Box::new(*call)),
        }
    }
}

fn obstacle(arch: Arch, nr: u32, region: &Region, obstacle: Obstacle) -> ExportError {
    let call = arch.name(nr).map_or_else(|| format!("call {nr:#x}"), String::from);
    ExportError::Region { arch, call, region: region.to_string(), obstacle }
}

/// Whether runtimes see all 64 bits of an argument there: libseccomp cuts constants to 32 bits also for ABIs whose calls
/// have 64-bit registers.
fn is_wide(arch: Arch) -> bool {
    arch.has_64bit_args() && !matches!(arch, Arch::X32 | Arch::Mips64n32 | Arch::Mipsel64n32)
}

/// The entries for a region: every combination of the comparisons for its arguments. `None` if there are more than
/// this many.
fn cubes(region: &Region, arch: Arch, most: usize) -> Option<Vec<Vec<Arg>>> {
    let mut cubes: Vec<Vec<Arg>> = Vec::from([Vec::new()]);
    for condition in region.conditions() {
        // Policies do not look at the instruction pointer.
        let Word::Argument(index) = condition.word() else { return None };
        let alternatives = cubes::alternatives(index, condition.values(), arch.has_64bit_args(), most)?;
        if cubes.len().checked_mul(alternatives.len()).is_none_or(|count| count > most) {
            return None;
        }
        let with = |cube: &Vec<Arg>| {
            let longer = |arg: &Arg| cube.iter().chain([arg]).copied().collect::<Vec<Arg>>();
            alternatives.iter().map(longer).collect::<Vec<_>>()
        };
        cubes = cubes.iter().flat_map(with).collect();
    }
    (cubes.len() <= most).then_some(cubes)
}
