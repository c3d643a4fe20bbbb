//! Writing a file in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
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
