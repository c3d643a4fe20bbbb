//! `callsieve record`: the profile of a command from real runs of it.

mod told;

use crate::RUN_FAILED;
use crate::common::{Source, TargetOptions};
use crate::file;
use crate::input::Input;
use crate::live::Report;
use crate::outcome::{Done, FOUND, Failure, Outcome, complain, count};
use crate::run::{find, not_executed, not_started, passed_on};
use crate::values::{self, ActionWord};
use callsieve::bpf::{Action, SyscallData};
use callsieve::kernel::{self, InstallError, SpawnError, Supervised};
use callsieve::policy::Target;
use callsieve::profile::Dialect;
use callsieve::record::{Arguments, Draft, RecordError, Recorder, Recording, Refine, Run};
use callsieve::supervise::NEVER_NOTIFIED;
use clap::{Args, ValueEnum};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Record the calls of a command, and write a minimal profile of them
///
/// Runs the command and everything that it starts, counts every call on every ABI, and writes a profile that allows what
/// was seen. Calls are made as without it, only slower: do not record what you do not trust. The profile also allows
/// calls that a program needs by chance, such as sched_yield; which and why is said in the end.
///
/// It ends when the command and all that it has started have ended. To end a server, end the server, as Ctrl-C does: a
/// callsieve that is killed writes nothing, and the calls of the command fail from then on.
///
/// One run does not show everything. --refine runs the command again, under the profile, where only unknown calls are
/// asked about. Record what the command will do: its tests, its errors, its end.
///
/// no_new_privs is set, so set-user-id programs run without their privileges, unless --keep-privs is given.
///
/// Exit status: that of the command (of the first run); 128+N if it was killed by signal N; 125 if callsieve itself
/// failed, 126 if the command cannot be executed, 127 if it is not found; then nothing is written. With --check, 1 if a
/// call is missing in the profile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve record -o profile.json --refine -- ./server --selftest
  callsieve record -o profile.json --args sets --format docker -- ./server
  callsieve record --check profile.json -- ./server --selftest
  callsieve record -o more.json --base container-default -- ./server
  strace -f -X raw -o log ./server; callsieve record -o profile.json --from-strace log
  callsieve run --profile profile.json -- ./server")]
pub struct Options {
    /// Where the profile goes; - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// The dialect of the profile [default: oci, or that of --base]
    #[arg(long, value_enum, value_name = "DIALECT")]
    format: Option<Form>,

    /// What the profile says of arguments that matter (socket, clone, ioctl, prctl, mmap and others)
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    args: ArgsWord,

    /// What the profile says to everything else
    #[arg(long, value_name = "ACTION", default_value = "kill-process", value_parser = values::action)]
    default_action: ActionWord,

    /// Allow only what was seen: no calls that are needed by chance
    #[arg(long)]
    no_closure: bool,

    /// Run again, until N runs one after the other show nothing new [default with this option: 3]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3")]
    refine: Option<u32>,

    /// How often --refine runs the command at most
    #[arg(long, value_name = "N", default_value_t = 30)]
    max_runs: u32,

    /// Start from this profile: what it has no rule for is recorded and added
    #[arg(long, value_name = "PROFILE", conflicts_with = "check")]
    base: Option<String>,

    /// Write nothing; exit with status 1 and say which calls are missing if this profile is too small
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["output", "weights_out", "refine"])]
    check: Option<String>,

    /// Write how often each call was made, for --weights
    #[arg(long, value_name = "FILE")]
    weights_out: Option<String>,

    /// Write everything that was recorded as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Do not set no_new_privs; needs CAP_SYS_ADMIN
    #[arg(long)]
    keep_privs: bool,

    /// Read the calls from a log of strace (-f, -c; with -X raw also the arguments); - for standard input
    #[arg(long, value_name = "FILE", help_heading = "Instead of a command, or beside it")]
    from_strace: Vec<String>,

    /// Read the calls from an audit log, the kernel's or auditd's (type=1326)
    #[arg(long, value_name = "FILE", help_heading = "Instead of a command, or beside it")]
    from_audit: Vec<String>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required_unless_present_any = ["from_strace", "from_audit"])]
    command: Vec<OsString>,

    #[command(flatten)]
    target: TargetOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The linux.seccomp object of the OCI runtime specification
    Oci,
    /// The superset that Docker and Podman read
    Docker,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ArgsWord {
    /// Nothing: a call that was seen is allowed
    #[default]
    None,
    /// The values of each argument that were seen; of flags the bits that were seen
    Sets,
    /// The combinations that were seen
    Exact,
}

pub fn execute(options: &Options) -> Outcome {
    record(options).map_err(|failure| match failure.status {
        crate::outcome::UNUSABLE => failure.status(RUN_FAILED),
        _ => failure,
    })
}

fn record(options: &Options) -> Outcome {
    options.check_outputs()?;
    let base = options.base.as_ref().or(options.check.as_ref());
    let base = base.map(|path| options.read(path)).transpose()?;
    let mut report = options.report.as_deref().map(Report::create).transpose()?;
    let base_name = base.as_ref().map(|(source, _)| source.name.as_str());
    let recorder = options.recorder(base.as_ref())?;
    let mut recording = options.read_logs()?;
    let first = match options.command.split_first() {
        Some((name, arguments)) => Some(options.run(&recorder, &mut recording, base_name, name, arguments)?),
        None => None,
    };
    told::notes(&recording);
    if let Some(report) = &mut report {
        report.write(&told::to_json(&recording, first.as_ref()))?;
    }
    if let Some(path) = &options.weights_out {
        write(path, &recording.weights_json())?;
    }
    let status = first.as_ref().map_or(0, |first| passed_on(first.status()));
    if let (Some((source, target)), Some(_)) = (&base, &options.check) {
        let lacks = recorder.draft(&recording).map_err(|error| Failure::new(error.to_string()))?;
        return check(source, target, &recording, &lacks, first.as_ref(), status);
    }
    options.write_profile(&recorder, &recording, base.as_ref())?;
    Ok(Done { status, ..Done::default() })
}

/// Runs the command until it comes to rest.
fn refine(
    recorder: &Recorder<'_>,
    command: impl FnMut() -> Supervised,
    how: Refine,
    recording: &mut Recording,
    first: &Run,
) -> Result<(), RecordError> {
    let mut number = 1;
    let mut other: Option<ExitStatus> = None;
    let settled = recorder.refine(command, how, recording, |run| {
        number += 1;
        told::again(number, run);
        other = Some(run.status()).filter(|status| *status != first.status()).or(other);
    })?;
    if let Some(status) = other {
        complain(&format!("the command ended in different ways: first {}, later {status}", first.status()));
    }
    if !settled {
        complain(&format!("after {number} runs new calls still show; --max-runs allows more"));
    }
    Ok(())
}

/// Says what a profile lacks.
fn check(
    source: &Source,
    target: &Target,
    recording: &Recording,
    lacks: &Draft,
    first: Option<&Run>,
    status: u8,
) -> Outcome {
    let policy = source.resolve(target)?;
    let native = values::native()?;
    let denies = |name: &&str| {
        let call = native.number(name).map(|nr| SyscallData { nr, arch: native.audit(), ..SyscallData::default() });
        call.is_some_and(|call| !matches!(policy.decide(&call), Action::Allow | Action::Log))
    };
    let unseen: Vec<&str> = NEVER_NOTIFIED.into_iter().filter(denies).collect();
    let missing = told::missing(&source.name, recording, lacks.names(), first, &unseen);
    if missing == 0 {
        complain(&format!("{} has every call that was made", source.name));
        return Ok(Done { status, ..Done::default() });
    }
    Ok(Done { status: FOUND, ..Done::default() })
}

impl Options {
    /// Whether there is something to write, and whether it can be written, before anything runs.
    fn check_outputs(&self) -> Result<(), Failure> {
        let outputs = [&self.output, &self.weights_out, &self.check];
        if outputs.iter().all(|output| output.is_none()) && self.report.is_none() {
            let text = "nothing to write: -o FILE takes the profile (- for standard output), or give --check PROFILE";
            return Err(Failure::new(text));
        }
        [&self.output, &self.weights_out].into_iter().flatten().try_for_each(|path| file::can_be_written(path))
    }

    /// What strace and the kernel wrote.
    fn read_logs(&self) -> Result<Recording, Failure> {
        let mut recording = Recording::new();
        let native = match self.target.arches().first() {
            Some(arch) => *arch,
            None => values::native()?,
        };
        for (paths, what, is_strace) in [
            (&self.from_strace, "a log of strace is expected", true),
            (&self.from_audit, "an audit log is expected", false),
        ] {
            for path in paths {
                let input = Input::read(path, what)?;
                let text = String::from_utf8_lossy(&input.bytes);
                let read = if is_strace { recording.read_strace(&text, native) } else { recording.read_audit(&text) };
                told::log(&input.name, &read.map_err(|error| Failure::new(format!("{}: {error}", input.name)))?);
            }
        }
        Ok(recording)
    }

    /// Runs the command, as often as is wanted; gives the first run.
    fn run(
        &self,
        recorder: &Recorder<'_>,
        recording: &mut Recording,
        base: Option<&str>,
        name: &OsStr,
        arguments: &[OsString],
    ) -> Result<Run, Failure> {
        let path = find(name)?;
        let command = || Supervised::new(&path).arg0(name).args(arguments);
        let failed = |error: RecordError| match error {
            RecordError::Spawn(SpawnError::Install(InstallError::Busy)) => Failure::new(
                "this process is itself supervised or recorded, so what it starts cannot be: there can be only one \
                 seccomp listener (EBUSY)",
            ),
            RecordError::Spawn(error) => not_started(name, error),
            RecordError::Wait(error) => not_executed(name, error),
            error => Failure::new(error.to_string()),
        };
        let first = recorder.record(command(), recording).map_err(failed)?;
        told::run(&first, recording, base);
        if let Some(quiet) = self.refine {
            let how = Refine::new().quiet(quiet).most(self.max_runs);
            refine(recorder, command, how, recording, &first).map_err(failed)?;
        }
        Ok(first)
    }

    fn recorder(&self, base: Option<&(Source, Target)>) -> Result<Recorder<'static>, Failure> {
        let recorder = Recorder::new()
            .arguments(match self.args {
                ArgsWord::None => Arguments::None,
                ArgsWord::Sets => Arguments::Sets,
                ArgsWord::Exact => Arguments::Exact,
            })
            .closure(!self.no_closure)
            .default_action(self.default_action.on(values::native()?)?)
            .dialect(if self.format == Some(Form::Docker) { Dialect::Docker } else { Dialect::Oci })
            .no_new_privs(!self.keep_privs)
            .ignore_interrupts(true);
        let recorder = match told::progress() {
            Some(tell) => recorder.progress(Duration::from_secs(1), tell),
            None => recorder,
        };
        Ok(match base {
            Some((source, target)) => recorder.base(source.profile.clone(), target.clone()),
            None => recorder,
        })
    }

    /// A profile to start from, and what it means on this machine.
    fn read(&self, path: &str) -> Result<(Source, Target), Failure> {
        let source = self.target.read(path)?;
        let mut target = self.target.target()?;
        if self.target.kernel().is_none() {
            let host = kernel::host().map_err(|error| Failure::new(error.to_string()))?;
            target = target.kernel(host.kernel());
        }
        Ok((source, target))
    }

    fn write_profile(
        &self,
        recorder: &Recorder<'_>,
        recording: &Recording,
        base: Option<&(Source, Target)>,
    ) -> Result<(), Failure> {
        let Some(path) = &self.output else { return Ok(()) };
        let draft = recorder.draft(recording).map_err(|error| Failure::new(error.to_string()))?;
        let profile = draft.profile();
        let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
        let text = match (self.format, profile.dialect(), base) {
            // Its conditions on capabilities and the like are decided for this machine.
            (Some(Form::Oci), Dialect::Docker, Some((_, target))) => {
                let policy = profile.resolve(target).map_err(|error| failed(&error))?;
                policy.to_oci_json().map_err(|error| failed(&error))?
            }
            _ => profile.to_json().map_err(|error| failed(&error))?,
        };
        write(path, &text)?;
        told::draft(path, &draft, base.map(|(source, _)| source.name.as_str()));
        Ok(())
    }
}

/// Writes a result. What goes to standard output does so at once, behind what the command wrote there.
fn write(path: &str, text: &str) -> Result<(), Failure> {
    if path == "-" {
        return match crate::outcome::print(text.as_bytes(), 0) {
            0 => Ok(()),
            _ => Err(Failure::new(format!("{} were not written", count(text.len(), "byte")))),
        };
    }
    file::write(path, text.as_bytes())
}
