//! "Did you mean": the known word that is most like a mistyped one.

/// Longer words are not compared: no word that we know is as long.
const LONGEST: usize = 48;

/// The candidate that is most like `needle`, or `None` if all are too different.
///
/// Different means: a letter added, lost or replaced, or two neighbours swapped; the case of letters does not count. One
/// such change is allowed for every three letters, three at most. A candidate that differs only by digits at its end
/// comes before all others (`pwrite` means `pwrite64`, not `write`). Of equals the first candidate wins.
pub(crate) fn nearest<'a>(needle: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = needle.len().div_ceil(3).min(3);
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
    !needle.is_empty()
        && candidate
            .strip_prefix(needle)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The number of changes between two words (optimal string alignment), if it is not above `limit`.
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)] // Lengths are at most `LONGEST`, checked first.
fn distance(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    if a.len() > LONGEST || b.len() > LONGEST || a.len().abs_diff(b.len()) > limit {
        return None;
    }
    // Rows of the usual matrix: of the letter before the last one, of the last one, and of this one.
    let (mut older, mut last, mut this) = ([0; LONGEST + 1], [0; LONGEST + 1], [0; LONGEST + 1]);
    for (column, cost) in last.iter_mut().enumerate() {
        *cost = column;
    }
    for i in 0..a.len() {
        this[0] = i + 1;
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(!a[i].eq_ignore_ascii_case(&b[j]));
            this[j + 1] = replaced.min(last[j + 1] + 1).min(this[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                this[j + 1] = this[j + 1].min(older[j - 1] + 1);
            }
        }
        (older, last, this) = (last, this, older);
    }
    Some(last[b.len()]).filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("", None),
            ("bpf", None),
        ] {
            assert_eq!(nearest(needle, words), expected, "{needle:?}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), words), None);
        assert_eq!(nearest("ab", ["aa", "bb"]), Some("aa"), "the first of equals");
    }
}
