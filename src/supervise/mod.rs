//! A supervisor: it receives the calls that a filter answers with NOTIFY, lets handlers judge them, and answers them.
//!
//! [`Supervisor`] has a pool of threads that receive in turn and run the handlers. A handler may take its time: its target
//! waits, and all others are served by the other threads. When all threads are busy nothing is received, and the calls wait
//! in the kernel.
//!
//! What handlers may rely on and what not is said in [`kernel::notify`](crate::kernel::notify). A supervisor that
//! crashes, or that stops and drops its listener, leaves its targets closed: their calls fail with ENOSYS.
//!
//! ```no_run
//! use callsieve::bpf::Action;
//! use callsieve::kernel::{AddFd, Outcome, Response, Supervised};
//! use callsieve::supervise::{Supervisor, Verdict};
//! use callsieve::{Compiler, Profile, kernel};
//!
//! // Paths are opened by the supervisor, which looks at what it has opened.
//! let profile = Profile::new(Action::Allow).rule(Action::Notify, ["openat"], []);
//! let filter = Compiler::new().compile(&profile.resolve(&kernel::host_target()?)?)?;
//! let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Respond(Response::Errno(1)))))
//!     .on(["openat"], |call| {
//!         let Outcome::Done(path) = call.memory().read_c_string(call.args()[1], 4096)? else {
//!             return Ok(Outcome::Gone);
//!         };
//!         call.note(String::from_utf8_lossy(&path));
//!         Ok(Outcome::Done(match std::fs::File::open("/dev/null") {
//!             Ok(file) => Verdict::GiveFd(file.into(), AddFd::new()),
//!             Err(_) => Verdict::Respond(Response::Errno(13)),
//!         }))
//!     })?
//!     .log(|decision| eprintln!("{decision}"));
//! let (mut child, listener) = Supervised::new("true").spawn(filter.program())?;
//! let counts = supervisor.run(&listener)?;
//! println!("{counts}; {}", child.wait()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counts;
mod decision;
#[cfg(feature = "json")]
mod handover;
mod supervisor;

pub use counts::Counts;
pub use decision::{Decision, Result as Answered};
#[cfg(feature = "json")]
pub use handover::{Handover, HandoverError};
pub use supervisor::{Call, Judged, Later, Stopper, SuperviseError, Supervisor, Verdict};

/// Calls that no supervisor of this crate is asked about. The first two have nobody to go back to; a thread that returns
/// from a signal handler, or whose call the kernel restarts, has other things in its registers than arguments.
pub const NEVER_NOTIFIED: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "restart_syscall"];
