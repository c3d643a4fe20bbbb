//! The tree: fields are named as in the JSON.

use super::Diagnostics;
use crate::arch::{Arch, KernelVersion};
use crate::bpf::Action;
use alloc::string::String;
use alloc::vec::Vec;

/// Where a profile comes from; it decides which meaning is the default ([`crate::policy::Semantics`]).
///
/// ```
/// use callsieve::profile::Dialect;
/// use callsieve::{Action, Profile};
/// assert_eq!(Profile::new(Action::Errno(1)).dialect(), Dialect::Builder);
/// assert_eq!(Profile::container_default()?.dialect(), Dialect::Docker);
/// # Ok::<(), callsieve::profile::ProfileError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The `linux.seccomp` object of the OCI runtime specification.
    Oci,
    /// The superset that Docker and Podman read.
    Docker,
    /// Rust code.
    Builder,
    /// A file of another program, read by `import`: rules in the order in which they are tried.
    Imported,
}

/// What the compiler of an imported file does and no rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// For calls of architectures that the file is not for.
    pub(crate) bad_arch: Action,
    /// Whether x32 numbers are numbers without a rule like any other, because nothing looks at bit 30.
    pub(crate) x32_is_unlisted: bool,
    /// Whether a rule for a call also covers the calls that carry it (socketcall, ipc).
    pub(crate) multiplexes: bool,
}

/// A seccomp profile as written. [`Profile::new`] starts one in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Profile {
    pub(crate) dialect: Dialect,
    pub(crate) default_action: ActionSpec,
    pub(crate) architectures: Vec<ListedArch>,
    pub(crate) arch_map: Vec<SubArches>,
    /// `None` if the profile does not say; runtimes then choose themselves.
    pub(crate) flags: Option<Vec<Flag>>,
    pub(crate) listener_path: Option<String>,
    pub(crate) listener_metadata: Option<String>,
    pub(crate) rules: Vec<Rule>,
    /// In `Strict`, a name counts as known if any ABI has it, not only the listed ones.
    pub(crate) portable: bool,
    /// Written with the types of C in mind, so that conditions see as much as the kernel reads of a parameter.
    pub(crate) typed: bool,
    /// For [`Dialect::Imported`].
    pub(crate) foreign: Option<Foreign>,
    /// What the reader found and did not refuse.
    pub(crate) diagnostics: Diagnostics,
}

/// One entry of `syscalls`.
///
/// ```
/// let profile = callsieve::Profile::container_default()?;
/// let rule = &profile.rules()[0];
/// assert_eq!((rule.path(), rule.args().len()), ("$.syscalls[0]", 0));
/// # Ok::<(), callsieve::profile::ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(crate) calls: Vec<Call>,
    pub(crate) action: ActionSpec,
    /// In a profile read from JSON: OR-ed if an index repeats and the meaning is `Oci`; otherwise AND-ed.
    pub(crate) args: Vec<Arg>,
    pub(crate) comment: Option<String>,
    pub(crate) includes: When,
    pub(crate) excludes: When,
    /// JSON path of the entry, such as `$.syscalls[3]`; for the builder `rule 4`, counted from 1.
    pub(crate) path: String,
}

impl Rule {
    /// A rule that always counts, without a comment.
    pub(crate) fn new(
        calls: Vec<Call>,
        action: impl Into<ActionSpec>,
        args: Vec<Arg>,
        path: impl Into<String>,
    ) -> Self {
        Self {
            calls,
            action: action.into(),
            args,
            comment: None,
            includes: When::default(),
            excludes: When::default(),
            path: path.into(),
        }
    }
}

/// A system call in a rule.
///
/// See the example of [`IntoCalls`](super::IntoCalls).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// By name, on every listed ABI that has it.
    Name(String),
    /// By number, on this ABI only.
    Number(Arch, u32),
}

/// An action with its number as written.
///
/// ```
/// use callsieve::bpf::SyscallData;
/// use callsieve::profile::ActionSpec;
/// use callsieve::{Action, Arch, Profile, Target};
/// let profile = Profile::new(Action::Errno(1)).rule(ActionSpec::ErrnoName("ENOSYS".into()), "clone3", []);
/// let policy = profile.resolve(&Target::new(Arch::Mips64))?;
/// let clone3 = SyscallData { nr: 5435, arch: Arch::Mips64.audit(), ..SyscallData::default() };
/// assert_eq!(policy.decide(&clone3), Action::Errno(89));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActionSpec {
    /// The same on every target.
    Action(Action),
    /// ERRNO with the name of an error, whose number the target decides.
    ErrnoName(String),
}

/// One condition: a comparison of an argument with a constant.
///
/// [`arg`](crate::profile::arg) starts one in Rust.
///
/// See the example of [`arg`](super::arg).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arg {
    pub(crate) index: u8,
    pub(crate) op: Op,
    /// For [`Op::MaskedEq`] the mask.
    pub(crate) value: u64,
    /// For [`Op::MaskedEq`] the expected value.
    pub(crate) value_two: u64,
    pub(crate) width: Width,
}

/// A comparison, unsigned.
///
/// ```
/// use callsieve::{arg, profile::Op};
/// assert_eq!(arg::<1>().in_range(34..=64).map(|condition| condition.op()), [Op::Ge, Op::Le]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are the documentation.
pub enum Op {
    Ne,
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    /// `(argument & value) == value_two`.
    MaskedEq,
}

/// How much of an argument a condition sees.
///
/// ```
/// use callsieve::{arg, profile::Width};
/// assert_eq!(arg::<0>().as_u32().eq(1).width(), Width::Bits32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Width {
    /// Only the low 32 bits, as the kernel sees an `int`.
    Bits32,
    /// The whole register: 64 bits, or 32 on 32-bit ABIs. With [`ArgWidth::Typed`](crate::policy::ArgWidth) as much of it
    /// as the kernel reads of this parameter.
    Bits64,
}

/// An entry of `architectures`.
///
/// See the example of [`Profile::architectures`](super::Profile::architectures).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListedArch {
    /// A named ABI.
    Arch(Arch),
    /// `SCMP_ARCH_NATIVE`: the target's own ABI.
    Native,
}

/// An entry of `archMap`.
///
/// ```
/// let profile = callsieve::Profile::container_default()?;
/// let x86_64 = profile.arch_map().iter().find(|entry| entry.architecture() == callsieve::Arch::X86_64);
/// assert!(x86_64.unwrap().sub_architectures().contains(&callsieve::Arch::X86));
/// # Ok::<(), callsieve::profile::ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubArches {
    pub(crate) architecture: Arch,
    pub(crate) sub_architectures: Vec<Arch>,
}

/// `includes` or `excludes` of an entry; empty lists and `None` say nothing.
///
/// ```
/// let profile = callsieve::Profile::container_default()?;
/// assert!(profile.rules().iter().any(|rule| rule.includes().caps().iter().any(|cap| cap == "CAP_SYS_ADMIN")));
/// # Ok::<(), callsieve::profile::ProfileError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Names of capabilities, `CAP_SYS_ADMIN` and so on.
    pub(crate) caps: Vec<String>,
    /// Names of architectures in Docker's or Podman's spelling.
    pub(crate) arches: Vec<String>,
    /// `minKernel`.
    pub(crate) min_kernel: Option<KernelVersion>,
}

/// An entry of `flags`: a flag of seccomp(2).
///
/// See the example of [`InstallOptions`](crate::policy::InstallOptions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flag {
    /// Give the filter to all threads.
    Tsync,
    /// Log all actions but ALLOW.
    Log,
    /// Do not force speculation mitigations.
    SpecAllow,
    /// Once a supervisor has received a notification, only fatal signals interrupt the call.
    WaitKillableRecv,
}
