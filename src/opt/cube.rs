//! Values closed under sub-masks.
//!
//! If all parts of a mask, 0 included, lead to the same code, one test of the bits outside the mask decides them all:
//! `value & !mask == 0` says that the value is a part of the mask. Behind the test they are don't-cares, so what is left
//! has fewer runs. The values that personality(2) takes are of this kind: four of five are decided by one comparison.

use super::runs::Run;
use alloc::vec::Vec;

/// A run with more numbers is not a set of values.
const MOST_NUMBERS: u32 = 16;

/// A cube of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cube {
    pub(super) mask: u32,
    /// The runs without the values of the cube; neighbours of one class are merged.
    pub(super) rest: Vec<Run>,
}

/// The cube of the most values of the class that 0 has, if it has at least four.
pub(super) fn cube(runs: &[Run]) -> Option<Cube> {
    let zero = runs.first()?;
    let small = |run: &&Run| run.class == zero.class && run.last - run.first < MOST_NUMBERS;
    let mut values: Vec<u32> = runs.iter().filter(small).flat_map(|run| run.first..=run.last).collect();
    values.dedup();
    if values.first() != Some(&0) {
        return None;
    }
    // The mask itself is one of the values. Of equal ones the least.
    let most = values.len().ilog2();
    let fits = |mask: &u32| mask.count_ones() <= most && parts(*mask).all(|part| values.binary_search(&part).is_ok());
    let mask = *values.iter().rev().filter(|mask| fits(mask)).max_by_key(|mask| mask.count_ones())?;
    if mask.count_ones() < 2 {
        return None;
    }
    let inside =
        |run: &Run| run.last - run.first < MOST_NUMBERS && (run.first..=run.last).all(|value| value & !mask == 0);
    let mut rest: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs.iter().filter(|run| !inside(run)) {
        match rest.last_mut() {
            Some(last) if last.class == run.class => {
                last.last = run.last;
                last.weight += run.weight;
            }
            _ => rest.push(*run),
        }
    }
    Some(Cube { mask, rest })
}

/// All parts of a mask, itself first, 0 last.
fn parts(mask: u32) -> impl Iterator<Item = u32> {
    core::iter::successors(Some(mask), move |&part| (part != 0).then(|| (part - 1) & mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;
    use crate::code::Code;
    use crate::opt::runs::runs;

    #[test]
    fn the_values_of_personality() {
        let mut code = Code::default();
        let (yes, no) = (code.ret(Action::Allow), code.ret(Action::Errno(1)));
        let starts =
            [(0, yes), (1, no), (8, yes), (9, no), (0x20000, yes), (0x20001, no), (0x20008, yes), (0x20009, no)];
        let found = cube(&runs(starts.into_iter().chain([(u32::MAX, yes)]))).unwrap();
        assert_eq!(found.mask, 0x20008);
        let left: Vec<_> = found.rest.iter().map(|run| (run.last, run.class)).collect();
        assert_eq!(left, [(u32::MAX - 1, no), (u32::MAX, yes)]);
    }

    #[test]
    fn an_incomplete_cube_is_none() {
        let mut code = Code::default();
        let (yes, no) = (code.ret(Action::Allow), code.ret(Action::Errno(1)));
        let starts = [(0, yes), (1, no), (8, yes), (9, no), (0x20008, yes), (0x20009, no)];
        assert_eq!(cube(&runs(starts)), None);
    }

    #[test]
    fn a_long_run_is_no_set_of_values() {
        let mut code = Code::default();
        let (yes, no) = (code.ret(Action::Allow), code.ret(Action::Errno(1)));
        let found = |length: u32| cube(&runs([(0, yes), (length, no)]));
        let rest = Vec::from([Run { first: MOST_NUMBERS, last: u32::MAX, class: no, weight: 0 }]);
        assert_eq!(found(MOST_NUMBERS), Some(Cube { mask: MOST_NUMBERS - 1, rest }));
        assert_eq!(found(MOST_NUMBERS + 1), None);
    }
}
