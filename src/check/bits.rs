//! 32-bit arithmetic on functions of the input: a number is one Boolean function for each of its bits.
//!
//! Programs of other generators may add, shift or divide what they load. All of it is exact here; what becomes too
//! large ends at the budget.

use super::bdd::{Bdd, Exhausted, FALSE, Ref, TRUE};
use super::words::Word;
use crate::bpf::opcode;

/// The bits of a number from the lowest up.
pub(super) type Bits = [Ref; 32];

pub(super) const ZERO: Bits = [FALSE; 32];

pub(super) fn constant(number: u32) -> Bits {
    let mut bits = ZERO;
    for (place, bit) in bits.iter_mut().enumerate() {
        *bit = if number >> place & 1 == 1 { TRUE } else { FALSE };
    }
    bits
}

pub(super) fn word(bdd: &mut Bdd, word: Word) -> Result<Bits, Exhausted> {
    let mut bits = ZERO;
    for (place, bit) in (0..32).zip(&mut bits) {
        if let Some(position) = word.position(place) {
            *bit = bdd.ask(position, FALSE, TRUE)?;
        }
    }
    Ok(bits)
}

/// The number, if it does not depend on the input.
pub(super) fn as_constant(bits: &Bits) -> Option<u32> {
    bits.iter().rev().try_fold(0_u32, |number, &bit| match bit {
        FALSE => Some(number << 1),
        TRUE => Some(number << 1 | 1),
        _ => None,
    })
}

/// The result of an arithmetic operation that is not a division by zero.
pub(super) fn arithmetic(bdd: &mut Bdd, code: u16, a: &Bits, b: &Bits) -> Result<Bits, Exhausted> {
    use opcode::{
        ADD_K, ADD_X, AND_K, AND_X, DIV_K, DIV_X, LSH_K, LSH_X, MUL_K, MUL_X, NEG, OR_K, OR_X, RSH_K, RSH_X, SUB_K,
        SUB_X,
    };
    match code {
        ADD_K | ADD_X => add(bdd, a, b, FALSE),
        SUB_K | SUB_X => subtract(bdd, a, b),
        NEG => subtract(bdd, &ZERO, a),
        MUL_K | MUL_X => multiply(bdd, a, b),
        DIV_K | DIV_X => divide(bdd, a, b),
        OR_K | OR_X => each(a, b, |a, b| bdd.or(a, b)),
        AND_K | AND_X => each(a, b, |a, b| bdd.and(a, b)),
        LSH_K | LSH_X => shift(bdd, a, b, shifted_up),
        RSH_K | RSH_X => shift(bdd, a, b, shifted_down),
        _ => each(a, b, |a, b| bdd.xor(a, b)),
    }
}

/// The result of a comparison.
pub(super) fn compare(bdd: &mut Bdd, code: u16, a: &Bits, b: &Bits) -> Result<Ref, Exhausted> {
    use opcode::{JEQ_K, JEQ_X, JGE_K, JGE_X, JGT_K, JGT_X};
    match code {
        JGT_K | JGT_X => greater(bdd, a, b, FALSE),
        JGE_K | JGE_X => greater(bdd, a, b, TRUE),
        JEQ_K | JEQ_X => {
            let differs = each(a, b, |a, b| bdd.xor(a, b))?;
            let any = any_set(bdd, &differs)?;
            bdd.not(any)
        }
        _ => {
            let common = each(a, b, |a, b| bdd.and(a, b))?;
            any_set(bdd, &common)
        }
    }
}

/// Whether the number is not zero.
pub(super) fn any_set(bdd: &mut Bdd, bits: &Bits) -> Result<Ref, Exhausted> {
    bits.iter().try_fold(FALSE, |any, &bit| bdd.or(any, bit))
}

/// The function whose leaves are the values of the number.
pub(super) fn leaves(bdd: &mut Bdd, bits: &Bits) -> Result<Ref, Exhausted> {
    below(bdd, bits, 0)
}

/// The same for the remaining lower bits, when the upper ones have this value. At most 32 deep.
fn below(bdd: &mut Bdd, bits: &[Ref], upper: u32) -> Result<Ref, Exhausted> {
    bdd.step()?;
    let Some((&bit, lower)) = bits.split_last() else { return bdd.leaf(upper) };
    let (zero, one) = (upper << 1, upper << 1 | 1);
    match bit {
        FALSE => below(bdd, lower, zero),
        TRUE => below(bdd, lower, one),
        _ => {
            let (one, zero) = (below(bdd, lower, one)?, below(bdd, lower, zero)?);
            bdd.ite(bit, one, zero)
        }
    }
}

fn each(a: &Bits, b: &Bits, mut operation: impl FnMut(Ref, Ref) -> Result<Ref, Exhausted>) -> Result<Bits, Exhausted> {
    let mut result = ZERO;
    for (place, (&a, &b)) in result.iter_mut().zip(a.iter().zip(b)) {
        *place = operation(a, b)?;
    }
    Ok(result)
}

fn add(bdd: &mut Bdd, a: &Bits, b: &Bits, mut carry: Ref) -> Result<Bits, Exhausted> {
    each(a, b, |a, b| {
        let half = bdd.xor(a, b)?;
        let sum = bdd.xor(half, carry)?;
        // Where the bits differ the carry goes on, else it is what both are.
        carry = bdd.ite(half, carry, a)?;
        Ok(sum)
    })
}

fn subtract(bdd: &mut Bdd, a: &Bits, b: &Bits) -> Result<Bits, Exhausted> {
    let inverted = each(b, b, |bit, _| bdd.not(bit))?;
    add(bdd, a, &inverted, TRUE)
}

/// Whether `a` is greater than `b`; `equal` is the answer where they are equal.
fn greater(bdd: &mut Bdd, a: &Bits, b: &Bits, equal: Ref) -> Result<Ref, Exhausted> {
    a.iter().zip(b).try_fold(equal, |lower, (&a, &b)| {
        let differs = bdd.xor(a, b)?;
        bdd.ite(differs, a, lower)
    })
}

fn multiply(bdd: &mut Bdd, a: &Bits, b: &Bits) -> Result<Bits, Exhausted> {
    let mut sum = ZERO;
    for (place, &bit) in b.iter().enumerate().filter(|&(_, &bit)| bit != FALSE) {
        let addend = shifted_up(a, place);
        let addend = each(&addend, &ZERO, |digit, _| bdd.and(bit, digit))?;
        sum = add(bdd, &sum, &addend, FALSE)?;
    }
    Ok(sum)
}

/// Long division, one bit of the quotient after the other. Where the divisor is zero the result means nothing.
fn divide(bdd: &mut Bdd, a: &Bits, b: &Bits) -> Result<Bits, Exhausted> {
    let (mut quotient, mut rest) = (ZERO, ZERO);
    for (digit, &next) in quotient.iter_mut().zip(a).rev() {
        // A rest of 32 bits whose top bit leaves exceeds every divisor.
        let overflow = rest.last().copied().unwrap_or(FALSE);
        rest = shifted_up(&rest, 1);
        if let Some(lowest) = rest.first_mut() {
            *lowest = next;
        }
        let fits = greater(bdd, &rest, b, TRUE)?;
        let fits = bdd.or(overflow, fits)?;
        let reduced = subtract(bdd, &rest, b)?;
        rest = each(&reduced, &rest, |reduced, rest| bdd.ite(fits, reduced, rest))?;
        *digit = fits;
    }
    Ok(quotient)
}

/// A shift by the low five bits of `count`: by 1, 2, 4, 8 and 16, each if its bit is set.
fn shift(bdd: &mut Bdd, a: &Bits, count: &Bits, by: fn(&Bits, usize) -> Bits) -> Result<Bits, Exhausted> {
    let mut result = *a;
    for (&bit, distance) in count.iter().zip([1, 2, 4, 8, 16]) {
        let moved = by(&result, distance);
        result = each(&moved, &result, |moved, stayed| bdd.ite(bit, moved, stayed))?;
    }
    Ok(result)
}

fn shifted_up(bits: &Bits, distance: usize) -> Bits {
    let mut result = ZERO;
    for (to, &from) in result.iter_mut().skip(distance).zip(bits) {
        *to = from;
    }
    result
}

fn shifted_down(bits: &Bits, distance: usize) -> Bits {
    let mut result = ZERO;
    for (to, &from) in result.iter_mut().zip(bits.iter().skip(distance)) {
        *to = from;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::bdd::Budget;
    use super::*;

    const EDGES: [u32; 7] = [0, 1, 2, 0x5555_5555, 0x7fff_ffff, 0x8000_0000, u32::MAX];

    #[test]
    fn constants_come_back() {
        let mut bdd = Bdd::new(Budget { nodes: 1000, steps: 1000 }, 0);
        for number in EDGES {
            assert_eq!(as_constant(&constant(number)), Some(number));
        }
        let mut bits = word(&mut bdd, Word::NUMBER).unwrap();
        assert_eq!(as_constant(&bits), None);
        // One bit of the input is enough.
        let lowest = bits[0];
        bits = constant(6);
        bits[0] = lowest;
        assert_eq!(as_constant(&bits), None);
    }

    /// A constant has one leaf, and it is found bit by bit.
    #[test]
    fn leaves_of_constants_cost_a_step_for_each_bit() {
        for number in EDGES {
            let mut bdd = Bdd::new(Budget { nodes: 1000, steps: 100 }, 0);
            let leaf = leaves(&mut bdd, &constant(number)).unwrap();
            assert_eq!(bdd.number(leaf), number);
        }
    }
}
