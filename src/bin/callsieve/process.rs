//! Living processes: their filters, and those of containers.

use crate::outcome::{Failure, complain, count};
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::{Program, opcode};
use callsieve::kernel::{ReadBack, filters_of, status_of};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Which process, instead of a profile or a file.
#[derive(Debug, Args)]
#[command(next_help_heading = "A living process instead of a file (needs root)")]
pub struct ProcessOptions {
    /// The filters of this process, or of the thread with this id
    #[arg(long, value_name = "PID", conflicts_with = "container", value_parser = values::process_id)]
    pub pid: Option<u32>,

    /// The same for the first process of a container of runc, crun, docker or podman
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
}

/// A process and its filters, the oldest first.
#[derive(Debug)]
pub struct Process {
    /// How messages call it.
    pub name: String,
    pub pid: u32,
    pub filters: Vec<ReadBack>,
}

impl ProcessOptions {
    /// Reads the process of the options, if there is one.
    pub fn read(&self) -> Result<Option<Process>, Failure> {
        match (self.pid, &self.container) {
            (Some(pid), _) => Process::read(pid).map(Some),
            (None, Some(name)) => Process::of_container(name).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl Process {
    /// The process that a word such as `pid:1234` or `container:web` names, where a profile or file could stand too.
    pub fn named(word: &str) -> Result<Option<Self>, Failure> {
        if let Some(name) = word.strip_prefix("container:") {
            return Self::of_container(name).map(Some);
        }
        let Some(pid) = word.strip_prefix("pid:") else { return Ok(None) };
        let pid = pid.parse().map_err(|_| Failure::new(format!("\"{word}\": a number is expected behind pid:")))?;
        Self::read(pid).map(Some)
    }

    /// Reads all filters of a process.
    pub fn read(pid: u32) -> Result<Self, Failure> {
        let filters = filters_of(pid).map_err(|error| Failure::new(error.to_string()))?;
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // A process gives itself its name, which may hold anything.
        let command: String = command.trim_end().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        mention_threads(pid, filters.len());
        Ok(Self { name: format!("process {pid} ({command})"), pid, filters })
    }

    fn of_container(name: &str) -> Result<Self, Failure> {
        let pid = container_pid(name)?;
        let process = Self::read(pid)?;
        Ok(Self { name: format!("container {name}, {}", process.name), ..process })
    }

    /// The programs alone.
    pub fn programs(&self) -> Vec<Program> {
        self.filters.iter().map(|filter| filter.program().clone()).collect()
    }

    /// The ABIs that count: those of this machine that a filter compares the architecture with.
    pub fn arches(&self) -> Result<Vec<Arch>, Failure> {
        let native = values::native()?;
        let compares = |arch: &Arch| {
            let mut insns = self.filters.iter().flat_map(|filter| filter.program().as_insns());
            insns.any(|insn| insn.code == opcode::JEQ_K && insn.k == arch.audit())
        };
        let others = native.compat().iter().copied().filter(|arch| arch.audit() != native.audit() && compares(arch));
        Ok(std::iter::once(native).chain(others).collect())
    }
}

/// Filters belong to threads. Tells if those of another one are others.
fn mention_threads(pid: u32, filters: usize) {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    let threads = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    for thread in threads.filter(|&thread| thread != pid) {
        let theirs = status_of(thread).ok().and_then(|status| status.filters());
        if theirs.is_some_and(|theirs| theirs as usize != filters) {
            let theirs = count(theirs.unwrap_or_default() as usize, "filter");
            complain(&format!("thread {thread} of the process has {theirs}; --pid {thread} reads them"));
            return;
        }
    }
}

/// Folders in which runtimes keep the state of their containers, each in a folder of its name.
const STATE_FOLDERS: [&str; 6] = [
    "/run/runc",
    "/run/crun",
    "/run/docker/runtime-runc/moby",
    "/run/containerd/runc/moby",
    "/run/containerd/runc/default",
    "/run/containerd/runc/k8s.io",
];

/// Commands that know containers by name, and where in their answer the process is.
const COMMANDS: [(&str, &[&str], &str); 4] = [
    ("docker", &["inspect", "--type", "container", "--format", "{{json .State}}"], "Pid"),
    ("podman", &["inspect", "--type", "container", "--format", "{{json .State}}"], "Pid"),
    ("runc", &["state"], "pid"),
    ("crun", &["state"], "pid"),
];

/// The first process of a container, by the state files of the runtimes, or else by asking their commands.
fn container_pid(name: &str) -> Result<u32, Failure> {
    let valid = |letter: char| letter.is_ascii_alphanumeric() || "_.+-".contains(letter);
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_') || !name.chars().all(valid) {
        let text = format!("\"{name}\" is no name of a container: letters, digits and _.+- are expected");
        return Err(Failure::new(text));
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = own.iter().flat_map(|folder| ["runc", "crun"].map(|runtime| folder.join(runtime)));
    let mut folders = STATE_FOLDERS.iter().map(PathBuf::from).chain(own);
    let found = folders
        .find_map(|folder| state_pid(&folder.join(name)))
        .or_else(|| COMMANDS.iter().find_map(|(command, arguments, field)| ask(command, arguments, name, field)));
    match found {
        Some(0) => Err(Failure::new(format!("container {name} is not running"))),
        Some(pid) => Ok(pid),
        None => Err(Failure::new(format!(
            "no container {name} is known here; looked for its state below /run, and asked docker, podman, runc and crun \
             as far as they are installed (is it a container of another user or root folder? then give --pid)"
        ))),
    }
}

/// What runc or crun wrote down.
fn state_pid(folder: &std::path::Path) -> Option<u32> {
    let read = |file: &str| -> Option<Value> { serde_json::from_slice(&fs::read(folder.join(file)).ok()?).ok() };
    // `state.json` is that of runc, `status` that of crun.
    if let Some(state) = read("state.json") {
        let (pid, start) =
            (number(&state, "init_process_pid")?, state.get("init_process_start").and_then(Value::as_u64));
        // The number may be that of another process by now.
        return Some(if start.is_none() || start == start_of(pid) { pid } else { 0 });
    }
    number(&read("status")?, "pid")
}

/// When a process was started: the 22nd field of proc_pid_stat(5).
fn start_of(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()
}

fn ask(command: &str, arguments: &[&str], name: &str, field: &str) -> Option<u32> {
    let mut command = Command::new(command);
    let output = command.args(arguments).arg(name).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let state = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
    number(&state, field)
}

fn number(state: &Value, field: &str) -> Option<u32> {
    state.get(field)?.as_u64()?.try_into().ok()
}
