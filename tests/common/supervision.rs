//! A target and its supervisor, both forked: the supervisor has the filter as well, but does not make the call.

use super::calls::native;
use super::{always, child_passes, fork_with, only};
use callsieve::bpf::{Action, Program};
use callsieve::kernel::{Install, Listener};
use std::os::fd::AsRawFd as _;

/// The call that the filters of these tests notify.
pub const CALL: libc::c_long = libc::SYS_getpriority;

pub fn notify_call() -> Program {
    only(CALL, Action::Notify.to_raw())
}

/// Makes the call.
pub fn ask(args: [u64; 6]) -> i64 {
    native(CALL as u32, args)
}

/// A process that makes the call.
pub struct Target {
    pub pid: libc::pid_t,
}

impl Target {
    /// Forks `body`; its answer is the exit status. It has no copy of the listener.
    pub fn start(listener: &Listener, body: impl FnOnce() -> i32) -> Self {
        let fd = listener.as_raw_fd();
        let pid = fork_with(|| unsafe {
            libc::close(fd);
            libc::_exit(body());
        });
        Self { pid }
    }

    pub fn signal(&self, signal: libc::c_int) {
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.wait(), Err(libc::SIGKILL));
    }

    /// The exit status, or the signal that ended it.
    pub fn wait(&self) -> Result<i32, i32> {
        let mut status = 0;
        assert_eq!(unsafe { libc::waitpid(self.pid, &raw mut status, 0) }, self.pid);
        if libc::WIFSIGNALED(status) { Err(libc::WTERMSIG(status)) } else { Ok(libc::WEXITSTATUS(status)) }
    }

    /// Waits until it sleeps, that is until its call waits.
    pub fn until_it_waits(&self) {
        let path = format!("/proc/{}/stat", self.pid);
        while !std::fs::read_to_string(&path).unwrap().rsplit(')').next().unwrap().starts_with(" S") {
            std::thread::yield_now();
        }
    }
}

/// Runs a supervisor in a forked child, where [`CALL`] is notified to the listener.
#[track_caller]
pub fn supervisor(install: Install, body: impl FnOnce(Listener)) {
    child_passes(|_| body(install.with_listener(&notify_call()).unwrap()));
}

/// The same with the filter in the target alone: it installs, and the supervisor takes the listener from it.
#[track_caller]
pub fn supervisor_of(target: impl FnOnce() -> i32, body: impl FnOnce(Listener, Target)) {
    child_passes(|_| {
        let (listener, target) = filtered_target(target);
        body(listener, target);
    });
}

/// Forks a target that installs the filter, and takes the listener from it; this process has no filter.
pub fn filtered_target(target: impl FnOnce() -> i32) -> (Listener, Target) {
    let shared = super::shared_numbers::<1>();
    let pid = fork_with(|| {
        let listener = Install::new().with_listener(&notify_call()).unwrap();
        let number = listener.as_raw_fd();
        shared[0].store(i64::from(number) + 1, std::sync::atomic::Ordering::SeqCst);
        // Until the supervisor has it.
        while shared[0].load(std::sync::atomic::Ordering::SeqCst) != 0 {
            std::hint::spin_loop();
        }
        drop(listener);
        unsafe { libc::_exit(target()) };
    });
    let number = loop {
        match shared[0].load(std::sync::atomic::Ordering::SeqCst) {
            0 => std::thread::yield_now(),
            number => break number - 1,
        }
    };
    let fd = unsafe {
        use std::os::fd::{FromRawFd as _, OwnedFd};
        let pidfd = OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32);
        OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) as i32)
    };
    shared[0].store(0, std::sync::atomic::Ordering::SeqCst);
    (Listener::from_fd(fd).unwrap(), Target { pid })
}

/// Catches a signal, does nothing and notes that it came.
pub fn handle(signal: libc::c_int, restart: bool) {
    extern "C" fn note(_: libc::c_int) {
        HANDLED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// How many signals [`handle`] has caught.
pub static HANDLED: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

/// A filter that allows everything.
pub fn allow_all() -> Program {
    always(Action::Allow)
}
