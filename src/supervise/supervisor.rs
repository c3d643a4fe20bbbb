//! The pool, and what handlers are given.

use super::NEVER_NOTIFIED;
use super::counts::{Counters, Counts};
use super::decision::{Decision, Result as Answered};
use crate::arch::Syscall;
use crate::kernel::{AddFd, Listener, MemoryError, Notification, NotifyError, Outcome, Response};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::cell::RefCell;
use core::fmt;
use core::ops::Deref;
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Scope};
use std::time::Instant;
use thiserror::Error;

/// What shall become of a call.
///
/// See the example of [`supervise`](crate::supervise).
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It is not made, and this is its answer.
    Respond(Response),
    /// It is not made, and the target gets a descriptor as its answer. Before Linux 5.14 only with
    /// [`AddFd::allow_two_step`]. If the target cannot take it, the call fails with EMFILE.
    GiveFd(OwnedFd, AddFd),
    /// It goes on **unchecked**; see [`Notification::continue_unchecked`] for what that means. Before Linux 5.5 it fails
    /// with ENOSYS.
    ContinueUnchecked,
    /// The process is killed, as by a filter ([`Notification::kill`]).
    Kill,
    /// Something that may take long says it, on a thread of its own, so that it holds up nobody else.
    Later(Later),
}

/// A handler that may wait for something for long: see [`Verdict::Later`]. It should ask now and then whether the target
/// is still there ([`Notification::is_waiting`]), because the supervisor only ends when it has.
///
/// ```
/// use callsieve::kernel::{Outcome, Response};
/// use callsieve::supervise::{Later, Supervisor, Verdict};
/// let supervisor = Supervisor::new(|_| {
///     Ok(Outcome::Done(Verdict::Later(Later::new(|call| {
///         call.note("asked the user"); // for as long as it takes
///         Ok(Outcome::Done(Verdict::Respond(Response::Errno(13))))
///     }))))
/// });
/// ```
pub struct Later(Box<dyn FnOnce(&Call<'_>) -> Judged + Send>);

impl Later {
    /// Of such handlers at most this many run at the same time. A call beyond them fails with EAGAIN.
    pub const MOST: usize = 256;

    /// Its verdict must not be another one of this kind.
    pub fn new(handler: impl FnOnce(&Call<'_>) -> Judged + Send + 'static) -> Self {
        Self(Box::new(handler))
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

/// What a handler says. A target that has gone needs no verdict. A failure is an answer as well: EFAULT for memory that
/// is not there, ENAMETOOLONG for a string that is too long, EPERM for everything else.
///
/// See the example of [`supervise`](crate::supervise).
pub type Judged = Result<Outcome<Verdict>, MemoryError>;

type Handler<'h> = Box<dyn Fn(&Call<'_>) -> Judged + Send + Sync + 'h>;
type Log<'h> = Box<dyn Fn(&Decision) + Send + Sync + 'h>;

/// A call as a handler sees it: the [`Notification`], which the supervisor answers, and a note for the log.
///
/// See the example of [`supervise`](crate::supervise).
#[derive(Debug)]
pub struct Call<'n> {
    notification: &'n Notification<'n>,
    note: RefCell<Option<String>>,
}

impl Call<'_> {
    /// Notes something for the log, in place of an earlier note.
    pub fn note(&self, text: impl Into<String>) {
        *self.note.borrow_mut() = Some(text.into());
    }
}

impl<'n> Deref for Call<'n> {
    type Target = Notification<'n>;

    fn deref(&self) -> &Notification<'n> {
        self.notification
    }
}

/// Why a supervisor cannot be made as it is described.
///
/// ```
/// use callsieve::kernel::{Outcome, Response};
/// use callsieve::supervise::{SuperviseError, Supervisor, Verdict};
/// let refuse = || Ok(Outcome::Done(Verdict::Respond(Response::Errno(1))));
/// let error = Supervisor::new(move |_| refuse()).on(["opennat"], move |_| refuse()).unwrap_err();
/// assert!(matches!(error, SuperviseError::UnknownCall { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// There is no such call on any ABI.
    #[error("unknown system call {name:?}{}", did_you_mean(name))]
    UnknownCall {
        /// The name.
        name: String,
    },
    /// One of [`NEVER_NOTIFIED`].
    #[error("{name} is never notified: it has nobody to go back to, or no arguments")]
    NeverNotified {
        /// The name.
        name: String,
    },
}

fn did_you_mean(name: &str) -> String {
    Syscall::nearest(name).map_or_else(String::new, |near| alloc::format!(" (did you mean {near:?}?)"))
}

/// What the threads of a pool do in turn, or why they no longer do.
enum Turn {
    Receive,
    Ended,
    Failed(NotifyError),
}

/// Judges calls by handlers on a pool of threads. It can be run several times, also at the same time for several
/// listeners; the counts are those of all.
///
/// See the example of [`supervise`](crate::supervise).
pub struct Supervisor<'h> {
    handlers: BTreeMap<&'static str, Arc<Handler<'h>>>,
    otherwise: Handler<'h>,
    log: Option<Log<'h>>,
    threads: usize,
    counters: Counters,
    /// How many handlers run on threads of their own.
    later: AtomicUsize,
    stop: OnceLock<(PipeReader, Stopper)>,
}

/// Stops a supervisor from elsewhere.
///
/// ```
/// use callsieve::kernel::{Outcome, Response};
/// use callsieve::supervise::{Supervisor, Verdict};
/// let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Respond(Response::Errno(1)))));
/// let stopper = supervisor.stopper()?;
/// stopper.stop(); // from any thread, while the supervisor runs
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopper {
    alarm: Arc<PipeWriter>,
}

impl Stopper {
    /// The supervisor receives no more, answers what it has received, and returns. So does every later run.
    pub fn stop(&self) {
        // An empty pipe takes a byte, and one is enough.
        let _ = (&*self.alarm).write(&[0]);
    }
}

impl<'h> Supervisor<'h> {
    /// A supervisor with one handler for all calls that no other one is for, and as many threads as there are processors
    /// (at least two).
    pub fn new(otherwise: impl Fn(&Call<'_>) -> Judged + Send + Sync + 'h) -> Self {
        Self {
            handlers: BTreeMap::new(),
            otherwise: Box::new(otherwise),
            log: None,
            threads: thread::available_parallelism().map_or(2, |number| number.get().max(2)),
            counters: Counters::default(),
            later: AtomicUsize::new(0),
            stop: OnceLock::new(),
        }
    }

    /// A handler for some calls, on every ABI that has them.
    pub fn on<'n>(
        mut self,
        names: impl IntoIterator<Item = &'n str>,
        handler: impl Fn(&Call<'_>) -> Judged + Send + Sync + 'h,
    ) -> Result<Self, SuperviseError> {
        let handler: Arc<Handler<'h>> = Arc::new(Box::new(handler));
        for name in names {
            let call = Syscall::from_name(name).ok_or_else(|| SuperviseError::UnknownCall { name: name.into() })?;
            if NEVER_NOTIFIED.contains(&name) {
                return Err(SuperviseError::NeverNotified { name: name.into() });
            }
            self.handlers.insert(call.name(), Arc::clone(&handler));
        }
        Ok(self)
    }

    /// How many threads run handlers, at least one: that many calls are received and judged at the same time. Those beyond
    /// wait in the kernel, where a signal can still end them.
    #[must_use]
    pub fn threads(self, number: usize) -> Self {
        Self { threads: number.max(1), ..self }
    }

    /// Is told of every decision, on the thread that made it. A log that waits holds its thread up.
    #[must_use]
    pub fn log(self, log: impl Fn(&Decision) + Send + Sync + 'h) -> Self {
        Self { log: Some(Box::new(log)), ..self }
    }

    /// What stops it. Ask for it before [`run`](Self::run) begins.
    pub fn stopper(&self) -> io::Result<Stopper> {
        if let Some((_, stopper)) = self.stop.get() {
            return Ok(stopper.clone());
        }
        let (wake, alarm) = io::pipe()?;
        let (_, stopper) = self.stop.get_or_init(|| (wake, Stopper { alarm: Arc::new(alarm) }));
        Ok(stopper.clone())
    }

    /// The numbers up to now.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Answers calls until nobody has the filter any more, or it is stopped. Afterwards everything that was received has
    /// been answered.
    ///
    /// # Errors
    /// If the listener fails, or no thread can be started ([`NotifyError::Other`] with `clone`).
    pub fn run(&self, listener: &Listener) -> Result<Counts, NotifyError> {
        let turn = Mutex::new(Turn::Receive);
        thread::scope(|scope| {
            for started in 0..self.threads {
                let builder = thread::Builder::new().name("supervisor".into());
                if let Err(error) = builder.spawn_scoped(scope, || self.work(scope, listener, &turn)) {
                    if started == 0 {
                        let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                        return Err(NotifyError::Other { call: "clone", errno });
                    }
                    break;
                }
            }
            Ok(())
        })?;
        match turn.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Turn::Failed(error) => Err(error),
            Turn::Receive | Turn::Ended => Ok(self.counts()),
        }
    }

    /// What a thread of the pool does. The one that receives a call judges it as well, after it has let the next one
    /// receive: a target that waits is served without a change of threads.
    fn work<'s, 'l: 's>(&'s self, scope: &'s Scope<'s, '_>, listener: &'l Listener, turn: &Mutex<Turn>) {
        let wake = self.stop.get().map(|(wake, _)| wake.as_fd());
        loop {
            let mut mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(*mine, Turn::Receive) {
                return;
            }
            match listener.recv_or_wake(wake) {
                Ok(Some(notification)) => {
                    drop(mine);
                    Counters::one(&self.counters.received);
                    self.handle(scope, notification);
                }
                Ok(None) => *mine = Turn::Ended,
                Err(error) => *mine = Turn::Failed(error),
            }
        }
    }

    fn handle<'s, 'l: 's>(&'s self, scope: &'s Scope<'s, '_>, notification: Notification<'l>) {
        let begin = Instant::now();
        let handler = notification.name().and_then(|name| self.handlers.get(name));
        let handler = handler.map_or(&self.otherwise, |handler| &**handler);
        let (judged, note) = judge(&notification, handler);
        let Ok(Ok(Outcome::Done(Verdict::Later(later)))) = judged else {
            return self.finish(notification, begin, judged, note);
        };
        if self.later.fetch_add(1, Relaxed) >= Later::MOST {
            self.later.fetch_sub(1, Relaxed);
            return self.finish(notification, begin, Ok(Ok(Outcome::Done(refuse(libc::EAGAIN)))), note);
        }
        let builder = thread::Builder::new().name("supervisor, later".into());
        let spawned = builder.spawn_scoped(scope, move || {
            let (judged, later_note) = judge(&notification, later.0);
            self.later.fetch_sub(1, Relaxed);
            self.finish(notification, begin, judged, later_note.or(note));
        });
        // Without a thread the notification is dropped, and the listener answers for it.
        if spawned.is_err() {
            self.later.fetch_sub(1, Relaxed);
            Counters::one(&self.counters.failed);
        }
    }

    /// Answers, counts and logs.
    fn finish(&self, notification: Notification<'_>, begin: Instant, judged: Caught, note: Option<String>) {
        let (tid, data) = (notification.tid(), *notification.data());
        let result = match judged {
            Ok(Ok(Outcome::Done(verdict))) => answer(notification, verdict),
            Ok(Ok(Outcome::Gone)) => settle(notification, Response::Errno(EPERM), |_| Answered::Gone),
            Ok(Err(error)) => fail(notification, failure(error), error.to_string()),
            Err(_) => fail(notification, EPERM, "the handler panicked".into()),
        };
        self.count(&result);
        if let Some(log) = &self.log {
            let decision = Decision { tid, data, result, note, time: begin.elapsed() };
            // A log that panics must not end a thread that others wait for.
            let _ = catch_unwind(AssertUnwindSafe(|| log(&decision)));
        }
    }

    fn count(&self, result: &Answered) {
        let counters = &self.counters;
        Counters::one(match result {
            Answered::Responded(Response::Return(_) | Response::Errno(0)) => &counters.returned,
            Answered::Responded(_) => &counters.refused,
            Answered::GaveFd(_) => &counters.descriptors,
            Answered::Continued => &counters.continued,
            Answered::Killed => &counters.killed,
            Answered::Gone => &counters.gone,
            Answered::Failed(..) => &counters.failed,
        });
    }
}

const EPERM: u16 = 1;

/// What a handler says, unless it panics.
type Caught = thread::Result<Judged>;

/// Asks a handler; gives its note, too.
fn judge(notification: &Notification<'_>, handler: impl FnOnce(&Call<'_>) -> Judged) -> (Caught, Option<String>) {
    let call = Call { notification, note: RefCell::new(None) };
    let judged = catch_unwind(AssertUnwindSafe(|| handler(&call)));
    (judged, call.note.take())
}

fn refuse(errno: i32) -> Verdict {
    Verdict::Respond(Response::Errno(number(errno)))
}

/// Answers a call, and says how that went.
fn answer(notification: Notification<'_>, verdict: Verdict) -> Answered {
    match verdict {
        Verdict::Respond(response) => settle(notification, response, Answered::Responded),
        Verdict::GiveFd(fd, how) => match notification.respond_with_fd(fd, how) {
            Ok(Outcome::Done(number)) => Answered::GaveFd(number),
            Ok(Outcome::Gone) => Answered::Gone,
            Err(unanswered) => {
                let error = unanswered.error();
                let errno = if matches!(error, NotifyError::TargetFull { .. }) { libc::EMFILE } else { libc::ENOSYS };
                fail(unanswered.into_notification(), number(errno), error.to_string())
            }
        },
        Verdict::ContinueUnchecked => match notification.continue_unchecked() {
            Ok(Outcome::Done(())) => Answered::Continued,
            Ok(Outcome::Gone) => Answered::Gone,
            Err(unanswered) => {
                let error = unanswered.error().to_string();
                fail(unanswered.into_notification(), number(libc::ENOSYS), error)
            }
        },
        Verdict::Later(_) => fail(notification, number(libc::EAGAIN), "a late handler wants another one".into()),
        Verdict::Kill => match notification.kill() {
            Ok(()) => Answered::Killed,
            Err(unanswered) => {
                let error = unanswered.error().to_string();
                fail(unanswered.into_notification(), EPERM, error)
            }
        },
    }
}

fn fail(notification: Notification<'_>, errno: u16, why: String) -> Answered {
    settle(notification, Response::Errno(errno), |response| Answered::Failed(response, why))
}

fn settle(notification: Notification<'_>, response: Response, done: impl FnOnce(Response) -> Answered) -> Answered {
    match notification.respond(response) {
        Ok(Outcome::Done(())) => done(response),
        Ok(Outcome::Gone) => Answered::Gone,
        Err(error) => Answered::Failed(response, error.to_string()),
    }
}

/// The error number that the kernel would have given.
fn failure(error: MemoryError) -> u16 {
    match error {
        MemoryError::Fault { .. } => number(libc::EFAULT),
        MemoryError::TooLong { .. } => number(libc::ENAMETOOLONG),
        MemoryError::Notify(_) => EPERM,
    }
}

fn number(errno: i32) -> u16 {
    u16::try_from(errno).unwrap_or(EPERM)
}

impl fmt::Debug for Supervisor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("handlers", &self.handlers.keys())
            .field("threads", &self.threads)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
