//! In which order: loads, bit operations and comparisons, without places yet.
//!
//! [`Code`] is what a filter does step by step. Every node is kept once, so equal tails are one tail, whichever call or
//! architecture they come from. Only `emit` gives nodes a place in a program.
//!
//! The machine has one accumulator, and a comparison means nothing without knowing what is in it. So the content is part
//! of every comparison: a node that compares says which word, cut by which mask, it expects ([`Held`]), and two
//! comparisons that expect different words are different nodes. [`Code::enter`] is the only way to lead one node to
//! another: it puts a load between them unless the accumulator holds just what is expected. A comparison with the wrong
//! word in the accumulator cannot be built.

mod flow;
mod print;

pub(crate) use flow::{Flow, Shares};

use crate::bpf::Action;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A word of the input by its place in the structure. What is loaded for it depends on the byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Input {
    Nr,
    Arch,
    Low(u8),
    High(u8),
    IpLow,
    IpHigh,
}

/// What the accumulator holds: a word, cut by a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Held {
    pub(crate) input: Input,
    pub(crate) mask: u32,
}

impl Held {
    /// All bits of a word.
    pub(crate) const fn all(input: Input) -> Self {
        Self { input, mask: u32::MAX }
    }
}

/// The identity of a node within its [`Code`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CodeId(u32);

impl CodeId {
    /// Stands for a step that is not made yet.
    pub(crate) const LATER: Self = Self(u32::MAX);

    /// For tables with one entry a node.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The comparisons of the machine, all unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    /// Equal.
    Eq,
    /// Greater or equal.
    Ge,
    /// Any of the bits is set.
    Set,
}

impl Op {
    /// The answer for a known accumulator.
    pub(crate) fn holds(self, a: u32, k: u32) -> bool {
        match self {
            Self::Eq => a == k,
            Self::Ge => a >= k,
            Self::Set => a & k != 0,
        }
    }
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// With the value that the program returns.
    Return(u32),
    /// Fills the accumulator; expects nothing in it.
    Load(Input, CodeId),
    /// Cuts the accumulator, which holds `held`, by a mask.
    And { held: Held, mask: u32, next: CodeId },
    /// Compares the accumulator, which holds `held`.
    Test { held: Held, op: Op, k: u32, yes: CodeId, no: CodeId },
}

/// Steps, each kept once. Later steps of a run have smaller ids.
#[derive(Debug, Default)]
pub(crate) struct Code {
    steps: Vec<Step>,
    index: BTreeMap<Step, CodeId>,
}

impl Code {
    /// The step with this id.
    pub(crate) fn step(&self, id: CodeId) -> Step {
        self.steps[id.index()]
    }

    /// The step made at this place in time; children come before their parents.
    pub(crate) fn at(&self, index: usize) -> Step {
        self.steps[index]
    }

    /// Number of steps.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// What a step expects in the accumulator; `None` if it does not care.
    pub(crate) fn expects(&self, id: CodeId) -> Option<Held> {
        match self.step(id) {
            Step::Return(_) | Step::Load(..) => None,
            Step::And { held, .. } | Step::Test { held, .. } => Some(held),
        }
    }

    /// An answer.
    pub(crate) fn ret(&mut self, action: Action) -> CodeId {
        self.ret_raw(action.to_raw())
    }

    /// An answer by its value.
    pub(crate) fn ret_raw(&mut self, raw: u32) -> CodeId {
        self.intern(Step::Return(raw))
    }

    /// The way to a step when the accumulator holds this, or is not known: what is missing is loaded.
    pub(crate) fn enter(&mut self, holds: Option<Held>, to: CodeId) -> CodeId {
        match self.expects(to) {
            None => to,
            expected if expected == holds => to,
            Some(Held { input, mask: u32::MAX }) => self.intern(Step::Load(input, to)),
            Some(Held { input, mask }) => {
                let cut = self.intern(Step::And { held: Held::all(input), mask, next: to });
                self.enter(holds, cut)
            }
        }
    }

    /// Cuts what the accumulator holds before a step that expects it cut.
    pub(crate) fn cut(&mut self, held: Held, mask: u32, next: CodeId) -> CodeId {
        let cut = Held { mask: held.mask & mask, ..held };
        if self.expects(next) == Some(cut) { self.intern(Step::And { held, mask, next }) } else { next }
    }

    /// Cuts the accumulator before a step that expects the whole word, and treats what is left as the word. This is the
    /// only way to call a cut word whole: the caller says that the step gives the right answer for it.
    pub(crate) fn fold(&mut self, held: Held, mask: u32, next: CodeId) -> CodeId {
        debug_assert!(self.expects(next).is_none_or(|expected| expected == held));
        self.intern(Step::And { held, mask, next })
    }

    /// A comparison of what the accumulator holds.
    pub(crate) fn test(&mut self, held: Held, (op, k): (Op, u32), yes: CodeId, no: CodeId) -> CodeId {
        let yes = self.enter(Some(held), yes);
        let no = self.enter(Some(held), no);
        match (op, k) {
            _ if yes == no => yes,
            (Op::Ge, 0) => yes,
            (Op::Set, 0) => no,
            _ => self.intern(Step::Test { held, op, k, yes, no }),
        }
    }

    fn intern(&mut self, step: Step) -> CodeId {
        let next = CodeId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        let id = *self.index.entry(step).or_insert(next);
        if id == next {
            self.steps.push(step);
        }
        id
    }

    /// The steps below and including one, parents first.
    pub(crate) fn reachable(&self, root: CodeId) -> Vec<CodeId> {
        let mut seen = alloc::vec![false; self.len()];
        seen[root.index()] = true;
        let mut order = Vec::new();
        for id in (0..=root.0).rev().map(CodeId) {
            if seen[id.index()] {
                order.push(id);
                self.step(id).children().for_each(|child| seen[child.index()] = true);
            }
        }
        order
    }
}

impl Step {
    /// Where it may lead.
    pub(crate) fn children(self) -> impl Iterator<Item = CodeId> {
        let (one, two) = match self {
            Self::Return(_) => (None, None),
            Self::Load(_, next) | Self::And { next, .. } => (Some(next), None),
            Self::Test { yes, no, .. } => (Some(yes), Some(no)),
        };
        one.into_iter().chain(two)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_never_meets_the_wrong_word() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let low = Held::all(Input::Low(0));
        let high = Held::all(Input::High(0));
        let on_high = code.test(high, (Op::Eq, 0), allow, kill);
        let on_low = code.test(low, (Op::Eq, 7), on_high, kill);
        let Step::Test { yes, no, .. } = code.step(on_low) else { panic!("a test") };
        assert_eq!(code.step(yes), Step::Load(Input::High(0), on_high));
        assert_eq!(no, kill);
        // The same word again: nothing is loaded.
        let again = code.test(low, (Op::Ge, 9), on_low, kill);
        let Step::Test { yes, .. } = code.step(again) else { panic!("a test") };
        assert_eq!(yes, on_low);
        // Equal comparisons of different words stay apart.
        let other = code.test(low, (Op::Eq, 0), allow, kill);
        assert_ne!(other, on_high);
    }

    #[test]
    fn a_cut_word_is_cut_on_entry_and_loaded_again_behind() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let low = Held::all(Input::Low(2));
        let behind = code.test(low, (Op::Eq, 9), allow, kill);
        let cut = code.test(Held { mask: 6, ..low }, (Op::Eq, 2), behind, kill);
        let Step::Test { yes, .. } = code.step(cut) else { panic!("a test") };
        assert_eq!(code.step(yes), Step::Load(Input::Low(2), behind));
        let entry = code.enter(None, cut);
        let Step::Load(Input::Low(2), and) = code.step(entry) else { panic!("a load") };
        assert_eq!(code.step(and), Step::And { held: low, mask: 6, next: cut });
        assert_eq!(code.enter(Some(low), cut), and);
    }

    #[test]
    fn questions_without_consequence_vanish() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let nr = Held::all(Input::Nr);
        assert_eq!(code.test(nr, (Op::Eq, 1), allow, allow), allow);
        assert_eq!(code.test(nr, (Op::Ge, 0), allow, kill), allow);
        assert_eq!(code.test(nr, (Op::Set, 0), allow, kill), kill);
    }

    #[test]
    fn a_word_is_cut_for_a_step_that_expects_it() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let low = Held::all(Input::Low(2));
        let next = code.test(Held { mask: 6, ..low }, (Op::Eq, 2), allow, kill);
        // A part of the bits may be gone already.
        for (held, mask) in [(low, 6), (Held { mask: 0xe, ..low }, 0x16)] {
            let cut = code.cut(held, mask, next);
            assert_eq!(code.step(cut), Step::And { held, mask, next });
        }
        // Others do not care.
        assert_eq!(code.cut(low, 6, allow), allow);
        assert_eq!(code.cut(low, 4, next), next);
    }
}
