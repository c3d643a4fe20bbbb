//! What was seen.

use super::watched::{MOST, Watched, watched};
use crate::arch::Arch;
use crate::bpf::SyscallData;
use crate::compile::Weights;
use alloc::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "json")]
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Different arguments of one call that are kept; what comes after is counted, but not kept apart.
const MAX_VALUES: usize = 1024;
/// Different calls that are kept, far more than there are: whoever makes calls that do not exist can make many.
const MAX_CALLS: usize = 8192;
/// Different notes that are kept.
const MAX_NOTES: usize = 256;
/// The largest number that a weights file takes.
const MAX_FREQUENCY: u64 = 1_000_000_000_000_000_000;

/// The calls that programs made: how often, on which ABIs, and with what arguments where these matter (`socket`, `clone`,
/// `ioctl`, `prctl`, `mmap` and others). Runs add to it; it can also be read from what strace(1) and the audit log wrote.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::bpf::SyscallData;
/// use callsieve::record::Recording;
///
/// let mut recording = Recording::new();
/// let read = SyscallData { nr: 0, arch: Arch::X86_64.audit(), ..SyscallData::default() };
/// assert!(recording.add(&read)); // for the first time
/// assert!(!recording.add(&read));
/// let call = recording.calls().next().unwrap();
/// assert_eq!((call.name(), call.count()), (Some("read"), 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    pub(super) calls: BTreeMap<(Arch, u32), Seen>,
    notes: BTreeSet<Note>,
    interrupted: u64,
}

/// What was seen of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) watched: Vec<Watched>,
    pub(super) values: BTreeMap<Values, u64>,
    /// Whether a register had bits that the kernel does not read, and which a profile may compare all the same.
    pub(super) odd: bool,
    /// Why the values are not all that there were.
    pub(super) lost: Option<Lost>,
}

/// The watched arguments in their order.
pub(super) type Values = [u64; MOST];

/// Why arguments are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The source does not tell them.
    NotTold,
    /// There are too many.
    TooMany,
}

/// Something about a recording that whoever uses it should know.
///
/// ```
/// use callsieve::bpf::SyscallData;
/// use callsieve::record::{Note, Recording};
/// let mut recording = Recording::new();
/// recording.add(&SyscallData { arch: 7, ..SyscallData::default() });
/// assert!(matches!(recording.notes().next(), Some(Note::UnknownArch { token: 7 })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Note {
    /// A program with the set-user-id or set-group-id bit was started. Under `no_new_privs` it runs without those
    /// privileges, so it may have failed, or have done something else than it will do elsewhere. Programs with
    /// capabilities of their file are not noticed.
    SetUid {
        /// The path that was given to execve(2).
        path: String,
    },
    /// A program installed a filter of its own. What that denies was not seen, because the strictest answer counts; under
    /// a profile without these calls, its stricter answer would count instead.
    OwnFilter,
    /// A program wanted a listener of its own, and was refused (EBUSY), since there can be only one. What it does when it
    /// gets one was not seen.
    OwnListener,
    /// A number without a name was called, which a profile cannot name. Mostly programs that try whether a new call is
    /// there.
    UnknownNumber {
        /// The ABI.
        arch: Arch,
        /// The number.
        nr: u32,
    },
    /// A call came with an architecture token that is not known.
    UnknownArch {
        /// The token.
        token: u32,
    },
    /// The log says that it left messages out, so calls may be missing.
    Suppressed,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetUid { path } => write!(
                f,
                "{} is set-user-id or set-group-id, which has no effect under no_new_privs: it ran without those \
                 privileges",
                path.escape_debug()
            ),
            Self::OwnFilter => f.write_str(
                "a program installed a filter of its own: calls that it denies were not seen, and would get the \
                 stricter of both answers",
            ),
            Self::OwnListener => f.write_str(
                "a program wanted a seccomp listener of its own and was refused (EBUSY): while it is recorded there is \
                 one already",
            ),
            Self::UnknownNumber { arch, nr } => {
                write!(f, "call {} on {arch} has no name, so it is not in the profile", nr.cast_signed())
            }
            Self::UnknownArch { token } => write!(f, "a call came with the unknown architecture token {token:#x}"),
            Self::Suppressed => f.write_str("the log says that messages were left out, so calls may be missing"),
        }
    }
}

impl Recording {
    /// Nothing so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a call. Whether it is one that was not there before: another call, or other values of arguments that
    /// matter.
    pub fn add(&mut self, call: &SyscallData) -> bool {
        self.add_times(call, 1)
    }

    /// The same, with a count that may be 0: for calls that were tried.
    pub(super) fn add_times(&mut self, call: &SyscallData, count: u64) -> bool {
        let Some(arch) = Arch::of_call(call.arch, call.nr) else {
            return self.note(Note::UnknownArch { token: call.arch });
        };
        let Some((seen, new)) = self.seen(arch, call.nr, count) else { return false };
        let mut values = Values::default();
        for (value, watched) in values.iter_mut().zip(&seen.watched) {
            *value = watched.read(&call.args);
            seen.odd |= watched.is_odd(&call.args);
        }
        if seen.watched.is_empty() {
            return new;
        }
        seen.value(values, count) || new
    }

    /// Counts a call of which the arguments are not known.
    pub(super) fn add_without_arguments(&mut self, arch: Arch, nr: u32, count: u64) -> bool {
        let Some((seen, new)) = self.seen(arch, nr, count) else { return false };
        if !seen.watched.is_empty() {
            seen.lost.get_or_insert(Lost::NotTold);
        }
        new
    }

    /// The place of a call, its count raised; and whether it is new.
    fn seen(&mut self, arch: Arch, nr: u32, count: u64) -> Option<(&mut Seen, bool)> {
        if arch.name(nr).is_none() {
            self.note(Note::UnknownNumber { arch, nr });
        }
        let new = !self.calls.contains_key(&(arch, nr));
        if new && self.calls.len() >= MAX_CALLS {
            return None;
        }
        let seen = self.calls.entry((arch, nr)).or_insert_with(|| Seen {
            count: 0,
            watched: watched(arch, nr),
            values: BTreeMap::new(),
            odd: false,
            lost: None,
        });
        seen.count = seen.count.saturating_add(count);
        Some((seen, new))
    }

    /// Notes something; whether it is new.
    pub(super) fn note(&mut self, note: Note) -> bool {
        self.notes.len() < MAX_NOTES && self.notes.insert(note)
    }

    /// A call that was counted too early and comes again.
    pub(super) fn take_back(&mut self, arch: Arch, nr: u32) {
        if let Some(seen) = self.calls.get_mut(&(arch, nr)) {
            seen.count = seen.count.saturating_sub(1);
        }
        self.interrupt();
    }

    pub(super) fn interrupt(&mut self) {
        self.interrupted = self.interrupted.saturating_add(1);
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The calls, by ABI and number.
    pub fn calls(&self) -> impl Iterator<Item = RecordedCall<'_>> {
        self.calls.iter().map(|(&(arch, nr), seen)| RecordedCall { arch, nr, seen })
    }

    /// How many calls were made, on all ABIs.
    pub fn total(&self) -> u64 {
        self.calls.values().fold(0, |sum, seen| sum.saturating_add(seen.count))
    }

    /// The ABIs of the calls.
    pub fn arches(&self) -> impl Iterator<Item = Arch> {
        let arches: BTreeSet<Arch> = self.calls.keys().map(|(arch, _)| *arch).collect();
        arches.into_iter()
    }

    /// Calls that went away between question and answer: their program was killed, or a signal interrupted them. They
    /// are not in the counts, since most will have come again. From Linux 5.19 on a signal that is not fatal does that
    /// no longer: what is restarted is counted once.
    ///
    /// Some kernels between 5.19 and 6.18 let a call come twice if a signal comes in the very moment of the answer, which
    /// nobody can see.
    pub const fn interrupted(&self) -> u64 {
        self.interrupted
    }

    /// What whoever uses the recording should know.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter()
    }

    /// Adds another recording: the union of the calls and arguments, the sum of the counts.
    pub fn merge(&mut self, other: &Self) {
        for (&(arch, nr), theirs) in &other.calls {
            let Some((seen, _)) = self.seen(arch, nr, theirs.count) else { continue };
            seen.lost = seen.lost.or(theirs.lost);
            seen.odd |= theirs.odd;
            for (values, count) in &theirs.values {
                seen.value(*values, *count);
            }
        }
        for note in &other.notes {
            self.note(note.clone());
        }
        self.interrupted = self.interrupted.saturating_add(other.interrupted);
    }

    /// How often each call was made, on all ABIs together; as far as weights files count, and without those that were only
    /// tried.
    fn frequencies(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for call in self.calls().filter(|call| call.count() > 0) {
            if let Some(name) = call.name() {
                let sum: &mut u64 = all.entry(name).or_default();
                *sum = sum.saturating_add(call.count()).min(MAX_FREQUENCY);
            }
        }
        all
    }

    /// The counts as weights for [`Compiler::weights`](crate::Compiler::weights), half for every call alike. Without any
    /// call they are the built-in ones.
    pub fn weights(&self) -> Weights {
        let counts = self.frequencies();
        if counts.is_empty() { Weights::mix() } else { Weights::mix().frequencies(counts) }
    }

    /// The counts as a weights file, which [`Weights::from_json`] reads; see there.
    ///
    /// ```
    /// use callsieve::Weights;
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::SyscallData;
    /// use callsieve::record::Recording;
    ///
    /// let mut recording = Recording::new();
    /// recording.add(&SyscallData { nr: 0, arch: Arch::X86_64.audit(), ..SyscallData::default() });
    /// assert_eq!(Weights::from_json(&recording.weights_json())?, recording.weights());
    /// # Ok::<(), callsieve::WeightsError>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn weights_json(&self) -> String {
        let mut counts: Vec<_> = self.frequencies().into_iter().collect();
        counts.sort_by_key(|&(name, count)| (core::cmp::Reverse(count), name));
        let lines: Vec<_> = counts.iter().map(|(name, count)| format!("    \"{name}\": {count}")).collect();
        if lines.is_empty() {
            return String::from("{}\n");
        }
        format!("{{\n  \"frequencies\": {{\n{}\n  }}\n}}\n", lines.join(",\n"))
    }
}

impl Seen {
    /// Counts values; whether they are new.
    fn value(&mut self, values: Values, count: u64) -> bool {
        let full = self.values.len() >= MAX_VALUES;
        if let Some(known) = self.values.get_mut(&values) {
            *known = known.saturating_add(count);
            return false;
        }
        if full {
            self.lost = Some(Lost::TooMany);
            return false;
        }
        self.values.insert(values, count);
        true
    }
}

/// A call of a [`Recording`].
///
/// See the example of [`Recording`].
#[derive(Clone, Copy, Debug)]
pub struct RecordedCall<'r> {
    arch: Arch,
    nr: u32,
    seen: &'r Seen,
}

impl<'r> RecordedCall<'r> {
    /// The ABI.
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// The number, as a filter sees it.
    pub const fn number(&self) -> u32 {
        self.nr
    }

    /// The name; `None` if the ABI has no such call.
    pub fn name(&self) -> Option<&'static str> {
        self.arch.name(self.nr)
    }

    /// How often it was made.
    pub const fn count(&self) -> u64 {
        self.seen.count
    }

    /// The indices of the arguments that are kept, because they say what the call does. Of most calls none are.
    pub fn watched(&self) -> impl Iterator<Item = u8> + 'r {
        self.seen.watched.iter().map(|watched| watched.index)
    }

    /// The different values of these arguments, in the order of [`watched`](Self::watched), and how often they came. Of
    /// an `int` it is the low half of the register, which is what the kernel reads.
    pub fn values(&self) -> impl Iterator<Item = (&'r [u64], u64)> + 'r {
        let length = self.seen.watched.len();
        self.seen.values.iter().map(move |(values, &count)| (values.get(..length).unwrap_or_default(), count))
    }

    /// Whether [`values`](Self::values) are all that there were.
    pub const fn has_all_values(&self) -> bool {
        self.seen.lost.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn call(name: &str, args: [u64; 6]) -> SyscallData {
        let arch = Arch::X86_64;
        SyscallData { nr: arch.number(name).unwrap(), arch: arch.audit(), args, ..SyscallData::default() }
    }

    #[test]
    fn what_is_new_and_what_is_counted() {
        let mut recording = Recording::new();
        assert!(recording.add(&call("read", [1; 6])));
        assert!(!recording.add(&call("read", [2; 6])));
        assert!(recording.add(&call("ioctl", [0, 5, 0, 0, 0, 0])));
        // Garbage that the kernel does not read is nothing new.
        assert!(!recording.add(&call("ioctl", [9, 5 | 1 << 32, 7, 0, 0, 0])));
        assert!(recording.add(&call("ioctl", [0, 6, 0, 0, 0, 0])));
        let ioctl = recording.calls().find(|call| call.name() == Some("ioctl")).unwrap();
        assert_eq!((ioctl.count(), ioctl.watched().collect::<Vec<_>>()), (3, vec![1]));
        assert_eq!(ioctl.values().collect::<Vec<_>>(), [(&[5][..], 2), (&[6][..], 1)]);
        assert_eq!(recording.total(), 5);
        assert_eq!(recording.arches().collect::<Vec<_>>(), [Arch::X86_64]);
        assert!(ioctl.has_all_values() && !recording.is_empty());
    }

    #[test]
    fn a_union() {
        let (mut one, mut two) = (Recording::new(), Recording::new());
        one.add(&call("ioctl", [0, 5, 0, 0, 0, 0]));
        two.add(&call("ioctl", [0, 5, 0, 0, 0, 0]));
        two.add(&call("ioctl", [0, 6, 0, 0, 0, 0]));
        two.add_without_arguments(Arch::X86_64, 41, 7);
        two.note(Note::OwnFilter);
        two.interrupt();
        one.merge(&two);
        assert_eq!((one.total(), one.interrupted(), one.notes().count()), (10, 1, 1));
        let socket = one.calls().find(|call| call.name() == Some("socket")).unwrap();
        assert!(!socket.has_all_values() && socket.count() == 7);
        let ioctl = one.calls().find(|call| call.name() == Some("ioctl")).unwrap();
        assert_eq!(ioctl.values().map(|(_, count)| count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut recording = Recording::new();
        for value in 0..5000_u32 {
            recording.add(&call("ioctl", [0, value.into(), 0, 0, 0, 0]));
            recording.add(&SyscallData { nr: 100_000 + value, ..call("read", [0; 6]) });
            recording.add(&SyscallData { nr: 200_000 + value, ..call("read", [0; 6]) });
            recording.add(&SyscallData { arch: value, ..call("read", [0; 6]) });
        }
        let ioctl = recording.calls().find(|call| call.name() == Some("ioctl")).unwrap();
        assert_eq!((ioctl.count(), ioctl.values().count()), (5000, MAX_VALUES));
        assert!(!ioctl.has_all_values());
        assert_eq!((recording.calls.len(), recording.notes.len()), (MAX_CALLS, MAX_NOTES));
    }

    #[test]
    fn odd_calls_are_noted() {
        let mut recording = Recording::new();
        recording.add(&SyscallData { nr: u32::MAX, ..call("read", [0; 6]) });
        recording.add(&SyscallData { arch: 7, ..call("read", [0; 6]) });
        let notes: Vec<_> = recording.notes().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "call -1 on x86_64 has no name, so it is not in the profile",
                "a call came with the unknown architecture token 0x7",
            ]
        );
    }
}
