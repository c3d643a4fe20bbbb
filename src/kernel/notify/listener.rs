//! The supervisor's end of a filter.

use super::error::{NotifyError, NotifyFeature};
use super::ioctl::{self, NewFd, Reply};
use super::notification::{Notification, Response};
use core::fmt;
use core::time::Duration;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// The descriptor from which a supervisor receives the calls that a filter answers with NOTIFY, see
/// seccomp_unotify(2).
///
/// It owns the descriptor. When that is closed, every call that waits for an answer, and every later one, fails with
/// ENOSYS; so a supervisor that crashes leaves its targets **closed, not open**. That holds only while no other process
/// has a copy: one with a copy would leave them hanging. The descriptor is close-on-exec, and a fork without exec has a
/// copy until it ends.
///
/// Any number of threads may receive at the same time; each notification goes to one of them. For an event loop,
/// [`as_fd`](AsFd::as_fd) gives what to watch: readable means that [`try_recv`](Self::try_recv) has something to say,
/// and EPOLLHUP that the last user of the filter is gone. `O_NONBLOCK` has no meaning for it.
///
/// ```no_run
/// use callsieve::kernel::{Listener, Response};
///
/// /// Nobody may make a directory; everything else that is notified does nothing and succeeds.
/// fn supervise(listener: &Listener) -> Result<(), callsieve::kernel::NotifyError> {
///     while let Some(notification) = listener.recv()? {
///         let response = match notification.name() {
///             Some("mkdir" | "mkdirat") => Response::Errno(13),
///             _ => Response::Return(0),
///         };
///         notification.respond(response)?;
///     }
///     Ok(())
/// }
/// ```
pub struct Listener {
    fd: OwnedFd,
    request_size: usize,
    features: Features,
    /// Held from the look whether there is something to the taking of it, because taking waits when there is nothing.
    receiving: Mutex<()>,
    if_dropped: IfDropped,
}

/// What happens to a notification that is dropped without an answer.
enum IfDropped {
    Answer(Response),
    Stop(Stop),
}

/// A byte in the pipe, which nobody takes out, wakes everyone who waits.
struct Stop {
    wake: PipeReader,
    alarm: PipeWriter,
    dropped: OnceLock<u64>,
}

/// What the kernel can do, asked once.
#[derive(Clone, Copy, Debug)]
struct Features {
    go_on: bool,
    add_fd: bool,
    add_fd_send: bool,
}

/// What [`Listener::try_recv`] and [`Listener::recv_timeout`] came to.
///
/// ```
/// use callsieve::kernel::{Listener, NotifyError, Received, Response};
///
/// /// Answers what is there, in an event loop; `false` if there will be nothing more.
/// fn answer(listener: &Listener) -> Result<bool, NotifyError> {
///     loop {
///         match listener.try_recv()? {
///             Received::Notification(call) => _ = call.respond(Response::Errno(1))?,
///             Received::Nothing => return Ok(true),
///             _ => return Ok(false),
///         }
///     }
/// }
/// # let _ = answer;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Received<'l> {
    /// A call that waits for an answer.
    Notification(Notification<'l>),
    /// Nothing yet.
    Nothing,
    /// Nobody has the filter any more, so nothing will ever come.
    Ended,
}

impl Listener {
    /// Takes over a descriptor, for example one that was received over a socket. Asks the kernel what it can do with
    /// it; the descriptor is closed if it is none of seccomp(2).
    pub fn from_fd(fd: OwnedFd) -> Result<Self, NotifyError> {
        if !ioctl::is_listener(fd.as_fd()) {
            return Err(NotifyError::NotAListener);
        }
        let request_size = ioctl::request_size().map_err(|errno| NotifyError::Other { call: "seccomp", errno })?;
        Ok(Self::of_listener(fd, request_size))
    }

    /// Takes over what is known to be a listener. Nothing can go wrong here, since the filter is installed by now.
    pub(in crate::kernel) fn of_listener(fd: OwnedFd, request_size: usize) -> Self {
        const NO_ID: u64 = 0;
        let borrowed = fd.as_fd();
        // The kernel checks flags first, then the descriptor, then the id.
        let add = |flags| {
            let new = NewFd { id: NO_ID, flags, source: u32::MAX, ..NewFd::default() };
            matches!(ioctl::add_fd(borrowed, new), Err(libc::EBADF))
        };
        let go_on = Reply { id: NO_ID, flags: ioctl::CONTINUE, ..Reply::default() };
        let features = Features {
            go_on: !matches!(ioctl::send(borrowed, go_on), Err(libc::EINVAL)),
            add_fd: add(0),
            add_fd_send: add(ioctl::SEND),
        };
        let if_dropped = IfDropped::Answer(Response::Errno(1));
        Self { fd, request_size, features, receiving: Mutex::new(()), if_dropped }
    }

    /// What a notification is answered with when it is dropped unanswered, for example by a handler that panics, so that
    /// its target does not hang. Without this it is EPERM.
    ///
    /// Dropping needs unwinding: with `panic = "abort"` the whole supervisor ends, which closes the listener, so that
    /// the calls fail with ENOSYS. A notification given to [`core::mem::forget`] is never answered, and its target waits
    /// until the listener is closed.
    #[must_use]
    pub fn answer_if_dropped(self, response: Response) -> Self {
        Self { if_dropped: IfDropped::Answer(response), ..self }
    }

    /// Stops when a notification is dropped unanswered: receiving fails with [`NotifyError::Dropped`] from then on, at
    /// once also for those that wait. For recorders, whose result would be wrong after a made-up answer. The target of
    /// the dropped notification waits until the listener is closed.
    ///
    /// # Errors
    /// If no pipe can be made, which wakes those that wait.
    pub fn stop_if_dropped(self) -> std::io::Result<Self> {
        let (wake, alarm) = std::io::pipe()?;
        let stop = Stop { wake, alarm, dropped: OnceLock::new() };
        Ok(Self { if_dropped: IfDropped::Stop(stop), ..self })
    }

    /// Whether an answer wakes the target on this CPU and lets it run at once (`SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`).
    /// Good where supervisor and target alternate, as one thread of each does. The same holds for the way there.
    ///
    /// # Errors
    /// [`NotifyError::Unsupported`] before Linux 6.6; nothing has changed then.
    pub fn sync_wake_up(&self, on: bool) -> Result<(), NotifyError> {
        ioctl::set_flags(self.fd.as_fd(), usize::from(on)).map_err(|errno| match errno {
            libc::EINVAL | libc::ENOTTY => NotifyError::Unsupported { feature: NotifyFeature::SyncWakeUp },
            errno => NotifyError::Other { call: "ioctl", errno },
        })
    }

    /// Whether the kernel has something; [`NotifyFeature::Pidfd`] and [`NotifyFeature::SyncWakeUp`] show when they are
    /// used.
    pub const fn has(&self, feature: NotifyFeature) -> Option<bool> {
        match feature {
            NotifyFeature::Continue => Some(self.features.go_on),
            NotifyFeature::AddFd => Some(self.features.add_fd),
            NotifyFeature::AddFdSend => Some(self.features.add_fd_send),
            NotifyFeature::SyncWakeUp | NotifyFeature::Pidfd => None,
        }
    }

    /// Treats the kernel as one that does not have something, to test how a supervisor behaves on older ones.
    /// [`NotifyFeature::Continue`], [`NotifyFeature::AddFd`] and [`NotifyFeature::AddFdSend`] can be hidden.
    #[must_use]
    pub fn pretend_without(mut self, feature: NotifyFeature) -> Self {
        match feature {
            NotifyFeature::Continue => self.features.go_on = false,
            NotifyFeature::AddFd => (self.features.add_fd, self.features.add_fd_send) = (false, false),
            NotifyFeature::AddFdSend => self.features.add_fd_send = false,
            NotifyFeature::SyncWakeUp | NotifyFeature::Pidfd => {}
        }
        self
    }

    /// Waits for the next call. `None` when nobody has the filter any more.
    ///
    /// A target that vanishes while this takes its notification does not show, and signals do not end it; to be able to
    /// stop, use [`recv_timeout`](Self::recv_timeout) or an event loop.
    pub fn recv(&self) -> Result<Option<Notification<'_>>, NotifyError> {
        self.recv_or_wake(None)
    }

    /// The next call if one waits.
    pub fn try_recv(&self) -> Result<Received<'_>, NotifyError> {
        self.recv_timeout(Duration::ZERO)
    }

    /// Waits for the next call, but not longer than this.
    pub fn recv_timeout(&self, time: Duration) -> Result<Received<'_>, NotifyError> {
        // No end if the clock cannot express it.
        let end = Instant::now().checked_add(time);
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            match self.step(None, left)? {
                Step::Took(notification) => return Ok(Received::Notification(notification)),
                Step::Ended => return Ok(Received::Ended),
                Step::Woken | Step::Nothing if left.is_some_and(|left| left.is_zero()) => {
                    return Ok(Received::Nothing);
                }
                Step::Woken | Step::Nothing => {}
            }
        }
    }

    /// Waits for the next call until another descriptor is readable or closed at its other end. `None` then, too.
    pub(crate) fn recv_or_wake(&self, wake: Option<BorrowedFd<'_>>) -> Result<Option<Notification<'_>>, NotifyError> {
        loop {
            match self.step(wake, None)? {
                Step::Took(notification) => return Ok(Some(notification)),
                Step::Ended | Step::Woken => return Ok(None),
                Step::Nothing => {}
            }
        }
    }

    /// Looks once, waiting if there is nothing.
    fn step(&self, wake: Option<BorrowedFd<'_>>, time: Option<Duration>) -> Result<Step<'_>, NotifyError> {
        self.check_stopped()?;
        let stop = match &self.if_dropped {
            IfDropped::Stop(stop) => stop.wake.as_fd(),
            IfDropped::Answer(_) => self.fd.as_fd(),
        };
        let [events, _, woken] = match ioctl::poll([self.fd.as_fd(), stop, wake.unwrap_or(stop)], time) {
            Ok(events) => events,
            Err(libc::EINTR) => return Ok(Step::Nothing),
            Err(errno) => return Err(NotifyError::Other { call: "poll", errno }),
        };
        self.check_stopped()?;
        if wake.is_some() && woken != 0 {
            return Ok(Step::Woken);
        }
        if events & libc::POLLIN != 0 {
            return Ok(self.take()?.map_or(Step::Nothing, Step::Took));
        }
        Ok(if events & libc::POLLHUP != 0 { Step::Ended } else { Step::Nothing })
    }

    /// Takes a notification if there still is one.
    fn take(&self) -> Result<Option<Notification<'_>>, NotifyError> {
        let lock = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        let [events] = ioctl::poll([self.fd.as_fd()], Some(Duration::ZERO)).unwrap_or_default();
        if events & libc::POLLIN == 0 {
            return Ok(None);
        }
        let answer = ioctl::receive(self.fd.as_fd(), self.request_size);
        drop(lock);
        match answer {
            Ok(request) => Ok(Some(Notification::new(self, request))),
            // The target vanished in between, or a signal came.
            Err(libc::ENOENT | libc::EINTR) => Ok(None),
            Err(errno) => Err(NotifyError::Other { call: "ioctl", errno }),
        }
    }

    fn check_stopped(&self) -> Result<(), NotifyError> {
        match &self.if_dropped {
            IfDropped::Stop(Stop { dropped, .. }) => match dropped.get() {
                Some(&id) => Err(NotifyError::Dropped { id }),
                None => Ok(()),
            },
            IfDropped::Answer(_) => Ok(()),
        }
    }

    /// What to answer a dropped notification; `None` after having stopped.
    pub(super) fn dropped(&self, id: u64) -> Option<Response> {
        match &self.if_dropped {
            IfDropped::Answer(response) => Some(*response),
            IfDropped::Stop(stop) => {
                if stop.dropped.set(id).is_ok() {
                    // An empty pipe takes a byte.
                    let _ = (&stop.alarm).write(&[0]);
                }
                None
            }
        }
    }
}

enum Step<'l> {
    Took(Notification<'l>),
    Woken,
    Nothing,
    Ended,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// To hand it to another process. Then that one supervises, and this one holds nothing any more.
impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.fd
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("fd", &self.fd).field("features", &self.features).finish_non_exhaustive()
    }
}
