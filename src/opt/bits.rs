//! One bit test for many numbers.
//!
//! `n & m` tells numbers apart that lie all over a window: multiples of four from the rest, say. A window of few
//! numbers is written out one by one, every promising mask is tried, and a mask is taken if one side is of one class and
//! the other takes at most two more comparisons. On either side the numbers of the other are don't-cares.

use super::runs::Run;
use crate::code::{Code, CodeId, Held, Op};
use alloc::vec::Vec;

/// Numbers that a window may have: one for each bit of a set.
pub(super) const MOST_NUMBERS: u32 = 32;
/// Below this bit all combinations are tried, above it single bits.
const COMBINED: u32 = 6;

/// The numbers of a window, one by one, in ascending order.
pub(super) struct Numbers {
    list: [(u32, CodeId, u64); MOST_NUMBERS as usize],
    /// For each number the set of those of the same class.
    same: [u32; MOST_NUMBERS as usize],
    /// Elements that stand for more than one number, which only an aligned bit test may tell apart.
    long: u32,
    len: u32,
}

/// A mask and what is left to do behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    pub(super) mask: u32,
    pub(super) cost: u64,
}

impl Numbers {
    /// Writes out runs, together at most [`MOST_NUMBERS`] numbers.
    pub(super) fn new<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Self {
        Self::made(runs, |run| run.last - run.first + 1)
    }

    /// Takes each run as one element, at most [`MOST_NUMBERS`] of them.
    pub(super) fn of_runs<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Self {
        let long = (0..MOST_NUMBERS).zip(runs.clone()).filter(|(_, run)| !run.is_single());
        let long = long.fold(0, |set, (at, _)| set | 1 << at);
        Self { long, ..Self::made(runs, |_| 1) }
    }

    fn made<'a>(runs: impl Iterator<Item = &'a Run> + Clone, elements: impl Fn(&Run) -> u32) -> Self {
        let nothing = (0, CodeId::default(), 0);
        let mut numbers =
            Self { list: [nothing; MOST_NUMBERS as usize], same: [0; MOST_NUMBERS as usize], long: 0, len: 0 };
        // The set of each class; there are at most as many as runs.
        let mut sets: Vec<(CodeId, u32)> = Vec::with_capacity(8);
        for run in runs.clone() {
            let many = elements(run);
            let places = numbers.list.iter_mut().skip(numbers.len as usize).take(many as usize);
            for (number, place) in (run.first..=run.last).zip(places) {
                *place = (number, run.class, run.weight / u64::from(many));
            }
            let own = part(numbers.len, many);
            match sets.iter_mut().find(|set| set.0 == run.class) {
                Some(set) => set.1 |= own,
                None => sets.push((run.class, own)),
            }
            numbers.len += many;
        }
        let mut at = 0;
        for run in runs {
            let own = sets.iter().find(|set| set.0 == run.class).map_or(0, |set| set.1);
            let many = elements(run) as usize;
            numbers.same.iter_mut().skip(at).take(many).for_each(|same| *same = own);
            at += many;
        }
        numbers
    }

    /// The best single bit whose cost is below `limit`, of those that are the same in all numbers of each run.
    pub(super) fn best_aligned<'a>(&self, runs: impl Iterator<Item = &'a Run>, limit: u64, price: u64) -> Option<Mask> {
        // A bit is the same in a whole run if the ends do not differ in it or above it.
        let aligned = runs.fold(u32::MAX, |aligned, run| {
            let differ = run.first ^ run.last;
            aligned & u32::MAX.checked_shl(32 - differ.leading_zeros()).unwrap_or(0)
        });
        let differ = self.listed().fold(0, |differ, (_, &(number, ..))| differ | (number ^ self.list[0].0));
        let mut best: Option<Mask> = None;
        for mask in (0..32).map(|bit| 1 << bit).filter(|bit| aligned & differ & bit != 0) {
            let limit = best.map_or(limit, |best| best.cost);
            best = self.mask(mask, self.with(mask), limit, price).or(best);
        }
        best
    }

    /// What a mask costs, if it is good and cheaper than the limit. `yes` are the numbers with any of its bits.
    fn mask(&self, mask: u32, yes: u32, limit: u64, price: u64) -> Option<Mask> {
        let no = self.full() & !yes;
        if yes == 0 || no == 0 {
            return None;
        }
        // A side of one class costs nothing more.
        let other = match (self.is_one_class(yes), self.is_one_class(no)) {
            (true, _) => no,
            (_, true) => yes,
            _ => return None,
        };
        let cost = self.cost(other, price)?;
        (cost < limit).then_some(Mask { mask, cost })
    }

    fn full(&self) -> u32 {
        part(0, self.len)
    }

    fn listed(&self) -> impl Iterator<Item = (u32, &(u32, CodeId, u64))> {
        (0..self.len).zip(&self.list)
    }

    /// The numbers that have any bit of a mask.
    fn with(&self, mask: u32) -> u32 {
        self.listed().fold(0, |set, (at, &(number, ..))| set | u32::from(number & mask != 0) << at)
    }

    fn is_one_class(&self, set: u32) -> bool {
        set & !self.same[set.trailing_zeros() as usize] == 0
    }

    /// The best mask whose cost is below `limit`.
    pub(super) fn best(&self, limit: u64, price: u64) -> Option<Mask> {
        let differ = self.listed().fold(0, |differ, (_, &(number, ..))| differ | (number ^ self.list[0].0));
        let low = differ & ((1 << COMBINED) - 1);
        // The numbers with any bit of a combination, from those of a smaller combination.
        let mut sets = [0_u32; 1 << COMBINED];
        for bit in (0..COMBINED).filter(|bit| low >> bit & 1 == 1) {
            sets[1 << bit] = self.with(1 << bit);
        }
        let mut best: Option<Mask> = None;
        let mut consider = |mask, yes: u32| {
            let limit = best.map_or(limit, |best| best.cost);
            best = self.mask(mask, yes, limit, price).or(best);
        };
        // All parts of the low bits, ascending.
        let mut mask = low & low.wrapping_neg();
        while mask != 0 {
            let rest = mask & (mask - 1);
            let (less, bit) = (sets[rest as usize], sets[(mask ^ rest) as usize]);
            sets[mask as usize] = less | bit;
            // With one bit less the same numbers would be told apart.
            if rest == 0 || less | bit != less && less | bit != bit {
                consider(mask, less | bit);
            }
            mask = mask.wrapping_sub(low) & low;
        }
        for mask in (COMBINED..32).map(|bit| 1 << bit).filter(|bit| differ & bit != 0) {
            consider(mask, self.with(mask));
        }
        best
    }

    /// The places in a set where the class changes, the first included, if there are at most three groups.
    fn groups(&self, set: u32) -> Option<([usize; 3], usize)> {
        let mut starts = [0; 3];
        let mut count = 0;
        let mut left = set;
        while left != 0 {
            let at = left.trailing_zeros();
            *starts.get_mut(count)? = at as usize;
            count += 1;
            // On to the first one of another class.
            let other = left & !self.same[at as usize];
            left &= u32::MAX.checked_shl(other.trailing_zeros()).unwrap_or(0);
        }
        Some((starts, count))
    }

    fn weight(&self, set: u32) -> u64 {
        let (mut left, mut sum) = (set, 0);
        while left != 0 {
            sum += self.list[left.trailing_zeros() as usize].2;
            left &= left - 1;
        }
        sum
    }

    fn cost(&self, set: u32, price: u64) -> Option<u64> {
        let (starts, count) = self.groups(set)?;
        let one = || self.weight(set) + price;
        Some(match count {
            1 => 0,
            2 => one(),
            _ if self.is_island(set, starts) => one(),
            _ => one() + self.part(set, starts).0 + price,
        })
    }

    /// Three groups of which the middle one is a single number and the others are of one class.
    fn is_island(&self, set: u32, [first, middle, last]: [usize; 3]) -> bool {
        let inside = set & (u32::MAX << middle) & !(u32::MAX << last);
        inside.is_power_of_two() && inside & self.long == 0 && self.list[first].1 == self.list[last].1
    }

    /// Of three groups the two that are cheaper to tell apart second: their weight, and whether they are the first two.
    fn part(&self, set: u32, [_, middle, last]: [usize; 3]) -> (u64, bool) {
        let first_two = self.weight(set & !(u32::MAX << last));
        let last_two = self.weight(set & u32::MAX << middle);
        if first_two <= last_two { (first_two, true) } else { (last_two, false) }
    }

    /// Replaces classes.
    pub(super) fn classes(&mut self, new: impl Fn(CodeId) -> CodeId) {
        for (_, class, _) in &mut self.list {
            *class = new(*class);
        }
    }

    /// The code for a mask.
    pub(super) fn tree(&self, code: &mut Code, held: Held, mask: u32) -> CodeId {
        let yes = self.with(mask);
        let no = self.side(code, held, self.full() & !yes);
        let yes = self.side(code, held, yes);
        code.test(held, (Op::Set, mask), yes, no)
    }

    fn side(&self, code: &mut Code, held: Held, set: u32) -> CodeId {
        let Some((starts, count)) = self.groups(set) else { return self.list[0].1 };
        let (number, class) = (|at: usize| self.list[at].0, |at: usize| self.list[at].1);
        let [first, middle, last] = starts;
        match count {
            1 => class(first),
            2 => code.test(held, (Op::Ge, number(middle)), class(middle), class(first)),
            _ if self.is_island(set, starts) => code.test(held, (Op::Eq, number(middle)), class(middle), class(first)),
            _ if self.part(set, starts).1 => {
                let below = code.test(held, (Op::Ge, number(middle)), class(middle), class(first));
                code.test(held, (Op::Ge, number(last)), class(last), below)
            }
            _ => {
                let above = code.test(held, (Op::Ge, number(last)), class(last), class(middle));
                code.test(held, (Op::Ge, number(middle)), above, class(first))
            }
        }
    }
}

/// The set of `many` places from `first` on.
fn part(first: u32, many: u32) -> u32 {
    let ones = u32::MAX.checked_shr(MOST_NUMBERS.saturating_sub(many)).unwrap_or(0);
    ones.checked_shl(first).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;
    use crate::code::{Input, Step};

    #[test]
    fn multiples_of_four_take_one_test() {
        let mut code = Code::default();
        let (yes, no) = (code.ret(Action::Allow), code.ret(Action::Errno(1)));
        let run = |(first, last, class)| Run { first, last, class, weight: 40 };
        let runs = [(299, 299, yes), (300, 300, no), (301, 303, yes), (304, 304, no), (305, 307, yes), (308, 308, no)];
        let runs: Vec<Run> = runs.into_iter().map(run).collect();
        let numbers = Numbers::new(runs.iter());
        let found = numbers.best(u64::MAX, 1).unwrap();
        assert_eq!(found, Mask { mask: 3, cost: 0 });
        let held = Held::all(Input::Nr);
        let tree = numbers.tree(&mut code, held, found.mask);
        assert_eq!(code.step(tree), Step::Test { held, op: Op::Set, k: 3, yes, no });
    }

    #[test]
    fn a_side_may_need_two_more_tests() {
        let mut code = Code::default();
        let classes = [Action::Allow, Action::Errno(1), Action::Errno(2)].map(|action| code.ret(action));
        // Odd numbers are of one class, even ones change twice.
        let class =
            |number: u32| if number % 2 == 1 { classes[2] } else { classes[usize::from(number == 4 || number == 6)] };
        let run = |number| Run { first: number, last: number, class: class(number), weight: 10 };
        let runs: Vec<Run> = (0..=10).map(run).collect();
        let numbers = Numbers::new(runs.iter());
        let found = numbers.best(u64::MAX, 1).unwrap();
        assert_eq!(found.mask, 1);
        let tree = numbers.tree(&mut code, Held::all(Input::Nr), found.mask);
        for number in 0..=10 {
            let mut at = tree;
            while let Step::Test { op, k, yes, no, .. } = code.step(at) {
                at = if op.holds(number, k) { yes } else { no };
            }
            assert_eq!(at, class(number), "{number}");
        }
    }
}
