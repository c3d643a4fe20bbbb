//! Recording: a program runs, every call of it that is not known is noted and goes on.

use super::recording::{Note, Recording};
use super::{Arguments, RecordError};
use crate::bpf::{Action, SyscallData};
use crate::compile::{Compiler, Level};
use crate::kernel::{
    self, Child, ExecState, FilterFlag, IgnoredInterrupts, Install, Listener, Notification, NotifyError, NotifyFeature,
    Outcome, Received, Supervised,
};
use crate::policy::Target;
use crate::profile::{Dialect, Profile};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitStatus;
use std::time::Instant;

/// Records programs, and makes profiles of what was recorded.
///
/// ```no_run
/// use callsieve::kernel::Supervised;
/// use callsieve::record::{Recorder, Recording, Refine};
///
/// let recorder = Recorder::new();
/// let mut recording = Recording::new();
/// let run = recorder.record(Supervised::new("date"), &mut recording)?;
/// println!("{} calls, {}", run.counted(), run.status());
/// // What a run shows depends on chance: run it again, until nothing new shows.
/// recorder.refine(|| Supervised::new("date"), Refine::new(), &mut recording, |_| ())?;
/// let text = recorder.draft(&recording)?.profile().to_json()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Recorder<'p> {
    pub(super) arguments: Arguments,
    pub(super) closure: bool,
    pub(super) default_action: Action,
    pub(super) dialect: Dialect,
    pub(super) base: Option<(Profile, Target)>,
    no_new_privs: bool,
    ignore_interrupts: bool,
    progress: Option<(Duration, Tell<'p>)>,
    lacks: Option<NotifyFeature>,
}

type Tell<'p> = Box<dyn Fn(&Progress) + Send + Sync + 'p>;

/// How far a run has come.
///
/// ```
/// use callsieve::record::Recorder;
/// let recorder = Recorder::new().progress(std::time::Duration::from_secs(1), |so_far| {
///     eprintln!("{} calls of {} kinds", so_far.counted, so_far.kinds);
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Calls that were counted in this run.
    pub counted: u64,
    /// Different calls of the whole recording.
    pub kinds: usize,
    /// Since the start of the run.
    pub time: Duration,
}

/// A run that has ended.
///
/// See the example of [`Recorder`](crate::record::Recorder).
#[derive(Clone, Debug)]
#[must_use]
pub struct Run {
    status: ExitStatus,
    asked: u64,
    counted: u64,
    interrupted: u64,
    new: Vec<New>,
    time: Duration,
}

/// A call that a run showed for the first time.
///
/// See the example of [`Recorder`](crate::record::Recorder).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct New {
    /// The call.
    pub call: SyscallData,
    /// The name of the thread that made it; empty if it had gone.
    pub thread: String,
}

impl Run {
    /// How the program ended.
    pub const fn status(&self) -> ExitStatus {
        self.status
    }

    /// Calls that this process was asked about. Known calls are not among them: they run at their own speed.
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    /// Calls that were counted, the execve(2) of the program first.
    pub const fn counted(&self) -> u64 {
        self.counted
    }

    /// Calls that went away between question and answer, see [`Recording::interrupted`].
    pub const fn interrupted(&self) -> u64 {
        self.interrupted
    }

    /// What it showed for the first time, in the order in which it came. A run without is quiet.
    pub fn new_calls(&self) -> &[New] {
        &self.new
    }

    /// From its start until nobody had the filter any more.
    pub const fn time(&self) -> Duration {
        self.time
    }
}

/// How often to run again.
///
/// See the example of [`Recorder`](crate::record::Recorder).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Refine {
    quiet: u32,
    most: u32,
}

impl Refine {
    /// Until three runs one after the other show nothing new, thirty at most.
    pub const fn new() -> Self {
        Self { quiet: 3, most: 30 }
    }

    /// How many quiet runs one after the other are enough.
    pub const fn quiet(self, runs: u32) -> Self {
        Self { quiet: runs, ..self }
    }

    /// How many runs are too many.
    pub const fn most(self, runs: u32) -> Self {
        Self { most: runs, ..self }
    }
}

impl Default for Refine {
    fn default() -> Self {
        Self::new()
    }
}

impl<'p> Recorder<'p> {
    /// Records what there is, and makes profiles in the OCI dialect, without conditions on arguments, with the closure,
    /// and with KILL_PROCESS for everything else.
    pub fn new() -> Self {
        Self {
            arguments: Arguments::None,
            closure: true,
            default_action: Action::KillProcess,
            dialect: Dialect::Oci,
            base: None,
            no_new_privs: true,
            ignore_interrupts: false,
            progress: None,
            lacks: None,
        }
    }

    /// What profiles say of arguments. In later runs, known calls with arguments that the profile does not have are
    /// unknown.
    pub fn arguments(self, arguments: Arguments) -> Self {
        Self { arguments, ..self }
    }

    /// Whether profiles allow calls that a program may need by chance although it did not make them
    /// ([`Benign`](super::Benign)). Without them a profile can even lack what is never notified, such as the call that
    /// ends a program.
    pub fn closure(self, on: bool) -> Self {
        Self { closure: on, ..self }
    }

    /// What profiles say to everything else.
    pub fn default_action(self, action: Action) -> Self {
        Self { default_action: action, ..self }
    }

    /// The dialect of profiles. A base has its own.
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Starts from a profile: what it allows is known and not counted, what its rules deny is denied, and what it has no
    /// rule for is recorded and added. The target says what it means; its answers to calls of other ABIs do not count.
    pub fn base(self, profile: Profile, target: Target) -> Self {
        Self { base: Some((profile, target)), ..self }
    }

    /// Whether programs get `no_new_privs`, as they do without this. Without it CAP_SYS_ADMIN is needed, and set-user-id
    /// programs gain their privileges.
    pub fn no_new_privs(self, on: bool) -> Self {
        Self { no_new_privs: on, ..self }
    }

    /// Whether SIGINT and SIGQUIT from the terminal are left to the program while it runs, as a shell does. They belong
    /// to the whole process.
    pub fn ignore_interrupts(self, on: bool) -> Self {
        Self { ignore_interrupts: on, ..self }
    }

    /// Is told from time to time how far a run has come, on the thread that records.
    pub fn progress(self, every: Duration, tell: impl Fn(&Progress) + Send + Sync + 'p) -> Self {
        Self { progress: Some((every, Box::new(tell))), ..self }
    }

    /// Treats the kernel as one that does not have something, see [`Listener::pretend_without`].
    pub fn pretend_without(self, feature: NotifyFeature) -> Self {
        Self { lacks: Some(feature), ..self }
    }

    /// Runs a program and records every call of it and of all that it starts, from the execve(2) of the program on, until
    /// all of them have ended. How its filter is installed is decided here, not by [`Supervised::install`].
    ///
    /// Nothing gets lost, however many calls there are: each waits until it has been counted. The calls in
    /// [`NEVER_NOTIFIED`](crate::supervise::NEVER_NOTIFIED) are not counted, because nobody can be asked about them.
    ///
    /// If this process is killed, the calls of the program fail with ENOSYS from then on.
    ///
    /// # Errors
    /// [`RecordError`] if the program could not be started or something failed meanwhile; nothing runs then.
    pub fn record(&self, command: Supervised, recording: &mut Recording) -> Result<Run, RecordError> {
        self.run(command, recording, false)
    }

    /// Runs a program under the profile that [`draft`](Self::draft) makes, and records what that lacks. Known calls run
    /// at their own speed and are not counted.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_unknown(&self, command: Supervised, recording: &mut Recording) -> Result<Run, RecordError> {
        self.run(command, recording, true)
    }

    /// Runs a program again and again with [`record_unknown`](Self::record_unknown), until nothing new shows. `each` is
    /// told of every run. Whether it has come to rest, in place of having run too often.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn refine(
        &self,
        mut command: impl FnMut() -> Supervised,
        how: Refine,
        recording: &mut Recording,
        mut each: impl FnMut(&Run),
    ) -> Result<bool, RecordError> {
        let mut quiet = 0;
        for _ in 0..how.most {
            if quiet >= how.quiet {
                break;
            }
            let run = self.record_unknown(command(), recording)?;
            quiet = if run.new.is_empty() { quiet.saturating_add(1) } else { 0 };
            each(&run);
        }
        Ok(quiet >= how.quiet)
    }

    fn run(&self, command: Supervised, recording: &mut Recording, only_unknown: bool) -> Result<Run, RecordError> {
        let host = kernel::host()?;
        let known = only_unknown.then_some(&*recording);
        let policy = self.asking(known, host.program_arch())?;
        let filter = Compiler::new().level(Level::Fast).compile(&policy).map_err(Box::new)?;
        let killable = kernel::flag_available(FilterFlag::WaitKillableRecv);
        let install = Install::new().no_new_privs(self.no_new_privs);
        let install = if killable { install.wait_killable(true) } else { install };
        let (mut child, listener) = command.install(install).spawn(filter.program())?;
        let interrupts = self.ignore_interrupts.then(IgnoredInterrupts::new);
        let mut watch = Watch::new(self, &mut child, recording);
        let watched = self.listen(listener).and_then(|listener| watch.until_the_end(&listener));
        let Watch { asked, counted, interrupted, new, begin, .. } = watch;
        let time = begin.elapsed();
        // The listener is gone by now: if something failed, whatever still runs gets ENOSYS.
        if let Err(error) = watched {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        let status = child.wait()?;
        drop(interrupts);
        Ok(Run { status, asked, counted, interrupted, new, time })
    }

    /// Makes a listener one for recording.
    fn listen(&self, listener: Listener) -> Result<Listener, RecordError> {
        let listener = match self.lacks {
            Some(feature) => listener.pretend_without(feature),
            None => listener,
        };
        if listener.has(NotifyFeature::Continue) == Some(false) {
            return Err(RecordError::Unsupported { feature: NotifyFeature::Continue });
        }
        // One side waits for the other most of the time. Older kernels do without.
        let _ = listener.sync_wake_up(true);
        Ok(listener.stop_if_dropped()?)
    }
}

impl Default for Recorder<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("arguments", &self.arguments)
            .field("closure", &self.closure)
            .field("default_action", &self.default_action)
            .field("dialect", &self.dialect)
            .field("base", &self.base)
            .field("no_new_privs", &self.no_new_privs)
            .finish_non_exhaustive()
    }
}

/// A run that is recorded.
struct Watch<'r> {
    recorder: &'r Recorder<'r>,
    child: &'r mut Child,
    recording: &'r mut Recording,
    /// The execve of our child, until it has become the program.
    start: Start,
    begin: Instant,
    asked: u64,
    counted: u64,
    interrupted: u64,
    new: Vec<New>,
}

/// Whether the program has been started. Before that it is our child that makes calls.
enum Start {
    Before,
    Tried(SyscallData),
    Done,
}

/// What a run shows for the first time and is kept.
const MAX_NEW: usize = 10_000;

impl<'r> Watch<'r> {
    fn new(recorder: &'r Recorder<'r>, child: &'r mut Child, recording: &'r mut Recording) -> Self {
        Self {
            recorder,
            child,
            recording,
            start: Start::Before,
            begin: Instant::now(),
            asked: 0,
            counted: 0,
            interrupted: 0,
            new: Vec::new(),
        }
    }

    fn until_the_end(&mut self, listener: &Listener) -> Result<(), RecordError> {
        let mut told = self.begin;
        loop {
            let received = match &self.recorder.progress {
                Some((every, tell)) => {
                    if told.elapsed() >= *every {
                        told = Instant::now();
                        tell(&self.progress());
                    }
                    listener.recv_timeout(*every)?
                }
                None => listener.recv()?.map_or(Received::Ended, Received::Notification),
            };
            match received {
                Received::Notification(call) => self.see(call)?,
                Received::Nothing => {}
                Received::Ended => break,
            }
        }
        // Of a program that makes no call that is notified, this shows only in the end.
        if self.child.exec_state() == ExecState::Executed {
            self.started();
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { counted: self.counted, kinds: self.recording.calls.len(), time: self.begin.elapsed() }
    }

    /// Lets a call go on, and counts it.
    fn see(&mut self, call: Notification<'_>) -> Result<(), NotifyError> {
        self.asked = self.asked.saturating_add(1);
        let data = *call.data();
        if call.name() == Some("execve") {
            self.look_at_the_file(&call);
        }
        if self.is_the_start(&call) {
            self.start = Start::Tried(data);
            let _ = call.continue_unchecked()?;
            return Ok(());
        }
        self.started();
        note_filters(&call, self.recording);
        // What is new is found out before the answer, because the name of the thread is wanted.
        let new = self.recording.add_times(&data, 0);
        if new && self.new.len() < MAX_NEW {
            self.new.push(New { call: data, thread: thread_name(call.tid()) });
        }
        match call.continue_unchecked()? {
            Outcome::Done(()) => {
                self.recording.add(&data);
                self.counted = self.counted.saturating_add(1);
            }
            Outcome::Gone => {
                self.recording.interrupt();
                self.interrupted = self.interrupted.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Whether it is our child that tries to become the program.
    fn is_the_start(&mut self, call: &Notification<'_>) -> bool {
        !matches!(self.start, Start::Done)
            && call.name() == Some("execve")
            && call.tid() == self.child.id()
            && self.child.exec_state() != ExecState::Executed
    }

    /// The program has been started by now.
    fn started(&mut self) {
        if let Start::Tried(call) = core::mem::replace(&mut self.start, Start::Done) {
            if self.recording.add(&call) {
                self.new.push(New { call, thread: thread_name(self.child.id()) });
            }
            self.counted = self.counted.saturating_add(1);
        }
    }

    /// Notes what gains privileges elsewhere.
    fn look_at_the_file(&mut self, call: &Notification<'_>) {
        const PATH_MAX: usize = 4096;
        const SET_ID: u32 = 0o6000;
        if !self.recorder.no_new_privs {
            return;
        }
        let Ok(Outcome::Done(path)) = call.memory().read_c_string(call.args()[0], PATH_MAX) else { return };
        let path = String::from_utf8_lossy(&path).into_owned();
        let from = if path.starts_with('/') { "root" } else { "cwd" };
        let file = std::fs::metadata(alloc::format!("/proc/{}/{from}/{path}", call.tid()));
        if file.is_ok_and(|file| file.is_file() && file.permissions().mode() & SET_ID != 0) {
            self.recording.note(Note::SetUid { path });
        }
    }
}

/// Notes what installs filters.
fn note_filters(call: &Notification<'_>, recording: &mut Recording) {
    const SET_MODE_FILTER: u64 = 1;
    const PR_SET_SECCOMP: u64 = 22;
    const NEW_LISTENER: u64 = 8;
    let [first, second, third, ..] = call.args();
    match call.name() {
        // With a null pointer it asks whether a flag is there.
        Some("seccomp") if first == SET_MODE_FILTER && third != 0 => {
            recording.note(Note::OwnFilter);
            if second & NEW_LISTENER != 0 {
                recording.note(Note::OwnListener);
            }
        }
        Some("prctl") if first == PR_SET_SECCOMP => {
            recording.note(Note::OwnFilter);
        }
        _ => {}
    }
}

fn thread_name(tid: u32) -> String {
    let name = std::fs::read_to_string(alloc::format!("/proc/{tid}/comm")).unwrap_or_default();
    String::from(name.trim_end())
}
