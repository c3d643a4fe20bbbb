//! Running other programs.

use std::process::{Command, Output, Stdio};

/// What went wrong, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program that has to succeed.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    finish(command).map(|_| ())
}

/// What a program that has to succeed writes to its standard output.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    Ok(String::from_utf8(finish(command)?.stdout)?)
}

fn finish(command: &mut Command) -> Result<Output, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}; {}", output.status, errors.trim().replace('\n', "; ")).into())
}
