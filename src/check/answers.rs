//! Exact questions about what a policy answers: for which arguments a call runs, and an example.
//!
//! The rules of a call become a function of its argument bits, by the same code with which proofs read a policy. Rules
//! that say the same in other words are the same function.

use super::bdd::{BITS, Bdd, Budget, Exhausted, FALSE, Ref, TRUE};
use super::judge::JudgeError;
use super::{meaning, words};
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::policy::{Gate, Policy};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Argument registers.
pub(super) type Args = [u64; 6];

/// For how many arguments something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Never,
    Sometimes,
    Always,
}

/// Nodes of one diagram. Container profiles need some thousands.
const MAX_NODES: usize = 300_000;
/// Steps of any kind; they take about 0.3 s.
const MAX_STEPS: usize = 4_000_000;

/// The answers of one policy.
#[derive(Debug)]
pub(super) struct Answers<'p> {
    policy: &'p Policy,
    pub(super) bdd: Bdd,
    known: BTreeMap<(u32, u32), Ref>,
}

/// Whether a call with this answer runs, whoever else is asked.
pub(super) fn runs(action: Action) -> bool {
    matches!(action, Action::Allow | Action::Log)
}

impl<'p> Answers<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        let budget = Budget { nodes: MAX_NODES, steps: MAX_STEPS };
        Self { policy, bdd: Bdd::new(budget, 0), known: BTreeMap::new() }
    }

    /// What happens to a call, as a function of its arguments whose leaves are raw actions.
    pub(super) fn of(&mut self, arch: Arch, nr: u32) -> Result<Ref, Exhausted> {
        let key = (arch.audit(), nr);
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let function = match self.policy.gate(key.0, nr) {
            Gate::Refused(action) => self.bdd.leaf(action.to_raw())?,
            Gate::Section(section) => {
                let default = self.bdd.leaf(section.default.to_raw())?;
                match section.calls.get(&nr) {
                    Some(rules) => meaning::decision(&mut self.bdd, rules, default)?,
                    None => self.bdd.leaf(section.fallback(nr).to_raw())?,
                }
            }
        };
        self.known.insert(key, function);
        Ok(function)
    }

    /// Where a function has one of these answers.
    pub(super) fn where_answer(&mut self, function: Ref, wanted: &dyn Fn(Action) -> bool) -> Result<Ref, Exhausted> {
        self.select(function, wanted, &mut BTreeMap::new())
    }

    fn select(
        &mut self,
        function: Ref,
        wanted: &dyn Fn(Action) -> bool,
        known: &mut BTreeMap<Ref, Ref>,
    ) -> Result<Ref, Exhausted> {
        if let Some(&known) = known.get(&function) {
            return Ok(known);
        }
        self.bdd.step()?;
        let bit = self.bdd.first_bit(function);
        let result = if bit >= BITS {
            if wanted(Action::as_kernel(self.bdd.number(function))) { TRUE } else { FALSE }
        } else {
            let (zero, one) = self.bdd.halves(function, bit);
            let zero = self.select(zero, wanted, known)?;
            let one = self.select(one, wanted, known)?;
            self.bdd.ask(bit, zero, one)?
        };
        known.insert(function, result);
        Ok(result)
    }

    /// The function with some bits fixed at 0.
    pub(super) fn with_zeros(&mut self, function: Ref, bits: core::ops::Range<u16>) -> Result<Ref, Exhausted> {
        self.zeroed(function, &bits, &mut BTreeMap::new())
    }

    fn zeroed(
        &mut self,
        function: Ref,
        bits: &core::ops::Range<u16>,
        known: &mut BTreeMap<Ref, Ref>,
    ) -> Result<Ref, Exhausted> {
        let bit = self.bdd.first_bit(function);
        if bit >= bits.end {
            return Ok(function);
        }
        if let Some(&known) = known.get(&function) {
            return Ok(known);
        }
        self.bdd.step()?;
        let (zero, one) = self.bdd.halves(function, bit);
        let low = self.zeroed(zero, bits, known)?;
        let result = if bits.contains(&bit) {
            low
        } else {
            let high = self.zeroed(one, bits, known)?;
            self.bdd.ask(bit, low, high)?
        };
        known.insert(function, result);
        Ok(result)
    }

    /// All actions that a call can get, the most restrictive first.
    pub(super) fn actions(&mut self, arch: Arch, nr: u32) -> Result<Vec<Action>, Exhausted> {
        let (mut left, mut seen) = (alloc::vec![self.of(arch, nr)?], BTreeSet::new());
        let mut actions = BTreeSet::new();
        while let Some(function) = left.pop() {
            if !seen.insert(function) {
                continue;
            }
            self.bdd.step()?;
            let bit = self.bdd.first_bit(function);
            if bit >= BITS {
                actions.insert(Action::as_kernel(self.bdd.number(function)));
            } else {
                let (zero, one) = self.bdd.halves(function, bit);
                left.extend([zero, one]);
            }
        }
        Ok(actions.into_iter().collect())
    }

    /// The error for callers outside when the budget is used up.
    pub(super) const fn too_large() -> JudgeError {
        JudgeError::TooLarge { max_nodes: MAX_NODES }
    }

    /// For how many arguments a call has one of these answers.
    pub(super) fn reach(&mut self, arch: Arch, nr: u32, wanted: &dyn Fn(Action) -> bool) -> Result<Reach, Exhausted> {
        let function = self.of(arch, nr)?;
        Ok(match self.where_answer(function, wanted)? {
            FALSE => Reach::Never,
            TRUE => Reach::Always,
            _ => Reach::Sometimes,
        })
    }

    /// Arguments for which a condition holds, with as many bits 0 as possible from the top on; `None` if there are none.
    pub(super) fn example(&self, condition: Ref) -> Option<Args> {
        let mut call = SyscallData::default();
        let mut at = condition;
        if at == FALSE {
            return None;
        }
        while at != TRUE {
            let bit = self.bdd.first_bit(at);
            if bit >= BITS {
                return None;
            }
            let (zero, one) = self.bdd.halves(at, bit);
            at = if zero == FALSE {
                words::set_bit(&mut call, bit);
                one
            } else {
                zero
            };
        }
        Some(call.args)
    }

    /// The call with these arguments.
    pub(super) fn call(arch: Arch, nr: u32, args: Args) -> SyscallData {
        SyscallData { nr, arch: arch.audit(), instruction_pointer: 0, args }
    }

    /// What happens to it, by the plain meaning.
    pub(super) fn decide(&self, call: &SyscallData) -> Action {
        self.policy.decide(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::KernelVersion;
    use crate::check::boundary_calls;
    use crate::check::words::Word;
    use crate::policy::{Target, Unlisted};
    use crate::profile::{Profile, arg};

    /// What is asked here is what the plain meaning says, for every number and at the borders of all conditions.
    #[test]
    fn answers_are_those_of_the_policy() {
        let profile = Profile::new(Action::Errno(1))
            .allow(["read", "mount"])
            .rule(Action::Trap(3), "socket", [arg::<0>().eq(2)])
            .allow_if("socket", [arg::<0>().ge(3), arg::<1>().masked_eq(0xf, 2)])
            .rule(Action::Log, "ioctl", [arg::<1>().as_u32().ne(0x5412)]);
        let target = Target::exactly(&[Arch::X86_64, Arch::X86]);
        let newer = Unlisted::Enosys { newer_than: KernelVersion::new(5, 10) };
        for unlisted in [Unlisted::Default, newer] {
            let policy = profile.resolve(&target.clone().unlisted(unlisted)).unwrap();
            let mut answers = Answers::new(&policy);
            let mut seen = 0;
            for call in boundary_calls(&policy) {
                let abi = [Arch::X86_64, Arch::X86].into_iter().find(|arch| arch.audit() == call.arch);
                let Some(arch) = abi else { continue };
                let function = answers.of(arch, call.nr).unwrap();
                let mut at = answers.where_answer(function, &|action| action == policy.decide(&call)).unwrap();
                for (index, value) in (0u8..).zip(call.args) {
                    let equals = Word::argument(index).unwrap().equals(&mut answers.bdd, value).unwrap();
                    at = answers.bdd.and(at, equals).unwrap();
                }
                assert_eq!(answers.example(at), Some(call.args), "{call:?}");
                seen += 1;
            }
            assert!(seen > 300, "{seen}");
        }
    }

    #[test]
    fn what_runs_is_allowed_or_logged() {
        let actions = [Action::Allow, Action::Log, Action::Trace(0), Action::Notify, Action::Errno(0), Action::Trap(0)];
        assert_eq!(actions.map(runs), [true, true, false, false, false, false]);
    }

    #[test]
    fn how_many_arguments_and_which_actions() {
        let profile = Profile::new(Action::Errno(1))
            .allow("read")
            .allow_if("socket", [arg::<0>().ge(3), arg::<1>().masked_eq(0xf, 2)])
            .rule(Action::KillProcess, "socket", [arg::<0>().eq(2)]);
        let policy = profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
        let mut answers = Answers::new(&policy);
        let arch = Arch::X86_64;
        let reach = [0, 1, 41].map(|nr| answers.reach(arch, nr, &runs).unwrap());
        assert_eq!(reach, [Reach::Always, Reach::Never, Reach::Sometimes]);
        assert_eq!(answers.actions(arch, 0), Ok(alloc::vec![Action::Allow]));
        let all = alloc::vec![Action::KillProcess, Action::Errno(1), Action::Allow];
        assert_eq!(answers.actions(arch, 41), Ok(all));
        let call = Answers::call(arch, 41, [1, 2, 3, 4, 5, 6]);
        let words = (call.nr, call.arch, call.instruction_pointer, call.args);
        assert_eq!(words, (41, arch.audit(), 0, [1, 2, 3, 4, 5, 6]));
    }

    /// With argument 1 at 0 the rule that asks it never matches; the bits of argument 0 stay.
    #[test]
    fn bits_fixed_at_zero() {
        let profile = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<0>().eq(2), arg::<1>().ne(3)]);
        let policy = profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
        let mut answers = Answers::new(&policy);
        let function = answers.of(Arch::X86_64, 41).unwrap();
        let open = answers.where_answer(function, &runs).unwrap();
        let two = Word::low_half(0).unwrap().equals(&mut answers.bdd, 2).unwrap();
        assert_eq!(answers.with_zeros(open, 128..192), Ok(two));
        assert_eq!(answers.with_zeros(open, 64..128), Ok(FALSE));
        assert_eq!(answers.with_zeros(open, 192..256), Ok(open));
        // Of the lowest bits of the first argument 2 has one at 1, and the other one does not matter then.
        assert_eq!(answers.with_zeros(open, 126..127), Ok(FALSE));
        let upper = Word::low_half(0).unwrap().masked(!1).equals(&mut answers.bdd, 2).unwrap();
        let three = Word::low_half(1).unwrap().equals(&mut answers.bdd, 3).unwrap();
        let expected = answers.bdd.ite(three, FALSE, upper);
        assert_eq!(answers.with_zeros(open, 127..128), expected);
    }
}
