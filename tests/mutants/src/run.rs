//! Which tests come by a mutant, and whether one of them fails with it.

use crate::list::Mutant;
use std::collections::HashSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// What went wrong, for people.
pub type Failed = String;

/// A test that takes longer is not asked again with more cases, in seconds.
const QUICK: f64 = 0.3;

pub struct Test {
    program: PathBuf,
    name: String,
    seconds: f64,
    reaches: HashSet<u32>,
}

impl Test {
    fn is_of_library(&self) -> bool {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("callsieve-")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Caught,
    /// Caught by its limits of time and memory.
    Loops,
    Survives,
    Unviable,
}

/// All tests, the quick ones first, each run once without a mutant.
pub fn tests(programs: &[PathBuf], tree: &Path) -> Result<Vec<Test>, Failed> {
    let mut names = Vec::new();
    for program in programs {
        let list = Command::new(program).args(["--list", "--format", "terse"]).current_dir(tree).output();
        let list = list.map_err(|error| format!("{}: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&list.stdout).into_owned();
        names.extend(
            text.lines().filter_map(|line| line.strip_suffix(": test")).map(|name| (program.clone(), name.to_owned())),
        );
    }
    let mut tests = side_by_side(&names, |(program, name)| {
        let whose = program.file_name().unwrap_or_default().to_string_lossy();
        let sites = tree.with_file_name(format!("sites-{whose}-{}", name.replace("::", "-")));
        let _ = fs::remove_file(&sites);
        let begin = Instant::now();
        let once = || run(&Run { program, names: &[name], mutant: 0, cases: 8, seconds: 600 }, tree, Some(&sites));
        // A busy machine gets another try.
        let outcome = Some(once()).filter(|outcome| *outcome == Outcome::Survives).unwrap_or_else(once);
        if outcome != Outcome::Survives {
            return Err(format!("{name} fails without any mutant ({outcome:?})"));
        }
        let written = fs::read_to_string(&sites).unwrap_or_default();
        let reaches = written.lines().filter_map(|line| line.parse().ok()).collect();
        let _ = fs::remove_file(&sites);
        Ok(Test { program: program.clone(), name: name.clone(), seconds: begin.elapsed().as_secs_f64(), reaches })
    })
    .into_iter()
    .collect::<Result<Vec<_>, Failed>>()?;
    tests.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(tests)
}

/// Whether any test comes by it.
pub fn is_reached(tests: &[Test], mutant: &Mutant) -> bool {
    tests.iter().any(|test| test.reaches.contains(&mutant.number))
}

/// The outcome of a mutant that is in the build.
pub fn judge(tests: &[Test], mutant: &Mutant, tree: &Path) -> Outcome {
    let reaching: Vec<_> = tests.iter().filter(|test| test.reaches.contains(&mutant.number)).collect();
    let outcome = all(&reaching, mutant.number, 8, tree);
    if outcome != Outcome::Survives {
        return outcome;
    }
    // What survives sees more random cases, which are those of the library. Slow tests have seen many already.
    let quick: Vec<_> = reaching.into_iter().filter(|test| test.is_of_library() && test.seconds < QUICK).collect();
    all(&quick, mutant.number, 64, tree)
}

/// The outcome of test programs of one mutant.
pub fn judge_alone(programs: &[PathBuf], tree: &Path) -> Outcome {
    let outcomes =
        programs.iter().map(|program| run(&Run { program, names: &[], mutant: 0, cases: 8, seconds: 200 }, tree, None));
    outcomes.into_iter().find(|outcome| *outcome != Outcome::Survives).unwrap_or(Outcome::Survives)
}

/// In portions of more and more time, so that most mutants need only the first.
fn all(tests: &[&Test], mutant: u32, cases: u32, tree: &Path) -> Outcome {
    let mut rest = tests;
    let mut budget = 0.1;
    while !rest.is_empty() {
        let (mut sum, mut count) = (0.0, 0);
        while count < rest.len() && (count == 0 || sum + rest[count].seconds < budget) {
            sum += rest[count].seconds;
            count += 1;
        }
        let (portion, others) = rest.split_at(count);
        let mut programs: Vec<_> = portion.iter().map(|test| &test.program).collect();
        programs.dedup();
        for program in programs.iter().collect::<HashSet<_>>() {
            let names: Vec<_> =
                portion.iter().filter(|test| test.program == **program).map(|test| &test.name).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of tests")]
            let seconds = 5 + (sum * 2.0 * f64::from(cases)) as u64;
            let outcome = run(&Run { program, names: &names, mutant, cases, seconds }, tree, None);
            if outcome != Outcome::Survives {
                return outcome;
            }
        }
        rest = others;
        budget *= 8.0;
    }
    Outcome::Survives
}

struct Run<'a> {
    program: &'a Path,
    /// All tests if there are none.
    names: &'a [&'a String],
    mutant: u32,
    cases: u32,
    /// Of processor time; there is more of the other time.
    seconds: u64,
}

fn run(what: &Run<'_>, tree: &Path, sites: Option<&Path>) -> Outcome {
    let limits = format!(
        "ulimit -t {}; ulimit -v 6000000; ulimit -c 0; exec timeout -s KILL {} \"$0\" \"$@\"",
        what.seconds,
        what.seconds * 4 + 20
    );
    let mut command = Command::new("sh");
    command.args(["-c", &limits]).arg(what.program).args(what.names);
    if !what.names.is_empty() {
        command.arg("--exact");
    }
    // Ends at the first failure, which a stable compiler's tests do only if told so.
    command.args(["--quiet", "--test-threads=1", "-Zunstable-options", "--fail-fast"]).current_dir(tree);
    command.env("RUSTC_BOOTSTRAP", "1").env("MUTANT", what.mutant.to_string()).env("RUST_BACKTRACE", "0");
    command.envs([
        ("PROPTEST_RNG_SEED", "1"),
        ("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1"),
        ("PROPTEST_MAX_SHRINK_ITERS", "0"),
    ]);
    command.env("PROPTEST_CASES", what.cases.to_string());
    if let Some(sites) = sites {
        command.env("MUTANT_SITES", sites);
    }
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status.map(|status| (status.code(), status.signal())) {
        Ok((Some(0), _)) => Outcome::Survives,
        // SIGKILL and SIGXCPU.
        Ok((Some(137 | 152 | 124), _) | (_, Some(9 | 24))) => Outcome::Loops,
        _ => Outcome::Caught,
    }
}

/// As many at once as there are processors, the results in order.
pub fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            done.push((index, work(item)));
        }
        done
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}
