//! What a rule in Rust code may ask of arguments: one condition, several that must all hold, or a choice of values.

use super::{Arg, Operand};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Conditions of a rule.
///
/// - An [`Arg`] is one condition.
/// - Several in an array, a `Vec` or a tuple must all hold.
/// - [`AnyOf`] (made by [`Operand::is_in`]) holds for any of its values; beside other conditions it stands in a tuple.
///
/// ```
/// use callsieve::{Action, Profile, arg};
///
/// let profile = Profile::new(Action::Errno(1))
///     .allow_if("kill", arg::<1>().in_range(34..=64))
///     .allow_if("ioctl", [arg::<1>().eq(0x5401), arg::<2>().ne(0)])
///     .allow_if("socket", (arg::<0>().is_in([2, 10]), arg::<1>().has_bits(1)));
/// assert_eq!(profile.rules().len(), 4); // one for each family of the last
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no condition of a rule",
    note = "one condition, an array of conditions, or a tuple where a choice of values (`is_in`) stands beside others"
)]
pub trait IntoConditions {
    /// Lists of conditions. The rule matches if all conditions of any list hold.
    fn into_alternatives(self) -> Vec<Vec<Arg>>;
}

/// A choice of values of one argument; made by [`Operand::is_in`].
///
/// See the example of [`IntoConditions`](super::IntoConditions).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct AnyOf {
    choices: Vec<Arg>,
}

impl Operand {
    /// Any of these values. Without any value it never holds.
    pub fn is_in(self, values: impl IntoIterator<Item = u64>) -> AnyOf {
        AnyOf { choices: values.into_iter().map(|value| self.eq(value)).collect() }
    }

    /// In a range, both ends included.
    pub const fn in_range(self, range: RangeInclusive<u64>) -> [Arg; 2] {
        [self.ge(*range.start()), self.le(*range.end())]
    }

    /// No other bits than these are set: what a caller may combine freely.
    ///
    /// ```
    /// use callsieve::arg;
    /// // At most PROT_READ and PROT_WRITE.
    /// assert_eq!(arg::<2>().as_u32().only_bits(3).to_string(), "arg2 as u32 & 0xfffffffc == 0");
    /// ```
    pub const fn only_bits(self, bits: u64) -> Arg {
        self.no_bits(!bits & self.all_bits())
    }

    /// All of these bits are set.
    pub const fn has_bits(self, bits: u64) -> Arg {
        self.masked_eq(bits, bits)
    }

    /// None of these bits is set.
    pub const fn no_bits(self, bits: u64) -> Arg {
        self.masked_eq(bits, 0)
    }
}

impl IntoConditions for Arg {
    fn into_alternatives(self) -> Vec<Vec<Arg>> {
        vec![vec![self]]
    }
}

impl<const N: usize> IntoConditions for [Arg; N] {
    fn into_alternatives(self) -> Vec<Vec<Arg>> {
        vec![self.to_vec()]
    }
}

impl IntoConditions for &[Arg] {
    fn into_alternatives(self) -> Vec<Vec<Arg>> {
        vec![self.to_vec()]
    }
}

impl IntoConditions for Vec<Arg> {
    fn into_alternatives(self) -> Vec<Vec<Arg>> {
        vec![self]
    }
}

impl IntoConditions for AnyOf {
    fn into_alternatives(self) -> Vec<Vec<Arg>> {
        self.choices.into_iter().map(|choice| vec![choice]).collect()
    }
}

/// Every list of the one with every list of the other.
fn both(one: &[Vec<Arg>], other: &[Vec<Arg>]) -> Vec<Vec<Arg>> {
    one.iter().flat_map(|one| other.iter().map(move |other| [one.as_slice(), other].concat())).collect()
}

macro_rules! tuples {
    ($(($first:ident $(, $rest:ident)+))+) => { $(
        impl<$first: IntoConditions $(, $rest: IntoConditions)+> IntoConditions for ($first, $($rest),+) {
            #[allow(non_snake_case)] // The variables are named as their types.
            fn into_alternatives(self) -> Vec<Vec<Arg>> {
                let ($first, $($rest),+) = self;
                let all = $first.into_alternatives();
                $( let all = both(&all, &$rest.into_alternatives()); )+
                all
            }
        }
    )+ };
}

tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::arg;
    use alloc::string::{String, ToString};

    fn text(conditions: impl IntoConditions) -> Vec<String> {
        let line = |list: Vec<Arg>| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" && ");
        conditions.into_alternatives().into_iter().map(line).collect()
    }

    #[test]
    fn all_must_hold_and_any_may_hold() {
        let (a, b) = (arg::<0>().eq(1), arg::<1>().ne(2));
        assert_eq!(text(a), ["arg0 == 1"]);
        assert_eq!(text([a, b]), ["arg0 == 1 && arg1 != 2"]);
        assert_eq!(text([]), [""]);
        assert_eq!(text(arg::<2>().is_in([3, 4])), ["arg2 == 3", "arg2 == 4"]);
        assert_eq!(text((a, arg::<2>().is_in([3, 4]))), ["arg0 == 1 && arg2 == 3", "arg0 == 1 && arg2 == 4"]);
        let two = (arg::<0>().is_in([1, 2]), arg::<1>().is_in([3, 4]), arg::<2>().in_range(5..=6));
        assert_eq!(text(two)[3], "arg0 == 2 && arg1 == 4 && arg2 >= 5 && arg2 <= 6");
        assert!(text(arg::<0>().is_in([])).is_empty());
    }

    #[test]
    fn bits() {
        assert_eq!(text(arg::<0>().only_bits(0xff)), ["arg0 & 0xffffffffffffff00 == 0"]);
        assert_eq!(text(arg::<0>().as_u32().only_bits(0xff)), ["arg0 as u32 & 0xffffff00 == 0"]);
        assert_eq!(text(arg::<0>().has_bits(6)), ["arg0 & 0x6 == 0x6"]);
        assert_eq!(text(arg::<0>().no_bits(6)), ["arg0 & 0x6 == 0"]);
    }
}
