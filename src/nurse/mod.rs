//! Unmodified programs under a path and network ACL.
//!
//! A seccomp filter cannot look behind pointers, so it cannot judge paths and addresses. The nurse can: the filter sends
//! it every call that takes one, and it makes the call itself. It opens the object, looks at what it has opened, and puts
//! the descriptor into the target. The idea is that of seccomp-nurse of 2010; the means are user notification, Landlock,
//! and a proven filter.
//!
//! ```no_run
//! use callsieve::kernel::Supervised;
//! use callsieve::nurse::{Acl, Nurse};
//!
//! let acl = Acl::from_toml(r#"
//!     read = ["/usr", "/etc/ld.so.cache", "/proc/self", "/dev/null"]
//!     exec = ["/usr"]
//!     write = ["/dev/null"]
//! "#)?;
//! let nurse = Nurse::new(&acl)?.log(|event| eprintln!("{event}"));
//! let (mut child, listener) = nurse.spawn(Supervised::new("ls").arg("/usr"))?;
//! let counts = nurse.watch(&listener)?;
//! println!("{counts}; {}", child.wait()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a call is judged
//!
//! 1. Its path or address is copied out of the target's memory, once. What other threads do to that memory later changes
//!    nothing: **no call that was judged by memory is continued**, because the kernel would read the memory again
//!    (seccomp_unotify(2) says that continuing cannot implement a security policy, for that reason).
//! 2. The path is walked from the target's own root and working directory by handles (`O_PATH`), which stay on their
//!    objects whatever is renamed meanwhile. `/proc/self`, `/dev/fd` and the like are the target's.
//! 3. What is decided on is the **real name of the object that was found**, as the kernel tells it for the handle. So
//!    links, `..` and races are no way round: they may choose the object, and the object is judged.
//! 4. The object is opened by its handle, and its descriptor is put into the target, which ends the call in the same step.
//!    Sockets are taken from the target by pidfd_getfd(2), and connected, bound or written to here.
//!
//! Some calls only the target can make. `chdir`, `fchdir` and `chroot` go on, because nothing is decided on their text.
//! `execve` goes on, and **Landlock** decides: the kernel reads the path again, and executes only what the exec rules
//! name, interpreters and the loader included. Landlock also keeps the target from opening anything by itself. Without
//! Landlock exec rules are refused, unless [`Nurse::exec_unchecked`] is said.
//!
//! Calls that would go past all this are denied: io_uring, open_by_handle_at, ptrace and process_vm_writev, pidfd_getfd,
//! mount and its kin, new mount and user namespaces, another user id; calls of other ABIs (32-bit, x32) kill.
//!
//! # What it does not do
//!
//! - **What is open stays open.** The program inherits descriptors; the nurse judges the opening of new ones.
//! - **It acts with the rights of this process.** A target that gives up capabilities still has those of the nurse for
//!   what the ACL grants. It cannot change its user.
//! - **Exec rules say which files execve may start, not which code runs.** A program that may read a file can map it and
//!   jump there, and the loader started by hand does just that. What must not run must not be readable either.
//! - **Looking is coarse.** Whoever may go through a folder (any right below it) may stat it. `chdir`, and a path that goes
//!   through a folder and back by `..`, tell whether a folder exists, wherever it is.
//! - **Requests of ioctl(2)** are not judged, but for a few that open files, change files that are only open for reading, or
//!   type into a terminal. What root can do by them to a network device, say, it can do here.
//! - **Some answers differ.** `O_PATH` gives a descriptor that can read, where that is granted, because the kernel puts no
//!   other into a process. Unix sockets with a path tell a name in the nurse's /proc when asked for theirs. Devices cannot
//!   be made, control messages other than descriptors not be sent, and a terminal does not become the controlling one by
//!   being opened. The other end of a Unix socket sees the nurse's process id (`SO_PEERCRED`).
//! - **Other ways to talk**: System V shared memory, message queues and signals are not in the ACL. With Landlock of Linux
//!   6.12 signals reach only what the program has started itself.
//! - **Names are those of this moment.** What somebody else renames or links into a granted folder is granted. Two names
//!   of one file are judged each by itself; the target can make a second name only where it gains nothing by that.
//! - It is no protection against bugs of the kernel, and the filter allows more calls than a profile made for one program.
//!
//! When this process dies, judged calls fail with ENOSYS, and filter and Landlock remain: targets fail closed.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod acl;
mod address;
mod attributes;
mod calls;
mod change;
mod error;
mod exec;
mod landlock;
mod learn;
mod log;
mod name;
mod net;
mod open;
mod places;
mod read;
mod rights;
mod send;
mod stat;
mod target;
mod walk;

pub use acl::Acl;
pub use address::{Address, Transport};
pub use error::NurseError;
pub use log::Event;
pub use read::AclError;
pub use rights::Rights;

use crate::arch::{Arch, KernelVersion};
use crate::bpf::Action;
use crate::compile::{Compiler, Filter};
use crate::kernel::{
    self, Child, FilterFlag, Install, Listener, NotifyError, Outcome, Response, SpawnError, Supervised,
};
use crate::policy::{self, ArgWidth};
use crate::supervise::{Call, Counts, Judged, Later, Stopper, Supervisor, Verdict};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use learn::Learned;
use name::Name;
use places::Places;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError, RwLock};
use target::{Answer, Step, Stop, Target};

/// How many calls are judged at the same time.
const THREADS: usize = 4;

/// Runs programs under an ACL. See the [module](self).
///
/// See the example of [`nurse`](crate::nurse).
#[derive(Debug)]
pub struct Nurse {
    inner: Arc<Inner>,
    unchecked: bool,
    places: Mutex<Places>,
}

type Log = Box<dyn Fn(&Event) + Send + Sync>;

/// What judging a call needs.
struct Inner {
    acl: RwLock<Arc<Acl>>,
    /// The root folder of this process.
    root: OwnedFd,
    /// `/proc/self/fd` of this process.
    own_fds: OwnedFd,
    umask: u32,
    /// Whether a target may have another root folder than this process.
    other_roots: AtomicBool,
    exec_is_enforced: bool,
    /// How many threads wait for something that may never come.
    waiting: Arc<AtomicUsize>,
    learned: Option<Learned>,
    log: Option<Log>,
}

impl Inner {
    fn acl(&self) -> Arc<Acl> {
        Arc::clone(&self.acl.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_other_roots(&self) -> bool {
        self.other_roots.load(SeqCst)
    }

    fn other_roots(&self) {
        self.other_roots.store(true, SeqCst);
    }

    const fn exec_is_enforced(&self) -> bool {
        self.exec_is_enforced
    }

    const fn logs(&self) -> bool {
        self.log.is_some()
    }

    /// Whether everything is allowed and noted. What belongs to other processes is never allowed.
    fn learns(&self, name: &Name, rights: Rights) -> bool {
        let Some(learned) = &self.learned else { return false };
        learned.path(name, rights);
        !matches!(name, Name::Process(_))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("acl", &self.acl).finish_non_exhaustive()
    }
}

impl Nurse {
    /// A nurse for an ACL, whose symbolic links are followed now.
    ///
    /// # Errors
    /// If the kernel is older than 5.14, or /proc is not there.
    pub fn new(acl: &Acl) -> Result<Self, NurseError> {
        can_run()?;
        let mut places = Places::default();
        let acl = places.resolve(acl, None)?;
        let handle = |path: &str| {
            let handle = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            handle.map_err(|errno| NurseError::Proc(errno.into()))
        };
        let inner = Inner {
            acl: RwLock::new(Arc::new(acl)),
            root: handle("/")?,
            own_fds: handle("/proc/self/fd")?,
            umask: own_umask()?,
            other_roots: AtomicBool::new(false),
            exec_is_enforced: true,
            waiting: Arc::default(),
            learned: None,
            log: None,
        };
        Ok(Self { inner: Arc::new(inner), unchecked: false, places: Mutex::new(places) })
    }

    /// Is told of every decision, on the thread that made it, before the next call of the target's thread.
    #[must_use]
    pub fn log(self, log: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.log = Some(Box::new(log)))
    }

    /// **Denies nothing** but what is denied whatever the ACL says, and notes what the program uses, for
    /// [`learned`](Self::learned). Exec rules are not enforced. Do not run what you do not trust.
    #[must_use]
    pub fn learn(self) -> Self {
        self.with(|inner| {
            inner.learned = Some(Learned::default());
            inner.exec_is_enforced = false;
        })
    }

    /// Uses no Landlock: exec rules are judged on the path as it is when the call is made, and **the program can execute
    /// something else** by changing it meanwhile. For kernels that have no Landlock.
    #[must_use]
    pub fn exec_unchecked(self) -> Self {
        Self { unchecked: true, ..self.with(|inner| inner.exec_is_enforced = false) }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // Nobody else has it before it runs.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            change(inner);
        }
        self
    }

    /// The filter that sends the calls to the nurse.
    pub fn filter(&self) -> Result<Filter, NurseError> {
        let failed = |error: &dyn fmt::Display| NurseError::Filter(error.to_string());
        let host = kernel::host_target().map_err(|error| failed(&error))?;
        let target = policy::Target::new(host.native()).arg_width(ArgWidth::Typed);
        let profile = calls::profile(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let policy = profile.resolve(&target).map_err(|error| failed(&error))?;
        Compiler::new().compile(&policy).map_err(|error| failed(&error))
    }

    /// Starts a program under the filter and Landlock. Give the listener to [`watch`](Self::watch): until then the program
    /// waits in its execve, which is judged like any other.
    pub fn spawn(&self, program: Supervised) -> Result<(Child, Listener), NurseError> {
        let filter = self.filter()?;
        let install = Install::new();
        let killable = kernel::flag_available(FilterFlag::WaitKillableRecv);
        let program = program.install(if killable { install.wait_killable(true) } else { install });
        if !self.inner.exec_is_enforced {
            return Ok(program.spawn(filter.program())?);
        }
        let acl = self.inner.acl();
        let ruleset = landlock::ruleset(&acl)?;
        // Landlock restricts the calling thread and what it starts, so a thread does both and ends.
        let start = || {
            ruleset.restrict_self().map_err(|error| NurseError::NoLandlock { cause: error.to_string() })?;
            Ok(program.spawn(filter.program())?)
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("start".into()).spawn_scoped(scope, start);
            let thread = thread.map_err(SpawnError::Start)?;
            thread.join().unwrap_or(Err(NurseError::Spawn(SpawnError::Lost)))
        })
    }

    /// Judges calls until nobody has the filter any more.
    pub fn watch(&self, listener: &Listener) -> Result<Counts, NotifyError> {
        self.watch_until(listener, |_| {})
    }

    /// The same; `begin` is given what stops it. A stopped nurse leaves its targets to whoever watches the listener next;
    /// when that is dropped, they fail closed.
    pub fn watch_until(&self, listener: &Listener, begin: impl FnOnce(Stopper)) -> Result<Counts, NotifyError> {
        // Saves a change of the CPU, where the kernel can.
        let _ = listener.sync_wake_up(true);
        let mut supervisor = Supervisor::new(|_| Ok(Outcome::Done(refused()))).threads(THREADS);
        for &(name, handler) in calls::JUDGED.iter().chain([&calls::SENDTO]) {
            let inner = Arc::clone(&self.inner);
            let added = supervisor.on([name], move |call| inner.judge(call, handler));
            supervisor = added.map_err(|_| NotifyError::Other { call: "seccomp", errno: libc::EINVAL })?;
        }
        if let Ok(stopper) = supervisor.stopper() {
            begin(stopper);
        }
        supervisor.run(listener)
    }

    /// Replaces the ACL from the next call on. Exec rules of Landlock stay as they were when the program was started: a
    /// new ACL can only take exec rights away.
    ///
    /// # Errors
    /// The old ACL stays. [`NurseError::DoubtfulLink`] if a path that is new leads over a symbolic link that the program
    /// may have made.
    pub fn reload(&self, acl: &Acl) -> Result<(), NurseError> {
        let before = self.inner.acl();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let acl = places.resolve(acl, Some(&before))?;
        *self.inner.acl.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(acl);
        Ok(())
    }

    /// The ACL that [`learn`](Self::learn) has come to, as TOML; what the nurse's own ACL allows is not in it.
    pub fn learned(&self) -> Option<String> {
        Some(self.inner.learned.as_ref()?.to_toml(&self.inner.acl()))
    }

    /// Whether the exec rules need Landlock and the kernel does not have it. Nothing is started.
    pub fn check_exec(&self) -> Result<(), NurseError> {
        if self.unchecked || !self.inner.exec_is_enforced {
            return Ok(());
        }
        landlock::ruleset(&Acl::new()).map(drop)
    }
}

impl Inner {
    /// Judges a call and says how it is answered.
    fn judge(self: &Arc<Self>, call: &Call<'_>, handler: calls::Handler) -> Judged {
        let target = Target::new(call, self);
        let result = handler(&target);
        self.conclude(target, result)
    }

    /// The verdict, after the log has been told.
    fn conclude(self: &Arc<Self>, target: Target<'_>, result: Step<Answer>) -> Judged {
        let mut events = target.events.into_inner();
        let errno = |errno: i32| Verdict::Respond(Response::Errno(u16::try_from(errno).unwrap_or(1)));
        let verdict = match result {
            Ok(Answer::Return(value)) => Verdict::Respond(Response::Return(value)),
            Ok(Answer::Fd(fd, close)) => Verdict::GiveFd(fd, kernel::AddFd::new().close_on_exec(close)),
            Ok(Answer::Continue) => Verdict::ContinueUnchecked,
            Ok(Answer::Later(later)) => {
                let (inner, events) = (Arc::clone(self), core::mem::take(&mut events));
                Verdict::Later(Later::new(move |call| {
                    let mut target = Target::new(call, &inner);
                    target.events = events.into();
                    let result = later(&target);
                    inner.conclude(target, result)
                }))
            }
            Err(Stop::Errno(number)) => errno(number.raw_os_error()),
            Err(Stop::Memory(error)) => {
                self.tell(events, None);
                return Err(error);
            }
            Err(Stop::Gone) => {
                self.tell(events, None);
                return Ok(Outcome::Gone);
            }
        };
        let answer = match &verdict {
            Verdict::Respond(response) => Some(*response),
            _ => None,
        };
        self.tell(events, answer);
        Ok(Outcome::Done(verdict))
    }

    fn tell(&self, events: Vec<Event>, answer: Option<Response>) {
        let Some(log) = &self.log else { return };
        for event in events {
            log(&Event { answer, ..event });
        }
    }
}

/// For a call that the filter should not have sent.
fn refused() -> Verdict {
    Verdict::Respond(Response::Errno(38))
}

/// Whether this machine and kernel have what a nurse needs.
fn can_run() -> Result<(), NurseError> {
    let missing = |what| Err(NurseError::Kernel { what });
    if !matches!(Arch::NATIVE, Some(Arch::X86_64 | Arch::Aarch64 | Arch::Riscv64 | Arch::Loongarch64)) {
        return missing("it knows x86_64, aarch64, riscv64 and loongarch64");
    }
    if !kernel::action_available(Action::Notify) {
        return missing("user notification (Linux 5.0) is missing");
    }
    let host = kernel::host().map_err(|error| NurseError::Filter(error.to_string()))?;
    if host.kernel() < KernelVersion::new(5, 14) {
        return missing("it is older than 5.14, and cannot give a descriptor and answer in one step");
    }
    Ok(())
}

/// The umask of this process, which cannot be asked without changing it but by /proc.
fn own_umask() -> Result<u32, NurseError> {
    let text = std::fs::read_to_string("/proc/self/status").map_err(NurseError::Proc)?;
    let umask = text.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok());
    umask.ok_or_else(|| NurseError::Proc(io::ErrorKind::InvalidData.into()))
}
