//! Expressions over arguments, as lists of comparisons of which all must hold, or of other such lists.

use crate::profile::limits::MAX_TESTS;
use crate::profile::{Arg, Op, Width};
use alloc::vec::Vec;
use thiserror::Error;

/// What must hold for a call.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Always,
    Never,
    Test(Arg),
    All(Vec<Expr>),
    Any(Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Compare {
    /// With the operands exchanged.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    pub(super) fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

/// An argument, or some bits of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    pub(super) index: u8,
    pub(super) width: Width,
    /// The bits that are looked at.
    pub(super) mask: u64,
}

impl Operand {
    /// All bits of an argument.
    pub(super) const fn whole(index: u8, width: Width) -> Self {
        Self { index, width, mask: all(width) }
    }

    /// The comparison of the masked argument with a number.
    pub(super) fn compare(self, compare: Compare, value: u64) -> Expr {
        if self.mask == all(self.width) {
            let op = match compare {
                Compare::Eq => Op::Eq,
                Compare::Ne => Op::Ne,
                Compare::Lt => Op::Lt,
                Compare::Le => Op::Le,
                Compare::Gt => Op::Gt,
                Compare::Ge => Op::Ge,
            };
            return Expr::Test(Arg { index: self.index, op, value, value_two: 0, width: self.width });
        }
        let equal = || if value & !self.mask == 0 { self.masked(self.mask, value) } else { Expr::Never };
        match compare {
            Compare::Eq => equal(),
            Compare::Ne => equal().negated(),
            Compare::Lt => self.less(value),
            Compare::Gt => self.greater(value),
            Compare::Le => Expr::Any([equal(), self.less(value)].into()),
            Compare::Ge => Expr::Any([equal(), self.greater(value)].into()),
        }
    }

    /// Whether one of the bits of the mask is set.
    pub(super) fn any_bit(self) -> Expr {
        self.masked(self.mask, 0).negated()
    }

    /// `(argument & mask) == value`, for a value within the mask.
    fn masked(self, mask: u64, value: u64) -> Expr {
        if mask == 0 {
            return if value == 0 { Expr::Always } else { Expr::Never };
        }
        Expr::Test(Arg { index: self.index, op: Op::MaskedEq, value: mask, value_two: value, width: self.width })
    }

    /// The masked argument is less if it has a 0 where the number has a 1, and the same bits above.
    fn less(self, value: u64) -> Expr {
        let mut alternatives = Vec::new();
        for bit in bits().filter(|bit| value & bit != 0) {
            let above = !(bit | bit.wrapping_sub(1));
            let seen = self.mask & (above | bit);
            if value & above & !self.mask != 0 {
                // Above, the number has a 1 that the argument can never have: it was found to be less already.
                break;
            }
            alternatives.push(self.masked(seen, value & above));
        }
        Expr::Any(alternatives)
    }

    /// The masked argument is greater if it has a 1 where the number has a 0, and the same bits above.
    fn greater(self, value: u64) -> Expr {
        let mut alternatives = Vec::new();
        for bit in bits() {
            let above = !(bit | bit.wrapping_sub(1));
            if value & above & !self.mask != 0 {
                break;
            }
            if value & bit == 0 && self.mask & bit != 0 {
                alternatives.push(self.masked(self.mask & (above | bit), value & above | bit));
            }
        }
        Expr::Any(alternatives)
    }
}

/// All bits, from the highest one down.
fn bits() -> impl Iterator<Item = u64> {
    (0..64).rev().map(|bit| 1_u64 << bit)
}

/// The bits of a width.
pub(super) const fn all(width: Width) -> u64 {
    match width {
        Width::Bits32 => 0xffff_ffff,
        Width::Bits64 => u64::MAX,
    }
}

impl Expr {
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::All(parts) => Self::Any(parts.into_iter().map(Self::negated).collect()),
            Self::Any(parts) => Self::All(parts.into_iter().map(Self::negated).collect()),
            Self::Test(arg) => opposite(arg),
        }
    }

    /// The lists of comparisons of which one must hold altogether.
    ///
    /// # Errors
    /// If they are more than `most`, or have more than [`MAX_TESTS`] comparisons.
    pub(super) fn alternatives(&self, most: usize) -> Result<Vec<Vec<Arg>>, TooMany> {
        match self {
            Self::Always => Ok(Vec::from([Vec::new()])),
            Self::Never => Ok(Vec::new()),
            Self::Test(arg) => Ok(Vec::from([Vec::from([*arg])])),
            Self::Any(parts) => {
                let (mut lists, mut tests) = (Vec::new(), 0);
                for part in parts {
                    let own = part.alternatives(most)?;
                    tests = comparisons(&own).saturating_add(tests);
                    fits(lists.len().saturating_add(own.len()), most, tests)?;
                    lists.extend(own);
                }
                Ok(lists)
            }
            Self::All(parts) => {
                let (mut lists, mut tests): (Vec<Vec<Arg>>, _) = (Vec::from([Vec::new()]), 0);
                for part in parts {
                    let own = part.alternatives(most)?;
                    let more = comparisons(&own).saturating_mul(lists.len());
                    tests = own.len().saturating_mul(tests).saturating_add(more);
                    fits(own.len().saturating_mul(lists.len()), most, tests)?;
                    // Not made anew, or many comparisons in a row would be copied again for each of them.
                    if let [more] = own.as_slice() {
                        for list in &mut lists {
                            list.extend_from_slice(more);
                        }
                        continue;
                    }
                    let longer = |one: &Vec<Arg>| {
                        let with = |more: &Vec<Arg>| one.iter().chain(more).copied().collect::<Vec<Arg>>();
                        own.iter().map(with).collect::<Vec<_>>()
                    };
                    lists = lists.iter().flat_map(longer).collect();
                }
                Ok(lists)
            }
        }
    }
}

/// Why an expression has no list of alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum TooMany {
    #[error("the expression comes to more than {0} alternatives")]
    Alternatives(usize),
    #[error("the expression comes to more than {MAX_TESTS} comparisons in all its alternatives")]
    Comparisons,
}

fn comparisons(lists: &[Vec<Arg>]) -> usize {
    lists.iter().map(Vec::len).sum()
}

/// Whether that is little enough.
fn fits(alternatives: usize, most: usize, comparisons: usize) -> Result<(), TooMany> {
    if alternatives > most {
        return Err(TooMany::Alternatives(most));
    }
    if comparisons > MAX_TESTS { Err(TooMany::Comparisons) } else { Ok(()) }
}

/// The opposite of a comparison. Of a masked one: one of the bits is the other way.
fn opposite(arg: Arg) -> Expr {
    let other = |op: Op| Expr::Test(Arg { op, ..arg });
    match arg.op {
        Op::Eq => other(Op::Ne),
        Op::Ne => other(Op::Eq),
        Op::Lt => other(Op::Ge),
        Op::Le => other(Op::Gt),
        Op::Gt => other(Op::Le),
        Op::Ge => other(Op::Lt),
        Op::MaskedEq => {
            let flipped = |bit| Expr::Test(Arg { value: bit, value_two: !arg.value_two & bit, ..arg });
            Expr::Any(bits().filter(|bit| arg.value & bit != 0).map(flipped).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compare; 6] = [Compare::Eq, Compare::Ne, Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge];

    fn holds(lists: &[Vec<Arg>], argument: u64) -> bool {
        let test = |arg: &Arg| {
            let argument = argument & all(arg.width);
            match arg.op {
                Op::Eq => argument == arg.value,
                Op::Ne => argument != arg.value,
                Op::Lt => argument < arg.value,
                Op::Le => argument <= arg.value,
                Op::Gt => argument > arg.value,
                Op::Ge => argument >= arg.value,
                Op::MaskedEq => argument & arg.value == arg.value_two,
            }
        };
        lists.iter().any(|list| list.iter().all(test))
    }

    fn check(mask: u64, value: u64, argument: u64, width: Width) {
        let operand = Operand { index: 0, width, mask: mask & all(width) };
        for compare in ALL {
            let expr = operand.compare(compare, value);
            let expected = compare.holds(argument & operand.mask, value);
            let lists = expr.alternatives(1000).unwrap();
            assert_eq!(holds(&lists, argument), expected, "{argument:#x} & {mask:#x} {compare:?} {value:#x}");
            if let Ok(lists) = expr.negated().alternatives(1 << 16) {
                assert_eq!(holds(&lists, argument), !expected, "not {argument:#x} & {mask:#x} {compare:?} {value:#x}");
            }
        }
        assert_eq!(holds(&operand.any_bit().alternatives(64).unwrap(), argument), argument & operand.mask != 0);
    }

    #[test]
    fn small_masks() {
        for mask in 0..16 {
            for value in 0..20 {
                for argument in 0..20 {
                    check(mask, value, argument, Width::Bits64);
                    check(mask << 31, value << 31, argument << 31 | 5, Width::Bits32);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_masks(mask: u64, value: u64, argument: u64, narrow: bool, near in 0_u64..3) {
            let width = if narrow { Width::Bits32 } else { Width::Bits64 };
            check(mask, value, argument, width);
            check(mask, value & mask, value.wrapping_add(near).wrapping_sub(1), width);
            check(mask & 0xff, value & 0xff, argument, width);
        }
    }

    #[test]
    fn products_are_bounded() {
        let bits = Operand { index: 0, width: Width::Bits64, mask: u64::MAX - 1 }.any_bit();
        let product = Expr::All(Vec::from([bits.clone(), bits.clone()]));
        assert!(product.alternatives(4000).is_ok_and(|lists| lists.len() == 63 * 63));
        let cube = Expr::All(Vec::from([product.clone(), bits.clone()]));
        assert_eq!(cube.alternatives(4096), Err(TooMany::Alternatives(4096)));
        assert_eq!(Expr::Any(alloc::vec![bits.clone(); 2]).alternatives(126).map(|lists| lists.len()), Ok(126));
        assert_eq!(Expr::Any(alloc::vec![bits; 2]).alternatives(125), Err(TooMany::Alternatives(125)));
        // Few alternatives, each of which is long.
        let one = Operand::whole(1, Width::Bits64).compare(Compare::Ne, 7);
        let long = |many: usize| Expr::All([alloc::vec![product.clone()], alloc::vec![one.clone(); many]].concat());
        let fit = MAX_TESTS / (63 * 63) - 2;
        assert!(long(fit).alternatives(4096).is_ok_and(|lists| lists.iter().all(|list| list.len() == fit + 2)));
        assert_eq!(long(fit + 1).alternatives(4096), Err(TooMany::Comparisons));
        assert_eq!(Expr::Any(alloc::vec![one; MAX_TESTS + 1]).alternatives(1 << 20), Err(TooMany::Comparisons));
    }
}
