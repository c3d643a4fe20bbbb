//! The child in which an operation runs: what it tells, and what it looks at before and after.

use super::common::{Shared, fork_with};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::SeqCst};

/// What an operation came to: words for a success, or the error number and the words of an error.
pub type Said = Result<String, (Option<i32>, String)>;

/// Memory that the child shares with its tracer.
#[repr(C)]
pub struct Board {
    /// 1 while the calls are those of the operation.
    pub phase: AtomicU32,
    length: AtomicU32,
    text: [AtomicU8; 16384],
}

impl Board {
    /// Writes without a system call.
    fn write(&self, text: &str) {
        for (place, byte) in self.text.iter().zip(text.bytes()) {
            place.store(byte, SeqCst);
        }
        self.length.store(text.len().min(self.text.len()) as u32, SeqCst);
    }

    pub fn read(&self) -> String {
        let text = self.text.iter().take(self.length.load(SeqCst) as usize);
        String::from_utf8_lossy(&text.map(|byte| byte.load(SeqCst)).collect::<Vec<_>>()).into_owned()
    }
}

/// Where an operation is prepared, run and cleaned up.
pub struct Stage<'b> {
    board: &'b Board,
}

impl Stage<'_> {
    /// Runs the calls that are to fail.
    pub fn during<T>(&self, operation: impl FnOnce() -> T) -> T {
        // The tracer begins to look at every call.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.board.phase.store(1, SeqCst);
        let result = operation();
        self.board.phase.store(2, SeqCst);
        result
    }

    /// Ends the process by the one call that strict mode leaves for it. What it said is `text`.
    pub fn end_without_calls(&self, text: &str) -> ! {
        self.board.write(text);
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        unreachable!()
    }
}

/// Forks the child, which stops by SIGSTOP to be prepared, and again before the operation.
pub fn start(board: &Shared<Board>, run: fn(&Stage) -> Said) -> libc::pid_t {
    fork_with(|| {
        // It is there until the child ends.
        let board: &'static Board = unsafe { &*std::ptr::from_ref::<Board>(board) };
        std::panic::set_hook(Box::new(|info| board.write(&format!("panic\t{info}"))));
        unsafe {
            // What hangs is ended, and told from everything else by the signal.
            libc::alarm(30);
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        let before = state();
        let said = run(&Stage { board });
        let mut after = state();
        for _ in 0..100 {
            // A thread that was joined, and a process that was killed, take a moment to go.
            if after.get("Threads") == before.get("Threads") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
            after = state();
        }
        let mut text = match said {
            Ok(what) => format!("ok\t{what}\n"),
            Err((errno, what)) => format!("err\t{}\t{what}\n", errno.unwrap_or(0)),
        };
        for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
            let (then, now) = (before.get(key), after.get(key));
            if then != now {
                let _ = writeln!(text, "{key}: {} -> {}", then.map_or("-", |t| t), now.map_or("-", |t| t));
            }
        }
        board.write(&text);
    })
}

/// What an operation may not change unseen.
fn state() -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for line in status.lines() {
        let (key, value) = line.split_once(':').unwrap();
        if ["NoNewPrivs", "Seccomp", "Seccomp_filters", "SigBlk", "SigIgn", "SigCgt", "Threads"].contains(&key) {
            state.insert(key.to_string(), value.trim().to_string());
        }
    }
    for fd in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = fd.unwrap().path();
        let target = std::fs::read_link(&path).unwrap();
        // Not the one of this loop.
        if !target.starts_with("/proc") {
            state.insert(format!("fd {}", path.file_name().unwrap().display()), target.display().to_string());
        }
    }
    let mut status = 0;
    // Running, stopped or a zombie, with or without a signal for its end.
    let child = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
    if child >= 0 {
        state.insert("a child".into(), if child == 0 { "runs".into() } else { format!("ended, {status:#x}") });
    }
    state.insert("folder".into(), std::env::current_dir().unwrap().display().to_string());
    state
}
