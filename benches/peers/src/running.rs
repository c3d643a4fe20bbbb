//! Tables of what filters cost on the running kernel.

use crate::case::Case;
use crate::clock::Turns;
use crate::generators::Failure;
use crate::kernel::{Probe, pin, sample};
use crate::quoted::Quoted;
use crate::table::Table;
use crate::{Entry, INSTALLED};
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::policy::UnlistedX32;
use std::io;

/// Children of each filter.
const ROUNDS: u32 = 21;
/// `personality(2)` with this argument only asks.
const ASK: u64 = 0xffff_ffff;

/// Install times and costs of calls, for the policies of [`INSTALLED`].
pub fn tables(cases: &[Case], entries: &mut [Vec<Entry>], quoted: &[Quoted]) -> Result<String, Failure> {
    pin();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut text = format!(
        "## On the running kernel\n\nLinux {}, {ROUNDS} children of each filter in turns. Costs of calls are ratios to the \
         same call without a filter in the same round, the median of all rounds; denied: to getppid(2).\n\n",
        release.trim()
    );
    for (case, entries) in cases.iter().zip(entries).filter(|(case, _)| INSTALLED.contains(&case.name)) {
        text += &table(case, entries, quoted)?;
    }
    Ok(text)
}

fn table(case: &Case, entries: &mut [Entry], quoted: &[Quoted]) -> Result<String, Failure> {
    let probe = Probe { calls: [(libc::SYS_getppid, 0), (libc::SYS_personality, ASK), (denied_call(case)?, 0)] };
    let (mut installs, mut ratios) = (Turns::new(entries.len()), [0; 3].map(|_| Turns::new(entries.len())));
    let mut without = [0; 2].map(|_| Turns::new(1));
    for _ in 0..ROUNDS {
        let bare = sample(None, probe)?.calls;
        without.iter_mut().zip(bare).for_each(|(turns, time)| turns.add(0, time));
        for (thing, entry) in entries.iter().enumerate() {
            let sample = sample(Some(&entry.program), probe)?;
            installs.add(thing, sample.install / 1000.0);
            // A denied call does nothing, as getppid does nothing.
            let bare = [bare[0], bare[1], bare[0]];
            let turns = ratios.iter_mut().zip(sample.calls).zip(bare);
            turns.for_each(|((turns, time), bare)| turns.add(thing, time / bare));
        }
    }
    let (installs, ratios) = (installs.times(), ratios.map(Turns::times));
    let missing = || io::Error::other("no round was made");
    let mut table = Table::new(&[
        &format!("{}, generator", case.name.to_uppercase()),
        "install us, median",
        "best",
        "getppid, cached",
        "personality, checked",
        "denied",
    ]);
    for (thing, entry) in entries.iter_mut().enumerate() {
        let time = installs[thing].ok_or_else(missing)?;
        entry.install = Some(time);
        let mut cells = vec![entry.name.clone(), format!("{:.0}", time.median), format!("{:.0}", time.best)];
        for turns in &ratios {
            cells.push(format!("{:.2}", turns[thing].ok_or_else(missing)?.median));
        }
        table.row(&cells);
    }
    for row in quoted.iter().filter(|row| row.policy == case.name) {
        let Some(time) = row.install_us else { continue };
        let mut cells = vec![format!("_{}_", row.generator), format!("_{time}_")];
        cells.extend([0; 4].map(|_| String::new()));
        table.row(&cells);
    }
    let [getppid, personality] = without.map(|turns| turns.times()[0].map_or(f64::NAN, |time| time.best));
    Ok(format!("{}Without a filter: getppid {getppid:.0} ns, personality {personality:.0} ns.\n\n", table.finish()))
}

/// A call that the policy denies and that does nothing anyway.
fn denied_call(case: &Case) -> Result<i64, Failure> {
    let nr = Arch::X86_64.number("_sysctl").ok_or("no number for _sysctl")?;
    let call = SyscallData { nr, arch: Arch::X86_64.audit(), ..SyscallData::default() };
    match case.policy(UnlistedX32::Default)?.decide(&call) {
        Action::Errno(_) => Ok(nr.into()),
        other => Err(format!("{other} for _sysctl in {}", case.name).into()),
    }
}
