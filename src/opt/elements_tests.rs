//! Windows and sets against what their words say, for all sets of small windows.

use super::*;
use crate::bpf::Action;
use crate::code::Code;
use alloc::collections::BTreeSet;

/// Runs side by side from a number on: how many numbers, and which class.
fn runs(first: u32, list: &[(u32, usize)]) -> Vec<Run> {
    let mut code = Code::default();
    let classes = [Action::Allow, Action::Errno(1), Action::Errno(38)].map(|action| code.ret(action));
    let mut next = first;
    let run = |&(length, class): &(u32, usize)| {
        next += length;
        Run { first: next - length, last: next - 1, class: classes[class], weight: 0 }
    };
    list.iter().map(run).collect()
}

/// Each number is an element.
fn numbers(runs: &[Run]) -> (Elements, Window) {
    let elements = Elements::new(runs, &alloc::vec![1; runs.len()], Some(&|_| 1), &[]);
    let window = elements.window(0, runs.len() - 1).unwrap();
    (elements, window)
}

/// The places of a set, ascending.
fn places(set: u64) -> impl DoubleEndedIterator<Item = u32> {
    (0..64).filter(move |at| set >> at & 1 == 1)
}

fn set(places: impl Iterator<Item = u32>) -> u64 {
    places.fold(0, |set, at| set | 1 << at)
}

/// Those in front that have the class of the first one.
fn group(places: impl Iterator<Item = u32>, class: impl Fn(u32) -> CodeId) -> u64 {
    let mut places = places.peekable();
    let first = places.peek().map(|&at| class(at));
    set(places.take_while(|&at| Some(class(at)) == first))
}

#[test]
fn ends_are_the_first_and_the_last_group() {
    let (elements, window) = numbers(&runs(3, &[(2, 0), (1, 1), (3, 0), (1, 2), (2, 1), (2, 2)]));
    let class = |at: u32| elements.class(window.element(at));
    for chosen in 1..=window.all {
        if window.few_groups(chosen, 1).is_none() {
            let wanted = [group(places(chosen), class), group(places(chosen).rev(), class)];
            assert_eq!(window.ends(chosen), wanted, "{chosen:#b}");
        }
    }
}

/// Whatever is needed: no mask twice, each covers all of it, and of those that can spare no bit none is missing.
#[test]
fn masks_cover_what_is_needed() {
    let (elements, window) = numbers(&runs(0x3c, &[(3, 0), (2, 1), (4, 0), (1, 2), (2, 1)]));
    let bits = elements.usable_bits(&window, window.all);
    let having = |mask: u32| elements.having(&window, window.all, mask);
    let covers = |mask: u32, needed: u64| needed & !having(mask) == 0;
    let spares =
        |mask: u32, needed: u64| bits.all().iter().any(|(bit, _)| mask & bit != 0 && covers(mask ^ bit, needed));
    let (low, high): (Vec<u32>, Vec<u32>) =
        bits.all().iter().map(|(bit, _)| *bit).partition(|bit| *bit < 1 << COMBINED);
    assert_eq!((&low[..], &high[..]), (&[1, 2, 4, 8, 0x10, 0x20][..], &[0x40][..]));
    for needed in 1..=window.all {
        let mut found = BTreeSet::new();
        bits.masks(needed, &mut |mask, yes| {
            assert!(covers(mask, needed) && having(mask) == yes, "{mask:#x} {needed:#b}");
            assert!(found.insert(mask), "{mask:#x} {needed:#b} comes twice");
        });
        let all = (1..1 << COMBINED).filter(|&mask| covers(mask, needed) && !spares(mask, needed));
        let missing: Vec<u32> = all.filter(|mask| !found.contains(mask)).collect();
        assert!(missing.is_empty(), "{missing:?} {needed:#b}");
    }
}

/// High bits are tried one by one.
#[test]
fn high_bits_stay_single() {
    let (elements, window) = numbers(&runs(0xfe, &[(2, 0), (2, 1)]));
    let bits = elements.usable_bits(&window, window.all);
    let mut found = Vec::new();
    bits.masks(0b0100, &mut |mask, yes| found.push((mask, yes)));
    assert_eq!(found, [(0x100, 0b1100)]);
}

#[test]
fn one_bit_divides_two_numbers() {
    let (elements, window) = numbers(&runs(4, &[(1, 0), (1, 1)]));
    assert_eq!(elements.usable_bits(&window, window.all).all(), [(1, 0b10)]);
}
