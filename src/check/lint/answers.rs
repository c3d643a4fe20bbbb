//! Exact questions about what a policy answers: for which arguments a call runs, and an example.
//!
//! The rules of a call become a function of its argument bits, by the same code with which proofs read a policy. Rules
//! that say the same in other words are the same function.

use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::check::bdd::{BITS, Bdd, Budget, Exhausted, FALSE, Ref, TRUE};
use crate::check::{meaning, words};
use crate::policy::{Gate, Policy, Rule};
use alloc::collections::BTreeMap;

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
pub(in crate::check) struct Answers<'p> {
    policy: &'p Policy,
    pub(super) bdd: Bdd,
    known: BTreeMap<(u32, u32), Ref>,
}

/// Whether a call with this answer runs, whoever else is asked.
pub(super) fn runs(action: Action) -> bool {
    matches!(action, Action::Allow | Action::Log)
}

impl<'p> Answers<'p> {
    pub(in crate::check) fn new(policy: &'p Policy) -> Self {
        let budget = Budget { nodes: MAX_NODES, steps: MAX_STEPS };
        Self { policy, bdd: Bdd::new(budget, 0), known: BTreeMap::new() }
    }

    /// What happens to a call, as a function of its arguments whose leaves are raw actions.
    pub(in crate::check) fn of(&mut self, arch: Arch, nr: u32) -> Result<Ref, Exhausted> {
        let key = (arch.audit(), nr);
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let function = match self.policy.gate(key.0, nr) {
            Gate::Refused(action) => self.bdd.leaf(action.to_raw())?,
            Gate::Section(section) => {
                let default = self.bdd.leaf(section.default.to_raw())?;
                let rules: &[Rule] = section.calls.get(&nr).map_or(&[], |rules| rules);
                meaning::decision(&mut self.bdd, rules, default)?
            }
        };
        self.known.insert(key, function);
        Ok(function)
    }

    /// Where a function has one of these answers.
    pub(in crate::check) fn where_answer(
        &mut self,
        function: Ref,
        wanted: &dyn Fn(Action) -> bool,
    ) -> Result<Ref, Exhausted> {
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
    pub(in crate::check) fn example(&self, condition: Ref) -> Option<Args> {
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
    pub(in crate::check) fn call(arch: Arch, nr: u32, args: Args) -> SyscallData {
        SyscallData { nr, arch: arch.audit(), instruction_pointer: 0, args }
    }

    /// What happens to it, by the plain meaning.
    pub(in crate::check) fn decide(&self, call: &SyscallData) -> Action {
        self.policy.decide(call)
    }
}
