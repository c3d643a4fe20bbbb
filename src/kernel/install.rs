//! Giving a filter to the kernel.

use super::error::InstallError;
use super::flags::{FilterFlag, FilterFlags};
use super::{probe, raw};
use crate::arch::Arch;
use crate::bpf::{Action, Program};
use crate::policy::Policy;
use crate::profile::Flag;

/// How to install a filter, see seccomp(2).
///
/// By default `no_new_privs` is set, the filter goes to the calling thread only, and no flag is set.
///
/// ```no_run
/// use callsieve::bpf::Program;
/// use callsieve::kernel::{Install, InstallError};
///
/// fn confine(program: &Program) -> Result<(), InstallError> {
///     Install::new().tsync(true).install(program)?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Install {
    no_new_privs: bool,
    flags: FilterFlags,
    via_prctl: bool,
}

/// What was installed, and how.
///
/// See the example of [`kernel`](crate::kernel).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    flags: FilterFlags,
    no_new_privs: bool,
}

impl Install {
    /// Sets `no_new_privs`, affects the calling thread only, and sets no flag.
    pub const fn new() -> Self {
        Self { no_new_privs: true, flags: FilterFlags::NONE, via_prctl: false }
    }

    /// Whether to set `no_new_privs` first, so that no later execve(2) gains privileges.
    ///
    /// `true` is the default, and the kernel demands it of a thread without `CAP_SYS_ADMIN` in its user namespace. It is
    /// inherited and can never be unset, and it stays set when installing fails. `false` leaves the thread as it is:
    /// for container runtimes, which decide this by themselves. See `PR_SET_NO_NEW_PRIVS` in prctl(2).
    pub const fn no_new_privs(self, on: bool) -> Self {
        Self { no_new_privs: on, ..self }
    }

    /// Whether to give the filter to all threads of the process in one step: all of them, or none and an error
    /// ([`InstallError::ThreadDiverged`]). With `no_new_privs` the other threads get that as well.
    pub const fn tsync(self, on: bool) -> Self {
        self.flag(FilterFlag::Tsync, on)
    }

    /// Whether a failure of [`tsync`](Self::tsync) is reported as ESRCH, without the id of the thread.
    pub const fn tsync_esrch(self, on: bool) -> Self {
        self.flag(FilterFlag::TsyncEsrch, on)
    }

    /// Whether the kernel logs every action of this filter but ALLOW, as far as the sysctl
    /// `kernel.seccomp.actions_logged` lets it.
    pub const fn log(self, on: bool) -> Self {
        self.flag(FilterFlag::Log, on)
    }

    /// Whether to leave out the speculation mitigations that older kernels switch on for threads with a filter.
    pub const fn spec_allow(self, on: bool) -> Self {
        self.flag(FilterFlag::SpecAllow, on)
    }

    /// Whether only fatal signals end a call once a supervisor has received its notification, so that what the
    /// supervisor does is not done twice (Linux 5.19). Only for [`with_listener`](Self::with_listener) and for
    /// `Supervised`; the kernel refuses it without a listener.
    pub const fn wait_killable(self, on: bool) -> Self {
        self.flag(FilterFlag::WaitKillableRecv, on)
    }

    /// Whether to install by prctl(2), the only way before Linux 3.17. It takes no flags.
    pub const fn via_prctl(self, on: bool) -> Self {
        Self { via_prctl: on, ..self }
    }

    /// The flags for seccomp(2).
    pub const fn flags(&self) -> FilterFlags {
        self.flags
    }

    const fn flag(self, flag: FilterFlag, on: bool) -> Self {
        Self { flags: self.flags.with(flag, on), ..self }
    }

    /// The flags that a profile asks for. `no_new_privs` is no part of a profile and stays at its default, `true`.
    ///
    /// A profile without `flags` gets none; runtimes differ in what they add by themselves.
    ///
    /// # Errors
    /// Of what only makes sense with a listener, which this way of installing does not have:
    /// - [`InstallError::NotifyDefault`] if the default action is NOTIFY.
    /// - [`InstallError::Listener`] if the profile names a supervisor.
    /// - [`InstallError::NotifyRule`] if a rule has the action NOTIFY. To install such a filter all the same, so that
    ///   these calls fail with ENOSYS, start from [`Install::new`].
    /// - [`InstallError::WaitKillableWithoutListener`] if it has that flag.
    pub fn from_policy(policy: &Policy) -> Result<Self, InstallError> {
        if policy.sections.iter().any(|section| section.default == Action::Notify) {
            return Err(InstallError::NotifyDefault);
        }
        if policy.install_options().listener_path.is_some() {
            return Err(InstallError::Listener);
        }
        if let Some((arch, number)) = notify_rule(policy) {
            return Err(InstallError::NotifyRule { arch, number });
        }
        let install = Self::with_flags_of(policy);
        if install.flags.contains(FilterFlag::WaitKillableRecv) {
            return Err(InstallError::WaitKillableWithoutListener);
        }
        Ok(install)
    }

    /// The flags that a profile asks for, to install it with a listener: by [`with_listener`](Self::with_listener) or
    /// `Supervised`. What the profile says of a supervisor (`listenerPath`) is left to the caller.
    pub fn from_policy_with_listener(policy: &Policy) -> Self {
        Self::with_flags_of(policy)
    }

    fn with_flags_of(policy: &Policy) -> Self {
        policy.install_options().flags.iter().flatten().fold(Self::new(), |install, flag| match flag {
            Flag::Tsync => install.tsync(true),
            Flag::Log => install.log(true),
            Flag::SpecAllow => install.spec_allow(true),
            Flag::WaitKillableRecv => install.wait_killable(true),
        })
    }

    /// Installs a program: it judges every later system call of the thread and of its children, across execve(2), and
    /// can never be removed.
    ///
    /// One system call, and one before it for `no_new_privs`. Both are async-signal-safe and nothing is allocated, so
    /// this may run in a child between fork and exec, and in a signal handler.
    ///
    /// A filter is trusted code. It can make calls seem to succeed that were never made (`ERRNO(0)`), which breaks the
    /// assumptions of any library, this language's runtime included; and a program that was made for another
    /// architecture answers by its own gate, as a rule by killing. [`Program`] carries no architecture, so that is not
    /// noticed here.
    ///
    /// Actions that the kernel does not know kill the process (before Linux 4.14 only the thread); see
    /// [`Support::missing_action`](super::Support::missing_action).
    #[inline]
    pub fn install(self, program: &Program) -> Result<Installed, InstallError> {
        if self.via_prctl && !self.flags.is_empty() {
            return Err(InstallError::FlagsNeedSeccomp { flags: self.flags });
        }
        if self.no_new_privs {
            raw::set_no_new_privs().map_err(|errno| InstallError::NoNewPrivs { errno })?;
        }
        let insns = program.as_insns();
        let answer = if self.via_prctl {
            raw::prctl_set_filter(insns).map(|()| 0)
        } else {
            raw::seccomp_set_filter(insns, self.flags.bits())
        };
        match answer {
            Ok(0) => Ok(Installed { flags: self.flags, no_new_privs: self.no_new_privs }),
            // Not a failure to the C library, but the filter was not installed.
            Ok(tid) => Err(InstallError::ThreadDiverged { tid: Some(tid) }),
            Err(errno) => Err(self.explain(errno, program)),
        }
    }

    /// What comes before installing a program with a listener.
    #[cfg(feature = "std")]
    fn before_listener(self) -> Result<Self, InstallError> {
        let install = self.for_listener();
        if self.via_prctl {
            return Err(InstallError::FlagsNeedSeccomp { flags: install.flags });
        }
        if self.no_new_privs {
            raw::set_no_new_privs().map_err(|errno| InstallError::NoNewPrivs { errno })?;
        }
        Ok(install)
    }

    /// Installs a program and gives back the number of its listener, which nobody owns. Allocates nothing, as
    /// [`install`](Self::install).
    #[cfg(feature = "std")]
    pub(super) fn listener_number(self, program: &Program) -> Result<u32, InstallError> {
        let install = self.before_listener()?;
        let answer = raw::seccomp_set_filter(program.as_insns(), install.flags.bits());
        answer.map_err(|errno| install.explain(errno, program))
    }

    /// With TSYNC the kernel cannot answer with a thread and with a descriptor.
    #[cfg(feature = "std")]
    pub(super) const fn for_listener(self) -> Self {
        let install = self.flag(FilterFlag::NewListener, true);
        if self.flags.contains(FilterFlag::Tsync) { install.tsync_esrch(true) } else { install }
    }

    /// Installs a program for the calling thread (or with [`tsync`](Self::tsync) for all threads), and gives back the
    /// listener that receives what it answers with NOTIFY.
    ///
    /// Another thread or process has to answer; a thread that receives its own calls hangs. Whoever hands the listener
    /// over must not make a call for it that the filter notifies. To start a program under supervision, `Supervised` is
    /// the simple way.
    ///
    /// # Errors
    /// [`InstallError::Busy`] if an older filter of the thread has a listener. Otherwise those of
    /// [`install`](Self::install), and [`InstallError::NoListener`] if the kernel gives a descriptor that is none.
    #[cfg(feature = "std")]
    pub fn with_listener(self, program: &Program) -> Result<super::Listener, InstallError> {
        let install = self.before_listener()?;
        // What can fail comes first: a filter cannot be taken back.
        let size = super::notify::request_size().map_err(|errno| install.explain(errno, program))?;
        let answer = raw::seccomp_new_listener(program.as_insns(), install.flags.bits());
        let fd = answer.map_err(|errno| install.explain(errno, program))?;
        Ok(super::Listener::of_listener(fd, size))
    }

    #[inline]
    pub(super) fn explain(self, errno: i32, program: &Program) -> InstallError {
        match errno {
            libc::EACCES => InstallError::PermissionDenied,
            libc::EINVAL => {
                let unknown = probe::unknown_flags(self.flags);
                if unknown.is_empty() {
                    InstallError::NoFilterMode
                } else {
                    InstallError::UnknownFlags { flags: unknown }
                }
            }
            libc::ENOMEM => InstallError::TooLong { ebpf_len: program.ebpf_len() },
            libc::ESRCH if self.flags.contains(FilterFlag::TsyncEsrch) => InstallError::ThreadDiverged { tid: None },
            libc::EBUSY => InstallError::Busy,
            libc::ENOTTY => InstallError::NoListener,
            libc::EMFILE | libc::ENFILE => InstallError::NoDescriptor { errno },
            libc::EFAULT => InstallError::Fault,
            libc::ENOSYS => InstallError::NoSeccomp,
            errno => InstallError::Other { errno },
        }
    }
}

/// A call that has a rule with NOTIFY.
fn notify_rule(policy: &Policy) -> Option<(Arch, u32)> {
    policy.sections.iter().find_map(|section| {
        let mut calls = section.calls.iter();
        let call = calls.find(|(_, rules)| rules.iter().any(|rule| rule.action == Action::Notify))?;
        Some((section.arch, *call.0))
    })
}

impl Default for Install {
    fn default() -> Self {
        Self::new()
    }
}

impl Installed {
    /// The flags that the filter was installed with.
    pub const fn flags(&self) -> FilterFlags {
        self.flags
    }

    /// Whether `no_new_privs` was set on the way. `false` says only that it was left alone.
    pub const fn no_new_privs(&self) -> bool {
        self.no_new_privs
    }
}

/// Puts the calling thread into strict mode: from now on it can read, write, return from signal handlers and exit by
/// exit(2), and **any other call kills it** with SIGKILL, for ever.
///
/// That includes `exit_group(2)`, which is what leaving `main` and `std::process::exit` use, and most allocations: end
/// such a thread with the bare exit call. See `SECCOMP_SET_MODE_STRICT` in seccomp(2). It is made by prctl(2), which
/// does the same and exists since Linux 2.6.23.
///
/// ```no_run
/// // In a child that was made for one computation on open descriptors:
/// callsieve::kernel::strict_mode()?;
/// // SAFETY: ends the only thread.
/// unsafe { libc::syscall(libc::SYS_exit, 0) };
/// # Ok::<(), callsieve::kernel::InstallError>(())
/// ```
///
/// # Errors
/// [`InstallError::ModeLocked`] if the thread has a filter, [`InstallError::NoFilterMode`] without `CONFIG_SECCOMP`.
pub fn strict_mode() -> Result<(), InstallError> {
    raw::prctl_set_strict().map_err(|errno| match (errno, raw::seccomp_mode()) {
        (libc::EINVAL, Ok(2)) => InstallError::ModeLocked,
        (libc::EINVAL, _) => InstallError::NoFilterMode,
        (errno, _) => InstallError::Other { errno },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{InstallOptions, Section};
    use crate::profile::Diagnostics;
    use alloc::collections::BTreeMap;
    use alloc::vec;

    fn policy(default: Action, install_options: InstallOptions) -> Policy {
        let arch = Arch::X86_64;
        Policy {
            sections: vec![Section { arch, default, unlisted: Vec::new(), calls: BTreeMap::new() }],
            bad_arch: Action::KillProcess,
            unlisted_x32: Action::KillProcess,
            diagnostics: Diagnostics::default(),
            install_options,
        }
    }

    fn with_flags(flags: &[Flag]) -> Policy {
        policy(Action::Allow, InstallOptions { flags: Some(flags.to_vec()), ..InstallOptions::default() })
    }

    #[test]
    fn flags_of_a_profile() {
        let plain = Install::from_policy(&policy(Action::Allow, InstallOptions::default()));
        assert_eq!(plain, Ok(Install::new()));
        let all = Install::from_policy(&with_flags(&[Flag::Log, Flag::SpecAllow, Flag::Tsync]));
        assert_eq!(all, Ok(Install::new().tsync(true).log(true).spec_allow(true)));
        assert_eq!(all.unwrap().flags().bits(), 7);
    }

    #[test]
    fn what_needs_a_listener_is_refused() {
        let killable = with_flags(&[Flag::Log, Flag::WaitKillableRecv]);
        assert_eq!(Install::from_policy(&killable), Err(InstallError::WaitKillableWithoutListener));
        let notify = policy(Action::Notify, InstallOptions::default());
        assert_eq!(Install::from_policy(&notify), Err(InstallError::NotifyDefault));
        let mut rule = policy(Action::Allow, InstallOptions::default());
        let notify = crate::policy::Rule {
            action: Action::Notify,
            conditions: vec![],
            narrower: vec![],
            source: crate::policy::Source { entry: 0, path: "$".into() },
        };
        rule.sections[0].calls.insert(83, [notify].into());
        let error = InstallError::NotifyRule { arch: Arch::X86_64, number: 83 };
        assert_eq!(Install::from_policy(&rule), Err(error));
        assert!(error.to_string().starts_with("mkdir on x86_64 has the action NOTIFY"));
        let options = InstallOptions { listener_path: Some("/run/s".into()), ..InstallOptions::default() };
        assert_eq!(Install::from_policy(&policy(Action::Allow, options)), Err(InstallError::Listener));
    }

    #[test]
    fn options_are_switched_on_and_off() {
        let install = Install::new().tsync(true).tsync_esrch(true).log(true).tsync(false);
        assert_eq!(install.flags().bits(), 2 | 16);
        assert_eq!(Install::default(), Install::new());
    }
}
