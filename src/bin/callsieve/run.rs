//! `callsieve run`: a command under a filter.

use crate::RUN_FAILED;
use crate::common::{Source, mention_warnings};
use crate::filter::FilterOptions;
use crate::live::{Live, Report};
use crate::outcome::{Done, Failure, Outcome, complain, reason};
use crate::values;
use callsieve::Filter;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::check::Explainer;
use callsieve::kernel::{self, FilterFlag, Install, SpawnError, Supervised, WaitError};
use callsieve::policy::{Policy, Target};
use callsieve::supervise::NEVER_NOTIFIED;
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Run a command under a profile
///
/// Compiles the profile for this machine and the running kernel, installs the filter in a child process and starts the
/// command there. The filter applies to the command and to everything that it starts; it can never be removed.
///
/// no_new_privs is set, so that the command cannot gain privileges (sudo and the like do not work), unless --keep-privs
/// is given; that needs root (CAP_SYS_ADMIN).
///
/// Exit status: that of the command; 128+N if it was killed by signal N (159 is SIGSYS: the filter killed it); 125 if
/// callsieve itself failed and nothing was started; 126 if the command cannot be executed; 127 if it is not found.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve run --profile container-default -- sh
  callsieve run --profile profile.json --log -- ./server --port 80
  callsieve run --profile container-default --caps all -- unshare -r id")]
#[allow(clippy::struct_excessive_bools)] // Words of the command line.
pub struct Options {
    /// JSON file, - for standard input, or container-default
    #[arg(long, short)]
    profile: String,

    /// Log what the filter does not allow (see the kernel log or auditd; type 1326)
    #[arg(long)]
    log: bool,

    /// Do not set no_new_privs; needs CAP_SYS_ADMIN
    #[arg(long)]
    keep_privs: bool,

    /// Show every distinct denial while the command runs: the call with its arguments, and why it is denied
    ///
    /// A supervisor answers denied calls as the profile says, so the command behaves as without it, but slower. It ends
    /// when the command and all that it has started have ended. KILL_THREAD ends the whole process here, and calls with
    /// TRAP and TRACE are not shown.
    #[arg(long, help_heading = "Seeing what is denied")]
    explain: bool,

    /// Deny nothing: carry out and report what the profile would deny. Do not run what you do not trust
    #[arg(long, requires = "explain", help_heading = "Seeing what is denied")]
    audit_only: bool,

    /// Write the denials as JSON to this file in the end
    #[arg(long, value_name = "FILE", requires = "explain", help_heading = "Seeing what is denied")]
    report: Option<PathBuf>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let prepared = prepare(options).map_err(|failure| failure.status(RUN_FAILED))?;
    let Some((name, arguments)) = options.command.split_first() else {
        return Err(Failure::new("no command is given").status(RUN_FAILED));
    };
    let path = find(name)?;
    let status = if options.explain {
        let supervised = Supervised::new(path).arg0(name).args(arguments);
        explain(options, supervised, name, &prepared)?
    } else {
        let mut command = Command::new(path);
        command.arg0(name).args(arguments);
        start(command, name, &prepared)?
    };
    if !options.explain && status.signal() == Some(values::native()?.sigsys().into()) {
        complain(&format!(
            "{} was killed by the filter (SIGSYS); with --log the kernel log has the call (dmesg, type=1326)",
            name.display()
        ));
    }
    Ok(Done { status: passed_on(status), ..Done::default() })
}

/// What can be made ready before the command is looked at.
struct Prepared {
    source: Source,
    target: Target,
    filter: Filter,
    install: Install,
}

fn prepare(options: &Options) -> Result<Prepared, Failure> {
    let host = kernel::host().map_err(|error| Failure::new(error.to_string()))?;
    let source = options.filter.target.read(&options.profile)?;
    let mut target = options.filter.target.target()?;
    if options.filter.target.kernel().is_none() {
        target = target.kernel(host.kernel());
    }
    let policy = source.resolve(&target)?;
    mention_warnings(&source.name, &policy);
    let install = Install::from_policy(&policy).map_err(|error| Failure::new(format!("{}: {error}", source.name)))?;
    can_start(&policy, host.program_arch(), &source.name)?;
    let policy = if options.explain { policy.notify_denied(&NEVER_NOTIFIED) } else { policy };
    let filter = options.filter.compile_source(&source, &policy)?;
    let install = install.log(options.log).no_new_privs(!options.keep_privs);
    let killable = options.explain && kernel::flag_available(FilterFlag::WaitKillableRecv);
    Ok(Prepared { source, target, filter, install: if killable { install.wait_killable(true) } else { install } })
}

/// Whether a command can be started under this policy at all. A filter for another machine would kill the child before
/// it becomes the command, and one that denies execve would never let it.
fn can_start(policy: &Policy, arch: Arch, name: &str) -> Result<(), Failure> {
    let listed: Vec<_> = policy.arches().map(|arch| arch.to_string()).collect();
    if !policy.arches().any(|one| one == arch) {
        let listed = listed.join(", ");
        return Err(Failure::new(format!(
            "{name}: the filter is for {listed}, but this machine runs {arch}; leave out --arch, or let it begin with {arch}"
        )));
    }
    let nr = arch.number("execve").unwrap_or(u32::MAX);
    match policy.decide(&SyscallData { nr, arch: arch.audit(), ..SyscallData::default() }) {
        Action::Allow | Action::Log => Ok(()),
        denied => Err(Failure::new(format!(
            "{name}: the profile does not allow execve ({denied}), so no command can be started under it; callsieve check tells what else \
             programs need"
        ))),
    }
}

/// Starts the command and waits for its end.
fn start(command: Command, name: &OsStr, prepared: &Prepared) -> Result<ExitStatus, Failure> {
    let mut child = kernel::spawn(command, prepared.filter.program(), prepared.install)
        .map_err(|error| not_started(name, error))?;
    kernel::wait(&mut child).map_err(|error| not_executed(name, error))
}

/// Starts the command under a supervisor that explains what is denied, and waits for the end of it and of all that it
/// has started.
fn explain(
    options: &Options,
    supervised: Supervised,
    name: &OsStr,
    prepared: &Prepared,
) -> Result<ExitStatus, Failure> {
    let Prepared { source, target, filter, install } = prepared;
    let failed = |text: String| Failure::new(text).status(RUN_FAILED);
    let explainer =
        Explainer::new(&source.profile, target).map_err(|error| failed(format!("{}: {error}", source.name)))?;
    let mut report = options.report.as_deref().map(Report::create).transpose()?;
    let live = Live::new(&explainer, options.audit_only);
    let (mut child, listener) =
        supervised.install(*install).spawn(filter.program()).map_err(|error| not_started(name, error))?;
    let status = live.watch(&mut child, listener, report.as_mut())?;
    status.map_err(|error| not_executed(name, error))
}

pub fn not_started(name: &OsStr, error: SpawnError) -> Failure {
    match error {
        SpawnError::Start(error) => not_run(name, &error),
        error => Failure::new(error.to_string()).status(RUN_FAILED),
    }
}

pub fn not_executed(name: &OsStr, error: WaitError) -> Failure {
    match error {
        WaitError::ExecFailed(error) => not_run(name, &error),
        WaitError::NeverExecuted(_) => {
            let why = "it was not executed, and the reason is lost, because the profile denies write";
            Failure::new(format!("cannot run {}: {why}", name.display())).status(NOT_EXECUTABLE)
        }
        error => Failure::new(error.to_string()).status(RUN_FAILED),
    }
}

/// execve(2) failed.
fn not_run(name: &OsStr, error: &std::io::Error) -> Failure {
    let name = name.display();
    if error.kind() == ErrorKind::NotFound {
        let text = format!("cannot run {name}: the interpreter that it names is missing");
        return Failure::new(text).status(NOT_FOUND);
    }
    Failure::new(format!("cannot run {name}: {}", reason(error))).status(NOT_EXECUTABLE)
}

/// The exit status, or 128 and the signal.
pub fn passed_on(status: ExitStatus) -> u8 {
    let number = status.code().or_else(|| Some(128 + status.signal()?));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(RUN_FAILED)
}

/// The file of a command, found before the filter is installed: as it stands if it has a slash, otherwise by PATH.
pub fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let shown = name.display();
    if name.as_encoded_bytes().contains(&b'/') {
        return executable(Path::new(name)).map_err(|trouble| match trouble {
            ErrorKind::NotFound => Failure::new(format!("cannot run {shown}: no such file")).status(NOT_FOUND),
            trouble => cannot_execute(&shown.to_string(), trouble),
        });
    }
    let directories = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut trouble = None;
    for directory in std::env::split_paths(&directories) {
        // An empty entry is the current directory.
        match executable(&Path::new(".").join(&directory).join(name)) {
            Ok(path) => return Ok(path),
            Err(ErrorKind::NotFound) => {}
            Err(found) => trouble = Some((directory.join(name), found)),
        }
    }
    Err(match trouble {
        Some((path, trouble)) => cannot_execute(&path.display().to_string(), trouble),
        None => Failure::new(format!("cannot find the command {shown} in PATH")).status(NOT_FOUND),
    })
}

fn cannot_execute(path: &str, trouble: ErrorKind) -> Failure {
    let why = match trouble {
        ErrorKind::IsADirectory => "is a directory",
        ErrorKind::PermissionDenied => "is not executable",
        _ => "cannot be looked at",
    };
    Failure::new(format!("cannot run {path}: it {why}")).status(NOT_EXECUTABLE)
}

/// The path if it is a file that somebody may execute. Whether we may shows when it is tried.
fn executable(path: &Path) -> Result<PathBuf, ErrorKind> {
    let data = path.metadata().map_err(|error| match error.kind() {
        ErrorKind::NotADirectory => ErrorKind::NotFound,
        kind => kind,
    })?;
    if data.is_dir() {
        return Err(ErrorKind::IsADirectory);
    }
    if data.permissions().mode() & 0o111 == 0 {
        return Err(ErrorKind::PermissionDenied);
    }
    Ok(path.to_owned())
}
