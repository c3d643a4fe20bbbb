//! For what a profile is resolved.

use super::Capabilities;
use crate::arch::{Arch, KernelVersion, TABLE_KERNEL};
use crate::bpf::Action;
use alloc::vec::Vec;

/// Which meaning rules have that can match the same call.
///
/// ```
/// use callsieve::bpf::SyscallData;
/// use callsieve::policy::Semantics;
/// use callsieve::{Action, Arch, Profile, Target, arg};
/// let profile = Profile::new(Action::Errno(1)).allow("socket").rule(Action::Errno(38), "socket", [arg::<0>().eq(5)]);
/// let args = [5, 0, 0, 0, 0, 0];
/// let call = SyscallData { nr: 41, arch: Arch::X86_64.audit(), args, ..SyscallData::default() };
/// let answer = |meaning| profile.resolve(&Target::new(Arch::X86_64).semantics(meaning)).map(|policy| policy.decide(&call));
/// assert_eq!(answer(Semantics::Strict)?, Action::Errno(38)); // the narrower rule
/// assert_eq!(answer(Semantics::Oci)?, Action::Allow); // the one without conditions
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Semantics {
    /// As container runtimes read a profile; doubtful cases are diagnostics. The default for JSON.
    Oci,
    /// Rules that contradict each other are errors. The default for the builder.
    Strict,
    /// Rules are tried in their order, and the first that matches counts. The default for imported files.
    Ordered,
}

/// How much of an argument a condition sees if it does not say so itself.
///
/// The kernel reads only the low 32 bits of an `int`, `unsigned` or `uid_t` parameter, whatever the caller leaves in the
/// upper half of the register.
///
/// ```
/// use callsieve::bpf::SyscallData;
/// use callsieve::policy::ArgWidth;
/// use callsieve::{Action, Arch, Profile, Target, arg};
/// let profile = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<0>().eq(1)]);
/// let args = [(1 << 32) + 1, 0, 0, 0, 0, 0]; // AF_UNIX for the kernel
/// let call = SyscallData { nr: 41, arch: Arch::X86_64.audit(), args, ..SyscallData::default() };
/// let answer = |width| profile.resolve(&Target::new(Arch::X86_64).arg_width(width)).map(|policy| policy.decide(&call));
/// assert_eq!(answer(ArgWidth::Typed)?, Action::Allow);
/// assert_eq!(answer(ArgWidth::Written)?, Action::Errno(1));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArgWidth {
    /// The whole register, as container runtimes compare. A call with other bits in the upper half passes a comparison
    /// by that the author meant for an `int`. The default for JSON.
    Written,
    /// As much as the kernel reads of the parameter, by its prototype
    /// ([`Syscall::prototype`](crate::arch::Syscall::prototype)): for up to 32 bits the low word only. Constants may be
    /// written with 32 bits or with the sign in the upper half (`0xffffffffffffffff` for -1). Parameters of 16 bits
    /// (`mode_t`) are compared for equality and under masks in these bits. The default with [`Semantics::Strict`] and
    /// for [`Profile::container_default`](crate::profile::Profile::container_default).
    Typed,
}

/// The answer to numbers that no rule names.
///
/// C libraries try newer calls first and fall back to older ones when the answer is ENOSYS; EPERM makes them fail. So a
/// list of allowed calls needs to tell what is denied from what its author could not know. ENOSYS is the number of the
/// ABI ([`Errno::enosys`](crate::arch::Errno::enosys)).
///
/// ```
/// use callsieve::arch::{Arch, KernelVersion};
/// use callsieve::bpf::{Action, SyscallData};
/// use callsieve::policy::{Target, Unlisted};
/// use callsieve::profile::Profile;
///
/// let newer_than = KernelVersion::new(6, 6);
/// let target = Target::exactly(&[Arch::X86_64]).unlisted(Unlisted::Enosys { newer_than });
/// let policy = Profile::new(Action::Errno(1)).allow(["read", "write"]).resolve(&target)?;
/// let answer = |nr| policy.decide(&SyscallData { nr, arch: Arch::X86_64.audit(), ..SyscallData::default() });
/// assert_eq!(answer(321), Action::Errno(1)); // bpf, of 3.18
/// assert_eq!(answer(462), Action::Errno(38)); // mseal, of 6.10
/// assert_eq!(answer(400), Action::Errno(38)); // no call
/// assert_eq!(answer(5000), Action::Errno(38)); // no call yet
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unlisted {
    /// The default action.
    #[default]
    Default,
    /// ENOSYS for calls that came after a kernel release, and for numbers that no kernel has so far; the default action
    /// for older calls. Calls of which nobody wrote down the release are old, ARM's private calls never count as newer,
    /// and -1, with which a tracer skips a call, keeps the default action.
    Enosys {
        /// The last kernel whose calls are old.
        newer_than: KernelVersion,
    },
    /// Exactly what runc does: ENOSYS for numbers above the highest that any entry of the profile names on the ABI, on
    /// s390 also for 0, unless the default action is ALLOW, LOG or TRACE. Numbers below it, gaps included, get the
    /// default action.
    RuncStub,
}

/// The answer to x32 numbers where x86_64 is listed and x32 is not.
///
/// ```
/// use callsieve::bpf::SyscallData;
/// use callsieve::policy::UnlistedX32;
/// use callsieve::{Action, Arch, Profile, Target};
/// let target = Target::exactly(&[Arch::X86_64]).unlisted_x32(UnlistedX32::Default);
/// let policy = Profile::new(Action::Errno(1)).allow("write").resolve(&target)?;
/// let write = SyscallData { nr: Arch::X32_BIT + 1, arch: Arch::X86_64.audit(), ..SyscallData::default() };
/// assert_eq!(policy.decide(&write), Action::Errno(1)); // and not KILL_PROCESS
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnlistedX32 {
    /// The same as to an unlisted architecture.
    #[default]
    BadArch,
    /// The default action, which makes the gate vanish from the filter where no rule needs it.
    Default,
    /// This action.
    Action(Action),
}

/// The machine and the options for which a profile is resolved.
///
/// ```
/// use callsieve::arch::{Arch, KernelVersion};
/// use callsieve::policy::{Capabilities, Semantics, Target};
/// let target = Target::new(Arch::X86_64)
///     .kernel(KernelVersion::new(6, 12))
///     .capabilities(Capabilities::podman())
///     .semantics(Semantics::Strict);
/// assert_eq!(target.native(), Arch::X86_64);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Target {
    /// The ABI of the host: answers `includes.arches` and `archMap`, and is added to the profile's list as runtimes do.
    pub(crate) native: Arch,
    /// If given, exactly these ABIs instead of the profile's list.
    pub(crate) arches: Option<Vec<Arch>>,
    pub(crate) kernel: KernelVersion,
    pub(crate) capabilities: Capabilities,
    pub(crate) unlisted: Unlisted,
    /// `None`: KILL_PROCESS, in [`Semantics::Oci`] KILL_THREAD; what an imported file says.
    pub(crate) bad_arch: Option<Action>,
    /// `None`: the bad-arch action, or what an imported file says.
    pub(crate) unlisted_x32: Option<UnlistedX32>,
    /// `None`: by the dialect of the profile.
    pub(crate) semantics: Option<Semantics>,
    /// `None`: by the semantics and the profile.
    pub(crate) arg_width: Option<ArgWidth>,
}

impl Target {
    /// A host with this ABI: the profile's list of architectures counts, and in [`Semantics::Oci`] the host's own ABI
    /// is added to it, as container runtimes do.
    ///
    /// Everything else starts with fixed values, so that the same profile gives the same filter on every machine:
    /// the newest kernel that this crate knows ([`TABLE_KERNEL`]), and Docker's default capabilities.
    pub const fn new(native: Arch) -> Self {
        Self {
            native,
            arches: None,
            kernel: TABLE_KERNEL,
            capabilities: Capabilities::docker(),
            unlisted: Unlisted::Default,
            bad_arch: None,
            unlisted_x32: None,
            semantics: None,
            arg_width: None,
        }
    }

    /// Exactly these ABIs, whatever list the profile has. The first is the host's own: it answers `includes.arches`
    /// and `archMap`. An empty list is an error when a profile is resolved.
    ///
    /// ```
    /// use callsieve::{arch::Arch, policy::Target};
    /// assert_eq!(Target::exactly(&[Arch::Aarch64, Arch::Arm]).native(), Arch::Aarch64);
    /// ```
    pub fn exactly(arches: &[Arch]) -> Self {
        let native = arches.first().copied().or(Arch::NATIVE).unwrap_or(Arch::X86_64);
        Self { arches: Some(arches.to_vec()), ..Self::new(native) }
    }

    /// The kernel that answers `minKernel`.
    pub const fn kernel(mut self, kernel: KernelVersion) -> Self {
        self.kernel = kernel;
        self
    }

    /// The capabilities that answer `includes.caps` and `excludes.caps`.
    pub const fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// What rules mean that can match the same call. Not set, it is [`Semantics::Oci`] for JSON,
    /// [`Semantics::Strict`] for profiles built in Rust and [`Semantics::Ordered`] for imported files.
    pub const fn semantics(mut self, semantics: Semantics) -> Self {
        self.semantics = Some(semantics);
        self
    }

    /// How much of an argument a condition sees. Not set, it is [`ArgWidth::Typed`] with [`Semantics::Strict`] and for
    /// [`Profile::container_default`](crate::profile::Profile::container_default), otherwise [`ArgWidth::Written`].
    pub const fn arg_width(mut self, width: ArgWidth) -> Self {
        self.arg_width = Some(width);
        self
    }

    /// The answer to calls of ABIs that are not listed. Not set, it is KILL_PROCESS, and in [`Semantics::Oci`]
    /// KILL_THREAD.
    pub const fn bad_arch(mut self, action: Action) -> Self {
        self.bad_arch = Some(action);
        self
    }

    /// The answer to x32 numbers where x86_64 is listed and x32 is not.
    pub const fn unlisted_x32(mut self, answer: UnlistedX32) -> Self {
        self.unlisted_x32 = Some(answer);
        self
    }

    /// The answer to numbers that no rule names.
    pub const fn unlisted(mut self, answer: Unlisted) -> Self {
        self.unlisted = answer;
        self
    }

    /// The host's own ABI.
    pub const fn native(&self) -> Arch {
        self.native
    }
}
