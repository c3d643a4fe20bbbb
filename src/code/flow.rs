//! How often each step is taken.
//!
//! The weight of a call follows its architecture and number through the code to the first look at an argument. From
//! there it is halved at every comparison: nothing is known about arguments. Flow decides only which side of a
//! comparison lies next to it, never what is right.

use super::{Code, CodeId, Held, Input, Op, Step};
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
pub(crate) struct Flow {
    weights: Vec<u64>,
    /// For each call, how many comparisons of its number it passes up to the first look at an argument.
    tests: Vec<u32>,
}

impl Flow {
    /// Sends the weights of calls, which are sorted by architecture and number, through the steps below a root.
    pub(crate) fn of(code: &Code, root: CodeId, calls: &[Shares]) -> Self {
        let mut weights = alloc::vec![0_u64; code.len()];
        let mut tests = Vec::with_capacity(calls.len());
        let mut left = calls;
        while let Some(first) = left.first() {
            // Neighbours that take the same way are sent together.
            let way = Way::of(code, root, first);
            let same = |call: &&Shares| call.token == first.token && (first.nr..=way.last).contains(&call.nr);
            let (together, rest) = left.split_at(left.iter().take_while(same).count());
            left = rest;
            let weight = together.iter().fold(0_u64, |sum, call| sum.saturating_add(call.weight));
            way.steps.iter().for_each(|&id| add(&mut weights, id, weight));
            tests.extend(together.iter().map(|_| way.tests));
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
        Self { weights, tests }
    }

    /// The weight of a step.
    pub(crate) fn at(&self, id: CodeId) -> u64 {
        self.weights[id.index()]
    }

    /// For each call, how many comparisons of its number it passes up to the first look at an argument.
    pub(crate) fn into_tests(self) -> Vec<u32> {
        self.tests
    }
}

fn add(weights: &mut [u64], id: CodeId, weight: u64) {
    weights[id.index()] = weights[id.index()].saturating_add(weight);
}

/// Whether what is held is known with the architecture and the number.
fn fixed(held: Held) -> bool {
    matches!(held.input, Input::Nr | Input::Arch)
}

/// Where architecture and number of a call lead.
struct Way {
    /// The steps, and the one behind.
    steps: Vec<CodeId>,
    /// Comparisons of the number among them.
    tests: u32,
    /// Calls with numbers up to this one surely take the same way.
    last: u32,
}

impl Way {
    fn of(code: &Code, root: CodeId, call: &Shares) -> Self {
        let mut way = Self { steps: Vec::with_capacity(32), tests: 0, last: u32::MAX };
        let (mut at, mut accumulator) = (root, 0);
        loop {
            way.steps.push(at);
            at = match code.step(at) {
                Step::Load(Input::Arch, next) => {
                    accumulator = call.token;
                    next
                }
                Step::Load(Input::Nr, next) => {
                    accumulator = call.nr;
                    next
                }
                Step::And { held, mask, next } if fixed(held) => {
                    way.like(held, call.nr, !accumulator & low_bits(mask.trailing_ones()));
                    accumulator &= mask;
                    next
                }
                Step::Test { held, op, k, yes, no } if fixed(held) => {
                    way.tests += u32::from(held.input == Input::Nr);
                    way.like(held, call.nr, op.room(accumulator, k));
                    if op.holds(accumulator, k) { yes } else { no }
                }
                _ => return way,
            };
        }
    }

    /// So many numbers behind that of the call take the same way here.
    fn like(&mut self, held: Held, nr: u32, room: u32) {
        if held.input == Input::Nr {
            self.last = self.last.min(nr.saturating_add(room));
        }
    }
}

impl Op {
    /// By how much the accumulator can surely grow without another answer.
    fn room(self, a: u32, k: u32) -> u32 {
        match self {
            Self::Eq if a == k => 0,
            Self::Eq | Self::Ge if a < k => k - a - 1,
            Self::Eq | Self::Ge => u32::MAX,
            // Until a bit of the mask may change.
            Self::Set => !a & low_bits(k.trailing_zeros()),
        }
    }
}

/// So many of the lowest bits.
fn low_bits(count: u32) -> u32 {
    u32::MAX.checked_shr(32 - count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;
    use proptest::prelude::*;

    /// A random tree over numbers, in part cut ones.
    fn tree(code: &mut Code, tests: &[(Op, u32, bool)]) -> CodeId {
        let nr = Held::all(Input::Nr);
        let mut ends = [5, 6, 7].map(|errno| code.ret(Action::Errno(errno))).to_vec();
        for &(op, k, cut) in tests {
            let [yes, no] = [ends.remove(0), ends.remove(0)];
            let test = code.test(nr, (op, k), yes, no);
            ends.push(if cut { code.fold(nr, !0x20, test) } else { test });
            ends.push(yes);
        }
        let end = ends[ends.len() - 2];
        code.enter(None, end)
    }

    proptest! {
        #[test]
        fn together_is_like_one_by_one(
            tests in prop::collection::vec(
                (prop::sample::select(&[Op::Eq, Op::Ge, Op::Set]), 0..70_u32, any::<bool>()), 1..12),
            numbers in prop::collection::btree_set(0..100_u32, 1..60),
        ) {
            let mut code = Code::default();
            let root = tree(&mut code, &tests);
            let calls: Vec<Shares> =
                numbers.into_iter().map(|nr| Shares { token: 1, nr, weight: u64::from(nr) + 1 }).collect();
            let together = Flow::of(&code, root, &calls);
            for id in code.reachable(root) {
                let apart: u64 = calls.iter().map(|call| Flow::of(&code, root, &[*call]).at(id)).sum();
                prop_assert_eq!(together.at(id), apart);
            }
            let apart: Vec<u32> = calls.iter().flat_map(|call| Flow::of(&code, root, &[*call]).into_tests()).collect();
            prop_assert_eq!(together.into_tests(), apart);
        }
    }

    /// Behind the load of an argument nothing is known, so both sides get half.
    #[test]
    fn a_test_of_an_argument_halves_the_weight() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let low = Held { mask: 6, ..Held::all(Input::Low(0)) };
        let test = code.test(low, (Op::Eq, 2), allow, kill);
        let cut = code.enter(Some(Held::all(Input::Low(0))), test);
        let load = code.enter(None, cut);
        let call = Shares { token: 1, nr: 2, weight: 8 };
        for root in [load, cut, test] {
            let flow = Flow::of(&code, root, &[call]);
            assert_eq!([root, test, allow, kill].map(|id| flow.at(id)), [8, 8, 4, 4]);
            assert_eq!(flow.into_tests(), [0]);
        }
    }

    #[test]
    fn room_up_to_another_answer() {
        for (op, a, k, room) in [
            (Op::Eq, 5, 5, 0),
            (Op::Eq, 3, 7, 3),
            (Op::Eq, 8, 7, u32::MAX),
            (Op::Ge, 3, 7, 3),
            (Op::Ge, 6, 7, 0),
            (Op::Ge, 7, 7, u32::MAX),
            (Op::Set, 0b1000_0101, 0b1111_0000, 0b1010),
            (Op::Set, 0b1111, 0b1_0000, 0),
            (Op::Set, 0, 0, u32::MAX),
        ] {
            assert_eq!(op.room(a, k), room, "{op:?} {a} {k}");
        }
        assert_eq!([0, 1, 5, 31, 32].map(low_bits), [0, 1, 0x1f, 0x7fff_ffff, u32::MAX]);
    }
}
