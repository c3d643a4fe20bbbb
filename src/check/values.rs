//! Sets of values of one word of a call, as people read and write them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

/// A set of values of one word: an architecture token, a number, an argument, or the instruction pointer.
///
/// It consists of disjoint [`Piece`]s, or of everything outside of them, whichever is shorter. Where only the low 32
/// bits of an argument matter, it speaks of those ([`Values::width`]).
///
/// ```
/// use callsieve::{Action, Arch, Profile, Target, arg, check};
/// let profile = Profile::new(Action::Errno(1)).allow_if("socket", arg::<0>().is_in([1, 2, 10]));
/// let policy = profile.resolve(&Target::exactly(&[Arch::Aarch64]))?;
/// let regions = check::regions(&check::Subject::policy(&policy))?;
/// let allowed = regions.of(Arch::Aarch64.audit(), 198).iter().find(|region| region.action() == Action::Allow);
/// assert_eq!(allowed.unwrap().conditions()[0].values().intervals(8), Some(vec![1..=2, 10..=10]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    pub(super) width: u16,
    pub(super) inverted: bool,
    pub(super) pieces: Vec<Piece>,
    pub(super) first: u64,
}

/// A part of a set: values that have certain bits under a mask, and whose lowest bits are in an interval.
///
/// See the example of [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    mask: u64,
    value: u64,
    /// The lowest bits, from none to all of the word, none of them in the mask.
    field: u64,
    /// Whether the field is the whole word.
    whole: bool,
    /// Bounds of the field, both inside.
    low: u64,
    high: u64,
}

impl Piece {
    /// The values of a word with this field whose other bits are as under the mask.
    pub(super) fn new(word: u64, mask: u64, value: u64, field: u64, (low, high): (u64, u64)) -> Self {
        if mask | field == word {
            // Every bit above the field is given, so this is an interval of the whole word.
            return Self { mask: 0, value: 0, field: word, whole: true, low: value | low, high: value | high };
        }
        let free = low ^ high;
        let aligned = free & free.wrapping_add(1) == 0 && low & free == 0 && high & free == free;
        if aligned {
            return Self { mask: mask | (field & !free), value: value | low, field: 0, whole: false, low: 0, high: 0 };
        }
        Self { mask, value, field, whole: false, low, high }
    }

    /// Whether a value is in it.
    pub fn contains(&self, value: u64) -> bool {
        value & self.mask == self.value && (self.low..=self.high).contains(&(value & self.field))
    }

    /// The bounds, if it is an interval of the whole word.
    pub fn as_interval(&self) -> Option<RangeInclusive<u64>> {
        self.whole.then_some(self.low..=self.high)
    }

    /// Mask and expected value, if nothing else counts.
    pub fn as_mask(&self) -> Option<(u64, u64)> {
        (self.field == 0).then_some((self.mask, self.value))
    }

    /// The bits that are fixed, and what they are.
    #[cfg(feature = "json")] // Asked by the export only.
    pub(crate) fn fixed(&self) -> (u64, u64) {
        (self.mask, self.value)
    }

    /// The lowest bits whose value lies between bounds, both inside; there may be none.
    #[cfg(feature = "json")]
    pub(crate) fn field(&self) -> (u64, (u64, u64)) {
        (self.field, (self.low, self.high))
    }

    /// How hard it is to read.
    pub(super) fn weight(&self) -> usize {
        match (self.as_interval(), self.as_mask()) {
            (Some(bounds), _) if bounds.start() == bounds.end() => 1,
            (Some(_), _) => 2,
            (_, Some(_)) => 4,
            _ => 6,
        }
    }
}

impl Values {
    /// All values of a word of this width in bits.
    pub(super) fn all(width: u16) -> Self {
        Self { width, inverted: true, pieces: Vec::new(), first: 0 }
    }

    /// The bits that can be set.
    fn word(&self) -> u64 {
        if self.width < 64 { 0xffff_ffff } else { u64::MAX }
    }

    /// 64, or 32 if the upper half of the word does not matter.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether every value is in it.
    pub fn is_all(&self) -> bool {
        self.inverted && self.pieces.is_empty()
    }

    /// Whether a value is in it.
    pub fn contains(&self, value: u64) -> bool {
        let value = value & self.word();
        self.pieces.iter().any(|piece| piece.contains(value)) != self.inverted
    }

    /// Disjoint pieces: the set consists of them, or of all that is outside of them ([`Values::is_inverted`]).
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether the set is what is outside of the pieces.
    pub fn is_inverted(&self) -> bool {
        self.inverted
    }

    /// The smallest value.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The bounds of all intervals of the set in ascending order, if it has no more than this many.
    pub fn intervals(&self, most: usize) -> Option<Vec<RangeInclusive<u64>>> {
        let bounds: Option<Vec<_>> = self.pieces.iter().map(Piece::as_interval).collect();
        let mut bounds = bounds?;
        bounds.sort_unstable_by_key(|bounds| *bounds.start());
        let bounds = if self.inverted { self.outside(&bounds) } else { bounds };
        (bounds.len() <= most).then_some(bounds)
    }

    fn outside(&self, bounds: &[RangeInclusive<u64>]) -> Vec<RangeInclusive<u64>> {
        let mut gaps = Vec::new();
        let mut next = Some(0);
        for bounds in bounds {
            if let Some(start) = next.filter(|start| start < bounds.start()) {
                gaps.push(start..=bounds.start().saturating_sub(1));
            }
            next = bounds.end().checked_add(1);
        }
        gaps.extend(next.filter(|&start| start <= self.word()).map(|start| start..=self.word()));
        gaps
    }

    /// The set as a condition on something, such as `nr in {3, 5..=9}`.
    pub fn words(&self, word: &str) -> String {
        self.about(word, false)
    }

    /// The set as a condition on something, such as `arg0 == 5` or `arg0 & 0x3 != 0`. `plain` says that the word has 32
    /// bits only, so that these need not be named.
    pub(super) fn about(&self, word: &str, plain: bool) -> String {
        let what = if self.width < 64 && !plain { format!("{word} as u32") } else { word.to_string() };
        if self.is_all() {
            return format!("any {word}");
        }
        let intervals: Option<Vec<_>> = self.pieces.iter().map(Piece::as_interval).collect();
        match (intervals.as_deref(), self.pieces.as_slice()) {
            (Some([bounds]), _) => self.about_interval(&what, bounds),
            (Some(bounds), _) => {
                let parts: Vec<_> = bounds.iter().map(shown_interval).collect();
                format!("{what} {}in {{{}}}", if self.inverted { "not " } else { "" }, parts.join(", "))
            }
            (None, [piece]) => self.about_piece(word, &what, piece),
            (None, pieces) => {
                let parts: Vec<_> =
                    pieces.iter().map(|piece| self.positive().about_piece(word, &what, piece)).collect();
                format!("{}({})", if self.inverted { "not " } else { "" }, parts.join(" or "))
            }
        }
    }

    /// An empty set of the same width, to say something about pieces as they are.
    fn positive(&self) -> Self {
        Self { inverted: false, pieces: vec![], ..*self }
    }

    fn about_interval(&self, what: &str, bounds: &RangeInclusive<u64>) -> String {
        let (low, high) = (*bounds.start(), *bounds.end());
        match (low == high, low == 0, high == self.word(), self.inverted) {
            (true, _, _, false) => format!("{what} == {}", Shown(low)),
            (true, _, _, true) => format!("{what} != {}", Shown(low)),
            (_, true, _, false) => format!("{what} <= {}", Shown(high)),
            (_, true, _, true) => format!("{what} > {}", Shown(high)),
            (_, _, true, false) => format!("{what} >= {}", Shown(low)),
            (_, _, true, true) => format!("{what} < {}", Shown(low)),
            (_, _, _, inverted) => {
                format!("{what} {}in {}", if inverted { "not " } else { "" }, shown_interval(bounds))
            }
        }
    }

    /// `what` is the word with its width, which a mask says by itself.
    fn about_piece(&self, word: &str, what: &str, piece: &Piece) -> String {
        let sign = if self.inverted { "!=" } else { "==" };
        if let Some(bounds) = piece.as_interval() {
            return self.about_interval(what, &bounds);
        }
        match piece.as_mask() {
            Some((0xffff_ffff, value)) if self.width == 64 => format!("{word} as u32 {sign} {}", Shown(value)),
            Some((mask, value)) => format!("{word} & {mask:#x} {sign} {}", Shown(value)),
            None => {
                let bounds = shown_interval(&(piece.low..=piece.high));
                let low = match piece.field {
                    0xffff_ffff => format!("{word} as u32 in {bounds}"),
                    field => format!("{word} & {field:#x} in {bounds}"),
                };
                let both = match piece.mask {
                    0 => low,
                    mask => format!("({word} & {mask:#x} == {} and {low})", Shown(piece.value)),
                };
                if self.inverted { format!("not {both}") } else { both }
            }
        }
    }
}

/// A number: small ones are counts and enumerators, large ones addresses and bits.
pub(super) struct Shown(pub(super) u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0x1_0000 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

fn shown_interval(bounds: &RangeInclusive<u64>) -> String {
    let (low, high) = (bounds.start(), bounds.end());
    if low == high { Shown(*low).to_string() } else { format!("{}..={}", Shown(*low), Shown(*high)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: u64 = u64::MAX;

    fn interval(low: u64, high: u64) -> Piece {
        Piece::new(WORD, 0, 0, WORD, (low, high))
    }

    fn mask(mask: u64, value: u64) -> Piece {
        Piece::new(WORD, mask, value, 0, (0, 0))
    }

    fn field(mask: u64, value: u64, field: u64, bounds: (u64, u64)) -> Piece {
        Piece::new(WORD, mask, value, field, bounds)
    }

    #[test]
    fn what_is_easier_to_read_weighs_less() {
        let pieces =
            [interval(5, 5), interval(5, 6), mask(3, 1), field(0, 0, 0xff, (3, 9)), field(0x300, 0x100, 0xff, (3, 9))];
        assert_eq!(pieces.map(|piece| piece.weight()), [1, 2, 4, 6, 6]);
    }

    #[test]
    fn sets_in_words() {
        for (pieces, words, outside) in [
            (&[][..], "arg0 in {}", "any arg0"),
            (&[interval(5, 5)], "arg0 == 5", "arg0 != 5"),
            (&[interval(0, 5)], "arg0 <= 5", "arg0 > 5"),
            (&[interval(5, u64::MAX)], "arg0 >= 5", "arg0 < 5"),
            (&[interval(5, 0x1_0000)], "arg0 in 5..=0x10000", "arg0 not in 5..=0x10000"),
            (&[interval(3, 3), interval(5, 0xffff)], "arg0 in {3, 5..=65535}", "arg0 not in {3, 5..=65535}"),
            (&[mask(3, 1)], "arg0 & 0x3 == 1", "arg0 & 0x3 != 1"),
            (&[mask(0xffff_ffff, 7)], "arg0 as u32 == 7", "arg0 as u32 != 7"),
            (&[mask(3, 1), interval(8, 8)], "(arg0 & 0x3 == 1 or arg0 == 8)", "not (arg0 & 0x3 == 1 or arg0 == 8)"),
            (&[field(0, 0, 0xff, (3, 9))], "arg0 & 0xff in 3..=9", "not arg0 & 0xff in 3..=9"),
            (&[field(0, 0, 0xffff_ffff, (3, 9))], "arg0 as u32 in 3..=9", "not arg0 as u32 in 3..=9"),
            (
                &[field(0x300, 0x100, 0xff, (3, 9))],
                "(arg0 & 0x300 == 256 and arg0 & 0xff in 3..=9)",
                "not (arg0 & 0x300 == 256 and arg0 & 0xff in 3..=9)",
            ),
        ] {
            let set = |inverted| Values { width: 64, inverted, pieces: pieces.to_vec(), first: 0 };
            assert_eq!([set(false).words("arg0"), set(true).words("arg0")], [words, outside]);
            assert_eq!([set(false).is_all(), set(true).is_all()], [false, pieces.is_empty()]);
        }
        // Of a narrow word the width is named, unless it has no other.
        let pieces = vec![Piece::new(0xffff_ffff, 0, 0, 0xffff_ffff, (5, 0xffff_ffff))];
        let narrow = Values { width: 32, inverted: false, pieces, first: 5 };
        assert_eq!([narrow.about("arg0", false), narrow.about("nr", true)], ["arg0 as u32 >= 5", "nr >= 5"]);
    }
}
