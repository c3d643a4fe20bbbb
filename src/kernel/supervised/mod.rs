//! Starting a program whose calls this process answers.

mod child;
mod launch;
mod state;

pub use child::{Child, ExecState};

use super::command::SpawnError;
use super::install::Install;
use super::notify::Listener;
use crate::bpf::Program;
use alloc::collections::BTreeMap;
use alloc::ffi::CString;
use alloc::vec::Vec;
use launch::Plan;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program to start under a filter whose NOTIFY calls this process answers.
///
/// [`std::process::Command`] cannot do that: its `spawn` returns when execve(2) is done, and that call waits for an
/// answer. [`spawn`](Self::spawn) returns as soon as the listener is here, **before** the program is executed, so the
/// execve of the program itself is the first call that can be supervised.
///
/// Between the installing of the filter and execve(2) the child makes no call at all, so any filter will do. A helper
/// process that shares the descriptors of the child, and that is not filtered, sends the listener here and closes it
/// there; so this process is the only one that holds it. If it crashes, calls that wait fail with ENOSYS.
///
/// The filter should let the program through its start: it is up to the answers whether execve(2) happens.
///
/// ```no_run
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// use callsieve::kernel::Supervised;
///
/// static ASK_ALL: Program = Program::from_static(&[Insn::stmt(opcode::RET_K, Action::Notify.to_raw())]);
/// let (mut child, listener) = Supervised::new("/bin/true").spawn(&ASK_ALL)?;
/// while let Some(call) = listener.recv()? {
///     println!("{:?} {:?}", call.name(), call.args());
///     call.continue_unchecked().map_err(|unanswered| unanswered.error())?;
/// }
/// assert!(child.wait()?.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Supervised {
    program: OsString,
    name: Option<OsString>,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, Option<OsString>>,
    inherit_environment: bool,
    folder: Option<PathBuf>,
    streams: [Stream; 3],
    install: Install,
}

/// What a standard stream of a supervised program is.
///
/// ```
/// use callsieve::kernel::{Stream, Supervised};
/// let quiet = Supervised::new("ls").stdout(Stream::Null).stderr(Stream::Piped);
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Stream {
    /// That of this process.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe; its other end is in [`Child`].
    Piped,
    /// An open file, pipe or socket.
    Fd(OwnedFd),
}

impl Supervised {
    /// A program: a path if it has a slash, otherwise a name that is looked for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            name: None,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            inherit_environment: true,
            folder: None,
            streams: Default::default(),
            install: Install::new(),
        }
    }

    /// The name that the program gets as its zeroth argument; without this it is the program as it was given.
    pub fn arg0(self, name: impl AsRef<OsStr>) -> Self {
        Self { name: Some(name.as_ref().to_owned()), ..self }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Removes the environment of this process, and what was set up to here.
    pub fn env_clear(mut self) -> Self {
        self.environment.clear();
        self.inherit_environment = false;
        self
    }

    /// The working directory of the program.
    pub fn current_dir(self, folder: impl AsRef<Path>) -> Self {
        Self { folder: Some(folder.as_ref().to_owned()), ..self }
    }

    /// Standard input.
    pub fn stdin(mut self, stream: Stream) -> Self {
        self.streams[0] = stream;
        self
    }

    /// Standard output.
    pub fn stdout(mut self, stream: Stream) -> Self {
        self.streams[1] = stream;
        self
    }

    /// Standard error.
    pub fn stderr(mut self, stream: Stream) -> Self {
        self.streams[2] = stream;
        self
    }

    /// How the filter is installed; [`Install::new`] if this is not said. [`Install::wait_killable`] is a good idea from
    /// Linux 5.19 on.
    pub fn install(self, install: Install) -> Self {
        Self { install, ..self }
    }

    /// Starts it: fork, install in the child, exec. Returns when the listener is here; the child is then at or before
    /// its execve(2), and waits there if the filter notifies that. Whether that worked shows in [`Child::exec_state`]
    /// and [`Child::wait`].
    ///
    /// # Errors
    /// Nothing runs then.
    /// - [`SpawnError::Install`] if the filter could not be installed.
    /// - [`SpawnError::Start`] if the program is not found, its working directory cannot be entered, or there is no
    ///   process or descriptor to be had.
    pub fn spawn(self, program: &Program) -> Result<(Child, Listener), SpawnError> {
        let start = SpawnError::Start;
        let environment = self.environment();
        let path = self.find(&environment).map_err(start)?;
        let name = self.name.as_ref().unwrap_or(&self.program);
        let mut arguments = Vec::from([c_string(name).map_err(start)?]);
        for argument in &self.arguments {
            arguments.push(c_string(argument).map_err(start)?);
        }
        let environment = environment.into_iter().map(|(name, value)| {
            let mut line = name;
            line.push("=");
            line.push(value);
            c_string(&line)
        });
        let environment = environment.collect::<io::Result<Vec<_>>>().map_err(start)?;
        let folder = self.folder.as_ref().map(|folder| c_string(folder.as_os_str())).transpose().map_err(start)?;
        let mut ours = Pipes::default();
        let [stdin, stdout, stderr] = self.streams;
        let streams = [
            input(stdin, &mut ours.stdin).map_err(start)?,
            output(stdout, &mut ours.stdout).map_err(start)?,
            output(stderr, &mut ours.stderr).map_err(start)?,
        ];
        let plan = Plan {
            path: c_string(path.as_os_str()).map_err(start)?,
            arguments,
            environment,
            folder,
            streams: streams.each_ref().map(|stream| stream.as_ref().map(AsFd::as_fd)),
            install: self.install,
            program,
        };
        let launched = launch::launch(&plan)?;
        Ok((Child::new(launched.pid, launched.state, ours), launched.listener))
    }

    /// The variables of the program.
    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut all: BTreeMap<_, _> =
            if self.inherit_environment { std::env::vars_os().collect() } else { BTreeMap::new() };
        for (name, value) in &self.environment {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        all
    }

    /// The file of the program. Looked for here, because every attempt of the child would be a call under the filter.
    fn find(&self, environment: &BTreeMap<OsString, OsString>) -> io::Result<PathBuf> {
        if self.program.as_bytes().contains(&b'/') {
            return Ok(PathBuf::from(&self.program));
        }
        let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new("/bin:/usr/bin"), OsString::as_os_str);
        let mut refused = false;
        for folder in std::env::split_paths(path) {
            // An empty entry is the working directory.
            let file = Path::new(".").join(folder).join(&self.program);
            match file.metadata() {
                Ok(data) if data.is_file() && data.permissions().mode() & 0o111 != 0 => return Ok(file),
                Ok(_) => refused = true,
                Err(error) => refused |= error.kind() == ErrorKind::PermissionDenied,
            }
        }
        Err(if refused { ErrorKind::PermissionDenied } else { ErrorKind::NotFound }.into())
    }
}

/// Our ends of the pipes.
#[derive(Debug, Default)]
struct Pipes {
    stdin: Option<io::PipeWriter>,
    stdout: Option<io::PipeReader>,
    stderr: Option<io::PipeReader>,
}

fn input(stream: Stream, ours: &mut Option<io::PipeWriter>) -> io::Result<Option<OwnedFd>> {
    if matches!(stream, Stream::Piped) {
        let (reader, writer) = io::pipe()?;
        *ours = Some(writer);
        return Ok(Some(reader.into()));
    }
    plain(stream)
}

fn output(stream: Stream, ours: &mut Option<io::PipeReader>) -> io::Result<Option<OwnedFd>> {
    if matches!(stream, Stream::Piped) {
        let (reader, writer) = io::pipe()?;
        *ours = Some(reader);
        return Ok(Some(writer.into()));
    }
    plain(stream)
}

fn plain(stream: Stream) -> io::Result<Option<OwnedFd>> {
    Ok(match stream {
        Stream::Inherit | Stream::Piped => None,
        Stream::Null => Some(std::fs::File::options().read(true).write(true).open("/dev/null")?.into()),
        Stream::Fd(fd) => Some(fd),
    })
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    let bytes = text.to_owned().into_vec();
    CString::new(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidInput, "an argument or a path holds a NUL byte"))
}
