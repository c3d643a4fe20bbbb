//! `callsieve nurse`: a command under a path and network ACL.

use crate::RUN_FAILED;
use crate::outcome::{Done, Failure, Outcome, complain, count, reason};
use crate::run::{find, not_executed, not_started, passed_on};
use callsieve::kernel::{Child, IgnoredInterrupts, Listener, Response, Supervised, WaitError};
use callsieve::nurse::{Acl, Event, Nurse, NurseError};
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Run a command under a list of the paths and addresses that it may use
///
/// A supervisor opens files and connects sockets in the place of the command and of everything that it starts, as far as
/// the list allows it. The command need not know. What is judged is the file that is really opened, whatever links or
/// races lead there. Landlock enforces which programs may be executed.
///
/// The list is TOML or JSON with the keys read, write, create, exec (lists of absolute paths; each covers all that is below
/// it, or with /. behind it only itself), connect, bind (lists such as tcp:127.0.0.1:80, udp:*:53, unix:/run/x,
/// unix:@name), and deny, which has the same keys and is stronger. What is not allowed is denied. Paths are real names,
/// /proc/self is the process itself. The list is read again when its file changes.
///
/// Mounting, tracing, io_uring, other user ids and the like are denied whatever the list says; 32-bit and x32 programs are
/// killed. no_new_privs is set.
///
/// Exit status: that of the command; 128+N if it was killed by signal N; 125 if callsieve itself failed and nothing was
/// started; 126 if the command cannot be executed, or must not be; 127 if it is not found.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve nurse --learn acl.toml -- python3 script.py    what does it use? (denies nothing)
  callsieve nurse --acl acl.toml -- python3 script.py
  callsieve nurse --acl acl.toml --explain --log decisions.jsonl -- make")]
pub struct Options {
    /// What the command may use
    #[arg(long, value_name = "FILE", required_unless_present = "learn")]
    acl: Option<PathBuf>,

    /// Show every distinct denial while the command runs
    #[arg(long)]
    explain: bool,

    /// Write every decision to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Deny nothing, and write a list of what the command used to this file. Do not run what you do not trust
    #[arg(long, value_name = "FILE")]
    learn: Option<PathBuf>,

    /// Run without Landlock: a command that changes a path in the right moment can execute what the list denies
    #[arg(long)]
    exec_unchecked: bool,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub fn execute(options: &Options) -> Outcome {
    run(options).map(|status| Done { status: passed_on(status), ..Done::default() })
}

fn failed(text: impl Into<String>) -> Failure {
    Failure::new(text).status(RUN_FAILED)
}

fn run(options: &Options) -> Result<ExitStatus, Failure> {
    // Before it is read, so that no change is missed.
    let seen = options.acl.as_deref().and_then(stamp);
    let acl = match &options.acl {
        Some(path) => read_acl(path).map_err(|why| failed(why.0))?,
        None => Acl::new(),
    };
    let (name, arguments) = options.command.split_first().ok_or_else(|| failed("no command is given"))?;
    let learn = options.learn.as_deref().map(create).transpose()?;
    let witness = Arc::new(Witness::new(options)?);
    let mut nurse = Nurse::new(&acl).map_err(|error| failed(error.to_string()))?;
    if options.exec_unchecked {
        nurse = nurse.exec_unchecked();
    }
    if learn.is_some() {
        complain("LEARNING: nothing that a list could allow is denied, so do not run what you do not trust");
        nurse = nurse.learn();
    }
    if options.explain || options.log.is_some() {
        let witness = Arc::clone(&witness);
        nurse = nurse.log(move |event| witness.see(event));
    }
    let path = find(name)?;
    let started = nurse.spawn(Supervised::new(path).arg0(name).args(arguments));
    let (child, listener) = started.map_err(|error| match error {
        NurseError::Spawn(error) => not_started(name, error),
        error @ NurseError::NoLandlock { .. } => {
            failed(format!("{error}\n  with --exec-unchecked they are judged, but a command can get round them"))
        }
        error => failed(error.to_string()),
    })?;
    let status = watch(&nurse, child, listener, options.acl.as_deref(), seen);
    witness.finish()?;
    if let (Some(mut file), Some(text), Some(path)) = (learn, nurse.learned(), &options.learn) {
        file.write_all(text.as_bytes()).map_err(|error| cannot_write(path, &error))?;
    }
    status.map_err(|error| not_executed(name, error))
}

/// Judges calls until everything that was started has ended.
fn watch(
    nurse: &Nurse,
    mut child: Child,
    listener: Listener,
    acl: Option<&Path>,
    mut seen: Option<Stamp>,
) -> Result<ExitStatus, WaitError> {
    let interrupts = IgnoredInterrupts::new();
    let result = std::thread::scope(|scope| {
        let (end, ended) = channel::<()>();
        scope.spawn(move || {
            while let (Some(path), Err(RecvTimeoutError::Timeout)) = (acl, ended.recv_timeout(LOOK)) {
                let now = stamp(path);
                if now.is_some() && now != seen {
                    seen = now;
                    reload(nurse, path);
                }
            }
        });
        let result = nurse.watch(&listener);
        // What still runs after a failure gets ENOSYS.
        drop(listener);
        drop(end);
        result
    });
    let status = child.wait();
    drop(interrupts);
    if let Err(error) = result {
        complain(&format!("the supervisor failed, its calls got ENOSYS from then on: {error}"));
    }
    status
}

/// How often the file of the ACL is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What changes with a file.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let data = path.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn reload(nurse: &Nurse, path: &Path) {
    let reloaded = read_acl(path).and_then(|acl| nurse.reload(&acl).map_err(|error| Why(error.to_string())));
    match reloaded {
        Ok(()) => complain(&format!("{} has changed and counts from now on", path.display())),
        Err(Why(why)) => complain(&format!("{why}\n  the list from before still counts")),
    }
}

/// A message.
struct Why(String);

/// The largest list that is read.
const MAX_ACL: u64 = 1 << 20;

fn read_acl(path: &Path) -> Result<Acl, Why> {
    let shown = path.display();
    let cannot = |error: std::io::Error| Why(format!("cannot read {shown}: {}", reason(&error)));
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(MAX_ACL + 1).read_to_end(&mut bytes).map_err(cannot)?;
    let text = String::from_utf8(bytes).map_err(|_| Why(format!("{shown} is no text; TOML or JSON is expected")))?;
    let json = path.extension().is_some_and(|end| end == "json") || text.trim_start().starts_with('{');
    let acl = if json { Acl::from_json(&text) } else { Acl::from_toml(&text) };
    acl.map_err(|error| Why(format!("{shown}: {error}")))
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    failed(format!("cannot write {}: {}", path.display(), reason(error)))
}

/// Shows and writes down what is decided.
struct Witness {
    explain: bool,
    path: Option<PathBuf>,
    log: Option<Mutex<BufWriter<File>>>,
    shown: Mutex<BTreeSet<(String, String)>>,
}

/// As many distinct denials are shown.
const MAX_SHOWN: usize = 10_000;

impl Witness {
    fn new(options: &Options) -> Result<Self, Failure> {
        let log = options.log.as_deref().map(create).transpose()?;
        let log = log.map(|file| Mutex::new(BufWriter::new(file)));
        Ok(Self { explain: options.explain, path: options.log.clone(), log, shown: Mutex::default() })
    }

    fn see(&self, event: &Event) {
        if let Some(log) = &self.log {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let line = json!({
                "time": time.as_secs_f64(),
                "thread": event.thread,
                "call": event.call,
                "wanted": event.verb(),
                "object": event.object,
                "allowed": event.allowed,
                "reason": event.reason,
                "errno": match event.answer {
                    Some(Response::Errno(errno)) => Some(errno),
                    _ => None,
                },
            });
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            // So that the line is there when somebody looks, also after a crash. What fails shows in the end.
            let _ = writeln!(log, "{line}").and_then(|()| log.flush());
        }
        if self.explain && !event.allowed {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            if shown.len() < MAX_SHOWN && shown.insert((event.object.clone(), event.verb())) {
                complain(&event.to_string());
            }
        }
    }

    fn finish(&self) -> Result<(), Failure> {
        if self.explain {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            complain(&match shown.len() {
                0 => "nothing was denied".to_owned(),
                number => format!("{} denied", count(number, "thing")),
            });
        }
        if let (Some(log), Some(path)) = (&self.log, &self.path) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.flush().map_err(|error| cannot_write(path, &error))?;
        }
        Ok(())
    }
}
