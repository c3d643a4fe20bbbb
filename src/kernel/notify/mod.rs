//! User notification: a supervisor answers calls in place of the kernel, see seccomp_unotify(2).
//!
//! A filter answers some calls with NOTIFY. The thread that makes one waits; the supervisor [receives](Listener::recv) a
//! [`Notification`], looks at it, and answers it.
//!
//! # What a supervisor may rely on
//!
//! - The number of the call, its ABI and its argument **registers**: they are copied when the filter runs.
//! - That a call which it answers with a value or an error number is not made.
//! - That a descriptor which it opened itself, and put into the target, is the object that it has checked.
//! - That closing the listener makes the calls that wait, and all later ones, fail with ENOSYS.
//!
//! # What it must not rely on
//!
//! - **Memory.** What a pointer points to can change between the look and the use, by another thread of the target or by
//!   whoever shares its memory. Make one copy, decide on it, act on it. Never decide on memory and then let the call go
//!   on: the kernel reads the memory again. That is why it is [`continue_unchecked`](Notification::continue_unchecked),
//!   and why the manual says that continuing cannot be used to implement a security policy.
//! - **Numbers of threads and processes**, `/proc/TID` included: the target can be killed, and its number be given to
//!   another process. All that this module finds by such a number it checks afterwards; if you find something by
//!   yourself, ask [`is_waiting`](Notification::is_waiting) after having opened it.
//! - **Being asked once.** A signal with a handler interrupts the call, answered or not, and it may be restarted with a
//!   new id: what the supervisor did is then done twice. `Install::wait_killable` (Linux 5.19) keeps all but fatal
//!   signals away from the moment on that a notification is received.
//! - **The path as such.** `/proc/self`, the working directory, the root folder and the mounts are those of the target,
//!   not of the supervisor; [`proc_dir`](Notification::proc_dir) leads to them.
//! - **Being the only filter.** The strictest answer of all filters counts, and of several filters that say NOTIFY only
//!   the newest is asked. A thread can have one listener.
//!
//! A supervisor must not be notified of calls that it makes itself, and it has to answer every notification; dropping
//! one answers it ([`Listener::answer_if_dropped`]).
//!
//! See the example of [`Listener`].

mod error;
mod ioctl;
mod kill;
mod listener;
mod memory;
mod notification;

pub use error::{MemoryError, NotifyError, NotifyFeature};
pub use listener::{Listener, Received};
pub use memory::{FromTarget, TargetMemory};
pub use notification::{AddFd, Notification, Outcome, Response, Unanswered};

pub(super) use ioctl::{is_listener, poll, request_size};
