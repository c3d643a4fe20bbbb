//! x32 joined with x86_64.
//!
//! The two ABIs share an architecture token and most of their rules; a number of x32 is that of x86_64 with bit 30 set.
//! So instead of a second tree for numbers with that bit, the bit is cut off. A small tree takes those numbers on which
//! x32 differs, and all others go on into the tree for x86_64:
//!
//! ```text
//! root: the tree for all numbers, in which [0x40000000, 0x7fffffff] is one run that leads to
//! fold: nr & 0xbfffffff, then the tree of differences, whose other numbers lead to
//! base: the tree for [0, 0x3fffffff]
//! ```
//! `base` is the best tree for a part of the runs of `root`, so it was found on the way and shares all its branches but
//! the rightmost. Behind the fold the accumulator holds a number without bit 30, and every branch of `base` answers
//! those as x86_64 does.

use super::runs::Run;
use crate::code::{Code, CodeId, Held};
use alloc::vec::Vec;

pub(super) const BIT: u32 = 0x4000_0000;
/// Runs that the detour has to save at least.
const WORTH: usize = 16;

/// The runs of a switch, taken apart at bit 30.
#[derive(Debug)]
pub(super) struct Folded {
    /// All numbers; those between 0x40000000 and 0x7fffffff are one run of class [`CodeId::LATER`].
    pub(super) all: Vec<Run>,
    /// Numbers with bit 30 cut off; [`CodeId::LATER`] where they do as those without.
    pub(super) differences: Vec<Run>,
}

/// Takes runs apart, if that is worth it.
pub(super) fn folded(runs: &[Run]) -> Option<Folded> {
    let low = clip(runs, 0, BIT - 1);
    let mut high = clip(runs, BIT, 2 * BIT - 1);
    for run in &mut high {
        run.first -= BIT;
        run.last -= BIT;
    }
    let differences = differences(&low, &high);
    if differences.len() + WORTH > high.len() {
        return None;
    }
    let mut all = low;
    all.push(Run { first: BIT, last: 2 * BIT - 1, class: CodeId::LATER, weight: 0 });
    all.extend(clip(runs, 2 * BIT, u32::MAX));
    Some(Folded { all, differences })
}

impl Folded {
    /// What numbers with bit 30 do, from the code for those without and a way to make a tree of the differences.
    pub(super) fn upper(
        &mut self,
        code: &mut Code,
        held: Held,
        base: CodeId,
        tree: impl FnOnce(&mut Code, &[Run]) -> CodeId,
    ) -> CodeId {
        // The base comes with the number in the accumulator.
        let base = code.enter(Some(held), base);
        for run in self.differences.iter_mut().filter(|run| run.class == CodeId::LATER) {
            run.class = base;
        }
        let differences = tree(code, &self.differences);
        let differences = code.enter(Some(held), differences);
        code.fold(held, !BIT, differences)
    }
}

/// How many runs lie below bit 30.
pub(super) fn below(all: &[Run]) -> usize {
    all.iter().position(|run| run.class == CodeId::LATER).unwrap_or(0)
}

fn clip(runs: &[Run], first: u32, last: u32) -> Vec<Run> {
    let inside = runs.iter().filter(|run| run.first <= last && run.last >= first);
    inside.map(|run| Run { first: run.first.max(first), last: run.last.min(last), ..*run }).collect()
}

/// The classes of `high` where they differ from those of `low`.
fn differences(low: &[Run], high: &[Run]) -> Vec<Run> {
    let mut pieces: Vec<(Run, bool)> = Vec::new();
    let (mut i, mut j, mut first) = (0, 0, 0);
    while let (Some(own), Some(other)) = (high.get(i), low.get(j)) {
        let last = own.last.min(other.last);
        pieces.push((Run { first, last, ..*own }, own.class == other.class));
        i += usize::from(own.last == last);
        j += usize::from(other.last == last);
        first = last + 1;
    }
    let mut differences: Vec<Run> = Vec::new();
    for (at, &(run, equal)) in pieces.iter().enumerate() {
        let class = if equal && !joins(&pieces, at) { CodeId::LATER } else { run.class };
        match differences.last_mut() {
            Some(previous) if previous.class == class => previous.last = run.last,
            _ => differences.push(Run { class, ..run }),
        }
    }
    differences
}

/// Whether an equal piece stands alone between two that differ, and is of the same class as one of them: then it costs
/// less to answer it on the spot.
fn joins(pieces: &[(Run, bool)], at: usize) -> bool {
    let (Some(before), Some(after)) = (at.checked_sub(1).and_then(|at| pieces.get(at)), pieces.get(at + 1)) else {
        return false;
    };
    let class = pieces[at].0.class;
    !before.1 && !after.1 && (before.0.class == class || after.0.class == class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;
    use crate::opt::runs::runs;

    #[test]
    fn only_differences_are_left_of_the_upper_numbers() {
        let mut code = Code::default();
        let [yes, no, other] = [Action::Allow, Action::Errno(1), Action::Errno(38)].map(|action| code.ret(action));
        let alternating = |start: u32| (0..40).map(move |x| (start + x, if x % 2 == 0 { yes } else { no }));
        let mut starts: Vec<_> = alternating(0).collect();
        starts.extend(alternating(BIT).take(10));
        starts.extend([(BIT + 10, other)]);
        starts.extend(alternating(BIT).skip(11));
        starts.push((2 * BIT, no));
        let folded = folded(&runs(starts)).unwrap();
        assert_eq!(below(&folded.all), 40);
        let left: Vec<_> = folded.differences.iter().map(|run| (run.first, run.class)).collect();
        assert_eq!(left, [(0, CodeId::LATER), (10, other), (11, CodeId::LATER)]);
        assert_eq!(folded.all.last().map(|run| run.last), Some(u32::MAX));
    }

    /// Starts, ends and classes.
    fn plain(runs: &[Run]) -> Vec<(u32, u32, CodeId)> {
        runs.iter().map(|run| (run.first, run.last, run.class)).collect()
    }

    #[test]
    fn all_numbers_are_taken_apart_at_their_bits() {
        let mut code = Code::default();
        let [yes, no, other] = [Action::Allow, Action::Errno(1), Action::Errno(38)].map(|action| code.ret(action));
        let alternating = |start: u32| (0..40).map(move |x| (start + 10 * x, if x % 2 == 0 { yes } else { no }));
        // `yes` ends at 9 and at 29, `no` at 19 and at 39.
        let mut starts: Vec<_> = alternating(0).collect();
        // The last run goes on here, and then another one is in the middle of one that is else the same.
        starts.extend([(BIT, no), (BIT + 5, other), (BIT + 8, yes), (BIT + 10, no), (BIT + 20, yes)]);
        // Of three pieces the one in the middle is the same, and has the class of the one before, or of the one behind.
        starts.extend([(BIT + 38, other), (BIT + 40, yes), (BIT + 58, yes), (BIT + 60, other)]);
        starts.extend([(BIT + 78, no), (BIT + 80, no), (BIT + 98, other), (BIT + 100, yes)]);
        // Here of neither.
        starts.extend([(BIT + 110, other), (BIT + 112, no)]);
        starts.extend(alternating(BIT).skip(12));
        starts.push((2 * BIT + 7, yes));
        let folded = folded(&runs(starts)).unwrap();
        let low = runs(alternating(0));
        assert_eq!(plain(&folded.all[..39]), plain(&low[..39]));
        let rest = [(390, BIT - 1, no), (BIT, 2 * BIT - 1, CodeId::LATER), (2 * BIT, 2 * BIT + 6, no)];
        assert_eq!(plain(&folded.all[39..42]), rest);
        let later = CodeId::LATER;
        let wanted = [
            (0, 4, no),
            (5, 7, other),
            (8, 29, later),
            (30, 37, yes),
            (38, 39, other),
            (40, 59, yes),
            (60, 77, other),
            (78, 97, no),
            (98, 99, other),
            (100, 109, later),
            (110, 111, other),
            (112, BIT - 1, later),
        ];
        assert_eq!(plain(&folded.differences), wanted);
    }

    /// Sixteen runs are saved, or it is not done.
    #[test]
    fn what_is_saved_is_counted() {
        let mut code = Code::default();
        let [yes, no] = [Action::Allow, Action::Errno(1)].map(|action| code.ret(action));
        for (many, folds) in [(16, false), (17, true)] {
            let alternating = |start: u32| (0..many).map(move |x| (start + x, if x % 2 == 0 { yes } else { no }));
            let after = if many % 2 == 0 { yes } else { no };
            let starts = alternating(0).chain(alternating(BIT)).chain([(2 * BIT, after), (2 * BIT + 1, yes)]);
            assert_eq!(folded(&runs(starts)).is_some(), folds, "{many}");
        }
    }

    #[test]
    fn a_few_numbers_are_not_worth_it() {
        let mut code = Code::default();
        let [yes, no] = [Action::Allow, Action::Errno(1)].map(|action| code.ret(action));
        let starts = [(0, yes), (3, no), (BIT, yes), (BIT + 3, no), (2 * BIT, no)];
        assert!(folded(&runs(starts)).is_none());
    }
}
