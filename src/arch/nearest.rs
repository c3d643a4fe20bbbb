//! "Did you mean": the known word that is most like a mistyped one.

/// Longer words are not compared: no word that we know is as long.
const LONGEST: usize = 48;

/// The candidate that is most like `needle`, or `None` if all are too different.
///
/// Different means: a letter added, lost or replaced, or two neighbours swapped; the case of letters does not count. One
/// such change is allowed, two from six letters on, three from twelve. A candidate that differs only by digits at its end
/// comes before all others (`pwrite` means `pwrite64`, not `write`). Of equals the first candidate wins.
pub(crate) fn nearest<'a>(needle: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match needle.len() {
        0 => return None,
        1..=5 => 1,
        6..=11 => 2,
        _ => 3,
    };
    let mut best = None;
    for candidate in candidates {
        if is_numbered(needle, candidate) {
            return Some(candidate);
        }
        let Some(distance) = distance(needle.as_bytes(), candidate.as_bytes(), limit) else { continue };
        if best.is_none_or(|(other, _)| distance < other) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether the words are equal but for digits at the end of the candidate.
fn is_numbered(needle: &str, candidate: &str) -> bool {
    candidate
        .strip_prefix(needle)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The number of changes between two words (optimal string alignment), if it is not above `limit`.
///
/// Only the cells of the usual matrix that lie at most `limit` beside the diagonal are computed, because a path through
/// any other needs more changes than that; and a row without a small cell ends the search. So a hostile profile full of
/// unknown names costs little.
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)] // Lengths are at most `LONGEST`, checked first.
fn distance(a: &[u8], b: &[u8], limit: u8) -> Option<u8> {
    let band = usize::from(limit);
    if a.len() > LONGEST || b.len() > LONGEST || a.len().abs_diff(b.len()) > band {
        return None;
    }
    // Costs of the letter before the last one, of the last one, and of this one. `FAR` stands for every cell outside.
    let (mut older, mut last, mut this) = ([FAR; LONGEST + 1], [FAR; LONGEST + 1], [FAR; LONGEST + 1]);
    for (cost, column) in last.iter_mut().zip(0..=limit) {
        *cost = column;
    }
    for i in 0..a.len() {
        let (first, end) = (i.saturating_sub(band), b.len().min(i + band + 1));
        this[first] = if i < band { last[0] + 1 } else { FAR };
        let mut smallest = this[first];
        for j in first..end {
            let mut cost = last[j] + u8::from(!a[i].eq_ignore_ascii_case(&b[j]));
            cost = cost.min(last[j + 1] + 1).min(this[j] + 1);
            if i > 0 && j > 0 && a[i].eq_ignore_ascii_case(&b[j - 1]) && a[i - 1].eq_ignore_ascii_case(&b[j]) {
                cost = cost.min(older[j - 1] + 1);
            }
            this[j + 1] = cost.min(FAR);
            smallest = smallest.min(cost);
        }
        if smallest > limit {
            return None;
        }
        (older, last, this) = (last, this, [FAR; LONGEST + 1]);
    }
    Some(last[b.len()]).filter(|&distance| distance <= limit)
}

/// More changes than any limit.
const FAR: u8 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn changes_are_counted() {
        let distance = |a: &str, b: &str| distance(a.as_bytes(), b.as_bytes(), 9);
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("openat", "opennat", 1), ("raed", "read", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), Some(expected), "{a} {b}");
            assert_eq!(distance(b, a), Some(expected), "{b} {a}");
        }
        assert_eq!(distance("READ", "read"), Some(0));
        assert_eq!(super::distance(b"abcdef", b"ghijkl", 3), None);
        assert_eq!(super::distance(b"abc", b"", 2), None);
    }

    /// The textbook's matrix, all cells of it.
    #[allow(clippy::arithmetic_side_effects)] // A test.
    fn plain_distance(a: &[u8], b: &[u8]) -> usize {
        let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                cost[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let replaced = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let swap = if swapped { cost[i - 2][j - 2] + 1 } else { usize::MAX };
                    replaced.min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1).min(swap)
                };
            }
        }
        cost[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn the_band_loses_nothing(a in "[abc]{0,12}", b in "[abc]{0,12}", limit in 1u8..=9) {
            let plain = plain_distance(a.as_bytes(), b.as_bytes());
            let expected = u8::try_from(plain).ok().filter(|&plain| plain <= limit);
            prop_assert_eq!(distance(a.as_bytes(), b.as_bytes(), limit), expected);
        }
    }

    #[test]
    fn the_best_candidate_wins() {
        let words = ["write", "pwrite64", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"];
        for (needle, expected) in [
            ("pwrite", Some("pwrite64")),
            ("wrte", Some("write")),
            ("SCMP_ACT_ERNO", Some("SCMP_ACT_ERRNO")),
            ("scmp_act_trace", Some("SCMP_ACT_TRACE")),
            ("SCMP_ACT_TRACES", Some("SCMP_ACT_TRACE")),
            ("wrote", Some("write")),
            ("wrot", None),
            ("pwrit46", Some("pwrite64")),
            ("rite64", Some("pwrite64")),
            ("ite64", None),
            ("", None),
            ("bpf", None),
        ] {
            assert_eq!(nearest(needle, words), expected, "{needle:?}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), words), None);
        assert_eq!(nearest("ab", ["aa", "bb"]), Some("aa"), "the first of equals");
    }

    #[test]
    fn changes_that_a_length_allows() {
        for (needle, candidate, near) in [
            ("", "a", false),
            ("abcde", "abcdx", true),
            ("abcde", "abcxy", false),
            ("abcdef", "abcdxy", true),
            ("abcdef", "abcxyz", false),
            ("abcdefghijk", "abcdefghiyz", true),
            ("abcdefghijk", "abcdefghxyz", false),
            ("abcdefghijkl", "abcdefghixyz", true),
            ("abcdefghijkl", "abcdefghwxyz", false),
        ] {
            assert_eq!(nearest(needle, [candidate]).is_some(), near, "{needle:?} {candidate:?}");
        }
    }

    #[test]
    fn words_that_are_too_long_are_not_compared() {
        let (longest, longer) = ([b'x'; LONGEST], [b'x'; LONGEST + 1]);
        assert_eq!(distance(&longest, &longest, 3), Some(0));
        assert_eq!(distance(&longest, &longest[1..], 3), Some(1));
        assert_eq!(distance(&longer, &longer, 3), None);
        assert_eq!(distance(&longer, &longest, 3), None);
        assert_eq!(distance(&longest, &longer, 3), None);
    }
}
