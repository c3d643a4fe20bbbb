//! The elements of a switch, and sets of them as bits.
//!
//! An element is a number, or a whole run where it is too long. A [`Window`] are up to 64 elements side by side, and a set
//! is one bit for each of them that is still to be decided. Neighbours in a set that have one class are a group, whatever
//! was between them: it is decided already.

use super::runs::Run;
use crate::code::CodeId;
use alloc::vec::Vec;

/// Elements that a window may have.
const MOST: usize = 64;
/// Longer runs are one element, also where numbers are.
const LONG: u32 = 32;
/// Classes that a window may have.
const CLASSES: usize = 8;
/// Groups that a set may have.
const GROUPS: usize = 12;
/// Below this bit all combinations are tried, above it single bits.
const COMBINED: u32 = 6;

/// All elements of a switch.
#[derive(Debug)]
pub(super) struct Elements {
    list: Vec<Element>,
    /// The first element of each run, and one more for the end.
    starts: Vec<usize>,
    classes: Vec<CodeId>,
    /// For every four elements the sum of the weights of each choice of them.
    weights: Vec<[u32; 16]>,
    /// For each class its elements.
    members: Vec<Bitmap>,
    /// Elements of more than one number, and numbers that are a run of their own.
    long: Bitmap,
    alone: Bitmap,
    /// For each bit that is not the same everywhere the elements that have it.
    bits: Vec<(u32, Bitmap)>,
}

#[derive(Clone, Copy, Debug)]
struct Element {
    first: u32,
    /// The bits that differ within it.
    loose: u32,
    weight: u32,
    class: u16,
}

/// Elements side by side; sets are bits from the first one on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    base: usize,
    pub(super) all: u64,
    /// The elements of each class.
    classes: [u64; CLASSES],
    count: usize,
}

impl Window {
    /// The elements of each class.
    pub(super) fn classes(&self) -> impl Iterator<Item = u64> + use<> {
        self.classes.into_iter().take(self.count)
    }

    /// The elements of the class that the first one of a set has.
    fn like_first(&self, set: u64) -> u64 {
        self.like(set & set.wrapping_neg())
    }

    /// The elements of the class that one has.
    fn like(&self, first: u64) -> u64 {
        let mut class = self.classes[0];
        for other in &self.classes[1..self.count] {
            class = if other & first != 0 { *other } else { class };
        }
        class
    }

    /// The element of a bit.
    pub(super) fn element(&self, bit: impl Into<u32>) -> u16 {
        u16::try_from(self.base + bit.into() as usize).unwrap_or(u16::MAX)
    }

    /// The bit of an element.
    pub(super) fn bit(&self, element: u16) -> u32 {
        u32::from(element) - u32::try_from(self.base).unwrap_or(0)
    }

    /// The groups of a set, if they are not too many.
    pub(super) fn groups(&self, set: u64) -> Option<Groups> {
        let mut groups = Groups { starts: [0; GROUPS], count: 0 };
        let mut left = set;
        while left != 0 {
            *groups.starts.get_mut(groups.count)? = u8::try_from(left.trailing_zeros()).unwrap_or(0);
            groups.count += 1;
            // On to the first one of another class.
            let other = left & !self.like_first(left);
            left &= u64::MAX.checked_shl(other.trailing_zeros()).unwrap_or(0);
        }
        Some(groups)
    }

    /// The first and the last group of a set.
    pub(super) fn ends(&self, set: u64) -> [u64; 2] {
        let others = set & !self.like_first(set);
        let first = set & (others & others.wrapping_neg()).wrapping_sub(1);
        // A set of no elements has no last one.
        let others = set & !self.like(1 << set.checked_ilog2().unwrap_or(0));
        let last = set & !(u64::MAX >> others.leading_zeros().min(63));
        [first, last]
    }

    /// How many groups a set has, if they are at most so many.
    pub(super) fn few_groups(&self, set: u64, most: usize) -> Option<usize> {
        let mut left = set;
        for count in 1..=most {
            let other = left & !self.like_first(left);
            if other == 0 {
                return Some(count);
            }
            left &= u64::MAX << other.trailing_zeros();
        }
        None
    }
}

/// Neighbours of one class: the bits at which they begin.
pub(super) struct Groups {
    pub(super) starts: [u8; GROUPS],
    pub(super) count: usize,
}

/// One bit for each element, and 64 more.
#[derive(Debug)]
struct Bitmap(Vec<u64>);

impl Bitmap {
    fn new(elements: usize) -> Self {
        Self(alloc::vec![0; elements / 64 + 2])
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    /// The 64 bits from a place on.
    fn from(&self, at: usize) -> u64 {
        let (word, shift) = (at / 64, at % 64);
        // Shifted twice, because 64 is too much for one shift.
        self.0[word] >> shift | self.0[word + 1] << 1 << (63 - shift)
    }
}

/// The bits by which a set can be divided, ascending, each with the elements that have it.
pub(super) struct Bits {
    list: [(u32, u64); 32],
    count: usize,
    /// How many of them are so low that combinations are tried.
    low: usize,
}

impl Bits {
    pub(super) fn all(&self) -> &[(u32, u64)] {
        &self.list[..self.count]
    }

    /// The masks of which each element needed has a bit, with all elements that have any of its bits: combinations of
    /// low bits of which none can be left out, and single high bits.
    pub(super) fn masks(&self, needed: u64, each: &mut impl FnMut(u32, u64)) {
        let (low, high) = self.all().split_at(self.low);
        if low.iter().fold(needed, |left, (_, having)| left & !having) == 0 {
            combine(low, 0, (needed, 0, 0), each);
        }
        for &(bit, having) in high.iter().filter(|(_, having)| needed & !having == 0) {
            each(bit, having);
        }
    }
}

/// Adds bits to a mask until nothing is needed any more: one that the first element needed has, and none of those that
/// were tried in its place before, so that no mask comes twice.
fn combine(bits: &[(u32, u64)], mut tried: u32, (needed, mask, yes): (u64, u32, u64), each: &mut impl FnMut(u32, u64)) {
    let first = needed & needed.wrapping_neg();
    if first == 0 {
        return each(mask, yes);
    }
    for &(bit, having) in bits.iter().filter(|(_, having)| having & first != 0) {
        if tried & bit == 0 {
            combine(bits, tried, (needed & !having, mask | bit, yes | having), each);
            tried |= bit;
        }
    }
}

impl Elements {
    /// `weights` are those of the runs, `weigh` that of single numbers. Numbers in `holes` are decided already.
    pub(super) fn new(runs: &[Run], weights: &[u32], numbers: Option<&dyn Fn(u32) -> u32>, holes: &[u32]) -> Self {
        let mut all = Self {
            list: Vec::with_capacity(runs.len()),
            starts: Vec::with_capacity(runs.len() + 1),
            classes: Vec::new(),
            weights: Vec::new(),
            members: Vec::new(),
            long: Bitmap(Vec::new()),
            alone: Bitmap(Vec::new()),
            bits: Vec::new(),
        };
        for (run, &weight) in runs.iter().zip(weights) {
            let class = all.classes.iter().position(|&class| class == run.class).unwrap_or(all.classes.len());
            if class == all.classes.len() {
                all.classes.push(run.class);
            }
            let class = u16::try_from(class).unwrap_or(u16::MAX);
            all.starts.push(all.list.len());
            match numbers {
                Some(weigh) if run.last - run.first < LONG => {
                    let left = (run.first..=run.last).filter(|number| !holes.contains(number));
                    all.list.extend(left.map(|first| Element { first, loose: 0, weight: weigh(first).max(1), class }));
                }
                _ => {
                    let loose = (u32::MAX).checked_shr((run.first ^ run.last).leading_zeros()).unwrap_or(0);
                    all.list.push(Element { first: run.first, loose, weight, class });
                }
            }
        }
        all.starts.push(all.list.len());
        all.draw();
        all
    }

    /// Everything that is read off the list.
    fn draw(&mut self) {
        let many = self.list.len();
        self.weights = self.list.chunks(4).map(sums).collect();
        self.members = self.classes.iter().map(|_| Bitmap::new(many)).collect();
        self.long = Bitmap::new(many);
        self.alone = Bitmap::new(many);
        for run in self.starts.windows(2).filter(|run| run[1] - run[0] == 1 && self.list[run[0]].loose == 0) {
            self.alone.add(run[0]);
        }
        let differ = self.list.iter().fold(0, |differ, element| differ | (element.first ^ self.list[0].first));
        self.bits =
            (0..32).map(|bit| 1 << bit).filter(|bit| differ & bit != 0).map(|bit| (bit, Bitmap::new(many))).collect();
        for (at, element) in self.list.iter().enumerate() {
            self.members[usize::from(element.class)].add(at);
            if element.loose != 0 {
                self.long.add(at);
            }
            for (bit, having) in &mut self.bits {
                if element.first & *bit != 0 {
                    having.add(at);
                }
            }
        }
    }

    /// How many elements the runs from `i` to `j` have.
    pub(super) fn count(&self, i: usize, j: usize) -> usize {
        self.starts[j + 1] - self.starts[i]
    }

    /// The elements of the runs from `i` to `j`, if they and their classes are not too many.
    pub(super) fn window(&self, i: usize, j: usize) -> Option<Window> {
        let (base, end) = (self.starts[i], self.starts[j + 1]);
        let all = u64::MAX >> MOST.checked_sub(end - base)?;
        let mut window = Window { base, all, classes: [0; CLASSES], count: 0 };
        let mut left = all;
        while left != 0 {
            let class = self.list[base + left.trailing_zeros() as usize].class;
            let class = self.members[usize::from(class)].from(base) & all;
            *window.classes.get_mut(window.count)? = class;
            window.count += 1;
            left &= !class;
        }
        Some(window)
    }

    /// Bits that are the same within each element of a set, but not the same in all elements.
    pub(super) fn usable_bits(&self, window: &Window, set: u64) -> Bits {
        let loose = self.loose(window, set);
        let mut bits = Bits { list: [(0, 0); 32], low: 0, count: 0 };
        for (bit, having) in &self.bits {
            let yes = having.from(window.base) & set;
            if bit & loose == 0 && yes != 0 && yes != set {
                bits.list[bits.count] = (*bit, yes);
                bits.count += 1;
                bits.low += usize::from(*bit < 1 << COMBINED);
            }
        }
        bits
    }

    /// Bits that differ within an element of a set.
    fn loose(&self, window: &Window, set: u64) -> u32 {
        let mut left = self.long.from(window.base) & set;
        let mut loose = 0;
        while left != 0 {
            loose |= self.list[window.base + left.trailing_zeros() as usize].loose;
            left &= left - 1;
        }
        loose
    }

    /// The weight of a set.
    pub(super) fn weight(&self, window: &Window, set: u64) -> u32 {
        let (at, shift) = (window.base / 4, window.base % 4);
        // The elements of the first nibble, and then the others, four at a time.
        let first = usize::try_from(set << shift & 0xf).unwrap_or(0);
        let (mut sum, mut left) = (self.weights[at][first], set >> (4 - shift));
        for nibble in &self.weights[at + 1..] {
            if left == 0 {
                break;
            }
            sum += nibble[usize::try_from(left & 0xf).unwrap_or(0)];
            left >>= 4;
        }
        sum
    }

    /// Those of a set that are runs of a single number.
    pub(super) fn alone(&self, window: &Window, set: u64) -> u64 {
        self.alone.from(window.base) & set
    }

    /// Those of a set that have any bit of a mask.
    pub(super) fn having(&self, window: &Window, set: u64, mask: u32) -> u64 {
        let bits = self.bits.iter().filter(|(bit, _)| mask & bit != 0);
        bits.fold(0, |any, (_, having)| any | having.from(window.base)) & set
    }

    /// The first number of an element.
    pub(super) fn number(&self, element: u16) -> u32 {
        self.list[usize::from(element)].first
    }

    /// A bound of the numbers of an element: no smaller than the last one.
    pub(super) fn bound(&self, element: u16) -> u32 {
        let element = self.list[usize::from(element)];
        element.first | element.loose
    }

    /// The class of an element.
    pub(super) fn class(&self, element: u16) -> CodeId {
        self.classes[usize::from(self.list[usize::from(element)].class)]
    }
}

/// The weights of all choices of up to four elements.
fn sums(elements: &[Element]) -> [u32; 16] {
    let mut sums = [0; 16];
    for (at, element) in elements.iter().enumerate() {
        for choice in 0..1 << at {
            sums[choice | 1 << at] = sums[choice] + element.weight;
        }
    }
    sums
}

#[cfg(test)]
#[path = "elements_tests.rs"]
mod tests;
