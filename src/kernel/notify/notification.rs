//! One call that waits for an answer.

use super::error::{NotifyError, NotifyFeature};
use super::ioctl::{self, NewFd, Reply, Request};
use super::listener::Listener;
use super::memory::TargetMemory;
use crate::arch::Arch;
use crate::bpf::SyscallData;
use core::fmt;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// The answer to a call that was not made.
///
/// See the example of [`Listener`](crate::kernel::Listener).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// The call seems to succeed and return this. Libraries take -4095 to -1 for error numbers.
    Return(i64),
    /// The call fails with this error number, 1 to 4095; larger ones are cut to that, as those of a filter are. 0 is the
    /// same as `Return(0)`.
    Errno(u16),
}

/// What something done to a target came to. It can vanish at any moment: be killed, or be interrupted by a signal, which
/// ends this call as well. Then nothing of it may be believed, and there is nothing left to answer.
///
/// See the example of [`TargetMemory`](crate::kernel::TargetMemory).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// The target was there all the time.
    Done(T),
    /// The call no longer waits.
    Gone,
}

impl<T> Outcome<T> {
    /// `None` if the target has gone.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Gone => None,
        }
    }

    /// Whether the target has gone.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

/// How a descriptor is put into a target.
///
/// ```
/// use callsieve::kernel::AddFd;
/// // At number 3, replacing what is there, and gone after execve(2).
/// let how = AddFd::new().at(3).close_on_exec(true);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AddFd {
    at: Option<u32>,
    close_on_exec: bool,
    two_step: bool,
}

impl AddFd {
    /// At the lowest free number, and it stays open across execve(2).
    pub const fn new() -> Self {
        Self { at: None, close_on_exec: false, two_step: false }
    }

    /// At this number of the target, as dup2(2) does: what was open there is closed.
    pub const fn at(self, number: u32) -> Self {
        Self { at: Some(number), ..self }
    }

    /// Whether execve(2) of the target closes it (`O_CLOEXEC`).
    pub const fn close_on_exec(self, on: bool) -> Self {
        Self { close_on_exec: on, ..self }
    }

    /// Lets [`Notification::respond_with_fd`] work before Linux 5.14, where putting the descriptor into the target and
    /// answering are two steps. If a signal interrupts the call between the two, the target keeps a descriptor that it
    /// has not been told of; after a restart of the call it has two. Whatever can be reached through it has leaked to
    /// the target, which was to get it anyway; what is wasted is a number.
    pub const fn allow_two_step(self) -> Self {
        Self { two_step: true, ..self }
    }
}

/// A call that waits for an answer.
///
/// It is answered exactly once, by a method that takes it by value. If it is dropped, the listener answers for it
/// ([`Listener::answer_if_dropped`]).
///
/// The arguments in [`data`](Self::data) are a copy and do not change. What they point to does: see
/// [the module](super) for what may be relied on.
///
/// See the example of [`Listener`](crate::kernel::Listener).
#[must_use]
pub struct Notification<'l> {
    listener: &'l Listener,
    request: Request,
    answered: bool,
}

impl<'l> Notification<'l> {
    pub(super) const fn new(listener: &'l Listener, request: Request) -> Self {
        Self { listener, request, answered: false }
    }

    /// The number of the notification: unique among those of its filter. A call that a signal interrupts and the kernel
    /// restarts comes again with another one.
    pub const fn id(&self) -> u64 {
        self.request.id
    }

    /// The thread that makes the call, as a number of this process's pid namespace; 0 if it cannot be seen from here.
    pub const fn tid(&self) -> u32 {
        self.request.tid
    }

    /// The call as the filter saw it.
    pub const fn data(&self) -> &SyscallData {
        &self.request.data
    }

    /// The arguments. A call uses as many as it has, and 32-bit ABIs only the low halves.
    pub const fn args(&self) -> [u64; 6] {
        self.request.data.args
    }

    /// The ABI of the call; `None` if its token is not known.
    pub fn arch(&self) -> Option<Arch> {
        Arch::of_call(self.request.data.arch, self.request.data.nr)
    }

    /// The name of the call; `None` if its ABI has no such number.
    pub fn name(&self) -> Option<&'static str> {
        self.arch()?.name(self.request.data.nr)
    }

    /// Whether the call still waits. `false` is final; `true` may be over in the next moment, so ask **after** having
    /// used something that was found by the number of the thread.
    pub fn is_waiting(&self) -> Result<bool, NotifyError> {
        match ioctl::id_valid(self.listener.as_fd(), self.request.id) {
            Ok(()) => Ok(true),
            Err(libc::ENOENT) => Ok(false),
            Err(errno) => Err(NotifyError::Other { call: "ioctl", errno }),
        }
    }

    /// The memory of the target.
    pub const fn memory(&self) -> TargetMemory<'_> {
        TargetMemory::new(self)
    }

    /// Answers the call, which is not made.
    ///
    /// # Errors
    /// The notification is dropped then, so the listener tries to answer for it.
    pub fn respond(mut self, response: Response) -> Result<Outcome<()>, NotifyError> {
        let result = self.send(response);
        self.answered = matches!(result, Ok(_) | Err(NotifyError::AnsweredElsewhere));
        result
    }

    /// **Lets the call go on as if there were no supervisor. That decides nothing**: until the kernel reads what the
    /// arguments point to, another thread of the target, or another process that shares the memory, can change it. A
    /// signal can also be used to restart the call with other arguments. So what was looked at before is not what
    /// happens, and a supervisor that judges a path and then continues can be led round by any target.
    ///
    /// Right only where nothing is decided (recorders), where the numbers themselves decide, or where another layer (the
    /// kernel's own checks, Landlock) enforces the decision. See `SECCOMP_USER_NOTIF_FLAG_CONTINUE` in
    /// seccomp_unotify(2).
    ///
    /// # Errors
    /// [`Unanswered`] with [`NotifyError::Unsupported`] before Linux 5.5.
    pub fn continue_unchecked(mut self) -> Result<Outcome<()>, Unanswered<'l>> {
        if !self.listener.has(NotifyFeature::Continue).unwrap_or(true) {
            return Err(self.unanswered(NotifyError::Unsupported { feature: NotifyFeature::Continue }));
        }
        let reply = Reply { id: self.request.id, flags: ioctl::CONTINUE, ..Reply::default() };
        self.answered = true;
        match self.reply(reply) {
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(self.unanswered(error)),
        }
    }

    /// Puts a copy of a descriptor into the target and answers the call with its number there, both in one step. The kernel
    /// takes none that was opened with `O_PATH` (EBADF).
    ///
    /// # Errors
    /// The notification comes back in [`Unanswered`], so that the call can be answered otherwise:
    /// - [`NotifyError::TargetFull`]: the target should get EMFILE.
    /// - [`NotifyError::Unsupported`]: before Linux 5.14, unless `how` has [`AddFd::allow_two_step`]; before Linux 5.9
    ///   always.
    pub fn respond_with_fd(mut self, fd: impl AsFd, how: AddFd) -> Result<Outcome<u32>, Unanswered<'l>> {
        let one_step = self.listener.has(NotifyFeature::AddFdSend) == Some(true);
        if !one_step && !how.two_step {
            return Err(self.unanswered(NotifyError::Unsupported { feature: NotifyFeature::AddFdSend }));
        }
        let flags = if one_step { ioctl::SEND } else { 0 };
        let number = match self.put(fd, how, flags) {
            Ok(Outcome::Done(number)) => number,
            Ok(Outcome::Gone) => {
                self.answered = true;
                return Ok(Outcome::Gone);
            }
            Err(error) => return Err(self.unanswered(error)),
        };
        self.answered = true;
        if one_step {
            return Ok(Outcome::Done(number));
        }
        match self.send(Response::Return(number.into())) {
            Ok(Outcome::Done(())) => Ok(Outcome::Done(number)),
            Ok(Outcome::Gone) => Ok(Outcome::Gone),
            Err(error) => Err(self.unanswered(error)),
        }
    }

    /// Puts a copy of a descriptor into the target, without an answer; gives its number there. A target that goes on
    /// before it is told has the descriptor all the same.
    ///
    /// # Errors
    /// [`NotifyError::Unsupported`] before Linux 5.9; [`NotifyError::TargetFull`].
    pub fn add_fd(&self, fd: impl AsFd, how: AddFd) -> Result<Outcome<u32>, NotifyError> {
        self.put(fd, how, 0)
    }

    /// A handle of the thread's folder in /proc (`O_PATH`), through which its `cwd`, `root` or `fd` can be opened without
    /// the danger of meeting another thread of the same number: once the thread has ended, nothing can be found through
    /// it. /proc must be that of this process's pid namespace.
    pub fn proc_dir(&self) -> Result<Outcome<OwnedFd>, NotifyError> {
        let tid = self.visible_tid()?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY);
        match options.open(std::format!("/proc/{tid}")) {
            Ok(file) => self.while_waiting(file.into()),
            Err(error) => self.unless_gone(not_found(&error)),
        }
    }

    /// The process that the thread belongs to (`Tgid:` in /proc).
    pub fn process(&self) -> Result<Outcome<u32>, NotifyError> {
        let tid = self.visible_tid()?;
        let text = match std::fs::read_to_string(std::format!("/proc/{tid}/status")) {
            Ok(text) => text,
            Err(error) => return self.unless_gone(not_found(&error)),
        };
        let line = text.lines().find_map(|line| line.strip_prefix("Tgid:"));
        match line.and_then(|number| number.trim().parse().ok()) {
            Some(process) => self.while_waiting(process),
            None => self.unless_gone(NotifyError::NotVisible),
        }
    }

    /// A pidfd of the thread, or before Linux 6.9 of its process.
    ///
    /// # Errors
    /// [`NotifyError::Unsupported`] before Linux 5.3.
    pub fn pidfd(&self) -> Result<Outcome<OwnedFd>, NotifyError> {
        let tid = self.visible_tid()?;
        let opened = match ioctl::pidfd_open(tid, true) {
            Err(libc::EINVAL) => match self.process()? {
                Outcome::Done(process) => ioctl::pidfd_open(process, false),
                Outcome::Gone => return Ok(Outcome::Gone),
            },
            answer => answer,
        };
        match opened {
            Ok(fd) => self.while_waiting(fd),
            Err(libc::ENOSYS) => Err(NotifyError::Unsupported { feature: NotifyFeature::Pidfd }),
            Err(errno) => self.unless_gone(NotifyError::Other { call: "pidfd_open", errno }),
        }
    }

    /// A copy of a descriptor of the target: the same open file, so what is done with it is done to that of the target.
    ///
    /// # Errors
    /// [`NotifyError::NoSuchFd`], [`NotifyError::NotPermitted`]; [`NotifyError::Unsupported`] before Linux 5.6.
    pub fn take_fd(&self, number: i32) -> Result<Outcome<OwnedFd>, NotifyError> {
        let Outcome::Done(pidfd) = self.pidfd()? else { return Ok(Outcome::Gone) };
        match ioctl::pidfd_getfd(pidfd.as_fd(), number) {
            Ok(fd) => self.while_waiting(fd),
            Err(libc::EBADF) => self.unless_gone(NotifyError::NoSuchFd { number }),
            Err(libc::ENOSYS) => Err(NotifyError::Unsupported { feature: NotifyFeature::Pidfd }),
            Err(errno @ (libc::EPERM | libc::EACCES)) => self.unless_gone(NotifyError::NotPermitted { errno }),
            Err(errno) => self.unless_gone(NotifyError::Other { call: "pidfd_getfd", errno }),
        }
    }

    /// A number by which something of the target can be found.
    pub(super) const fn visible_tid(&self) -> Result<u32, NotifyError> {
        if self.request.tid == 0 { Err(NotifyError::NotVisible) } else { Ok(self.request.tid) }
    }

    /// What was found by the number of the thread, if it was the thread's: it still waits.
    pub(super) fn while_waiting<T>(&self, found: T) -> Result<Outcome<T>, NotifyError> {
        Ok(if self.is_waiting()? { Outcome::Done(found) } else { Outcome::Gone })
    }

    /// An error, unless the target has gone, which explains it.
    pub(super) fn unless_gone<T, E: From<NotifyError>>(&self, error: E) -> Result<Outcome<T>, E> {
        if self.is_waiting()? { Err(error) } else { Ok(Outcome::Gone) }
    }

    fn put(&self, fd: impl AsFd, how: AddFd, flags: u32) -> Result<Outcome<u32>, NotifyError> {
        if self.listener.has(NotifyFeature::AddFd) == Some(false) {
            return Err(NotifyError::Unsupported { feature: NotifyFeature::AddFd });
        }
        #[allow(clippy::cast_sign_loss)] // Descriptors and flags.
        let new = NewFd {
            id: self.request.id,
            flags: flags | if how.at.is_some() { ioctl::SETFD } else { 0 },
            source: fd.as_fd().as_raw_fd() as u32,
            number: how.at.unwrap_or(0),
            fd_flags: if how.close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        match ioctl::add_fd(self.listener.as_fd(), new) {
            Ok(number) => Ok(Outcome::Done(u32::try_from(number).unwrap_or(u32::MAX))),
            // ESRCH: it went away while the descriptor was on its way (`seccomp_do_user_notification` of the kernel).
            Err(libc::ENOENT | libc::ESRCH) => Ok(Outcome::Gone),
            // Our own descriptor is open, so it is the target's number that is bad, or ours is one of O_PATH.
            Err(errno @ libc::EBADF) if how.at.is_none() => Err(NotifyError::Other { call: "ioctl", errno }),
            Err(errno @ (libc::EMFILE | libc::EBADF)) => Err(NotifyError::TargetFull { errno }),
            Err(libc::EINPROGRESS | libc::EBUSY) => self.unless_gone(NotifyError::AnsweredElsewhere),
            Err(errno) => Err(NotifyError::Other { call: "ioctl", errno }),
        }
    }

    fn send(&self, response: Response) -> Result<Outcome<()>, NotifyError> {
        let (value, error) = match response {
            Response::Return(value) => (value, 0),
            Response::Errno(errno) => (0, i32::from(errno.min(crate::arch::Errno::MAX))),
        };
        self.reply(Reply { id: self.request.id, value, error: error.saturating_neg(), flags: 0 })
    }

    fn reply(&self, reply: Reply) -> Result<Outcome<()>, NotifyError> {
        match ioctl::send(self.listener.as_fd(), reply) {
            Ok(()) => Ok(Outcome::Done(())),
            Err(libc::ENOENT) => Ok(Outcome::Gone),
            Err(libc::EINPROGRESS) => Err(NotifyError::AnsweredElsewhere),
            Err(errno) => Err(NotifyError::Other { call: "ioctl", errno }),
        }
    }

    pub(super) fn unanswered(mut self, error: NotifyError) -> Unanswered<'l> {
        self.answered = false;
        Unanswered { error, notification: self }
    }
}

/// Why a file of a thread in /proc could not be read.
fn not_found(error: &std::io::Error) -> NotifyError {
    match error.raw_os_error().unwrap_or(libc::EIO) {
        libc::ENOENT | libc::ESRCH => NotifyError::NotVisible,
        errno => NotifyError::Other { call: "open", errno },
    }
}

impl Drop for Notification<'_> {
    fn drop(&mut self) {
        if !self.answered
            && let Some(response) = self.listener.dropped(self.request.id)
        {
            // If that fails the target has gone, or the listener has.
            let _ = self.send(response);
        }
    }
}

impl fmt::Debug for Notification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("id", &self.request.id)
            .field("tid", &self.request.tid)
            .field("name", &self.name())
            .field("data", &self.request.data)
            .finish_non_exhaustive()
    }
}

/// A notification that could not be answered in the wanted way and still waits.
///
/// See the example of [`Supervised`](crate::kernel::Supervised).
#[derive(Debug)]
pub struct Unanswered<'l> {
    error: NotifyError,
    notification: Notification<'l>,
}

impl<'l> Unanswered<'l> {
    /// What went wrong.
    pub const fn error(&self) -> NotifyError {
        self.error
    }

    /// The notification, to answer it otherwise.
    pub fn into_notification(self) -> Notification<'l> {
        self.notification
    }
}

impl fmt::Display for Unanswered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Unanswered<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// The notification is dropped, so the listener answers for it.
impl From<Unanswered<'_>> for NotifyError {
    fn from(unanswered: Unanswered<'_>) -> Self {
        unanswered.error
    }
}
