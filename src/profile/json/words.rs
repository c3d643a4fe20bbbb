//! The words of the dialects.

use super::super::{Flag, Op};
use super::value::quote;
use crate::arch::{Arch, nearest};
use crate::bpf::Action;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A word and what it stands for.
pub(super) type Word<T> = (&'static str, T);

/// Actions; those that take a number with the one that counts if none is given.
pub(super) const ACTIONS: [Word<Action>; 9] = [
    ("SCMP_ACT_ALLOW", Action::Allow),
    ("SCMP_ACT_ERRNO", Action::Errno(1)),
    // The same as KILL_THREAD in every runtime.
    ("SCMP_ACT_KILL", Action::KillThread),
    ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
    ("SCMP_ACT_KILL_THREAD", Action::KillThread),
    ("SCMP_ACT_LOG", Action::Log),
    ("SCMP_ACT_NOTIFY", Action::Notify),
    ("SCMP_ACT_TRACE", Action::Trace(1)),
    ("SCMP_ACT_TRAP", Action::Trap(0)),
];

pub(super) const OPERATORS: [Word<Op>; 7] = [
    ("SCMP_CMP_EQ", Op::Eq),
    ("SCMP_CMP_GE", Op::Ge),
    ("SCMP_CMP_GT", Op::Gt),
    ("SCMP_CMP_LE", Op::Le),
    ("SCMP_CMP_LT", Op::Lt),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEq),
    ("SCMP_CMP_NE", Op::Ne),
];

pub(super) const FLAGS: [Word<Flag>; 4] = [
    ("SECCOMP_FILTER_FLAG_LOG", Flag::Log),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", Flag::SpecAllow),
    ("SECCOMP_FILTER_FLAG_TSYNC", Flag::Tsync),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", Flag::WaitKillableRecv),
];

/// What the words of one kind begin with.
const PREFIXES: [&str; 4] = ["SCMP_ACT_", "SCMP_CMP_", "SCMP_ARCH_", "SECCOMP_FILTER_FLAG_"];

/// What the word stands for, or what is allowed.
pub(super) fn lookup<T: Copy>(kind: &str, text: &str, words: &[Word<T>]) -> Result<T, String> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*meaning);
    }
    let names = || words.iter().map(|(word, _)| *word);
    Err(match suggest(text, &names()) {
        Some(word) => format!("unknown {kind} {} (did you mean \"{word}\"?)", quote(text)),
        None => format!("unknown {kind} {}; known are {}", quote(text), names().collect::<Vec<_>>().join(", ")),
    })
}

/// The word that was most likely meant: the same in other case or without its prefix, or the most similar one.
pub(super) fn suggest<'a>(text: &str, words: &(impl Iterator<Item = &'a str> + Clone)) -> Option<&'a str> {
    let same = |word: &&str| {
        let start = word.len().saturating_sub(text.len());
        let end = word.get(start..).unwrap_or_default();
        let whole = start == 0 || word.get(..start).is_some_and(|rest| rest.ends_with('_'));
        !text.is_empty() && whole && end.eq_ignore_ascii_case(text)
    };
    words.clone().find(same).or_else(|| {
        // What all words begin with says nothing.
        let first = words.clone().next()?;
        let prefix = PREFIXES.into_iter().find(|prefix| first.starts_with(prefix));
        let bare = |word: &'a str| prefix.and_then(|prefix| word.strip_prefix(prefix)).unwrap_or(word);
        let text = prefix.and_then(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        let found = nearest(text, words.clone().map(bare))?;
        words.clone().find(|word| bare(word) == found)
    })
}

/// The ABI of a name such as `SCMP_ARCH_X86_64`, or which name was meant.
pub(super) fn arch(text: &str) -> Result<Arch, String> {
    if let Some(arch) = Arch::from_oci(text) {
        return Ok(arch);
    }
    let unknown = format!("unknown architecture {}", quote(text));
    let bare = text.strip_prefix("SCMP_ARCH_").unwrap_or(text).to_ascii_lowercase();
    let alias = Arch::from_name(&bare).map(Arch::oci_name);
    let unfiltered =
        bare.parse::<Arch>().err().filter(|error| error.suggestion().is_none()).map(|error| error.to_string());
    match alias.or_else(|| suggest(text, &Arch::ALL.into_iter().map(Arch::oci_name))) {
        Some(name) => Err(format!("{unknown} (did you mean \"{name}\"?)")),
        None if unfiltered.as_ref().is_some_and(|why| why.starts_with("architecture")) => {
            Err(unfiltered.unwrap_or(unknown))
        }
        None => Err(format!("{unknown}; a name such as \"SCMP_ARCH_X86_64\" is expected")),
    }
}

/// Which name in `includes.arches` was meant by one that matches no host.
pub(super) fn docker_arch(text: &str) -> Option<&'static str> {
    let arch = Arch::from_oci(text).or_else(|| Arch::from_name(text));
    let names = Arch::ALL.into_iter().flat_map(|arch| arch.docker_names().iter().copied());
    arch.and_then(|arch| arch.docker_names().first().copied()).or_else(|| suggest(text, &names))
}
