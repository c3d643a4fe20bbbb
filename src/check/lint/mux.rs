//! Calls that carry others: what they carry is behind a pointer, where no filter sees it.

use super::families::is_restricted;
use super::review::{Review, listed};
use crate::arch::Arch;
use crate::check::answers::{Reach, runs};
use crate::check::bdd::Exhausted;
use crate::check::words::Word;
use crate::profile::{Code, Diagnostic, Example, Severity};
use alloc::format;
use alloc::vec::Vec;

/// A multiplexer and the calls that it carries, with the number of each (`linux/net.h`, `linux/ipc.h`).
type Multiplexer = (&'static str, &'static [(&'static str, u64)]);

const MULTIPLEXERS: [Multiplexer; 2] = [
    (
        "socketcall",
        &[
            ("socket", 1),
            ("bind", 2),
            ("connect", 3),
            ("listen", 4),
            ("accept", 5),
            ("getsockname", 6),
            ("getpeername", 7),
            ("socketpair", 8),
            ("send", 9),
            ("recv", 10),
            ("sendto", 11),
            ("recvfrom", 12),
            ("shutdown", 13),
            ("setsockopt", 14),
            ("getsockopt", 15),
            ("sendmsg", 16),
            ("recvmsg", 17),
            ("accept4", 18),
            ("recvmmsg", 19),
            ("sendmmsg", 20),
        ],
    ),
    (
        "ipc",
        &[
            ("semop", 1),
            ("semget", 2),
            ("semctl", 3),
            ("semtimedop", 4),
            ("msgsnd", 11),
            ("msgrcv", 12),
            ("msgget", 13),
            ("msgctl", 14),
            ("shmat", 21),
            ("shmdt", 22),
            ("shmget", 23),
            ("shmctl", 24),
        ],
    ),
];

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    // What resolving says goes by names; here it is asked what runs.
    review.found.retain(|found| found.code() != Code::Multiplexed);
    for (multiplexer, members) in MULTIPLEXERS {
        let (mut arches, mut reached, mut example): (Vec<Arch>, Vec<&str>, Option<Example>) = <_>::default();
        for arch in review.arches() {
            let Some(nr) = arch.number(multiplexer) else { continue };
            for &(member, sub) in members {
                let free = review.runs(arch, member)? == Some(Reach::Always);
                if free || !is_restricted(review, member) {
                    continue;
                }
                if let Some(call) = carried(review, arch, nr, sub)? {
                    example = example.or(Some(call));
                    arches.extend((!arches.contains(&arch)).then_some(arch));
                    reached.extend((!reached.contains(&member)).then_some(member));
                }
            }
        }
        let Some(&first) = reached.first() else { continue };
        let text = format!(
            "{multiplexer}{}: reaches {} past the restriction{}, because a filter cannot see through it",
            review.on(multiplexer, &arches),
            listed(&reached, 5),
            review.named_at(first)
        );
        let place = review.place_of(multiplexer);
        review.push(Diagnostic::new(Severity::Warning, Code::Multiplexed, place, text).with_example(example));
    }
    Ok(())
}

/// A call of the multiplexer that runs with this number.
fn carried(review: &mut Review<'_>, arch: Arch, nr: u32, sub: u64) -> Result<Option<Example>, Exhausted> {
    let function = review.answers.of(arch, nr)?;
    let open = review.answers.where_answer(function, &runs)?;
    let Some(word) = Word::argument(0) else { return Ok(None) };
    let bdd = &mut review.answers.bdd;
    let wanted = word.equals(bdd, sub)?;
    let both = bdd.and(wanted, open)?;
    Ok(review.answers.example(both).map(|args| review.example(arch, nr, args, 1)))
}
