//! The second look of the judge: what shows as "weaker than ERRNO" under the first base is told apart by a tracer.
//!
//! The base filter now answers TRACE 3703. A tracer that sees 3703 knows that the tested filter said ALLOW or LOG
//! (these two look the same), other data are those of its TRACE, and a call that fails with ENOSYS unseen was a NOTIFY.
//! The tracer skips every call by setting its number to -1, so that none is carried out.

use super::judge::{Board, MARK, Observed, work};
use super::{Shared, fork_with};
use callsieve::bpf::{Action, Program, SyscallData};
use std::sync::atomic::Ordering::SeqCst;

/// Looks at calls of which is known that the tested filter lets them reach the base.
pub fn trace(program: &Program, calls: &[(usize, SyscallData)]) -> Vec<Observed> {
    let board: Shared<Board> = unsafe { Shared::new() };
    let mut messages = vec![None; calls.len()];
    let pid = fork_with(|| {
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        work(&board, program, calls, 0, Action::Trace(MARK));
    });
    while let Some(stop) = next_stop(pid) {
        match stop {
            EVENT_SECCOMP => {
                let message = messages.get_mut(board.current.load(SeqCst) as usize);
                *message.expect("a call of the list") = Some(event_message(pid));
                skip_call(pid);
                go_on(pid);
            }
            libc::SIGSTOP => {
                let options = libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
                unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
                go_on(pid);
            }
            _ => {
                // The end that `work` comes to when it is traced, or an accident.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }
    assert_eq!(board.refused.load(SeqCst), 0, "the kernel refuses the program");
    assert_eq!(board.done.load(SeqCst), 1, "the traced child came to an end early");
    let answers = board.answers.iter().map(|answer| answer.load(SeqCst));
    messages.into_iter().zip(answers).map(|(message, answer)| verdict(message, answer)).collect()
}

fn verdict(message: Option<u16>, answer: i64) -> Observed {
    match message {
        Some(MARK) => Observed::AllowOrLog,
        Some(message) => Observed::Trace(message),
        None if answer == -i64::from(libc::ENOSYS) => Observed::Notify,
        None => Observed::Ran(answer),
    }
}

/// A stop for `PTRACE_EVENT_SECCOMP` as waitpid(2) shows it.
const EVENT_SECCOMP: libc::c_int = libc::SIGTRAP | (libc::PTRACE_EVENT_SECCOMP << 8);

/// The signal or event that stopped the child; `None` when it is gone.
fn next_stop(pid: libc::pid_t) -> Option<libc::c_int> {
    let mut status = 0;
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
    }
    libc::WIFSTOPPED(status).then_some(status >> 8)
}

fn go_on(pid: libc::pid_t) {
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) }, 0);
}

fn event_message(pid: libc::pid_t) -> u16 {
    let mut message: libc::c_ulong = 0;
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message) }, 0);
    message as u16
}

/// Makes the call that the child stopped at fail with ENOSYS.
fn skip_call(pid: libc::pid_t) {
    const ORIG_RAX: libc::c_long = 15 * 8;
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_POKEUSER, pid, ORIG_RAX, -1_i64) }, 0);
}
