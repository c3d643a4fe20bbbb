//! From conditions on 64-bit arguments to conditions on 32-bit words.
//!
//! The low word of an argument is looked at before its high word. So a 64-bit comparison that cannot be split into two
//! independent halves is kept whole until the low word is known; what remains then is a comparison of the high word:
//!
//! | condition | low word | remains for the high word |
//! |---|---|---|
//! | `>= k` | at least that of k | `>=` that of k |
//! | | below it | `>` that of k |
//! | `< k` | below that of k | `<=` that of k |
//! | | at least that | `<` that of k |
//! | `!= v` | that of v | `!=` that of v |
//! | | another | holds |

use super::Word;
use crate::policy::{Condition, Test, Width};
use alloc::vec::Vec;

/// A condition on one word, or a 64-bit comparison whose low word is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Atom {
    /// The word lies in an interval, ends included.
    In { word: Word, first: u32, last: u32 },
    /// The word is another value.
    Not { word: Word, value: u32 },
    /// `(word & mask) == value`, with a mask that is neither empty nor full and covers the value.
    Bits { word: Word, mask: u32, value: u32 },
    /// The argument is another value.
    WideNe { arg: u8, value: u64 },
    /// The argument is at least this; the low half of the value is not 0.
    WideGe { arg: u8, value: u64 },
    /// The argument is below this; the low half of the value is not 0.
    WideLt { arg: u8, value: u64 },
}

/// What is left of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Known(bool),
    Open(Atom),
}

impl Atom {
    /// The word that decides this atom next.
    pub(super) fn word(self) -> Word {
        match self {
            Self::In { word, .. } | Self::Not { word, .. } | Self::Bits { word, .. } => word,
            Self::WideNe { arg, .. } | Self::WideGe { arg, .. } | Self::WideLt { arg, .. } => Word::Low(arg),
        }
    }

    /// The argument that it is about.
    pub(super) fn arg(self) -> u8 {
        match self.word() {
            Word::Low(arg) | Word::High(arg) => arg,
            Word::Arch | Word::Nr | Word::IpLow | Word::IpHigh => 0,
        }
    }

    /// Where behaviour changes on the word: every value that differs from its predecessor starts a piece. Not for
    /// [`Atom::Bits`].
    pub(super) fn cuts(self, mut cut: impl FnMut(u32)) {
        match self {
            Self::In { first, last, .. } => {
                cut(first);
                last.checked_add(1).into_iter().for_each(cut);
            }
            Self::Not { value, .. } => {
                cut(value);
                value.checked_add(1).into_iter().for_each(cut);
            }
            Self::WideNe { value, .. } => {
                cut(low(value));
                low(value).checked_add(1).into_iter().for_each(cut);
            }
            Self::WideGe { value, .. } | Self::WideLt { value, .. } => cut(low(value)),
            Self::Bits { .. } => {}
        }
    }

    /// What is left when the word of this atom is known.
    pub(super) fn given(self, known: u32) -> Left {
        match self {
            Self::In { first, last, .. } => Left::Known((first..=last).contains(&known)),
            Self::Not { value, .. } => Left::Known(known != value),
            Self::Bits { mask, value, .. } => Left::Known(known & mask == value),
            Self::WideNe { arg, value } if known == low(value) => other(Word::High(arg), high(value)),
            Self::WideNe { .. } => Left::Known(true),
            Self::WideGe { arg, value } if known >= low(value) => at_least(Word::High(arg), high(value)),
            Self::WideGe { arg, value } => above(Word::High(arg), high(value)),
            Self::WideLt { arg, value } if known < low(value) => at_most(Word::High(arg), high(value)),
            Self::WideLt { arg, value } => below(Word::High(arg), high(value)),
        }
    }

    /// What is left when it is known whether `(word & mask) == value`.
    pub(super) fn given_bits(self, word: Word, mask: u32, value: u32, holds: bool) -> Left {
        match self {
            Self::Bits { word: own, mask: own_mask, value: own_value } if own == word => {
                let common = mask & own_mask;
                let differ = (value ^ own_value) & common != 0;
                if holds && (differ || common == own_mask) {
                    Left::Known(!differ)
                } else if !holds && !differ && common == mask {
                    // Whoever had these bits as well would have the first ones.
                    Left::Known(false)
                } else {
                    Left::Open(self)
                }
            }
            Self::In { word: own, first, last } if own == word && first == last => {
                if (first & mask == value) == holds {
                    Left::Open(self)
                } else {
                    Left::Known(false)
                }
            }
            _ => Left::Open(self),
        }
    }
}

/// Adds the condition to a conjunction. `false` if it can never hold.
pub(super) fn lower(condition: &Condition, into: &mut Vec<Atom>) -> bool {
    let arg = condition.arg;
    match condition.width {
        Width::Bits32 => narrow(Word::Low(arg), condition.test, into),
        Width::Bits64 => wide(arg, condition.test, into),
    }
}

/// A comparison of a zero-extended 32-bit word with a 64-bit constant.
fn narrow(word: Word, test: Test, into: &mut Vec<Atom>) -> bool {
    let clamp = |value: u64| u32::try_from(value).ok();
    let left = match test {
        Test::Eq(value) => clamp(value).map_or(Left::Known(false), |value| point(word, value)),
        Test::Ne(value) => clamp(value).map_or(Left::Known(true), |value| other(word, value)),
        Test::Lt(value) => clamp(value).map_or(Left::Known(true), |value| below(word, value)),
        Test::Le(value) => clamp(value).map_or(Left::Known(true), |value| at_most(word, value)),
        Test::Gt(value) => clamp(value).map_or(Left::Known(false), |value| above(word, value)),
        Test::Ge(value) => clamp(value).map_or(Left::Known(false), |value| at_least(word, value)),
        // The register is cut to its low word first, so bits of the mask above it meet zeros.
        Test::MaskedEq { mask, value } if high(value) == 0 => bits(word, low(mask), low(value)),
        Test::MaskedEq { .. } => Left::Known(false),
    };
    push(left, into)
}

fn wide(arg: u8, test: Test, into: &mut Vec<Atom>) -> bool {
    let (lo, hi) = (Word::Low(arg), Word::High(arg));
    match test {
        Test::Eq(value) => push(point(lo, low(value)), into) && push(point(hi, high(value)), into),
        Test::Ne(value) => push(Left::Open(Atom::WideNe { arg, value }), into),
        Test::Ge(value) => push(wide_ge(arg, value), into),
        Test::Lt(value) => push(wide_lt(arg, value), into),
        Test::Gt(value) => value.checked_add(1).is_some_and(|value| push(wide_ge(arg, value), into)),
        Test::Le(value) => value.checked_add(1).is_none_or(|value| push(wide_lt(arg, value), into)),
        Test::MaskedEq { mask, value } => {
            push(bits(lo, low(mask), low(value)), into) && push(bits(hi, high(mask), high(value)), into)
        }
    }
}

fn push(left: Left, into: &mut Vec<Atom>) -> bool {
    match left {
        Left::Known(known) => known,
        Left::Open(atom) => {
            into.push(atom);
            true
        }
    }
}

fn wide_ge(arg: u8, value: u64) -> Left {
    if low(value) == 0 { at_least(Word::High(arg), high(value)) } else { Left::Open(Atom::WideGe { arg, value }) }
}

fn wide_lt(arg: u8, value: u64) -> Left {
    if low(value) == 0 { below(Word::High(arg), high(value)) } else { Left::Open(Atom::WideLt { arg, value }) }
}

fn interval(word: Word, first: u32, last: u32) -> Left {
    if (first, last) == (0, u32::MAX) { Left::Known(true) } else { Left::Open(Atom::In { word, first, last }) }
}

fn point(word: Word, value: u32) -> Left {
    interval(word, value, value)
}

fn other(word: Word, value: u32) -> Left {
    Left::Open(Atom::Not { word, value })
}

fn at_least(word: Word, value: u32) -> Left {
    interval(word, value, u32::MAX)
}

fn at_most(word: Word, value: u32) -> Left {
    interval(word, 0, value)
}

fn above(word: Word, value: u32) -> Left {
    value.checked_add(1).map_or(Left::Known(false), |first| at_least(word, first))
}

fn below(word: Word, value: u32) -> Left {
    value.checked_sub(1).map_or(Left::Known(false), |last| at_most(word, last))
}

fn bits(word: Word, mask: u32, value: u32) -> Left {
    match mask {
        _ if value & !mask != 0 => Left::Known(false),
        0 => Left::Known(true),
        u32::MAX => point(word, value),
        _ => Left::Open(Atom::Bits { word, mask, value }),
    }
}

#[allow(clippy::cast_possible_truncation)] // The low half is what is asked for.
fn low(value: u64) -> u32 {
    value as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
