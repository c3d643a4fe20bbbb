//! Sets of 32-bit numbers.

use alloc::vec::Vec;

/// A set of numbers as ranges, rising and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// 0 to `last`.
    pub(super) fn up_to(last: u32) -> Self {
        Self(alloc::vec![(0, last)])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|&(first, last)| u64::from(last.saturating_sub(first)).saturating_add(1)).sum()
    }

    /// Those below a bound, and the rest.
    pub(super) fn split_below(&self, bound: u32) -> [Self; 2] {
        let (mut below, mut rest) = (Vec::new(), Vec::new());
        for &(first, last) in &self.0 {
            if last < bound {
                below.push((first, last));
            } else if first >= bound {
                rest.push((first, last));
            } else {
                below.push((first, bound.saturating_sub(1)));
                rest.push((bound, last));
            }
        }
        [Self(below), Self(rest)]
    }

    /// Those equal to a number, and the rest.
    pub(super) fn split_equal(&self, number: u32) -> [Self; 2] {
        let [below, rest] = self.split_below(number);
        let Some(above) = number.checked_add(1) else { return [rest, below] };
        let [equal, above] = rest.split_below(above);
        let mut others = below;
        others.0.extend(above.0);
        [equal, others]
    }

    /// Those that share a bit with a mask, and the rest; `None` if that breaks a range into more pieces than `most`.
    pub(super) fn split_bits(&self, mask: u32, most: usize) -> Option<[Self; 2]> {
        let (mut with, mut without) = (Self::default(), Self::default());
        for &(first, last) in &self.0 {
            let (mut first, mut pieces) = (Some(first), 0_usize);
            while let Some(begin) = first.filter(|&begin| begin <= last) {
                let change = next_change(begin, mask).filter(|&change| change <= last);
                let end = change.map_or(last, |change| change.saturating_sub(1));
                if begin & mask == 0 { &mut without } else { &mut with }.push((begin, end));
                first = change;
                pieces = pieces.saturating_add(1);
                if pieces > most {
                    return None;
                }
            }
        }
        Some([with, without])
    }

    /// Both sets together.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined = Self::default();
        for range in all {
            joined.push(range);
        }
        joined
    }

    /// Adds a range that begins behind the first number of the last one.
    fn push(&mut self, (first, last): (u32, u32)) {
        match self.0.last_mut() {
            Some((_, end)) if end.checked_add(1).is_none_or(|next| first <= next) => *end = last.max(*end),
            _ => self.0.push((first, last)),
        }
    }
}

/// The smallest number above one for which `number & mask != 0` is answered otherwise.
fn next_change(number: u32, mask: u32) -> Option<u32> {
    if mask == 0 {
        return None;
    }
    if number & mask == 0 {
        // The lowest bit of the mask comes first.
        let low = mask.trailing_zeros();
        return Some((number >> low | 1) << low);
    }
    // The highest of the bits has to go, by a carry out of it; that may set a higher one of the mask.
    let mut next = number;
    while next & mask != 0 {
        let high = (next & mask).ilog2();
        let below = u32::MAX >> 31_u32.saturating_sub(high);
        next = (next | below).checked_add(1)?;
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_bits_by_trying_all() {
        for mask in 0..64 {
            for number in 0..256_u32 {
                let differs = |other: &u32| (other & mask == 0) != (number & mask == 0);
                let expected = (number + 1..1024).find(differs);
                assert_eq!(next_change(number, mask), expected, "{number} {mask}");
            }
        }
        assert_eq!(next_change(1, u32::MAX), None);
        assert_eq!(next_change(0x8000_0000, 0x8000_0000), None);
        assert_eq!(next_change(0x4000_0000, 0x4000_0000), Some(0x8000_0000));
    }

    #[test]
    fn splits_are_partitions() {
        let set = Ranges(alloc::vec![(0, 3), (7, 7), (10, u32::MAX)]);
        for bound in [0, 2, 5, 7, 8, 10, 11, u32::MAX] {
            let parts = [set.split_below(bound), set.split_equal(bound), set.split_bits(0x8000_0000, 8).unwrap()];
            for [a, b] in parts {
                assert_eq!(a.union(&b), set);
                assert_eq!(a.count() + b.count(), set.count());
            }
            assert!(set.split_below(bound)[0].0.iter().all(|&(_, last)| last < bound));
        }
        assert_eq!(set.split_bits(1, 8), None);
        // As many pieces as are allowed.
        assert!(Ranges::up_to(7).split_bits(1, 8).is_some());
        assert_eq!(Ranges::up_to(8).split_bits(1, 8), None);
        assert_eq!(set.split_equal(7)[0].0, [(7, 7)]);
    }
}
