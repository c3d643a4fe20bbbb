//! Kernels of Debian, downloaded through apt with a state of its own: the mirror and the keyring are those of this
//! machine, its package lists and its installed packages stay untouched.

use crate::machine::Machine;
use crate::run::{Failure, output, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The kernel image of a machine in `store`; it is downloaded if it is not there yet.
pub fn kernel(machine: &Machine, store: &Path) -> Result<PathBuf, Failure> {
    let image = store.join("kernel").join(machine.name);
    if image.is_file() {
        return Ok(image);
    }
    let [arch, suite, meta] = machine.debian;
    let apt = Apt::new(&store.join("apt").join(format!("{arch}-{suite}")), arch, suite)?;
    let mut package = apt.depends(meta, "linux-image-")?.ok_or(format!("{suite} has no {meta} for {arch}"))?;
    // Newer suites split the package, and the image is in this part.
    if let Some(part) = apt.depends(&package, "linux-binary-")? {
        package = part;
    }
    let unpacked = apt.unpack(&package)?;
    let found = find(&unpacked, "vmlinu")?.ok_or(format!("no kernel image in {package}"))?;
    fs::create_dir_all(store.join("kernel"))?;
    fs::rename(found, &image)?;
    fs::remove_dir_all(unpacked)?;
    eprintln!("{}: downloaded {package}", machine.name);
    Ok(image)
}

/// An apt that knows one architecture and one suite.
struct Apt {
    folder: PathBuf,
    config: PathBuf,
}

impl Apt {
    fn new(folder: &Path, arch: &str, suite: &str) -> Result<Self, Failure> {
        for part in ["lists/partial", "cache/archives/partial", "none"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let folder = folder.canonicalize()?;
        fs::write(folder.join("status"), "")?;
        let source = format!("deb [arch={arch} signed-by={KEYRING}] {} {suite} main\n", mirror()?);
        fs::write(folder.join("sources.list"), source)?;
        let config = folder.join("apt.conf");
        let at = folder.display();
        let settings = [
            format!("Dir::Etc::sourcelist \"{at}/sources.list\";"),
            format!("Dir::Etc::sourceparts \"{at}/none\";"),
            format!("Dir::Etc::preferencesparts \"{at}/none\";"),
            format!("Dir::State \"{at}\";"),
            format!("Dir::State::lists \"{at}/lists\";"),
            format!("Dir::State::status \"{at}/status\";"),
            format!("Dir::Cache \"{at}/cache\";"),
            format!("APT::Architecture \"{arch}\";"),
            format!("APT::Architectures {{ \"{arch}\"; }};"),
            "Acquire::Languages \"none\";".to_owned(),
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";".to_owned(),
            "APT::Sandbox::User \"\";".to_owned(),
        ];
        fs::write(&config, settings.join("\n") + "\n")?;
        let apt = Self { folder, config };
        run(apt.command("apt-get").args(["update", "-qq"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config);
        command
    }

    /// The first package with this prefix and a version in its name that `package` depends on.
    fn depends(&self, package: &str, prefix: &str) -> Result<Option<String>, Failure> {
        let text = output(self.command("apt-cache").args(["depends", "--important", package]))?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let versioned = |name: &&str| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        Ok(names.into_iter().find(versioned).map(str::to_owned))
    }

    /// A folder with the contents of a package.
    fn unpack(&self, package: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.join("unpack");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        run(self.command("apt-get").args(["download", "-qq", package]).current_dir(&folder))?;
        let file = find(&folder, package)?.ok_or(format!("apt has not downloaded {package}"))?;
        run(Command::new("dpkg-deb").arg("-x").args([&file, &folder]))?;
        fs::remove_file(file)?;
        Ok(folder)
    }
}

/// The mirror from which this machine has most of its packages.
fn mirror() -> Result<String, Failure> {
    let targets = output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)", "Label: Debian"]))?;
    let count = |uri: &&str| targets.lines().filter(|line| line == uri).count();
    let most = targets.lines().max_by_key(count);
    Ok(most.ok_or("no Debian mirror is known; run apt-get update")?.to_owned())
}

/// A file below a folder whose name starts like this.
fn find(folder: &Path, prefix: &str) -> Result<Option<PathBuf>, Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&entry.path(), prefix)? {
                return Ok(Some(found));
            }
        } else if entry.file_type()?.is_file() && entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
