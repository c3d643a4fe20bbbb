//! Writing a file in one step.

use crate::outcome::{Failure, reason};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Replaces a file, or makes it. Readers see the old or the new contents, never a part, and after a failure the old.
///
/// What is no file (a device, a pipe) is written to directly; of a symbolic link the target is replaced. A file that
/// existed keeps its permissions.
pub fn replace(path: &str, contents: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let existing = fs::metadata(&path).ok();
    if existing.as_ref().is_some_and(|data| !data.is_file()) {
        return OpenOptions::new().write(true).open(&path)?.write_all(contents);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let temporary = path.with_file_name(format!(".{}.{}.tmp", name.display(), std::process::id()));
    let written = write_new(&temporary, contents)
        .and_then(|()| existing.map_or(Ok(()), |data| fs::set_permissions(&temporary, data.permissions())))
        .and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Replaces a file, with a message if that fails.
pub fn write(path: &str, contents: &[u8]) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(Failure::new("the name of the output file is empty (-o)"));
    }
    replace(path, contents).map_err(|error| Failure::new(format!("cannot write {path}: {}", reason(&error))))
}

/// Whether a file can be written later, found out before something long begins. Leaves no trace.
pub fn can_be_written(path: &str) -> Result<(), Failure> {
    let refused = |error| Failure::new(format!("cannot write {path}: {}", reason(&error)));
    if path == "-" {
        return Ok(());
    }
    if path.is_empty() {
        return Err(Failure::new("the name of the output file is empty"));
    }
    match fs::metadata(path) {
        Ok(data) if data.is_file() => OpenOptions::new().append(true).open(path).map(drop).map_err(refused),
        Ok(data) if data.is_dir() => Err(refused(io::ErrorKind::IsADirectory.into())),
        Ok(_) => Ok(()),
        Err(_) => {
            File::create_new(path).map_err(refused)?;
            fs::remove_file(path).map_err(refused)
        }
    }
}

/// Refuses to write a raw filter to a terminal.
pub fn not_for_a_terminal(output: Option<&str>) -> Result<(), Failure> {
    if output.is_none_or(|path| path == "-") && io::stdout().is_terminal() {
        let hint = "write it to a file with -o FILE, redirect standard output, or use --format text";
        return Err(Failure::new(format!("a raw filter is not for a terminal; {hint}")));
    }
    Ok(())
}

/// Standard input can be read once.
pub fn only_one_stdin(paths: &[String]) -> Result<(), Failure> {
    if paths.iter().filter(|path| *path == "-").count() > 1 {
        return Err(Failure::new("only one of the inputs can be standard input (-)"));
    }
    Ok(())
}
