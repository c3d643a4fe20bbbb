//! Calls that also have a number inside of another call: `socketcall` and `ipc` on i386, s390 and others.

use super::{Condition, Semantics, Test};
use crate::bpf::Action;
use crate::profile::{Call, Width};

const LOW: u64 = 0xffff_ffff;

/// A call that carries others, how it tells them apart, and the number of each.
pub(super) struct Multiplexer {
    pub(super) name: &'static str,
    /// The bits of argument 0 that choose; in `ipc` those above are a version.
    mask: u64,
    calls: &'static [(&'static str, u64)],
}

/// `net/socket.c` and `ipc/syscall.c`; the numbers are in `linux/net.h` and `linux/ipc.h`.
pub(super) const ALL: [Multiplexer; 2] = [
    Multiplexer {
        name: "socketcall",
        mask: LOW,
        calls: &[
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
    },
    Multiplexer {
        name: "ipc",
        mask: 0xffff,
        calls: &[
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
    },
];

impl Multiplexer {
    /// The number of a call inside of this one.
    pub(super) fn inner(&self, call: &Call) -> Option<u64> {
        let Call::Name(name) = call else { return None };
        self.calls.iter().find(|(own, _)| own == name).map(|(_, number)| *number)
    }

    /// The condition under which this call is another one. The kernel takes an `int`, so it has 32 bits everywhere.
    pub(super) fn condition(&self, inner: u64) -> Condition {
        let mask = self.mask;
        let test = if mask == LOW { Test::Eq(inner) } else { Test::MaskedEq { mask, value: inner } };
        Condition { arg: 0, width: Width::Bits32, test }
    }
}

/// What entries say about a call that is also reached through a multiplexer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Say {
    pub(super) entry: usize,
    pub(super) action: Action,
    pub(super) conditional: bool,
}

/// Which of the entries decides about the call where the multiplexer carries it, and whether conditions that a filter
/// cannot look at there were left out of account; `None` if the default action stays.
///
/// An entry without conditions covers the carried call as well. Where conditions decide, the most restrictive answer
/// that the call can get is given: nothing is allowed that its own number would not be. Container runtimes let the first
/// entry without conditions win, and skip those that are equal to the default action.
pub(super) fn deciding(says: &[Say], default: Action, semantics: Semantics) -> Option<Say> {
    let plain = |say: &&Say| !say.conditional;
    if semantics == Semantics::Oci {
        let mut counting = says.iter().filter(|say| say.action != default);
        if let Some(first) = counting.clone().find(plain) {
            return Some(*first);
        }
        return counting.by_ref().min_by_key(|say| say.action).filter(|say| say.action < default).copied();
    }
    let strictest = says.iter().min_by_key(|say| say.action)?;
    (says.iter().any(|say| plain(&say)) || strictest.action < default).then_some(*strictest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const E1: Action = Action::Errno(1);
    const E2: Action = Action::Errno(2);

    #[test]
    fn ipc_has_a_version_above_its_number() {
        let [socketcall, ipc] = &ALL;
        let condition = |test| Condition { arg: 0, width: Width::Bits32, test };
        assert_eq!(socketcall.condition(3), condition(Test::Eq(3)));
        assert_eq!(ipc.condition(3), condition(Test::MaskedEq { mask: 0xffff, value: 3 }));
    }

    /// The entry that decides among entries with these actions, and whether each is conditional.
    fn decides(says: &[(Action, bool)], default: Action, semantics: Semantics) -> Option<usize> {
        let says = says.iter().zip(0..).map(|(&(action, conditional), entry)| Say { entry, action, conditional });
        deciding(&says.collect::<Vec<_>>(), default, semantics).map(|say| say.entry)
    }

    #[test]
    fn runtimes_take_the_first_entry_without_conditions() {
        let decides = |says: &[(Action, bool)], default| decides(says, default, Semantics::Oci);
        assert_eq!(decides(&[(E2, true), (Action::Allow, false), (E2, false)], E1), Some(1));
        assert_eq!(decides(&[(E1, false), (Action::Allow, false)], E1), Some(1), "equal to the default");
        assert_eq!(decides(&[(E1, false)], E1), None);
        assert_eq!(decides(&[(Action::Allow, true)], E1), None, "would allow more");
        assert_eq!(decides(&[(E2, true), (E1, true)], Action::Allow), Some(1), "the most restrictive");
        assert_eq!(decides(&[], E1), None);
    }

    #[test]
    fn strictly_the_most_restrictive_answer_counts() {
        for semantics in [Semantics::Strict, Semantics::Ordered] {
            let decides = |says: &[(Action, bool)], default| decides(says, default, semantics);
            assert_eq!(decides(&[(Action::Allow, false)], E1), Some(0));
            assert_eq!(decides(&[(Action::Allow, false), (E1, true)], E2), Some(1));
            assert_eq!(decides(&[(E1, true)], Action::Allow), Some(0));
            assert_eq!(decides(&[(Action::Allow, true)], E1), None, "would allow more");
            assert_eq!(decides(&[(E1, true)], E1), None, "equal to the default");
            assert_eq!(decides(&[], E1), None);
        }
    }
}
