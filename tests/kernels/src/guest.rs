//! A booted machine: what goes in, what comes out.

use crate::case::Case;
use crate::initramfs::Archive;
use crate::machine::{Abi, Machine};
use crate::run::{Failure, run};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/probe.c");
/// Seconds that a guest may take.
const PATIENCE: &str = "600";
/// How often a guest that does not finish is booted. Emulated clocks and timers go wrong at times on a busy host.
const ATTEMPTS: usize = 2;

/// What a guest printed.
#[derive(Debug)]
pub struct Console {
    text: String,
}

/// A machine with what it is to do.
#[derive(Debug)]
pub struct Guest<'m> {
    machine: &'m Machine,
    initramfs: PathBuf,
    log: PathBuf,
}

/// Writes down the cases of each ABI for a machine.
pub fn prepare<'m>(machine: &'m Machine, cases: &[Vec<Case>], store: &Path) -> Result<Guest<'m>, Failure> {
    let initramfs = store.join("initramfs").join(machine.name);
    fs::create_dir_all(store.join("initramfs"))?;
    fs::create_dir_all(store.join("log"))?;
    fs::write(&initramfs, archive(machine, cases, store)?)?;
    Ok(Guest { machine, initramfs, log: store.join("log").join(machine.name) })
}

impl Guest<'_> {
    /// Boots a kernel and waits until it is through.
    pub fn boot(&self, kernel: &Path) -> Result<Console, Failure> {
        let (name, log) = (self.machine.name, &self.log);
        for attempt in 1..=ATTEMPTS {
            let status = self.emulate(kernel)?;
            let text = String::from_utf8_lossy(&fs::read(log)?).replace(['\r', '\0'], "");
            if text.lines().any(|line| line == "END") {
                return Ok(Console { text });
            }
            println!("NOTE {name}: the guest did not finish, attempt {attempt} of {ATTEMPTS} ({status})");
        }
        Err(format!("the guest did not finish; its console is in {}", log.display()).into())
    }

    /// Runs it until it powers off, its console into a file.
    fn emulate(&self, kernel: &Path) -> Result<ExitStatus, Failure> {
        let machine = self.machine;
        let output = fs::File::create(&self.log)?;
        let kernel_args = format!("console={} panic=-1 quiet {}", machine.console, machine.kernel_args);
        let mut command = Command::new("timeout");
        command.arg(PATIENCE).args(machine.emulator).args(machine.console_args());
        command.args(["-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot"]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(&self.initramfs).args(["-append", &kernel_args]);
        Ok(command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output).status()?)
    }
}

impl Console {
    /// The release of the kernel.
    pub fn release(&self) -> &str {
        let line = self.text.lines().find_map(|line| line.strip_prefix("BOOT "));
        line.and_then(|line| line.split(' ').next()).unwrap_or("unknown")
    }

    /// Whether the kernel writes what LOG logs, as calls of this ABI show.
    pub fn logs(&self, abi: &Abi) -> bool {
        let line = format!("LOGS {} 1", abi.arch.short_name());
        self.text.lines().any(|other| other == line)
    }

    /// What the guest saw of each call of an ABI: `seen[case][call]`, empty if it told nothing.
    pub fn seen<'a>(&'a self, abi: &Abi, cases: &[Case]) -> Vec<Vec<Vec<&'a str>>> {
        let mut seen: Vec<_> = cases.iter().map(|case| vec![Vec::new(); case.calls.len()]).collect();
        let begin = format!("ABI {}", abi.arch.short_name());
        let lines = self.text.lines().skip_while(|line| *line != begin).skip(1);
        for line in lines.take_while(|line| !line.starts_with("ABI ")) {
            let mut words = line.split(' ');
            if words.next() != Some("O") {
                continue;
            }
            let mut number = || words.next()?.parse::<usize>().ok();
            let place = number().zip(number());
            if let Some(place) = place.and_then(|(case, call)| seen.get_mut(case)?.get_mut(call)) {
                *place = words.collect();
            }
        }
        seen
    }
}

fn archive(machine: &Machine, cases: &[Vec<Case>], store: &Path) -> Result<Vec<u8>, Failure> {
    let mut archive = Archive::default();
    archive.folder("rig");
    for (abi, cases) in machine.abis.iter().zip(cases) {
        let folder = format!("rig/{}", abi.arch.short_name());
        let mut plan = String::new();
        for (id, case) in cases.iter().enumerate() {
            let _ = writeln!(plan, "{}", case.plan(id, abi.arch));
        }
        archive.folder(&folder);
        archive.file(&format!("{folder}/probe"), &fs::read(probe(abi, store)?)?);
        archive.file(&format!("{folder}/plan"), plan.as_bytes());
    }
    let native = machine.abis[0].arch.short_name();
    archive.link("init", &format!("rig/{native}/probe"));
    Ok(archive.into_bytes())
}

/// The program that asks, compiled for an ABI.
fn probe(abi: &Abi, store: &Path) -> Result<PathBuf, Failure> {
    let program = store.join("probe").join(abi.arch.short_name());
    let newer = |path: &Path| Ok::<_, Failure>(path.metadata()?.modified()?);
    if program.is_file() && newer(&program)? > newer(Path::new(PROBE))? {
        return Ok(program);
    }
    fs::create_dir_all(store.join("probe"))?;
    let [compiler, args @ ..] = abi.compiler else { return Err("no compiler".into()) };
    let flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", PROBE, "-o"];
    run(Command::new(compiler).args(args).args(flags).arg(&program))?;
    Ok(program)
}
