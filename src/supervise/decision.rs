//! One line for each decision.

use crate::arch::{Arch, Errno};
use crate::bpf::SyscallData;
use crate::kernel::Response;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// What became of a call, for the log.
///
/// See the example of [`supervise`](crate::supervise).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// The thread that made the call; 0 if it cannot be seen from here.
    pub tid: u32,
    /// The call.
    pub data: SyscallData,
    /// What became of it.
    pub result: Result,
    /// What the handler noted.
    pub note: Option<String>,
    /// How long the handler took, and the answer.
    pub time: Duration,
}

/// How a call was answered.
///
/// See the example of [`supervise`](crate::supervise).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Result {
    /// With a value or an error number.
    Responded(Response),
    /// With a descriptor; this is its number in the target.
    GaveFd(u32),
    /// It went on, unchecked.
    Continued,
    /// The process was killed for it.
    Killed,
    /// Not at all: the target had gone.
    Gone,
    /// Refused, because the handler failed, for this reason.
    Failed(Response, String),
}

impl Decision {
    /// The ABI of the call; `None` if it is not known.
    pub fn arch(&self) -> Option<Arch> {
        Arch::of_call(self.data.arch, self.data.nr)
    }
}

/// Thread, call with its arguments, what became of it, and the note of the handler.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.tid)?;
        let arch = self.arch();
        match arch.and_then(|arch| arch.name(self.data.nr)) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "call {} of {:#x}", self.data.nr, self.data.arch)?,
        }
        f.write_str("(")?;
        let prototype = arch.and_then(|arch| arch.prototype(self.data.nr));
        let count = prototype.map_or(6, |prototype| prototype.args().count());
        for (index, argument) in self.data.args.iter().take(count).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{argument:#x}")?;
        }
        f.write_str(")")?;
        let respond = |f: &mut fmt::Formatter<'_>, response: Response| match response {
            Response::Return(value) => write!(f, " = {value}"),
            Response::Errno(errno) => match arch.and_then(|arch| Errno::new(errno).name(arch)) {
                Some(name) => write!(f, " = {name}"),
                None => write!(f, " = error {errno}"),
            },
        };
        match &self.result {
            Result::Responded(response) => respond(f, *response)?,
            Result::GaveFd(number) => write!(f, " = descriptor {number}")?,
            Result::Continued => f.write_str(" continued")?,
            Result::Killed => f.write_str(" killed")?,
            Result::Gone => f.write_str(" gone")?,
            Result::Failed(response, why) => {
                respond(f, *response)?;
                write!(f, " ({why})")?;
            }
        }
        match &self.note {
            Some(note) => write!(f, " {}", note.escape_debug()),
            None => Ok(()),
        }
    }
}
