//! A supervisor that carries out a call which its target may not make itself: a program sets "the host name", and only
//! it sees that.
//!
//!     cargo run --example supervisor
//!
//! `sethostname` is answered by the supervisor, which reads the name from the memory of the target. The name is data, not
//! a permission, so nothing is lost if another thread of the target changes it in the meantime. What would be unsafe is to
//! look at memory and then let the kernel go on with the call: the kernel reads the memory again.

use callsieve::kernel::{self, Outcome, Response, Supervised};
use callsieve::supervise::{Supervisor, Verdict};
use callsieve::{Action, Compiler, Profile};
use std::error::Error;
use std::sync::{Mutex, PoisonError};

/// EPERM and ENAMETOOLONG.
const REFUSED: Response = Response::Errno(1);
const TOO_LONG: Response = Response::Errno(36);
/// `__NEW_UTS_LEN`.
const LONGEST: u64 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let profile = Profile::new(Action::Allow).rule(Action::Notify, ["sethostname", "setdomainname"], []);
    let filter = Compiler::new().compile(&profile.resolve(&kernel::host_target()?)?)?;

    let names = Mutex::new(Vec::new());
    let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Respond(REFUSED))))
        .on(["sethostname"], |call| {
            let [address, length, ..] = call.args();
            if length > LONGEST {
                return Ok(Outcome::Done(Verdict::Respond(TOO_LONG)));
            }
            let Outcome::Done(name) = call.memory().read_bytes(address, length.try_into().unwrap_or(0))? else {
                return Ok(Outcome::Gone);
            };
            let name = String::from_utf8_lossy(&name).into_owned();
            call.note(&name);
            names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
            Ok(Outcome::Done(Verdict::Respond(Response::Return(0))))
        })?
        .log(|decision| println!("{decision}"));

    // The program is not privileged for this, or if it is, it changes nothing.
    let (mut child, listener) = Supervised::new("hostname").arg("castle").spawn(filter.program())?;
    let counts = supervisor.run(&listener)?;
    println!("{counts}; the program ended with {}", child.wait()?);
    drop(supervisor);
    assert_eq!(names.into_inner()?, ["castle"]);
    Ok(())
}
