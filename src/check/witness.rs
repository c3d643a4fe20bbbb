//! A call at which two functions differ.

use super::bdd::{BITS, Bdd, Ref};
use super::words;
use crate::bpf::SyscallData;

/// A call for which the functions have different values: with one of these architecture tokens if there is one, with
/// as many bits 0 from the top on as possible.
pub(super) fn witness(bdd: &Bdd, tokens: impl Iterator<Item = u32>, one: Ref, other: Ref) -> SyscallData {
    for token in tokens {
        let (one, other) = (for_arch(bdd, one, token), for_arch(bdd, other, token));
        if one != other {
            return descend(bdd, SyscallData { arch: token, ..SyscallData::default() }, one, other);
        }
    }
    descend(bdd, SyscallData::default(), one, other)
}

/// The function for calls with this token, which has the first 32 bits of the order.
pub(super) fn for_arch(bdd: &Bdd, function: Ref, token: u32) -> Ref {
    narrowed(bdd, function, 0, token)
}

/// The function for calls with this number, of a function that does not ask the architecture any more.
pub(super) fn for_number(bdd: &Bdd, function: Ref, nr: u32) -> Ref {
    narrowed(bdd, function, 32, nr)
}

fn narrowed(bdd: &Bdd, function: Ref, top: u16, word: u32) -> Ref {
    (0..32_u16).fold(function, |function, bit| {
        let (zero, one) = bdd.halves(function, top.saturating_add(bit));
        if word.rotate_left(u32::from(bit).wrapping_add(1)) & 1 == 1 { one } else { zero }
    })
}

/// Walks down two different functions. Where the halves for 0 are equal, those for 1 differ.
fn descend(bdd: &Bdd, mut call: SyscallData, mut one: Ref, mut other: Ref) -> SyscallData {
    loop {
        let bit = bdd.first_bit(one).min(bdd.first_bit(other));
        if bit >= BITS {
            return call;
        }
        let (one_low, one_high) = bdd.halves(one, bit);
        let (other_low, other_high) = bdd.halves(other, bit);
        (one, other) = if one_low == other_low {
            words::set_bit(&mut call, bit);
            (one_high, other_high)
        } else {
            (one_low, other_low)
        };
    }
}
