//! The system call that a thread waits in.

use super::Facts;
use super::error::ReadBackError;
use super::session::{Real, Tracer, failed, in_session, stop};
use crate::bpf::SyscallData;
use crate::kernel::StatusError;
use std::io::ErrorKind;

/// The system call that a process (its main thread), or the thread with this id, waits in, as its filters saw it. `None`
/// if it waits in none.
///
/// Number and arguments are those of `/proc/PID/syscall` (proc_pid_syscall(5), `CONFIG_HAVE_ARCH_TRACEHOOK`), the ABI is
/// that of `PTRACE_GET_SYSCALL_INFO` (Linux 5.3); both need the rights of ptrace(2), and the thread is stopped for some
/// microseconds as [`filters_of`](super::filters_of) does it. The instruction pointer is behind the instruction that made
/// the call, as filters see it.
///
/// ```no_run
/// if let Some(call) = callsieve::kernel::pending_call(1)? {
///     println!("call {} with {:x?}", call.nr, call.args);
/// }
/// # Ok::<(), callsieve::kernel::ReadBackError>(())
/// ```
pub fn pending_call(pid: u32) -> Result<Option<SyscallData>, ReadBackError> {
    let facts = Facts::of(pid)?;
    if facts.process == std::process::id() {
        return Err(ReadBackError::OwnProcess);
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).map_err(|error| match error.kind() {
        // The file is missing where the kernel cannot tell.
        ErrorKind::NotFound => ReadBackError::Refused { what: "reading /proc/PID/syscall", errno: libc::ENOENT },
        ErrorKind::PermissionDenied => ReadBackError::AttachRefused { pid, traced_by: None, yama: None },
        _ if error.raw_os_error() == Some(libc::ESRCH) => ReadBackError::NoProcess { pid },
        _ => StatusError::Refused { errno: error.raw_os_error().unwrap_or(libc::EIO) }.into(),
    })?;
    let Some(call) = parse(&text) else { return Ok(None) };
    let arch = in_session(pid, || {
        let _stopped = stop(&Real, pid)?;
        Real.call_arch(pid).map_err(|errno| failed(pid, "PTRACE_GET_SYSCALL_INFO (Linux 5.3)", errno))
    })?;
    Ok(Some(SyscallData { arch, ..call }))
}

/// `NR ARG0 .. ARG5 SP PC`; `running`, or -1 and two pointers, if the thread is in no call.
fn parse(text: &str) -> Option<SyscallData> {
    let mut words = text.split_whitespace();
    let nr: i64 = words.next()?.parse().ok()?;
    let mut hex = words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = hex.next()??;
    }
    let (_stack, instruction_pointer) = (hex.next()??, hex.next()??);
    // A tracer that skipped the call has made it -1, and then no arguments are shown.
    let nr = u32::try_from(nr).ok()?;
    Some(SyscallData { nr, arch: 0, instruction_pointer, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc() {
        let call = parse("35 0x7ffd 0x0 0x1 0x2 0xffffffffffffffff 0x5 0x7ffc 0x7fabc\n").unwrap();
        assert_eq!((call.nr, call.args), (35, [0x7ffd, 0, 1, 2, u64::MAX, 5]));
        assert_eq!(call.instruction_pointer, 0x7fabc);
        for text in ["running\n", "-1 0x7ffc 0x7fabc\n", "", "35 0x1\n"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
