//! Compiles the benchmark policies with several generators and compares what comes out.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml
//!
//! `--quick` counts and proves only, measures no time, and writes no file. `--random POLICIES [SEED]` compares random
//! policies. README.md says what the figures mean.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
compile_error!("the peers are compared on x86_64 Linux with the GNU C library");

#[cfg(feature = "seacomb")]
mod capture;
mod case;
mod chart;
mod clock;
mod figures;
mod generators;
mod heap;
mod kernel;
#[path = "../../../src/compile/mix.rs"]
mod mix;
mod oracle;
#[path = "../../policies/mod.rs"]
mod policies;
mod quoted;
mod running;
mod table;
mod targets;
mod verdict;

use callsieve::Level;
use callsieve::bpf::{Endian, Program};
use case::Case;
use chart::{Bar, Kind};
use clock::{Stages, Time};
use figures::Figures;
use generators::{Failure, Generator};
use quoted::Quoted;
use std::fmt::Write;
use std::path::Path;
use table::Table;
use targets::Found;
use verdict::Verdict;

/// Rounds of the compile times.
const ROUNDS: u32 = 31;
/// The policy of the summary and the charts.
const SHOWN: &str = "p1";
/// Policies that are installed on the running kernel.
const INSTALLED: [&str; 2] = ["p1", "p2"];

/// A program of one generator for one policy, and what was found.
pub struct Entry {
    /// The generator with its options.
    pub name: String,
    /// Whether it is one of ours.
    pub ours: bool,
    /// Whether its options were chosen for this policy.
    pub tuned: bool,
    /// What it made.
    pub program: Program,
    /// What was counted.
    pub figures: Figures,
    /// Whether it means what the policy says, but for what the notes say.
    pub is_right: bool,
    /// From rules to bytes.
    pub compile: Option<Time>,
    /// Bytes in use at most meanwhile.
    pub heap: Option<usize>,
    /// Giving it to the kernel.
    pub install: Option<Time>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        ["--random", policies] => return random(policies.parse()?, 1),
        ["--random", policies, seed] => return random(policies.parse()?, seed.parse()?),
        _ => return Err("unknown arguments; there are --quick and --random POLICIES [SEED]".into()),
    };
    let cases = case::all()?;
    let quoted = quoted::all()?;
    // On a thread of its own, because a generator may need a filter that traps its install.
    let work = || counts_and_times(&cases, &quoted, quick).map_err(|error| error.to_string());
    let joined = std::thread::scope(|scope| scope.spawn(work).join());
    let (text, mut entries, stages) = joined.map_err(|_| "a generator panicked")??;
    let running = if quick { String::new() } else { running::tables(&cases, &mut entries, &quoted)? };
    let names = cases.iter().zip(&entries).map(|(case, entries)| (case.name, entries.as_slice()));
    let found = Found { cases: names.collect(), quoted: &quoted };
    let counted = targets::counted(&found);
    let mut text = targets::table("What has to be reached", &counted) + &text;
    if !quick {
        let timed = targets::timed(&found, &stages);
        text = targets::table("Measured in this run", &timed) + &text + &running;
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        for (case, entries) in cases.iter().zip(&entries).filter(|(case, _)| case.name == SHOWN) {
            text = summary(case, entries, &quoted) + &text;
            charts(case, entries, &quoted, &results)?;
        }
        text = head() + &text;
        std::fs::write(results.join("tables.md"), &text)?;
    }
    print!("{text}");
    match targets::unmet(&counted).as_slice() {
        [] => Ok(()),
        unmet => Err(format!("not reached: {}", unmet.join("; ")).into()),
    }
}

/// Random policies, on a thread of its own as well.
fn random(policies: u64, seed: u64) -> Result<(), Failure> {
    let work = || -> Result<String, Failure> {
        #[cfg(feature = "seacomb")]
        capture::arm()?;
        oracle::run(policies, seed)
    };
    let work = || work().map_err(|error| error.to_string());
    let table = std::thread::scope(|scope| scope.spawn(work).join()).map_err(|_| "a generator panicked")??;
    println!("{table}");
    Ok(())
}

fn head() -> String {
    format!(
        "# Filters of several generators\n\nMade by `benches/peers` with libseccomp {}; its README.md says what the \
         figures mean. _Quoted_ figures were measured elsewhere.\n\n",
        generators::libseccomp_version()
    )
}

/// The most important figures of one policy, shortest program first.
fn summary(case: &Case, entries: &[Entry], quoted: &[Quoted]) -> String {
    let micros = |time: Option<Time>| time.map_or_else(String::new, |time| format!("{:.0}", time.median));
    let mut rows: Vec<(usize, [String; 7])> = Vec::new();
    for Entry { name, figures, compile, install, .. } in entries.iter().filter(|entry| !entry.tuned) {
        let means = [figures.known, figures.mix].map(table::steps);
        let [known, mix] = means;
        let name = name.clone();
        let cells =
            [name, figures.len.to_string(), known, mix, figures.worst.to_string(), micros(*install), micros(*compile)];
        rows.push((figures.len, cells));
    }
    for row in quoted.iter().filter(|row| row.policy == case.name) {
        let [known, mix] = [row.known, row.mix].map(|mean| mean.map_or_else(String::new, table::steps));
        let [install, compile] =
            [row.install_us, row.compile_us].map(|time| time.map_or_else(String::new, |us| us.to_string()));
        let cells = [row.generator.clone(), row.len.to_string(), known, mix, row.worst.to_string(), install, compile];
        rows.push((row.len, cells.map(|cell| if cell.is_empty() { cell } else { format!("_{cell}_") })));
    }
    rows.sort_by_key(|(len, _)| *len);
    let mut table =
        Table::new(&["generator", "length", "mean", "as servers call", "worst", "install us", "compile us"]);
    for (_, cells) in &rows {
        table.row(cells);
    }
    format!("## In short: {}\n\n{}", case.name.to_uppercase(), table.finish())
}

type StagesOf<'a> = Vec<(&'a str, Level, Stages)>;
type Counted<'a> = (String, Vec<Vec<Entry>>, StagesOf<'a>);

fn counts_and_times<'a>(cases: &'a [Case], quoted: &[Quoted], quick: bool) -> Result<Counted<'a>, Failure> {
    #[cfg(feature = "seacomb")]
    capture::arm()?;
    let all = generators::all()?;
    let generators: Vec<&dyn Generator> = all.iter().map(AsRef::as_ref).collect();
    let mut text = String::new();
    let mut entries = Vec::new();
    for case in cases {
        let (part, of_case) = counts(&generators, case, quoted)?;
        text += &part;
        entries.push(of_case);
    }
    let mut stages = Vec::new();
    if !quick {
        text += &compile_times(&generators, cases, &mut entries, quoted)?;
        stages = clock_stages(cases)?;
        text += &table_of_stages(&stages);
    }
    Ok((text, entries, stages))
}

/// Lengths and steps for one policy, each program after its proof.
fn counts(generators: &[&dyn Generator], case: &Case, quoted: &[Quoted]) -> Result<(String, Vec<Entry>), Failure> {
    let mut table = Table::new(&table::STATIC);
    let mut notes = String::new();
    let mut entries = Vec::new();
    for generator in generators.iter().filter(|generator| generator.is_for(case)) {
        let name = generator.name();
        let bytes = match generator.compile(case) {
            Ok(bytes) => bytes,
            Err(error) if generator.is_ours() => return Err(error),
            Err(error) => {
                let _ = writeln!(notes, "- {name}: no program ({})", table::cell(&error.to_string()));
                continue;
            }
        };
        let program = Program::from_bytes(&bytes, Endian::NATIVE)?;
        let meaning = match verdict::verdict(*generator, case, &program)? {
            Verdict::Equal => "proven",
            other if generator.is_ours() => return Err(format!("{name} on {}: {other:?}", case.name).into()),
            Verdict::EqualBut(note) => {
                let _ = writeln!(notes, "- {name}: proven, but {}", table::cell(&note));
                "noted"
            }
            Verdict::Differs(example) => {
                let _ = writeln!(notes, "- {name} differs: {}", table::cell(&example));
                "differs"
            }
        };
        let figures = figures::measure(&program, case, &case.policy(generator.x32())?);
        table.row(&table::figures(&name, &figures, meaning));
        entries.push(Entry {
            name,
            ours: generator.is_ours(),
            tuned: generator.is_tuned(),
            program,
            figures,
            is_right: meaning != "differs",
            compile: None,
            heap: None,
            install: None,
        });
    }
    for row in quoted.iter().filter(|row| row.policy == case.name) {
        table.row(&table::quoted(row));
    }
    let gates = gate_lengths(case, &entries)?;
    let title = case.name.to_uppercase();
    Ok((format!("## {title}\n\n{}{gates}{notes}\n", table.finish()), entries))
}

/// What the gate against x32 numbers adds to ours, which most peers do not have.
fn gate_lengths(case: &Case, entries: &[Entry]) -> Result<String, Failure> {
    if case.arches.len() > 1 {
        return Ok(String::new());
    }
    let mut parts = Vec::new();
    let levels = [Level::Size, Level::Balanced, Level::Speed, Level::Cached, Level::Fast];
    for (level, entry) in levels.into_iter().zip(entries) {
        let len = generators::gated(case, level)?.len();
        parts.push(format!(
            "{} {len} ({:+})",
            format!("{level:?}").to_lowercase(),
            len as f64 - entry.figures.len as f64
        ));
    }
    Ok(format!("- callsieve with the x32 gate, as libseccomp has it: {} instructions\n", parts.join(", ")))
}

fn compile_times(
    generators: &[&dyn Generator],
    cases: &[Case],
    entries: &mut [Vec<Entry>],
    quoted: &[Quoted],
) -> Result<String, Failure> {
    let mut table =
        Table::new(&["policy", "generator", "median us", "best us", "x libseccomp level 2", "peak heap KiB"]);
    for (case, entries) in cases.iter().zip(entries) {
        let able: Vec<&dyn Generator> = generators
            .iter()
            .copied()
            .filter(|generator| generator.is_for(case) && generator.compile(case).is_ok())
            .collect();
        let times = clock::compile(&able, case, ROUNDS);
        let reference = able.iter().zip(&times).find(|(generator, _)| generator.name() == "libseccomp level 2");
        let reference = reference.and_then(|(_, time)| *time).map(|time| time.median);
        for (generator, time) in able.iter().zip(times) {
            let time = time.ok_or("no round was made")?;
            let heap = clock::heap(*generator, case);
            for entry in entries.iter_mut().filter(|entry| entry.name == generator.name()) {
                (entry.compile, entry.heap) = (Some(time), Some(heap));
            }
            let ratio = reference.map_or_else(String::new, |reference| format!("{:.2}", time.median / reference));
            let heap = format!("{:.0}", heap as f64 / 1024.0);
            let [median, best] = [time.median, time.best].map(|time| format!("{time:.0}"));
            table.row(&[case.name.to_uppercase(), generator.name(), median, best, ratio, heap]);
        }
        for row in quoted.iter().filter(|row| row.policy == case.name) {
            let Some(time) = row.compile_us else { continue };
            let heap = row.heap.map_or_else(String::new, |bytes| format!("_{}_", bytes / 1024));
            let name = format!("_{}_", row.generator);
            table.row(&[case.name.to_uppercase(), name, format!("_{time}_"), String::new(), String::new(), heap]);
        }
    }
    Ok(format!(
        "## Compile time and heap\n\nFrom rules in memory to the bytes of a program, {ROUNDS} rounds in turns; callsieve \
         includes resolving, the proof and the report.\n\n{}",
        table.finish()
    ))
}

fn clock_stages(cases: &[Case]) -> Result<StagesOf<'_>, Failure> {
    let levels = [Level::Balanced, Level::Fast];
    let each = cases.iter().flat_map(|case| levels.map(|level| (case, level)));
    each.map(|(case, level)| Ok((case.name, level, clock::stages(case, level, ROUNDS)?))).collect()
}

fn table_of_stages(all: &StagesOf<'_>) -> String {
    let mut table =
        Table::new(&["policy, level", "resolve", "compile, prove, report", "proof alone", "JSON text to filter"]);
    for (policy, level, stages) in all {
        let name = format!("{} {}", policy.to_uppercase(), format!("{level:?}").to_lowercase());
        let time = |time: Time| format!("{:.0} ({:.0})", time.median, time.best);
        let text = stages.text_to_filter.map_or_else(String::new, time);
        table.row(&[name, time(stages.resolve), time(stages.compile), time(stages.prove), text]);
    }
    format!("### Where the time of callsieve goes\n\nMedian us, in brackets the best.\n\n{}", table.finish())
}

fn charts(case: &Case, entries: &[Entry], quoted: &[Quoted], results: &Path) -> Result<(), Failure> {
    let bars = |figure: &dyn Fn(&Figures) -> f64, quote: &dyn Fn(&Quoted) -> Option<f64>| -> Vec<Bar> {
        let kind = |ours| if ours { Kind::Ours } else { Kind::Peer };
        let made = entries.iter().filter(|entry| !entry.tuned).map(|entry| Bar {
            name: entry.name.clone(),
            value: figure(&entry.figures),
            kind: kind(entry.ours),
        });
        let elsewhere = quoted
            .iter()
            .filter(|row| row.policy == case.name)
            .filter_map(|row| Some(Bar { name: row.generator.clone(), value: quote(row)?, kind: Kind::Quoted }));
        let mut bars: Vec<Bar> = made.chain(elsewhere).collect();
        bars.sort_by(|a, b| a.value.total_cmp(&b.value));
        bars
    };
    let length = bars(&|figures| figures.len as f64, &|row| Some(row.len as f64));
    let steps = bars(&|figures| figures.known, &|row| row.known);
    let note = "container default on x86_64; outlined: quoted, not run here";
    let files = [
        ("length.svg", chart::bars("Instructions of the filter", note, &length, 450.0, 0)),
        ("steps.svg", chart::bars("Instructions that a call executes, mean over all calls", note, &steps, 30.0, 2)),
    ];
    for (name, svg) in files {
        std::fs::write(results.join(format!("{SHOWN}-{name}")), svg)?;
    }
    Ok(())
}
