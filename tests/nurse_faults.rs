//! The nurse, and a target that is killed, or is left alone, at every step that the nurse takes for it.
//!
//! The nurse is traced with ptrace(2). Its steps are the calls by which it deals with a target: what it asks of the
//! listener, and what it reads, writes and takes; something is killed right before one of them, and so right after the one
//! before. `CALLSIEVE_ATTACKS=N` (any number) tries every step, `cargo test` by itself some of them.

#![cfg(target_os = "linux")]
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A helper that fails is a test that fails.

mod common;

use common::nurse_is_ready;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::thread::JoinHandle;

const ACL: &str = r#"
    read = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev", "HERE/work"]
    write = ["/dev/null", "HERE/work"]
    create = ["HERE/work"]
    exec = ["/usr", "/bin", "/lib", "/lib64", "HERE/bin"]
    connect = ["unix:HERE/work"]
    bind = ["unix:HERE/work"]
"#;

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-faults-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for folder in ["work", "vault", "bin"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        let path = fs::canonicalize(path).unwrap();
        fs::write(path.join("vault/secret"), "SECRET").unwrap();
        fs::write(path.join("acl.toml"), ACL.replace("HERE", path.to_str().unwrap())).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nurse/victim.c");
        let mut compiler = Command::new("/usr/bin/gcc");
        compiler.args(["-O1", "-w", "-static", "-o"]).arg(path.join("bin/victim")).arg(source);
        assert!(compiler.status().unwrap().success());
        Self(path)
    }

    /// The command that runs the victim under the nurse; its first stop is that of ptrace(2) after execve.
    fn traced(&self) -> Command {
        let mut nurse = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        nurse.arg("nurse").arg("--acl").arg(self.0.join("acl.toml")).arg("--");
        nurse.arg(self.0.join("bin/victim")).arg(self.0.join("vault/secret"));
        nurse.current_dir(self.0.join("work")).stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: one system call.
        unsafe { nurse.pre_exec(|| if libc::ptrace(libc::PTRACE_TRACEME) == 0 { Ok(()) } else { Err(last_error()) }) };
        nurse
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn last_error() -> std::io::Error {
    std::io::Error::last_os_error()
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    Target,
    Nurse,
}

#[derive(Debug)]
struct Run {
    /// The steps that were seen while the child lived.
    steps: usize,
    output: Vec<String>,
    /// The wait status of the nurse.
    status: i32,
    /// How many descriptors it had after the child had ended.
    descriptors: usize,
}

/// Runs the victim, waits for its end, and kills at the step of this number. `most` is how many descriptors are expected to be
/// left.
#[allow(clippy::zombie_processes)] // The tracer waits for it.
fn run(scratch: &Scratch, who: Killed, at: usize, most: Option<usize>) -> Run {
    let mut nurse = scratch.traced().spawn().unwrap();
    let pid = nurse.id().cast_signed();
    let child = std::sync::Arc::new(AtomicI32::new(0));
    let reader = converse(pid, nurse.stdin.take().unwrap(), nurse.stdout.take().unwrap(), child.clone(), most);
    let (steps, status) = trace(pid, |steps| {
        let child = child.load(SeqCst);
        if child != 0 && steps == at {
            let victim = if who == Killed::Target { child } else { pid };
            // SAFETY: a system call with plain numbers. The child is not reaped before its parent goes on.
            unsafe { libc::kill(victim, libc::SIGKILL) };
        }
        child != 0
    });
    let (output, descriptors) = reader.join().unwrap();
    Run { steps, output, status, descriptors }
}

/// Reads what the victim prints and tells it to go on; gives the lines, and how many descriptors the nurse had in the end.
fn converse(
    nurse: libc::pid_t,
    mut input: ChildStdin,
    output: ChildStdout,
    child: std::sync::Arc<AtomicI32>,
    most: Option<usize>,
) -> JoinHandle<(Vec<String>, usize)> {
    std::thread::spawn(move || {
        let (mut lines, mut descriptors) = (Vec::new(), 0);
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("child ") {
                child.store(number.parse().unwrap(), SeqCst);
                input.write_all(b"x").unwrap();
            } else {
                if line == "alive" {
                    child.store(0, SeqCst);
                    descriptors = descriptors_at_rest(nurse, most);
                    let _ = input.write_all(b"x");
                } else if line.starts_with("closed") {
                    let _ = input.write_all(b"x");
                }
                lines.push(line);
            }
        }
        (lines, descriptors)
    })
}

/// Those that it keeps: what a thread has answered with is closed after the answer, so it may take a while to find at most
/// as many as allowed.
fn descriptors_at_rest(pid: libc::pid_t, most: Option<usize>) -> usize {
    let mut least = usize::MAX;
    for round in 0..1000 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        least = least.min(fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count));
        if most.map_or(round == 40, |most| least <= most) {
            break;
        }
    }
    least
}

/// Whether a thread that has stopped at a system call is about to make one that is a step.
fn is_step(tid: libc::pid_t) -> bool {
    const STEPS: [libc::c_long; 4] =
        [libc::SYS_ioctl, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd];
    // SAFETY: the kernel writes at most the size that it is given. The number is there at an entry.
    unsafe {
        let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
        let size = size_of_val(&info);
        let got = libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, &raw mut info);
        got > 0 && info.op == libc::PTRACE_SYSCALL_INFO_ENTRY && STEPS.contains(&info.u.entry.nr.cast_signed())
    }
}

/// Stops every thread of a process at each system call; `step` is told how many steps it has counted, and says whether this
/// is one more. Gives their number and the wait status of the process.
fn trace(pid: libc::pid_t, mut step: impl FnMut(usize) -> bool) -> (usize, i32) {
    let mut steps = 0;
    let mut first = true;
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one number.
        let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        assert!(tid > 0, "{}", last_error());
        if !libc::WIFSTOPPED(status) {
            if tid == pid {
                return (steps, status);
            }
            continue;
        }
        let mut signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        if std::mem::take(&mut first) {
            let options = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
            // SAFETY: plain numbers.
            assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, tid, 0, options) }, 0);
            signal = 0;
        } else if signal == libc::SIGTRAP | 0x80 {
            steps += usize::from(is_step(tid) && step(steps));
            signal = 0;
        } else if event != 0 || signal == libc::SIGSTOP {
            // A new thread, in the one that made it and in itself.
            signal = 0;
        }
        // The target is a clone as well, but no thread of the nurse.
        let thread = std::path::Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
        let request = if thread { libc::PTRACE_SYSCALL } else { libc::PTRACE_DETACH };
        // SAFETY: plain numbers. It fails if the thread has been killed, which is told by waitpid(2).
        unsafe { libc::ptrace(request, tid, 0, signal) };
    }
}

/// The steps to try.
fn tried(all: usize) -> impl Iterator<Item = usize> {
    let stride = if std::env::var_os("CALLSIEVE_ATTACKS").is_some() { 1 } else { all / 12 };
    (0..all).step_by(stride.max(1))
}

/// An undisturbed run; how many steps there are differs a little from run to run, by what threads do meanwhile.
fn undisturbed(scratch: &Scratch) -> Run {
    let run = run(scratch, Killed::Target, usize::MAX, None);
    assert!(run.output == ["done", "alive"] && run.status == 0, "{run:?}");
    assert!(run.steps > 80, "the nurse took {} steps for its target", run.steps);
    run
}

/// The nurse goes on, keeps no descriptor of the target, and serves the next one.
#[test]
fn targets_that_are_killed_at_every_step() {
    if !nurse_is_ready("targets_that_are_killed_at_every_step", &["gcc"]) {
        return;
    }
    let scratch = Scratch::new();
    let whole = undisturbed(&scratch);
    for at in tried(whole.steps) {
        let run = run(&scratch, Killed::Target, at, Some(whole.descriptors));
        let as_usual = run.output == ["alive"] || run.output == ["done", "alive"];
        assert!(as_usual && run.status == 0 && run.descriptors <= whole.descriptors, "step {at} of {whole:?}: {run:?}");
    }
    println!("a target was killed at {} of {} steps", tried(whole.steps).count(), whole.steps);
    for at in tried(whole.steps) {
        let run = run(&scratch, Killed::Nurse, at, None);
        let killed = libc::WIFSIGNALED(run.status) && libc::WTERMSIG(run.status) == libc::SIGKILL;
        let closed = run.output.last().is_some_and(|line| line == "closed ENOSYS");
        // The last steps are for the parent, whose file may have been answered, or the run be over.
        let late = run.output == ["done", "alive"] && at + 10 > whole.steps;
        let opened = run.output.iter().any(|line| line.contains("SECRET"));
        assert!(!opened && ((killed && closed) || late), "step {at} of {whole:?}: {run:?}");
    }
    println!("the nurse was killed at {} of {} steps", tried(whole.steps).count(), whole.steps);
}
