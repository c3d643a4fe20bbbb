//! A tracer that counts the system calls of an operation, and makes one of them fail.

use super::common::{End, Shared};
use super::errnos;
use super::stage::{self, Board, Said, Stage};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;

/// Which call: the process or thread by the order of its making, the number, what it asks for, and the how-many-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub task: usize,
    pub nr: i64,
    pub request: u64,
    pub occurrence: usize,
}

/// What a traced run came to.
#[derive(Debug)]
pub struct Run {
    /// The calls of the operation, with their results; `None` where a call did not come back.
    pub calls: Vec<(Point, Option<i64>)>,
    /// Whether the call that was to fail was made.
    pub reached: bool,
    pub text: String,
    pub end: End,
    /// Processes that were still there when the child had ended.
    pub left: usize,
}

#[derive(Default)]
struct Tracer {
    tasks: Vec<libc::pid_t>,
    alive: Vec<libc::pid_t>,
    /// Those that have become a program, whose calls are no longer ours.
    programs: Vec<libc::pid_t>,
    calls: Vec<(Point, Option<i64>)>,
    counts: BTreeMap<(usize, i64, u64), usize>,
    /// The call that a task is in, and its made-up result.
    inside: BTreeMap<libc::pid_t, (usize, Option<i64>)>,
    reached: bool,
}

const NUMBER: i64 = 15 * 8;
const RESULT: i64 = 10 * 8;

/// Runs an operation with every call carried out, or one of them not, which is answered with a number instead.
pub fn run(operation: fn(&Stage) -> Said, fault: Option<(Point, i64)>) -> Run {
    let board: Shared<Board> = unsafe { Shared::new() };
    let pid = stage::start(&board, operation);
    let mut tracer = Tracer { tasks: vec![pid], alive: vec![pid], ..Tracer::default() };
    let (mut end, mut left, mut markers) = (None, 0, 0);
    while !tracer.alive.is_empty() {
        let mut status = 0;
        let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if tid < 0 {
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ECHILD));
            break;
        }
        if !libc::WIFSTOPPED(status) {
            tracer.alive.retain(|&task| task != tid);
            if tid == pid {
                end = Some(if libc::WIFSIGNALED(status) {
                    End::Signal(libc::WTERMSIG(status))
                } else {
                    End::Exit(libc::WEXITSTATUS(status))
                });
                left = tracer.alive.len();
                tracer.alive.iter().for_each(|&task| _ = unsafe { libc::kill(task, libc::SIGKILL) });
            }
            continue;
        }
        let signal = match libc::WSTOPSIG(status) {
            stop if stop == libc::SIGTRAP | 0x80 => {
                let counts = board.phase.load(SeqCst) == 1 && !tracer.programs.contains(&tid);
                tracer.at_call(tid, counts, fault);
                0
            }
            libc::SIGSTOP if tid == pid && markers < 2 => {
                markers += 1;
                set_options(pid, markers == 2);
                0
            }
            // New tasks, and those that make them or become programs.
            libc::SIGSTOP => 0,
            libc::SIGTRAP if status >> 16 != 0 => {
                if status >> 16 == libc::PTRACE_EVENT_EXEC {
                    tracer.programs.push(tid);
                }
                0
            }
            signal => signal,
        };
        if !tracer.tasks.contains(&tid) {
            tracer.tasks.push(tid);
            tracer.alive.push(tid);
        }
        let all = markers == 2 && board.phase.load(SeqCst) < 2;
        let request = if all { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
        // It fails if the task has been killed, which is told by waitpid(2).
        unsafe { libc::ptrace(request, tid, 0, signal) };
    }
    let end = end.expect("the child has an end");
    Run { calls: tracer.calls, reached: tracer.reached, text: board.read(), end, left }
}

/// Until the operation begins nothing else than the child is traced: what is prepared for it may be traced by the operation.
fn set_options(pid: libc::pid_t, follow: bool) {
    let follow = if follow {
        libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACEEXEC
    } else {
        0
    };
    let options = follow | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) }, 0);
}

impl Tracer {
    /// At the beginning or at the end of a call.
    fn at_call(&mut self, tid: libc::pid_t, counts: bool, fault: Option<(Point, i64)>) {
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        let got = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size_of_val(&info), &raw mut info) };
        if got <= 0 {
            return;
        }
        if info.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            let Some((index, made_up)) = self.inside.remove(&tid) else { return };
            if let Some(made_up) = made_up {
                unsafe { libc::ptrace(libc::PTRACE_POKEUSER, tid, RESULT, made_up) };
            } else {
                self.calls[index].1 = Some(unsafe { info.u.exit.sval });
            }
        } else if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY && counts {
            let (nr, args) = unsafe { (info.u.entry.nr as i64, info.u.entry.args) };
            let task = self.tasks.iter().position(|&task| task == tid).unwrap_or(self.tasks.len());
            let request = errnos::request(nr, args);
            let count = self.counts.entry((task, nr, request)).or_default();
            let point = Point { task, nr, request, occurrence: *count };
            *count += 1;
            let made_up = fault.filter(|fault| fault.0 == point).map(|fault| fault.1);
            if let Some(answer) = made_up {
                self.reached = true;
                if !errnos::is_done_all_the_same(nr, point.request, answer) {
                    unsafe { libc::ptrace(libc::PTRACE_POKEUSER, tid, NUMBER, -1_i64) };
                }
            }
            self.inside.insert(tid, (self.calls.len(), made_up));
            self.calls.push((point, None));
        }
    }
}
