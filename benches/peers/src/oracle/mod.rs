//! Random policies through every generator, each program compared with what the policy means over all inputs.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml -- --random 1000 [SEED]
//!
//! A difference belongs to one of the classes of `class.rs`, call by call, or the run fails and shows the smallest policy
//! that has it.

mod class;
mod make;

use crate::case::{Case, Rule};
use crate::generators::{Failure, Generator, peers};
use crate::table::Table;
use callsieve::bpf::{Endian, Program};
use callsieve::check::{Change, ChangedCalls, Judge, ProveError, Subject, prove};
use callsieve::policy::{Policy, Semantics, UnlistedX32};
use callsieve::{Compiler, Level};
use class::Class;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a generator may take for one policy.
const LIMIT: Duration = Duration::from_secs(2);

/// What became of the policies of one generator.
#[derive(Default)]
struct Count {
    tried: u64,
    compared: u64,
    equal: u64,
    classes: BTreeMap<Class, u64>,
}

/// What became of one policy.
enum Answer {
    Equal,
    Differs(Vec<Class>),
    /// There is no program, for this reason.
    Refused(Class),
}

/// Compares so many policies and gives the table of what was found.
pub fn run(policies: u64, seed: u64) -> Result<String, Failure> {
    let peers = peers();
    let begin = Instant::now();
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for seed in seed..seed + policies {
        let case = make::case(seed);
        if let Ok(policy) = meaning(&case, &case.rules, UnlistedX32::Default) {
            let level = [Level::Balanced, Level::Size, Level::Speed, Level::Cached, Level::Fast][(seed % 5) as usize];
            Compiler::new()
                .level(level)
                .compile(&policy)
                .map_err(|error| format!("seed {seed}, {level:?}: {error}"))?;
        }
        for peer in &peers {
            let count = counts.entry(peer().name()).or_default();
            count.tried += 1;
            let answer = compare(*peer, &case).map_err(|error| {
                let smallest = smallest(*peer, &case);
                format!("seed {seed}, {}: {error}\nthe smallest: {}", peer().name(), make::shown(&smallest))
            })?;
            count.compared += u64::from(!matches!(answer, Answer::Refused(_)));
            match answer {
                Answer::Equal => count.equal += 1,
                Answer::Refused(class) => *count.classes.entry(class).or_default() += 1,
                Answer::Differs(classes) => {
                    for class in classes {
                        *count.classes.entry(class).or_default() += 1;
                    }
                }
            }
        }
    }
    Ok(table(&counts, policies, seed, begin.elapsed()))
}

/// A generator can be made on any thread.
pub type Peer = fn() -> Box<dyn Generator>;

fn compare(peer: Peer, case: &Case) -> Result<Answer, Failure> {
    let generator = peer();
    if let Some(class) = class::not_for(generator.as_ref(), case) {
        return Ok(Answer::Refused(class));
    }
    // What the generator says less is no difference: its program is compared with what it was given.
    let (rules, mut classes) = match generator.restated(case) {
        Some((rules, _)) => (rules, vec![Class::Restated]),
        None => (case.rules.clone(), Vec::new()),
    };
    let Ok(policy) = meaning(case, &rules, generator.x32()) else { return Ok(Answer::Refused(Class::OursRefuses)) };
    let Some(compiled) = within_limit(peer, case) else { return Ok(Answer::Refused(Class::TimeLimit)) };
    let bytes = match compiled {
        Ok(bytes) => bytes,
        Err(error) => return class::refused(case, &error).map(Answer::Refused).ok_or_else(|| error.into()),
    };
    let program = Program::from_bytes(&bytes, Endian::NATIVE)?;
    match prove(&program, &policy) {
        Ok(_) if classes.is_empty() => return Ok(Answer::Equal),
        Ok(_) => return Ok(Answer::Differs(classes)),
        Err(ProveError::Differs(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let given = Case { rules, ..case.clone() };
    let diff = Judge::new().diff(&Subject::policy(&policy), &Subject::program(&program, Endian::NATIVE))?;
    for group in diff.groups() {
        classes.extend(of_group(generator.as_ref(), &given, group)?);
    }
    classes.sort_unstable();
    classes.dedup();
    Ok(Answer::Differs(classes))
}

/// The classes of all calls of a group.
fn of_group(generator: &dyn Generator, case: &Case, group: &ChangedCalls) -> Result<Vec<Class>, Failure> {
    let calls = group.calls();
    let mut classes = Vec::new();
    let tokens = calls.tokens().intervals(64).ok_or("too many architectures differ")?;
    let numbers = calls.numbers().intervals(4096).ok_or("too many numbers differ")?;
    let numbers: Vec<_> = numbers.iter().flat_map(one_by_one).collect();
    for (token, numbers) in
        tokens.iter().flat_map(|tokens| numbers.iter().map(move |numbers| (tokens.start(), numbers)))
    {
        let example = |change: &Change| {
            let (token, number) = (u32::try_from(*token).ok()?, u32::try_from(*numbers.start()).ok()?);
            Some((change.example(token, number), change.actions()))
        };
        let examples: Vec<_> = group.changes().iter().filter_map(example).collect();
        let class = class::of_calls(generator, case, *token, numbers, &examples);
        classes.extend(class.ok_or_else(|| {
            let Some(change) = group.changes().first() else { return "nothing differs".to_owned() };
            let [wanted, got] = change.actions();
            let (first, nr) = calls.first();
            format!("calls {numbers:?} of {token:#x} differ: {wanted} and {got}, {:x?}", change.example(first, nr))
        })?);
    }
    Ok(classes)
}

/// Neighbours that differ in the same way need not have the same reason. A long run is no calls that anyone named.
fn one_by_one(numbers: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
    if numbers.end() - numbers.start() < 64 {
        numbers.clone().map(|number| number..=number).collect()
    } else {
        vec![numbers.clone()]
    }
}

fn meaning(case: &Case, rules: &[Rule], x32: UnlistedX32) -> Result<Policy, Failure> {
    let profile = make::profile(case.default, rules);
    // The conditions of a rule hold together, so ranges stay ranges; of rules that contradict each other one counts.
    Ok(profile.resolve(&case.target(x32).semantics(Semantics::Oci))?)
}

/// The program, unless it takes too long: then the thread is left alone. A panic is the error that it says.
fn within_limit(peer: Peer, case: &Case) -> Option<Result<Vec<u8>, String>> {
    let (sender, receiver) = mpsc::channel();
    let case = case.clone();
    std::thread::spawn(move || sender.send(peer().compile(&case).map_err(|error| error.to_string())));
    match receiver.recv_timeout(LIMIT) {
        Ok(result) => Some(result),
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        Err(mpsc::RecvTimeoutError::Disconnected) => Some(Err("it panicked".to_owned())),
    }
}

/// Fewer rules and conditions, as long as the difference has no class.
fn smallest(peer: Peer, case: &Case) -> Case {
    let mut case = case.clone();
    let mut shorter = true;
    while shorter {
        shorter = false;
        for other in make::shorter(&case) {
            if compare(peer, &other).is_err() {
                (case, shorter) = (other, true);
                break;
            }
        }
    }
    case
}

fn table(counts: &BTreeMap<String, Count>, policies: u64, seed: u64, took: Duration) -> String {
    let mut table = Table::new(&["generator", "class", "policies"]);
    for (name, count) in counts {
        let Count { tried, compared, equal, classes } = count;
        let row = |table: &mut Table, class: &str, number: &u64| {
            table.row(&[name.clone(), class.to_owned(), number.to_string()]);
        };
        row(&mut table, "tried", tried);
        row(&mut table, "compared over all inputs", compared);
        row(&mut table, "proven equal", equal);
        for (class, number) in classes {
            row(&mut table, class.words(), number);
        }
        row(&mut table, "unknown", &0);
    }
    format!("## Random policies\n\n{policies} policies from seed {seed} in {} s.\n\n{}", took.as_secs(), table.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use callsieve::arch::Arch;
    use callsieve::bpf::Action;
    use callsieve::profile::{Arg, arg};

    fn ioctl(default: Action, rules: &[&[Arg]]) -> Case {
        let rule = |args: &&[Arg]| Rule { call: "ioctl".to_owned(), action: Action::Allow, args: args.to_vec() };
        let rules: Vec<Rule> = rules.iter().map(rule).collect();
        Case { name: "kept", profile: make::profile(default, &rules), default, arches: vec![Arch::X86_64], rules }
    }

    /// Kept from seed 18: some calls that neither rule matches are allowed. Were it mended in a later version, this would
    /// fail, and the class can go.
    #[test]
    fn alternatives_of_which_no_one_matches() {
        let case = ioctl(Action::Trap(0), &[&[arg::<0>().ne(38), arg::<1>().gt(0x1_0000_0001)], &[arg::<0>().ne(0)]]);
        let Answer::Differs(classes) = compare(peers()[0], &case).unwrap() else { panic!("a difference") };
        assert!(classes.contains(&Class::NoRule), "{classes:?}");
    }

    /// Kept from seed 1037426064: on x86 both constants are cut to 0, and ioctl and fcntl have neighbouring numbers.
    #[test]
    fn neighbours_that_differ_alike_are_told_one_by_one() {
        let rule =
            |call: &str, value| Rule { call: call.to_owned(), action: Action::Allow, args: vec![arg::<2>().eq(value)] };
        let (rules, default) = (vec![rule("ioctl", 1 << 32), rule("fcntl", 1 << 63)], Action::Errno(38));
        let arches = vec![Arch::X86_64, Arch::X86];
        let case = Case { name: "kept", profile: make::profile(default, &rules), default, arches, rules };
        let Answer::Differs(classes) = compare(peers()[0], &case).unwrap() else { panic!("a difference") };
        assert!(classes.contains(&Class::TooWide), "{classes:?}");
    }

    #[test]
    fn what_a_peer_says_exactly_is_equal() {
        let case = ioctl(Action::Errno(1), &[&[arg::<1>().eq(0x5401)], &[arg::<1>().ge(0x1_0000_0000)]]);
        assert!(matches!(compare(peers()[2], &case).unwrap(), Answer::Equal));
    }

    /// A wrong program is not explained away.
    #[test]
    fn an_unknown_difference_fails() {
        struct Wrong;
        impl Generator for Wrong {
            fn name(&self) -> String {
                "wrong".to_owned()
            }
            fn compile(&self, _: &Case) -> Result<Vec<u8>, Failure> {
                Ok(Program::new(vec![callsieve::bpf::Insn::stmt(6, Action::Allow.to_raw())])?.to_bytes(Endian::NATIVE))
            }
        }
        let case = ioctl(Action::Errno(1), &[&[arg::<1>().eq(0x5401)]]);
        assert!(compare(|| Box::new(Wrong), &case).is_err());
    }
}
