//! The normal form.

use super::unlisted::Span;
use crate::arch::Arch;
use crate::bpf::{Action, Endian};
use crate::profile::{Arg, Diagnostics, Op, Width};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a profile means on a target: an answer for every possible call.
#[derive(Clone, Debug)]
pub struct Policy {
    /// One per listed ABI, in the order of the target, all of one byte order; never empty.
    pub(crate) sections: Vec<Section>,
    /// For calls of an ABI that is not listed.
    pub(crate) bad_arch: Action,
    /// For x32 numbers when x86_64 is listed and x32 is not.
    pub(crate) unlisted_x32: Action,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) install_options: InstallOptions,
}

/// The rules of one ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) arch: Arch,
    /// For every number without a rule that matches.
    pub(crate) default: Action,
    /// Of numbers that have no rule at all those with another answer; ascending, apart from each other.
    pub(crate) unlisted: Vec<Span>,
    /// By number as the filter sees it (MIPS base and x32 bit included). Calls with the same rules may share the list.
    pub(crate) calls: BTreeMap<u32, Arc<[Rule]>>,
}

/// One rule of one call. It matches when all its conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) action: Action,
    pub(crate) conditions: Vec<Condition>,
    /// Indexes (in the same list of rules) of the rules of other actions that are narrower than this one: where one of
    /// those matches, this rule has no say.
    pub(crate) narrower: Vec<usize>,
    pub(crate) source: Source,
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Index of the entry in the profile.
    pub(crate) entry: usize,
    /// JSON path of the entry, or of the single condition that an entry was split into.
    pub(crate) path: String,
}

/// A comparison of one argument with constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Condition {
    /// Argument, 0 to 5.
    pub(crate) arg: u8,
    /// On 32-bit ABIs always [`Width::Bits32`].
    pub(crate) width: Width,
    pub(crate) test: Test,
}

/// The comparison, of unsigned 64-bit numbers. The argument is zero-extended from its width first; constants are never
/// cut, so a constant above 2^32 is greater than every 32-bit argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Test {
    Eq(u64),
    Ne(u64),
    Lt(u64),
    Le(u64),
    Gt(u64),
    Ge(u64),
    /// `(argument & mask) == value`.
    MaskedEq {
        mask: u64,
        value: u64,
    },
}

impl Test {
    /// What a condition says as it is written.
    pub(crate) fn of(arg: &Arg) -> Self {
        let value = arg.value();
        match arg.op() {
            Op::Eq => Self::Eq(value),
            Op::Ne => Self::Ne(value),
            Op::Lt => Self::Lt(value),
            Op::Le => Self::Le(value),
            Op::Gt => Self::Gt(value),
            Op::Ge => Self::Ge(value),
            Op::MaskedEq => Self::MaskedEq { mask: value, value: arg.value_two() },
        }
    }
}

/// How the profile wants to be installed.
///
/// ```
/// use callsieve::profile::Flag;
/// use callsieve::{Action, Arch, Profile, Target};
/// let policy = Profile::new(Action::Errno(1)).flag(Flag::Log).resolve(&Target::new(Arch::X86_64))?;
/// assert_eq!(policy.install_options().flags(), Some(&[Flag::Log][..]));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallOptions {
    /// `None` if the profile does not say.
    pub(crate) flags: Option<Vec<crate::profile::Flag>>,
    pub(crate) listener_path: Option<String>,
    pub(crate) listener_metadata: Option<String>,
}

impl Policy {
    /// The listed ABIs, in the order of the target.
    pub fn arches(&self) -> impl Iterator<Item = Arch> + '_ {
        self.sections.iter().map(|section| section.arch)
    }

    /// The byte order that all listed ABIs share.
    pub fn endian(&self) -> Endian {
        self.sections.first().map_or(Endian::NATIVE, |section| section.arch.endian())
    }

    /// What was skipped, shadowed, split or doubtful, reading included.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// A number that stands for the meaning, the same on every machine: FNV-1a over the policy as it prints. To see
    /// whether something compiled is out of date, not to tell friend from foe. Another release may give another number.
    pub fn digest(&self) -> u64 {
        let text = self.to_string();
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// Flags and listener fields of the profile.
    pub fn install_options(&self) -> &InstallOptions {
        &self.install_options
    }
}

impl InstallOptions {
    /// The flags of seccomp(2) that the profile lists; `None` if it does not say, which is not the same as an empty
    /// list.
    pub fn flags(&self) -> Option<&[crate::profile::Flag]> {
        self.flags.as_deref()
    }

    /// The socket to which a container runtime hands the listener.
    pub fn listener_path(&self) -> Option<&str> {
        self.listener_path.as_deref()
    }

    /// What a container runtime sends along with the listener.
    pub fn listener_metadata(&self) -> Option<&str> {
        self.listener_metadata.as_deref()
    }
}
