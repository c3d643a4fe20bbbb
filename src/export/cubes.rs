//! Sets of values as comparisons: disjoint ones, of which each says all that is said about its argument.

use crate::check::{Piece, Values};
use crate::profile::{Arg, Op, Width};
use alloc::vec::Vec;

/// Values with some bits fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cube {
    mask: u64,
    value: u64,
}

/// Comparisons that together hold for exactly these values, no two of them for one. `None` if they are more than this
/// many. `is_wide` says that the argument has 64 bits.
pub(super) fn alternatives(index: u8, values: &Values, is_wide: bool, most: usize) -> Option<Vec<Arg>> {
    let whole = if values.width() < 64 { 0xffff_ffff } else { u64::MAX };
    let arg = |op, value, value_two| Arg { index, op, value, value_two, width: Width::Bits64 };
    // Of a wide argument whose upper half does not matter only a mask can speak.
    let plain = !is_wide || values.width() == 64;
    if plain && let Some(one) = outside_of_one(values) {
        return Some(Vec::from([arg(Op::Ne, one, 0)]));
    }
    if plain && let Some(intervals) = values.intervals(most) {
        let mut found = Vec::new();
        for bounds in intervals {
            match (*bounds.start(), *bounds.end()) {
                (low, high) if low == high => found.push(arg(Op::Eq, low, 0)),
                (0, high) => found.push(arg(Op::Le, high, 0)),
                (low, high) if high == whole => found.push(arg(Op::Ge, low, 0)),
                (low, high) => {
                    let mut blocks = Vec::new();
                    prefixes(Cube { mask: 0, value: 0 }, whole, (low, high), &mut blocks);
                    found.extend(blocks.iter().map(|block| arg(Op::MaskedEq, block.mask, block.value)));
                }
            }
        }
        return (found.len() <= most).then_some(found);
    }
    let cubes = cubes(values, whole, most)?;
    let written = |cube: &Cube| {
        if cube.mask == whole && plain { arg(Op::Eq, cube.value, 0) } else { arg(Op::MaskedEq, cube.mask, cube.value) }
    };
    Some(cubes.iter().map(written).collect())
}

/// The only value that is missing.
fn outside_of_one(values: &Values) -> Option<u64> {
    match values.pieces() {
        [piece] if values.is_inverted() => {
            piece.as_interval().filter(|bounds| bounds.start() == bounds.end()).map(|bounds| *bounds.start())
        }
        _ => None,
    }
}

fn cubes(values: &Values, whole: u64, most: usize) -> Option<Vec<Cube>> {
    let mut inside = Vec::new();
    if let Some(intervals) = values.intervals(most) {
        for bounds in intervals {
            prefixes(Cube { mask: 0, value: 0 }, whole, (*bounds.start(), *bounds.end()), &mut inside);
            if inside.len() > most {
                return None;
            }
        }
        return Some(inside);
    }
    for piece in values.pieces() {
        of_piece(piece, whole, &mut inside);
        if inside.len() > most {
            return None;
        }
    }
    if !values.is_inverted() {
        return Some(inside);
    }
    let mut outside = Vec::from([Cube { mask: 0, value: 0 }]);
    for cube in inside {
        outside = outside.iter().flat_map(|other| without(*other, cube)).collect();
        if outside.len() > most {
            return None;
        }
    }
    Some(outside)
}

fn of_piece(piece: &Piece, whole: u64, into: &mut Vec<Cube>) {
    let (mask, value) = piece.fixed();
    let (field, bounds) = piece.field();
    if field == 0 {
        into.push(Cube { mask, value });
    } else {
        prefixes(Cube { mask, value }, field & whole, bounds, into);
    }
}

/// An interval of the lowest bits, which are the field, as blocks that are each as large as they can be.
fn prefixes(around: Cube, field: u64, (low, high): (u64, u64), into: &mut Vec<Cube>) {
    let mut at = low;
    loop {
        // The largest block that starts here and ends in time.
        let mut size = 0_u64;
        loop {
            let larger = size << 1 | 1;
            let fits = at & larger == 0 && larger <= field && at | larger <= high;
            if !fits || larger == size {
                break;
            }
            size = larger;
        }
        let fixed = field & !size;
        into.push(Cube { mask: around.mask | fixed, value: around.value | at & fixed });
        match (at | size).checked_add(1) {
            Some(next) if next <= high => at = next,
            _ => return,
        }
    }
}

/// The values of one cube that are not in another: for each bit that the other fixes and this one does not, those that
/// are the first to differ there.
fn without(cube: Cube, other: Cube) -> Vec<Cube> {
    if (cube.value ^ other.value) & cube.mask & other.mask != 0 {
        return Vec::from([cube]);
    }
    let mut found = Vec::new();
    let mut same = cube;
    for bit in (0..64).rev().map(|bit| 1_u64 << bit).filter(|bit| other.mask & !cube.mask & bit != 0) {
        found.push(Cube { mask: same.mask | bit, value: same.value | (!other.value & bit) });
        same = Cube { mask: same.mask | bit, value: same.value | (other.value & bit) };
    }
    found
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests {
    use super::*;

    fn holds(cubes: &[Cube], value: u64) -> usize {
        cubes.iter().filter(|cube| value & cube.mask == cube.value).count()
    }

    #[test]
    fn intervals_are_covered_once() {
        for low in 0..40 {
            for high in low..40 {
                let mut cubes = Vec::new();
                prefixes(Cube { mask: 0, value: 0 }, u64::MAX, (low, high), &mut cubes);
                for value in 0..64 {
                    assert_eq!(holds(&cubes, value), usize::from((low..=high).contains(&value)));
                }
            }
        }
        for (low, high) in [(0, u64::MAX), (1, u64::MAX), (0, u64::MAX - 1), (1 << 63, u64::MAX)] {
            let mut cubes = Vec::new();
            prefixes(Cube { mask: 0, value: 0 }, u64::MAX, (low, high), &mut cubes);
            for value in [0, 1, 2, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX] {
                assert_eq!(holds(&cubes, value), usize::from((low..=high).contains(&value)));
            }
        }
    }

    #[test]
    fn what_is_left_of_a_cube_is_disjoint() {
        for (mask, value) in [(0, 0), (0b101, 0b100), (0b1111, 0b0011), (0b10, 0)] {
            for (other_mask, other_value) in [(0, 0), (0b110, 0b010), (0b1111, 0b0011), (0b1000, 0b1000)] {
                let other = Cube { mask: other_mask, value: other_value };
                let left = without(Cube { mask, value }, other);
                for sample in 0..16 {
                    let truth = sample & mask == value && sample & other_mask != other_value;
                    assert_eq!(holds(&left, sample), usize::from(truth));
                }
            }
        }
    }
}
