//! What the nurse tells of its decisions.

use super::rights::Rights;
use crate::kernel::Response;
use crate::supervise::Call;
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// One decision about one object. A call can bring several, or none.
///
/// See the example of [`nurse`](crate::nurse).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The thread that makes the call.
    pub thread: u32,
    /// The name of the call.
    pub call: String,
    /// The real name of the object, or an address.
    pub object: String,
    /// What the call wants to do with it; nothing if it only wants to know of it.
    pub wanted: Rights,
    /// For addresses `connect` or `bind`.
    pub address: Option<&'static str>,
    /// Whether the ACL grants that.
    pub allowed: bool,
    /// The rule that decides, or another reason.
    pub reason: Option<String>,
    /// How the call was answered in the end: an allowed one can still fail, as any call. `None` if the kernel made it, or
    /// the target had gone.
    pub answer: Option<Response>,
}

impl Event {
    pub(super) fn new(call: &Call<'_>, object: String, wanted: Rights, allowed: bool, reason: Option<String>) -> Self {
        Self {
            thread: call.tid(),
            call: call.name().unwrap_or("unknown").to_owned(),
            object,
            wanted,
            address: None,
            allowed,
            reason,
            answer: None,
        }
    }

    /// What was wanted, in words.
    pub fn verb(&self) -> String {
        match self.address {
            Some(word) => word.to_owned(),
            None if self.wanted.is_none() => "look at".to_owned(),
            None => alloc::format!("{}", self.wanted),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        write!(f, "{} {verdict} {}: {} {}", self.thread, self.call, self.verb(), self.object.escape_debug())?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}
