//! What is known of the words of the input on the way to a place in a program.

use crate::graph::Word;
use alloc::vec::Vec;

/// The place of a word in the structure of the input, counted in words of the same half.
pub(super) fn index(word: Word) -> usize {
    match word {
        Word::Arch => 0,
        Word::Nr => 1,
        Word::IpLow => 2,
        Word::IpHigh => 3,
        Word::Low(arg) => 4 + 2 * usize::from(arg.min(5)),
        Word::High(arg) => 5 + 2 * usize::from(arg.min(5)),
    }
}

/// The word at a place.
pub(super) fn word(index: usize) -> Word {
    let arg = u8::try_from(index.saturating_sub(4) / 2).unwrap_or(0);
    match index {
        0 => Word::Arch,
        1 => Word::Nr,
        2 => Word::IpLow,
        3 => Word::IpHigh,
        _ if index.is_multiple_of(2) => Word::Low(arg),
        _ => Word::High(arg),
    }
}

/// A set of words, a bit for each.
pub(super) type Words = u16;

/// The set with one word.
pub(super) fn only(word: Word) -> Words {
    1 << index(word)
}

/// Values that a word can still have: those of an interval, with some bits fixed, except some patterns of bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    pub(super) first: u32,
    pub(super) last: u32,
    mask: u32,
    value: u32,
    /// `(word & mask) == value` does not hold.
    not: Vec<(u32, u32)>,
}

/// Steps in which a value is looked for. Where they do not suffice, there may be one.
const LOOKS: usize = 256;

impl Known {
    pub(super) const ANY: Self = Self { first: 0, last: u32::MAX, mask: 0, value: 0, not: Vec::new() };

    /// The bits that all values share: their mask, and what they are.
    pub(super) fn fixed(&self) -> (u32, u32) {
        // Above the highest bit in which the ends of the interval differ.
        let same = !u32::MAX.checked_shr((self.first ^ self.last).leading_zeros()).unwrap_or(0);
        (self.mask | same, self.value | self.first & same)
    }

    /// The same within an interval; `None` if no value is left.
    pub(super) fn within(&self, first: u32, last: u32) -> Option<Self> {
        let (first, last) = (self.first.max(first), self.last.min(last));
        (first <= last).then(|| Self { first, last, ..self.clone() }).filter(Self::is_possible)
    }

    /// The same where these bits have this value; `None` if no value is left.
    pub(super) fn with(&self, mask: u32, value: u32) -> Option<Self> {
        let common = self.mask & mask;
        if (self.value ^ value) & common != 0 || value & !mask != 0 {
            return None;
        }
        let known = Self { mask: self.mask | mask, value: self.value | value, ..self.clone() };
        Some(known).filter(Self::is_possible)
    }

    /// The same where these bits do not have this value; `None` if no value is left.
    pub(super) fn without(&self, mask: u32, value: u32) -> Option<Self> {
        if value & !mask != 0 {
            return Some(self.clone());
        }
        if mask.is_power_of_two() {
            return self.with(mask, value ^ mask);
        }
        let mut known = self.clone();
        if let Err(place) = known.not.binary_search(&(mask, value)) {
            known.not.insert(place, (mask, value));
        }
        Some(known).filter(Self::is_possible)
    }

    fn is_possible(&self) -> bool {
        // An exception whose bits are all fixed leaves nothing; `least` would look at one value after the other.
        let (mask, value) = self.fixed();
        let excluded = |&(not, is): &(u32, u32)| not & !mask == 0 && value & not == is;
        !self.not.iter().any(excluded) && self.least() != Ok(None)
    }

    /// The least value, `None` if there is none; an error if it was not found in time.
    pub(super) fn least(&self) -> Result<Option<u32>, ()> {
        let mut at = self.first;
        for _ in 0..LOOKS {
            let Some(next) = self.fitting(at).filter(|next| *next <= self.last) else { return Ok(None) };
            let Some((mask, _)) = self.not.iter().find(|(mask, value)| next & mask == *value) else {
                return Ok(Some(next));
            };
            // The pattern goes away no sooner than its lowest bit changes.
            let lowest = mask & mask.wrapping_neg();
            let Some(after) = (next | lowest.wrapping_sub(1)).checked_add(1) else { return Ok(None) };
            at = after;
        }
        Err(())
    }

    /// The least number from here on that has the fixed bits.
    fn fitting(&self, from: u32) -> Option<u32> {
        let wrong = (from ^ self.value) & self.mask;
        if wrong == 0 {
            return Some(from);
        }
        let top = wrong.ilog2();
        let below = (1_u32 << top) | ((1_u32 << top) - 1);
        if self.value >> top & 1 == 1 {
            // The fixed bit is above: everything below it becomes as small as it can.
            return Some(from & !below | self.value & below);
        }
        // The fixed bit is below: a free bit above it has to grow.
        let free = !self.mask & !from & !below;
        let grown = free & free.wrapping_neg();
        if grown == 0 {
            return None;
        }
        let rest = grown | (grown - 1);
        Some(from & !rest | grown | self.value & (grown - 1))
    }
}

/// What is known of all words; those that are missing can have any value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Env(Vec<(u8, Known)>);

impl Env {
    pub(super) fn get(&self, word: Word) -> &Known {
        static ANY: Known = Known::ANY;
        let wanted = index(word);
        self.0.iter().find(|(place, _)| usize::from(*place) == wanted).map_or(&ANY, |(_, known)| known)
    }

    pub(super) fn set(&mut self, word: Word, known: Known) {
        let place = u8::try_from(index(word)).unwrap_or(0);
        match self.0.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = known;
                }
            }
            Err(at) => self.0.insert(at, (place, known)),
        }
    }

    /// The same for these words only.
    pub(super) fn only(&self, words: Words) -> Self {
        Self(self.0.iter().filter(|(place, _)| words >> place & 1 == 1).cloned().collect())
    }

    /// The words of which something is known, each with a value it can have.
    pub(super) fn values(&self) -> impl Iterator<Item = (Word, u32)> + '_ {
        self.0
            .iter()
            .map(|(place, known)| (word(usize::from(*place)), known.least().ok().flatten().unwrap_or(known.first)))
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
