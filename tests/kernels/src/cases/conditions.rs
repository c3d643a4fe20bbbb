//! Conditions on arguments: operators at their edges, masks, ranges, each of the six arguments.

use super::Abi;
use crate::case::{Call, Case};
use crate::run::Failure;
use callsieve::bpf::Action;
use callsieve::profile::{Arg, Operand};
use callsieve::{Profile, Target, arg};

/// Constants at the edges of 32 and 64 bits, and negative numbers of both widths.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1234_5678_9abc_def0,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_0000_0000,
    0xffff_ffff_8000_0000,
    u64::MAX,
];

/// The answer to what no rule lets through.
const DENIED: Action = Action::Errno(77);

pub fn cases(abi: Abi) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for edge in EDGES {
        cases.push(operators(abi, edge, false)?);
    }
    for edge in EDGES.into_iter().filter(|edge| u32::try_from(*edge).is_ok()) {
        cases.push(operators(abi, edge, true)?);
    }
    cases.push(masks(abi)?);
    cases.push(ranges(abi)?);
    cases.push(lists(abi)?);
    cases.push(six_arguments(abi)?);
    cases.push(all_six_arguments(abi)?);
    Ok(cases)
}

fn case(abi: Abi, name: String, profile: &Profile, calls: Vec<Call>) -> Result<Case, Failure> {
    Case::new(name, profile.resolve(&Target::exactly(&[abi.arch]))?, calls)
}

/// The operand with this index.
fn operand(index: usize) -> Operand {
    [arg::<0>(), arg::<1>(), arg::<2>(), arg::<3>(), arg::<4>(), arg::<5>()][index]
}

/// Every operator with one constant, each on a call and an argument of its own.
fn operators(abi: Abi, edge: u64, low_word: bool) -> Result<Case, Failure> {
    let tests: [fn(Operand, u64) -> Arg; 7] =
        [Operand::eq, Operand::ne, Operand::lt, Operand::le, Operand::gt, Operand::ge, |operand, edge| {
            operand.masked_eq(edge, edge)
        }];
    // As they are, off by one, the halves swapped, only one half, a negative int in both extensions.
    let values = [
        edge,
        edge.wrapping_sub(1),
        edge.wrapping_add(1),
        edge ^ 1 << 32,
        edge ^ 1 << 63,
        edge.rotate_left(32),
        edge & 0xffff_ffff,
        edge & !0xffff_ffff,
        0xffff_ffff,
        u64::MAX,
    ];
    let mut profile = Profile::new(DENIED);
    let mut calls = Vec::new();
    for (at, (nr, test)) in abi.harmless().into_iter().zip(tests).enumerate() {
        let index = at % 6;
        let operand = if low_word { operand(index).as_u32() } else { operand(index) };
        profile = profile.allow_if((abi.arch, nr), [test(operand, edge)]);
        for value in values {
            let mut args = [0x5555_5555_5555_5555; 6];
            args[index] = value;
            calls.push(abi.call(nr, args));
        }
    }
    let width = if low_word { " in the low word" } else { "" };
    case(abi, format!("operators at {edge:#x}{width}"), &profile, calls)
}

/// Masks in one half, in both, of one bit, of all.
fn masks(abi: Abi) -> Result<Case, Failure> {
    let masks = [
        (0x1, 0x1),
        (0x8000_0000, 0),
        (0x7e02_0000, 0),
        (0xffff_ffff_ffff_fff5, 0),
        (0xff00_ff00_ff00_ff00, 0x1100_2200_3300_4400),
        (0x1_0000_0000, 0x1_0000_0000),
        (0x8000_0000_8000_0001, 0x8000_0000_0000_0001),
        (0xf, 0x5),
        (0xffff_ffff, 0x89ab_cdef),
        (u64::MAX, 0xfedc_ba98_7654_3210),
    ];
    let mut profile = Profile::new(DENIED);
    let mut calls = Vec::new();
    for ((mask, datum), nr) in masks.into_iter().zip(abi.harmless()) {
        profile = profile.allow_if((abi.arch, nr), [arg::<2>().masked_eq(mask, datum)]);
        let lowest = mask & mask.wrapping_neg();
        for value in [datum, datum | !mask, datum ^ lowest, !datum, datum ^ 1 << 32, datum ^ 1 << 31, 0, u64::MAX] {
            calls.push(abi.call(nr, [!value, !value, value, !value, !value, !value]));
        }
    }
    case(abi, "masks".to_owned(), &profile, calls)
}

/// One range, two with a gap, two that touch, a range in a range with another action, a range above 2^32.
fn ranges(abi: Abi) -> Result<Case, Failure> {
    let [one, two, three, four, five, six, ..] = abi.harmless();
    let between = |low, high| [arg::<1>().ge(low), arg::<1>().le(high)];
    let wide = if abi.arch.has_64bit_args() { 1 << 32 } else { 0 };
    let profile = Profile::new(DENIED)
        .allow_if((abi.arch, one), between(34, 64))
        .allow_if((abi.arch, two), between(10, 20))
        .allow_if((abi.arch, two), between(30, 40))
        .allow_if((abi.arch, three), between(10, 19))
        .allow_if((abi.arch, three), between(20, 29))
        .allow_if((abi.arch, four), between(100, 200))
        .rule(Action::Errno(78), (abi.arch, four), between(150, 160))
        .allow_if((abi.arch, five), between(wide + 0x7fff_fff0, wide + 0x8000_0010))
        .allow_if((abi.arch, six), [arg::<1>().gt(5), arg::<1>().lt(9), arg::<1>().ne(7)]);
    let edges = [(34, 64), (10, 20), (10, 29), (149, 161), (wide + 0x7fff_fff0, wide + 0x8000_0010), (6, 8)];
    let mut calls = Vec::new();
    for (nr, (low, high)) in [one, two, three, four, five, six].into_iter().zip(edges) {
        let near =
            [low - 1, low, low + 1, low.midpoint(high), high - 1, high, high + 1, high + 9, high + 10, high + 20];
        for value in near.into_iter().chain([high + 21, low | 1 << 63, low ^ 1 << 32, 0, u64::MAX]) {
            calls.push(abi.call(nr, [0, value, 0, 0, 0, 0]));
        }
    }
    case(abi, "ranges".to_owned(), &profile, calls)
}

/// Long lists of values, as for ioctl: allowed ones, denied ones with an errno each.
fn lists(abi: Abi) -> Result<Case, Failure> {
    let [one, two, ..] = abi.harmless();
    let value = |index: u64| (index * 0x9e37_79b9) & 0xffff_ffff;
    let mut profile = Profile::new(DENIED);
    let mut calls = Vec::new();
    for index in 0..80_u16 {
        let value = value(index.into());
        profile = profile.allow_if((abi.arch, one), [arg::<1>().eq(value)]);
        profile = profile.rule(Action::Errno(100 + index), (abi.arch, two), [arg::<1>().as_u32().eq(value)]);
    }
    for index in 0..80 {
        let value = value(index);
        calls.extend([one, two].map(|nr| abi.call(nr, [0, value, 0, 0, 0, 0])));
        calls.extend([one, two].map(|nr| abi.call(nr, [0, value | 1 << 40, 0, 0, 0, 0])));
        calls.extend([one, two].map(|nr| abi.call(nr, [0, value ^ 1, 0, 0, 0, 0])));
    }
    case(abi, "lists of values".to_owned(), &profile, calls)
}

/// A rule on each argument.
fn six_arguments(abi: Abi) -> Result<Case, Failure> {
    const SECRETS: [u64; 6] = [0x1111_1111, 0x2222_2222, 0x8333_3333, 0x4444_4444, 0xf555_5555, 0x6666_6666];
    let mut profile = Profile::new(DENIED);
    let mut calls = Vec::new();
    for (index, (nr, secret)) in abi.harmless().into_iter().zip(SECRETS).enumerate() {
        profile = profile.allow_if((abi.arch, nr), [operand(index).eq(secret)]);
        // All in their places, all in wrong places, only this one, this one wrong in a half.
        let mut rotated = SECRETS;
        rotated.rotate_left(1);
        let mut only = [0; 6];
        only[index] = secret;
        let mut wide = SECRETS;
        wide[index] |= 1 << 33;
        let mut wrong = SECRETS;
        wrong[index] ^= 0x10;
        calls.extend([SECRETS, rotated, only, wide, wrong].map(|args| abi.call(nr, args)));
    }
    case(abi, "each argument".to_owned(), &profile, calls)
}

/// One rule on all arguments; one of them is wrong at a time.
fn all_six_arguments(abi: Abi) -> Result<Case, Failure> {
    const RIGHT: [u64; 6] = [0, 7, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 1];
    let [one, two, ..] = abi.harmless();
    let all =
        |test: fn(Operand, u64) -> Arg| -> [Arg; 6] { std::array::from_fn(|index| test(operand(index), RIGHT[index])) };
    let profile =
        Profile::new(DENIED).allow_if((abi.arch, one), all(Operand::eq)).allow_if((abi.arch, two), all(Operand::le));
    let mut calls = Vec::new();
    for nr in [one, two] {
        calls.push(abi.call(nr, RIGHT));
        calls.push(abi.call(nr, [0; 6]));
        for index in 0..6 {
            for change in [1, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
                let mut args = RIGHT;
                args[index] ^= change;
                calls.push(abi.call(nr, args));
            }
        }
    }
    case(abi, "all arguments".to_owned(), &profile, calls)
}
