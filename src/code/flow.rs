//! How often each step is taken.
//!
//! The weight of a call follows its architecture and number through the code to the first look at an argument. From
//! there it is halved at every comparison: nothing is known about arguments. Flow decides only which side of a
//! comparison lies next to it, never what is right.

use super::{Code, CodeId, Held, Input, Step};
use alloc::vec::Vec;

/// The weight of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shares {
    /// Architecture token.
    pub(crate) token: u32,
    pub(crate) nr: u32,
    pub(crate) weight: u64,
}

/// Weight for each step.
#[derive(Debug)]
pub(crate) struct Flow(Vec<u64>);

impl Flow {
    /// Sends the weights of calls through the steps below a root.
    pub(crate) fn of(code: &Code, root: CodeId, calls: &[Shares]) -> Self {
        let mut weights = alloc::vec![0_u64; code.len()];
        for call in calls {
            let end = known(code, root, call, |id| add(&mut weights, id, call.weight));
            add(&mut weights, end, call.weight);
        }
        // Parents first, so that all weight of a step has arrived before it is passed on.
        for id in code.reachable(root) {
            if code.expects(id).is_some_and(fixed) {
                continue;
            }
            let weight = weights[id.index()];
            match code.step(id) {
                Step::Load(Input::Nr | Input::Arch, _) | Step::Return(_) => {}
                Step::Load(_, next) | Step::And { next, .. } => add(&mut weights, next, weight),
                Step::Test { yes, no, .. } => {
                    add(&mut weights, yes, weight / 2);
                    add(&mut weights, no, weight / 2);
                }
            }
        }
        Self(weights)
    }

    /// The weight of a step.
    pub(crate) fn at(&self, id: CodeId) -> u64 {
        self.0[id.index()]
    }
}

/// How many comparisons of its number a call passes, up to the first look at an argument.
pub(crate) fn number_tests(code: &Code, root: CodeId, call: &Shares) -> u32 {
    let mut tests = 0;
    let is_test = |step| matches!(step, Step::Test { held: Held { input: Input::Nr, .. }, .. });
    known(code, root, call, |id| tests += u32::from(is_test(code.step(id))));
    tests
}

fn add(weights: &mut [u64], id: CodeId, weight: u64) {
    weights[id.index()] = weights[id.index()].saturating_add(weight);
}

/// Whether what is held is known with the architecture and the number.
fn fixed(held: Held) -> bool {
    matches!(held.input, Input::Nr | Input::Arch)
}

/// Follows a call as far as its architecture and number lead, and returns the step behind.
fn known(code: &Code, root: CodeId, call: &Shares, mut pass: impl FnMut(CodeId)) -> CodeId {
    let mut at = root;
    let mut accumulator = 0;
    loop {
        let next = match code.step(at) {
            Step::Load(Input::Arch, next) => {
                accumulator = call.token;
                next
            }
            Step::Load(Input::Nr, next) => {
                accumulator = call.nr;
                next
            }
            Step::And { held, mask, next } if fixed(held) => {
                accumulator &= mask;
                next
            }
            Step::Test { held, op, k, yes, no } if fixed(held) => {
                if op.holds(accumulator, k) {
                    yes
                } else {
                    no
                }
            }
            _ => return at,
        };
        pass(at);
        at = next;
    }
}
