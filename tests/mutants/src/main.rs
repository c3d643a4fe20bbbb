//! What the tests would not notice: each mutant is one small change of a source file, as cargo-mutants makes them, that at
//! least one test has to catch. `tests/mutants/PATH.txt` holds what was found in `src/PATH.rs`.

mod list;
mod record;
mod run;
mod switch;
mod tree;

use list::Mutant;
use record::{Record, Survivor};
use run::{Failed, Outcome};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::{Command, ExitCode};
use tree::Tree;

const HELP: &str = "\
callsieve-mutants FILE...   tests the mutants of these files and writes what was found
callsieve-mutants --changed files that changed since they were tested
callsieve-mutants --stale   these, and those that were never tested
callsieve-mutants --again   files that have survivors without an explanation
callsieve-mutants --check   says which files are fresh, and fails if too many survivors have no explanation

Run it in the root of a checkout. An explanation is a line of its own under the survivor, indented by four, and says why no
test can tell the two apart. It stays as long as the function and the change have the same names.
";
/// The floors that decide what a filter does.
const FLOORS: [&str; 8] = ["policy", "check", "bpf", "emit", "code", "graph", "opt", "arch"];
/// Tests, and tables that a generator wrote.
const NOT: [&str; 3] = ["src/arch/table.rs", "src/arch/prototypes.rs", "src/arch/sys.rs"];
/// Where every survivor needs an explanation; elsewhere one in twenty mutants of a file may lack one.
const STRICT: [&str; 5] =
    ["src/policy/decide.rs", "src/check/prove.rs", "src/check/bdd.rs", "src/check/symbolic.rs", "src/check/words.rs"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match execute(Path::new("."), &arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn execute(checkout: &Path, arguments: &[String]) -> Result<bool, Failed> {
    let checkout = checkout.canonicalize().map_err(|error| error.to_string())?;
    let all = files(&checkout)?;
    let wanted = |states: &[State]| filtered(&all, |file| Ok(states.contains(&state(&checkout, file)?)));
    let files = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check"] => return check(&checkout, &all),
        ["--changed"] => wanted(&[State::Changed])?,
        ["--stale"] => wanted(&[State::Changed, State::Never])?,
        ["--again"] => filtered(&all, |file| {
            Ok(Record::read(&checkout, file).is_some_and(|record| record.unexplained().next().is_some()))
        })?,
        [] => return Err(HELP.to_owned()),
        _ => arguments.to_vec(),
    };
    match files.iter().find(|file| !all.contains(file)) {
        Some(file) => Err(format!("{file} is no file of the floors {}\n\n{HELP}", FLOORS.join(", "))),
        None if files.is_empty() => Ok(true),
        None => test(&checkout, &files).map(|()| true),
    }
}

/// All source files of the floors.
fn files(checkout: &Path) -> Result<Vec<String>, Failed> {
    let places = FLOORS.iter().flat_map(|floor| [format!("src/{floor}.rs"), format!("src/{floor}/**.rs")]);
    let output = Command::new("git").arg("ls-files").args(places).current_dir(checkout).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_test = |file: &str| file.ends_with("/tests.rs") || file.ends_with("_tests.rs") || file.contains("/tests/");
    Ok(text.lines().filter(|file| !is_test(file) && !NOT.contains(file)).map(str::to_owned).collect())
}

fn filtered(files: &[String], wanted: impl Fn(&str) -> Result<bool, Failed>) -> Result<Vec<String>, Failed> {
    let mut result = Vec::new();
    for file in files {
        if wanted(file)? {
            result.push(file.clone());
        }
    }
    Ok(result)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Changed,
    Never,
}

fn state(checkout: &Path, file: &str) -> Result<State, Failed> {
    let Some(record) = Record::read(checkout, file) else { return Ok(State::Never) };
    let source = std::fs::read_to_string(checkout.join(file)).map_err(|error| format!("{file}: {error}"))?;
    Ok(if record.source == record::digest(&source)? { State::Fresh } else { State::Changed })
}

fn test(checkout: &Path, files: &[String]) -> Result<(), Failed> {
    let tree = Tree::copy(checkout)?;
    let mutants = list::mutants(tree.root(), &tree.sources, files)?;
    let (programs, left) = tree.build(&mutants)?;
    let tests = run::tests(&programs, tree.root())?;
    eprintln!(
        "{} mutants, {} unviable, {} to be built alone, {} tests",
        mutants.len(),
        left.unviable.len(),
        left.alone.len(),
        tests.len()
    );
    let mut outcomes: HashMap<u32, Outcome> = left.unviable.iter().map(|number| (*number, Outcome::Unviable)).collect();
    let mut alone: HashSet<u32> = left.alone.iter().copied().collect();
    for file in files {
        let here: Vec<_> = mutants
            .iter()
            .filter(|one| one.file == *file && !outcomes.contains_key(&one.number) && !alone.contains(&one.number))
            .collect();
        let (reached, unreached): (Vec<_>, Vec<_>) = here.into_iter().partition(|one| run::is_reached(&tests, one));
        for mutant in unreached {
            // The compiler may have evaluated it, and does not count.
            if switch::constant(&tree.sources[file], mutant) {
                alone.insert(mutant.number);
            } else {
                outcomes.insert(mutant.number, Outcome::Survives);
            }
        }
        let judged = run::side_by_side(&reached, |mutant| (mutant.number, run::judge(&tests, mutant, tree.root())));
        outcomes.extend(judged);
        if !mutants.iter().any(|one| one.file == *file && alone.contains(&one.number)) {
            write(checkout, &tree, file, &mutants, &outcomes)?;
        }
    }
    for file in files {
        let here: Vec<_> = mutants.iter().filter(|one| one.file == *file && alone.contains(&one.number)).collect();
        for mutant in &here {
            let outcome = match tree.build_alone(mutant)? {
                Err(outcome) => outcome,
                Ok(programs) => run::judge_alone(&programs, tree.root()),
            };
            outcomes.insert(mutant.number, outcome);
        }
        if !here.is_empty() {
            write(checkout, &tree, file, &mutants, &outcomes)?;
        }
    }
    Ok(())
}

fn write(
    checkout: &Path,
    tree: &Tree,
    file: &str,
    mutants: &[Mutant],
    outcomes: &HashMap<u32, Outcome>,
) -> Result<(), Failed> {
    let here: Vec<_> = mutants.iter().filter(|one| one.file == file).collect();
    let count = |outcome| here.iter().filter(|one| outcomes.get(&one.number) == Some(&outcome)).count();
    let survivors: Vec<_> = here.iter().filter(|one| outcomes.get(&one.number) == Some(&Outcome::Survives)).collect();
    let record = Record {
        source: record::digest(&tree.sources[file])?,
        mutants: here.len(),
        caught: count(Outcome::Caught) + count(Outcome::Loops),
        loops: count(Outcome::Loops),
        unviable: count(Outcome::Unviable),
        survivors: survivors.iter().map(|one| Survivor { name: one.name.clone(), why: String::new() }).collect(),
    };
    println!(
        "{file}: {} mutants, {} caught, {} unviable, {} survive",
        record.mutants,
        record.caught,
        record.unviable,
        survivors.len()
    );
    record.write(checkout, file)
}

/// A line for each floor, and whether few enough survivors are unexplained.
fn check(checkout: &Path, files: &[String]) -> Result<bool, Failed> {
    let mut floors: BTreeMap<&str, [usize; 9]> = BTreeMap::new();
    let mut good = true;
    for file in files {
        let floor = file.split(['/', '.']).nth(1).unwrap_or_default();
        let state = state(checkout, file)?;
        let record = Record::read(checkout, file).unwrap_or_default();
        let unexplained = record.unexplained().count();
        let states = [State::Fresh, State::Changed, State::Never].map(|one| usize::from(one == state));
        let row = [
            states[0],
            states[1],
            states[2],
            record.mutants,
            record.caught,
            record.loops,
            record.unviable,
            record.survivors.len(),
            unexplained,
        ];
        for name in [floor, "~all"] {
            let sum = floors.entry(name).or_default();
            (0..row.len()).for_each(|column| sum[column] += row[column]);
        }
        if unexplained * 20 > record.mutants || unexplained > 0 && STRICT.contains(&file.as_str()) {
            good = false;
            println!("{file}: {unexplained} survivors of {} mutants have no explanation", record.mutants);
            record.unexplained().for_each(|name| println!("    {name}"));
        }
    }
    println!("floor   fresh changed never  mutants caught loops unviable survive unexplained");
    for (floor, row) in floors {
        let [fresh, changed, never, mutants, caught, loops, unviable, survive, unexplained] = row;
        let floor = floor.trim_start_matches('~');
        println!(
            "{floor:7} {fresh:5} {changed:7} {never:5}  {mutants:7} {caught:6} {loops:5} {unviable:8} {survive:7} {unexplained:11}"
        );
    }
    Ok(good)
}
