//! What a container runtime does for seccomp: read the bundle, resolve and compile in the parent, install in the child.
//!
//!     cargo run --manifest-path examples/oci_runtime/Cargo.toml -- BUNDLE
//!
//! Namespaces, mounts and capabilities are left out: the process of the bundle runs on this machine as it is. A profile
//! that asks for notifications gets its supervisor here, where a runtime would send the listener to `listenerPath`.

use callsieve::kernel::{self, Install, Outcome, Response, Supervised};
use callsieve::policy::Capabilities;
use callsieve::supervise::{Supervisor, Verdict};
use callsieve::{Compiler, Filter, Policy, Profile};
use oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1) as u8),
        Err(error) => {
            eprintln!("oci_runtime: {error}");
            ExitCode::from(125)
        }
    }
}

fn run() -> Result<ExitStatus, Box<dyn Error>> {
    let bundle = std::env::args().nth(1).ok_or("usage: oci_runtime BUNDLE")?;
    let spec = Spec::load(Path::new(&bundle).join("config.json"))?;
    let process = spec.process().as_ref().ok_or("the bundle has no process")?;
    let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let Some(seccomp) = seccomp else { return Ok(command(process)?.status()?) };

    let policy = meaning(seccomp, process)?;
    let filter = Compiler::new().compile(&policy)?;
    if policy.install_options().listener_path().is_some() {
        supervised(process, &policy, &filter)
    } else {
        let install = Install::from_policy(&policy)?.no_new_privs(no_new_privs(process));
        let mut child = kernel::spawn(command(process)?, filter.program(), install)?;
        Ok(kernel::wait(&mut child)?)
    }
}

/// What the profile means on this machine, for the capabilities that the process will have.
fn meaning(seccomp: &LinuxSeccomp, process: &Process) -> Result<Policy, Box<dyn Error>> {
    let profile = Profile::from_serialize(seccomp)?;
    let bounding = process.capabilities().as_ref().and_then(|all| all.bounding().clone()).unwrap_or_default();
    let names = bounding.iter().map(|capability| format!("CAP_{capability}"));
    let policy = profile.resolve(&kernel::host_target()?.capabilities(Capabilities::from_names(names)?))?;
    for finding in policy.diagnostics() {
        eprintln!("oci_runtime: {finding}");
    }
    Ok(policy)
}

fn no_new_privs(process: &Process) -> bool {
    process.no_new_privileges().unwrap_or(false)
}

fn words(process: &Process) -> Result<(&String, &[String]), Box<dyn Error>> {
    Ok(process.args().as_deref().and_then(<[String]>::split_first).ok_or("the process has no args")?)
}

fn environment(process: &Process) -> impl Iterator<Item = (&str, &str)> {
    process.env().iter().flatten().filter_map(|pair| pair.split_once('='))
}

fn command(process: &Process) -> Result<Command, Box<dyn Error>> {
    let (program, args) = words(process)?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(environment(process)).current_dir(process.cwd());
    Ok(command)
}

/// The listener is here before the program runs. Who decides nothing else refuses everything.
fn supervised(process: &Process, policy: &Policy, filter: &Filter) -> Result<ExitStatus, Box<dyn Error>> {
    let (program, args) = words(process)?;
    let install = Install::from_policy_with_listener(policy).no_new_privs(no_new_privs(process));
    let mut start = Supervised::new(program).args(args).env_clear().current_dir(process.cwd()).install(install);
    for (name, value) in environment(process) {
        start = start.env(name, value);
    }
    let (mut child, listener) = start.spawn(filter.program())?;
    let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Respond(Response::Errno(1)))))
        .log(|decision| eprintln!("oci_runtime: {decision}"));
    supervisor.run(&listener)?;
    Ok(child.wait()?)
}
