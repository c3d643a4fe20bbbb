//! Sandboxes in a few lines: a program that gives up what it does not need.
//!
//! ```no_run
//! use callsieve::{Sandbox, arg, sandbox::sets};
//!
//! let status = Sandbox::deny_by_default()
//!     .allow(sets::v1::RUNTIME)
//!     .allow(sets::v1::NET_SERVER)
//!     .allow_if("ioctl", [arg::<1>().eq(0x541b)]) // FIONREAD
//!     .enter()?;
//! println!("{status}");
//! # Ok::<(), callsieve::sandbox::SandboxError>(())
//! ```
//!
//! - [`Sandbox`] collects what is allowed: [named sets](sets), single calls, calls with conditions. What is not allowed
//!   kills the process, or does what [`Sandbox::on_violation`] says.
//! - [`Sandbox::enter`] compiles, proves and installs the filter for all threads and says what holds ([`Status`]). There is
//!   no way back.
//! - A call that is newer than the sets ([`sets::v1::KERNEL`]) gets ENOSYS, as on an older kernel, so that a newer C library
//!   falls back to calls that are allowed.
//! - Calls that undo a sandbox need [`Sandbox::allow_dangerous`].
//!
//! A filter judges numbers and plain arguments. It cannot see what a pointer points to: for paths there is Landlock, see
//! landlock(7), which goes well with this.
//!
//! # When to enter
//!
//! After the start, when files are open and sockets are bound: the less a program still has to do, the less it must be
//! allowed. Run the tests under the sandbox with `on_violation(Action::Trap(0))` or [`Sandbox::log_violations`] to learn
//! which calls are missing.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod allowed;
mod dangerous;
mod error;
pub mod sets;
mod status;

pub use allowed::Allowed;
pub use error::SandboxError;
pub use sets::Set;
pub use status::{Compat, Enforcement, Status, Threads};

use crate::arch::Arch;
use crate::bpf::{Action, Program};
use crate::compile::{Compiler, Filter};
use crate::kernel::{self, FilterFlag, FilterFlags, Install, Support};
use crate::policy::{Policy, Semantics, Target, Unlisted};
use crate::profile::{ActionSpec, Call, IntoCalls, IntoConditions, Profile};
use sets::{Answer, Grant};
use std::borrow::ToOwned;
use std::vec::Vec;

/// What a program may still do; the rest is denied. See the [module](self).
#[derive(Clone, Debug)]
#[must_use = "a sandbox does nothing until it is entered"]
pub struct Sandbox {
    sets: Vec<Set>,
    /// Rules beside the sets, and the default action.
    profile: Profile,
    /// Calls that were allowed with the word for it.
    dangerous: Vec<Call>,
    compat: Compat,
    compiler: Compiler,
    log: bool,
}

impl Sandbox {
    /// Allows nothing; a violation kills the process.
    pub fn deny_by_default() -> Self {
        Self {
            sets: Vec::new(),
            profile: Profile::new(Action::KillProcess),
            dangerous: Vec::new(),
            compat: Compat::Required,
            compiler: Compiler::new(),
            log: false,
        }
    }

    /// Allows sets or calls, whatever their arguments.
    ///
    /// Names are those of the kernel; on a machine that lacks a call nothing is allowed by its name.
    ///
    /// ```
    /// use callsieve::{Sandbox, sandbox::sets::v1};
    /// let sandbox = Sandbox::deny_by_default().allow([v1::RUNTIME, v1::FILE_READ]).allow("getppid");
    /// ```
    pub fn allow(mut self, allowed: impl Allowed) -> Self {
        allowed.add_to(&mut self);
        self
    }

    /// Allows calls whose arguments meet the conditions.
    ///
    /// ```
    /// use callsieve::{Sandbox, arg};
    /// let sandbox = Sandbox::deny_by_default().allow_if("kill", (arg::<0>().eq(4711), arg::<1>().is_in([10, 12])));
    /// ```
    pub fn allow_if(self, calls: impl IntoCalls, conditions: impl IntoConditions) -> Self {
        self.rule(Action::Allow, calls, conditions)
    }

    /// Allows calls that undo a sandbox or reach beyond the process, such as ptrace, mount, bpf or io_uring_setup.
    pub fn allow_dangerous(mut self, calls: impl IntoCalls) -> Self {
        let calls = calls.into_calls();
        self.dangerous.extend(calls.iter().cloned());
        self.rule(Action::Allow, calls, [])
    }

    /// Gives another action to calls whose arguments meet the conditions.
    ///
    /// It has to be narrower than what allows the call, or the contradiction is an error.
    pub fn rule(
        mut self,
        action: impl Into<ActionSpec>,
        calls: impl IntoCalls,
        conditions: impl IntoConditions,
    ) -> Self {
        self.profile = self.profile.rule(action, calls, conditions);
        self
    }

    /// What happens to everything that is not allowed. KILL_PROCESS unless this is called.
    ///
    /// `Errno` lets a program go on that can cope with it, and an attacker try again. `Trap` raises SIGSYS, for finding out
    /// which call it was. `KillThread` leaves a process behind whose locks are held by a thread that is gone.
    pub fn on_violation(mut self, action: Action) -> Self {
        self.profile.default_action = action.into();
        self
    }

    /// Whether the kernel logs violations, as far as the sysctl `kernel.seccomp.actions_logged` lets it. Kills are logged
    /// anyway.
    pub const fn log_violations(mut self, on: bool) -> Self {
        self.log = on;
        self
    }

    /// What to do on a kernel that lacks something. It is an error unless this is called.
    pub const fn compat(mut self, compat: Compat) -> Self {
        self.compat = compat;
        self
    }

    /// How to compile, for another level or other weights.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// The rules as a profile for an ABI, to look at, to write as JSON, or to compare.
    ///
    /// What a profile cannot say is what the sandbox adds when it is entered: ENOSYS for calls that are newer than
    /// [`sets::v1::KERNEL`].
    pub fn to_profile(&self, arch: Arch) -> Profile {
        let grants = || self.sets.iter().flat_map(|set| set.grants).filter(|grant| grant.on.has(arch));
        let allows = |call: &str| {
            grants().any(|grant| grant.answer == Answer::Allow && grant.calls.contains(&call))
                || self.profile.rules.iter().any(|rule| rule.calls.contains(&Call::Name(call.to_owned())))
        };
        let mut profile = self.profile.clone().portable();
        for grant in grants() {
            profile = match grant.answer {
                Answer::Allow => allow(profile, grant),
                Answer::NoSuchCall => {
                    let calls: Vec<_> = grant.calls.iter().copied().filter(|call| !allows(call)).collect();
                    profile.rule(ActionSpec::ErrnoName("ENOSYS".into()), calls, [])
                }
            };
        }
        profile.rules.retain(|rule| !rule.calls.is_empty());
        profile
    }

    /// What the sandbox means on an ABI.
    ///
    /// # Errors
    /// [`SandboxError::Dangerous`], or [`SandboxError::Resolve`] for unknown names and contradictions.
    pub fn policy(&self, arch: Arch) -> Result<Policy, SandboxError> {
        self.check_danger()?;
        let target = Target::exactly(&[arch])
            .kernel(sets::v1::KERNEL)
            .semantics(Semantics::Strict)
            .unlisted(Unlisted::Enosys { newer_than: sets::v1::KERNEL });
        Ok(self.to_profile(arch).resolve(&target)?)
    }

    /// The filter for an ABI, for a machine that is not this one or a thread that is started later.
    ///
    /// # Errors
    /// As [`Sandbox::policy`], and [`SandboxError::Compile`].
    pub fn filter(&self, arch: Arch) -> Result<Filter, SandboxError> {
        Ok(self.compiler.compile(&self.policy(arch)?)?)
    }

    /// Confines all threads of this process, now and for ever.
    ///
    /// `no_new_privs` is set for all of them: what they execute gains no privileges. All threads get the filter or none
    /// does.
    ///
    /// # Errors
    /// [`SandboxError`]; no filter is installed then. With [`InstallError::ThreadDiverged`] it names a thread that has a
    /// filter of its own.
    ///
    /// [`InstallError::ThreadDiverged`]: crate::kernel::InstallError::ThreadDiverged
    pub fn enter(&self) -> Result<Status, SandboxError> {
        self.confine(Threads::All)
    }

    /// Confines the calling thread and what it starts; other threads go on as they are.
    ///
    /// They share all memory, so a thread that is under attack can make another one act for it: this keeps mistakes in
    /// check, not attackers.
    ///
    /// # Errors
    /// As [`Sandbox::enter`].
    pub fn enter_thread(&self) -> Result<Status, SandboxError> {
        self.confine(Threads::Current)
    }

    fn confine(&self, threads: Threads) -> Result<Status, SandboxError> {
        let filter = self.filter(error::native()?)?;
        let plan = self.plan(threads, filter.program(), &kernel::probe(), thread_count)?;
        if plan.status.enforcement != Enforcement::None {
            plan.install.install(filter.program())?;
        }
        Ok(plan.status)
    }

    /// How to install on a kernel, and what then holds.
    fn plan(
        &self,
        threads: Threads,
        program: &Program,
        support: &Support,
        thread_count: impl Fn() -> usize,
    ) -> Result<Plan, SandboxError> {
        let accepts_less = self.compat != Compat::Required;
        let install = Install::new().log(self.log);
        if !support.filter_mode() {
            let status = Status::new(Enforcement::None, threads, None, FilterFlags::NONE);
            let optional = self.compat == Compat::Optional;
            return if optional { Ok(Plan { install, status }) } else { Err(SandboxError::NoSeccomp) };
        }
        let missing_action = support.missing_action(program);
        if let Some(action) = missing_action.filter(|_| !accepts_less) {
            return Err(SandboxError::MissingAction { action });
        }
        let log_missing = self.log && !support.flags().contains(FilterFlag::Log);
        let missing_flags = FilterFlags::NONE.with(FilterFlag::Log, log_missing);
        if log_missing && !accepts_less {
            return Err(SandboxError::MissingFlags { flags: missing_flags });
        }
        let tsync = threads == Threads::All && support.flags().contains(FilterFlag::Tsync);
        if threads == Threads::All && !tsync {
            // One thread is all threads.
            let threads = thread_count();
            if threads != 1 {
                return Err(SandboxError::Threads { threads });
            }
        }
        let full = missing_action.is_none() && missing_flags.is_empty();
        let enforcement = if full { Enforcement::Full } else { Enforcement::Partial };
        Ok(Plan {
            install: install.tsync(tsync).log(self.log && !log_missing),
            status: Status::new(enforcement, threads, missing_action, missing_flags),
        })
    }

    fn check_danger(&self) -> Result<(), SandboxError> {
        for call in self.profile.rules.iter().filter(|rule| rule.action == Action::Allow.into()).flat_map(|r| &r.calls)
        {
            let Call::Name(name) = call else { continue };
            if let Some(why) = dangerous::why(name).filter(|_| !self.dangerous.contains(call)) {
                return Err(SandboxError::Dangerous { call: name.clone(), why });
            }
        }
        Ok(())
    }
}

/// How to install, and what then holds.
#[derive(Debug)]
struct Plan {
    install: Install,
    status: Status,
}

fn allow(profile: Profile, grant: &Grant) -> Profile {
    match grant.one_of {
        None => profile.allow_if(grant.calls, grant.all),
        Some((operand, values)) => profile.allow_if(grant.calls, (grant.all, operand.is_in(values.iter().copied()))),
    }
}

/// The threads of this process; more than any number if procfs is not there to count them.
fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count)
}

#[cfg(test)]
mod tests;
