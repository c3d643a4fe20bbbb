//! Taking over the listener of a container.
//!
//! A runtime (runc, crun, youki) whose profile has `listenerPath` connects to that socket and sends the listener of the
//! container's filter, together with the *container process state* of the OCI runtime specification as JSON.

use crate::kernel::{Listener, receive_fds};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::Value;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use thiserror::Error;

/// What a runtime has handed over.
///
/// ```no_run
/// use callsieve::supervise::Handover;
/// use std::os::unix::net::UnixListener;
///
/// let socket = UnixListener::bind("/run/agent.sock")?;
/// let (connection, _) = socket.accept()?;
/// // A runtime that hangs must not hang the agent.
/// connection.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
/// let handover = Handover::receive(&connection)?;
/// println!("container {:?}, process {}", handover.container_id(), handover.pid());
/// let listener = handover.into_listener();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Handover {
    listener: Listener,
    state: State,
}

/// Why nothing could be taken over. The connection should be closed; the container's calls fail with ENOSYS.
///
/// See the example of [`Handover`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The socket failed, or the time of its reader is over.
    #[error("the runtime's message cannot be received: {0}")]
    Io(#[from] io::Error),
    /// The message is no container process state.
    #[error("the runtime's message is no container process state: {0}")]
    State(String),
    /// It has no end within the limit, 1 MiB.
    #[error("the runtime's message is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// There is no descriptor with the name `seccompFd`.
    #[error("the runtime's message brings no listener (seccompFd)")]
    NoListener,
    /// The descriptor is none of seccomp(2).
    #[error("what the runtime sends as seccompFd is no seccomp listener")]
    NotAListener,
}

/// Annotations can be long, but not that long.
const MAX_TEXT: usize = 1 << 20;
/// The name of the listener in `fds`.
const SECCOMP_FD: &str = "seccompFd";

/// The fields of the container process state.
#[derive(Debug, PartialEq)]
struct State {
    pid: u32,
    metadata: String,
    id: String,
    status: String,
    bundle: String,
    annotations: BTreeMap<String, String>,
    fds: Vec<String>,
}

impl Handover {
    /// Receives what one connection brings, to its end. Set a time limit for reading before.
    pub fn receive(connection: &UnixStream) -> Result<Self, HandoverError> {
        let mut text = Vec::new();
        let mut fds: Vec<OwnedFd> = Vec::new();
        let mut part = [0; 4096];
        loop {
            let (got, new) = receive_fds(connection, &mut part)?;
            // More than one message may bring descriptors, but nobody needs many.
            fds.extend(new.into_iter().take(8_usize.saturating_sub(fds.len())));
            text.extend_from_slice(part.get(..got).unwrap_or_default());
            match got {
                0 => break,
                _ if text.len() > MAX_TEXT => return Err(HandoverError::TooLong),
                // Runtimes close the connection at once, but need not.
                _ if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok() => break,
                _ => {}
            }
        }
        if text.is_empty() && fds.is_empty() {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        let state = State::parse(&text).map_err(HandoverError::State)?;
        let at = state.fds.iter().position(|name| name == SECCOMP_FD).ok_or(HandoverError::NoListener)?;
        let fd = fds.into_iter().nth(at).ok_or(HandoverError::NoListener)?;
        let listener = Listener::from_fd(fd).map_err(|_| HandoverError::NotAListener)?;
        Ok(Self { listener, state })
    }

    /// The process in the container that installed the filter, as a number of the runtime's pid namespace.
    pub const fn pid(&self) -> u32 {
        self.state.pid
    }

    /// `listenerMetadata` of the profile; empty without it. The author of the profile chose it, so trust it as much as
    /// the profile.
    pub fn metadata(&self) -> &str {
        &self.state.metadata
    }

    /// The id of the container.
    pub fn container_id(&self) -> &str {
        &self.state.id
    }

    /// `creating` or `running`, the latter for processes that were added to a container.
    pub fn status(&self) -> &str {
        &self.state.status
    }

    /// The folder of the bundle.
    pub fn bundle(&self) -> &str {
        &self.state.bundle
    }

    /// The annotations of the container.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.state.annotations
    }

    /// The listener.
    pub fn into_listener(self) -> Listener {
        self.listener
    }
}

impl State {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let all: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let string = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let pid = all.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
        let fds = all.get("fds").and_then(Value::as_array).ok_or("$.fds: a list of names is expected")?;
        let state = all.get("state").filter(|state| state.is_object()).ok_or("$.state: an object is expected")?;
        let annotations = state.get("annotations").and_then(Value::as_object);
        let annotation = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_string()));
        Ok(Self {
            pid: pid.ok_or("$.pid: a process id is expected")?,
            metadata: string(&all, "metadata"),
            id: string(state, "id"),
            status: string(state, "status"),
            bundle: string(state, "bundle"),
            annotations: annotations.into_iter().flatten().filter_map(annotation).collect(),
            fds: fds.iter().map(|name| name.as_str().unwrap_or_default().to_string()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_state() {
        let text = br#"{"ociVersion":"0.2.0","fds":["seccompFd"],"pid":4422,"metadata":"MKNOD=/dev/null",
            "state":{"ociVersion":"0.2.0","id":"oci-container1","status":"creating","pid":4422,
            "bundle":"/containers/redis","annotations":{"myKey":"myValue"}}}"#;
        let state = State::parse(text).unwrap();
        assert_eq!(
            (state.pid, state.metadata.as_str(), state.id.as_str()),
            (4422, "MKNOD=/dev/null", "oci-container1")
        );
        assert_eq!((state.status.as_str(), state.fds.as_slice()), ("creating", &["seccompFd".to_string()][..]));
        assert_eq!(state.annotations["myKey"], "myValue");
    }

    #[test]
    fn states_that_are_none() {
        for (text, message) in [
            (&b"{}"[..], "$.fds: a list of names is expected"),
            (br#"{"fds":[]}"#, "$.state: an object is expected"),
            (br#"{"fds":[],"state":{},"pid":-1}"#, "$.pid: a process id is expected"),
            (br#"{"fds":[],"state":{},"pid":4294967296}"#, "$.pid: a process id is expected"),
        ] {
            assert_eq!(State::parse(text).unwrap_err(), message);
        }
        assert!(State::parse(b"\xff").is_err());
    }

    #[test]
    fn connections_without_a_listener() {
        let send = |bytes: &[u8]| {
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(bytes).unwrap();
            drop(far);
            Handover::receive(&near).unwrap_err()
        };
        assert!(matches!(send(b""), HandoverError::Io(error) if error.kind() == ErrorKind::UnexpectedEof));
        assert!(matches!(send(b"{"), HandoverError::State(_)));
        let state = |fds: &str| format!(r#"{{"fds":{fds},"pid":1,"state":{{}}}}"#);
        assert!(matches!(send(state("[]").as_bytes()), HandoverError::NoListener));
        assert!(matches!(send(state(r#"["seccompFd"]"#).as_bytes()), HandoverError::NoListener));
    }

    #[test]
    fn a_connection_without_an_end() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || while far.write_all(&[b' '; 4096]).is_ok() {});
        assert!(matches!(Handover::receive(&near), Err(HandoverError::TooLong)));
        drop(near);
        writer.join().unwrap();
    }
}
