//! What is left of a word, against all numbers of a few bits.

use super::*;

#[test]
fn the_least_value_is_the_least() {
    // All sets over eight bits of a few intervals, fixed bits and exceptions.
    for (mask, value) in [(0, 0), (0x81, 0x80), (0x3c, 0x14), (0xf0, 0xf0), (1, 0)] {
        for not in [&[][..], &[(0x0f, 3)], &[(0x80, 0), (0x40, 0x40)], &[(0xff, 0x80), (0xff, 0x81)]] {
            for first in (0..256).step_by(7) {
                for last in [first, first + 9, 255] {
                    let known = Known { first, last: last.min(255), mask, value, not: not.to_vec() };
                    let fits = |x: &u32| x & mask == value && not.iter().all(|(mask, value)| x & mask != *value);
                    let truth = (first..=last.min(255)).find(fits);
                    assert_eq!(known.least(), Ok(truth), "{known:?}");
                    let (fixed, bits) = known.fixed();
                    for x in (first..=last.min(255)).filter(fits) {
                        assert_eq!(x & fixed, bits, "{known:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn words_have_places() {
    for place in 0..16 {
        assert_eq!(index(word(place)), place);
    }
}

/// The values below 256 that are left.
fn values(known: &Known) -> Vec<u32> {
    let fits = |x: &u32| x & known.mask == known.value && known.not.iter().all(|(mask, value)| x & mask != *value);
    (known.first..=known.last).filter(fits).collect()
}

/// Each way to learn something leaves the values that fit, and is refused if there are none.
#[test]
fn what_is_left_is_what_fits() {
    let any = Known { last: 255, ..Known::ANY };
    let starts = [
        Some(any.clone()),
        any.within(3, 200),
        any.with(0x81, 0x80),
        any.without(0x0f, 3),
        any.within(16, 47).and_then(|known| known.without(0x30, 0x10)),
        any.with(0xf0, 0x40).and_then(|known| known.without(0x0f, 3)).and_then(|known| known.without(0x0e, 0x0a)),
        any.within(64, 66).and_then(|known| known.without(3, 1)).and_then(|known| known.without(7, 0)),
    ];
    let check = |found: Option<Known>, wanted: Vec<u32>, what: &str| {
        assert_eq!(found.as_ref().map(values).unwrap_or_default(), wanted, "{what}");
        assert_eq!(found.is_none(), wanted.is_empty(), "{what}");
    };
    for known in starts.into_iter().flatten() {
        let all = values(&known);
        for (first, last) in [(0, 255), (4, 4), (64, 65), (65, 64), (17, 30), (201, 255), (u32::MAX, u32::MAX)] {
            let wanted = all.iter().copied().filter(|x| (first..=last).contains(x)).collect();
            check(known.within(first, last), wanted, &alloc::format!("{known:?} within {first} {last}"));
        }
        for mask in [1, 3, 0x0f, 0x30, 0x80, 0x81, 0xf0, 0xff] {
            for value in [0, 1, 2, 3, 0x10, 0x30, 0x40, 0x41, 0x80, 0x81, 0xf0] {
                let of = |wanted| all.iter().copied().filter(|x| (x & mask == value) == wanted).collect();
                check(known.with(mask, value), of(true), &alloc::format!("{known:?} with {mask:#x} {value:#x}"));
                check(known.without(mask, value), of(false), &alloc::format!("{known:?} without {mask:#x} {value:#x}"));
            }
        }
    }
    // The same twice is the same.
    let once = any.without(0x0f, 3).unwrap();
    assert_eq!(once.without(0x0f, 3), Some(once.clone()));
    // A bit that is not set is set.
    assert_eq!(any.without(0x10, 0x10), any.with(0x10, 0));
}

#[test]
fn the_least_value_is_looked_for_in_bounds() {
    // All multiples of two are excluded by as many patterns as there are even numbers below 1024.
    let mut known = Known { last: 2047, mask: 1, ..Known::ANY };
    known.not = (0..512).map(|x| (!1, x * 2)).collect();
    assert_eq!(known.least(), Err(()));
    known.first = 1024 - 2 * 255;
    assert_eq!(known.least(), Ok(Some(1024)));
    known.first -= 2;
    assert_eq!(known.least(), Err(()));
}

#[test]
fn words_are_told_apart() {
    let mut env = Env::default();
    let five = Known::ANY.within(5, 9).unwrap();
    let high = Known::ANY.with(0x80, 0x80).unwrap();
    assert_eq!(env.get(Word::Nr), &Known::ANY);
    env.set(Word::Low(3), five.clone());
    env.set(Word::Nr, high.clone());
    assert_eq!((env.get(Word::Nr), env.get(Word::Low(3)), env.get(Word::High(3))), (&high, &five, &Known::ANY));
    assert_eq!(env.values().collect::<Vec<_>>(), [(Word::Nr, 0x80), (Word::Low(3), 5)]);
    env.set(Word::Nr, five.clone());
    assert_eq!(env.get(Word::Nr), &five);
    let left = env.only(only(Word::Low(3)) | only(Word::Arch));
    assert_eq!(left.values().collect::<Vec<_>>(), [(Word::Low(3), 5)]);
    assert_eq!(env.only(0), Env::default());
}
