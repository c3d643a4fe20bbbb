//! `callsieve fuse`: one filter in place of several that are stacked.

use crate::filter::{FilterOptions, Subject};
use crate::outcome::{Done, Failure, Outcome, count};
use crate::{file, replacement};
use callsieve::Layer;
use callsieve::arch::Arch;
use callsieve::profile::Flag;
use clap::Args;

/// Make one filter of several that are stacked in a process, and prove that it does the same
///
/// The filters are given in the order in which they were installed, the oldest first. For every call the result returns
/// what the kernel gets from all of them: the lowest action wins, and of equal actions the number of the newest counts.
///
/// Filters with different flags (LOG, SPEC_ALLOW) cannot become one, nor can several with a listener. A profile says its
/// flags itself; for a raw filter they are given with --flags.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve fuse first.bpf second.bpf -o both.bpf
  callsieve fuse container-default service.json --arch x86_64
  callsieve fuse old.bpf new.bpf --flags 1=log --flags 2=log")]
pub struct Options {
    /// Raw filters or JSON profiles, the oldest first
    #[arg(required = true, num_args = 2.., value_name = "FILE.bpf|PROFILE")]
    filters: Vec<String>,

    /// Flags with which filter N was installed: log, spec-allow, new-listener
    #[arg(long, value_name = "N=FLAG,...", value_parser = flags)]
    flags: Vec<(usize, Flags)>,

    /// Write the filter to FILE (- for standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    filter: FilterOptions,
}

/// What counts of the flags of an installed filter.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    log: bool,
    spec_allow: bool,
    listener: bool,
}

/// Reads the value of --flags.
fn flags(word: &str) -> Result<(usize, Flags), String> {
    const EXPECTED: &str = "expected the place of a filter and its flags, such as 2=log,spec-allow,new-listener";
    let (number, names) = word.split_once('=').ok_or(EXPECTED)?;
    let number = number.parse().ok().filter(|&number: &usize| number > 0).ok_or(EXPECTED)?;
    let mut flags = Flags::default();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        match name {
            "log" => flags.log = true,
            "spec-allow" => flags.spec_allow = true,
            "new-listener" => flags.listener = true,
            _ => return Err(EXPECTED.into()),
        }
    }
    Ok((number, flags))
}

pub fn execute(options: &Options) -> Outcome {
    file::only_one_stdin(&options.filters)?;
    if let Some((number, _)) = options.flags.iter().find(|(number, _)| *number > options.filters.len()) {
        let given = count(options.filters.len(), "filter");
        return Err(Failure::new(format!("--flags names filter {number}, but only {given} are given")));
    }
    let subjects = options.filters.iter().map(|path| options.filter.load(path)).collect::<Result<Vec<_>, _>>()?;
    let arches = arches(&subjects)?;
    let layers: Vec<Layer<'_>> =
        subjects.iter().zip(1..).map(|(subject, number)| options.layer(subject, number)).collect();
    let made = options.filter.compiler().fuse(&layers, &arches);
    let made = made.map_err(|error| Failure::new(error.to_string()))?;
    let how = if made.is_original() && subjects.len() > 1 { ": one of them does what all do" } else { "" };
    let head = format!("{} fused{how}", count(subjects.len(), "filter"));
    let text = if options.json {
        Done::json(&replacement::to_json(&made))
    } else {
        Done::text(replacement::to_text(&head, &made))
    };
    replacement::finish(options.output.as_deref(), options.json, &made, text)
}

impl Options {
    fn layer<'a>(&self, subject: &'a Subject, number: usize) -> Layer<'a> {
        let given = self.flags.iter().rev().find(|(of, _)| *of == number).map(|(_, flags)| *flags);
        let flags = given.unwrap_or_else(|| of_profile(subject));
        Layer::new(&subject.program).log(flags.log).spec_allow(flags.spec_allow).listener(flags.listener)
    }
}

fn of_profile(subject: &Subject) -> Flags {
    let Some(policy) = &subject.policy else { return Flags::default() };
    let options = policy.install_options();
    let has = |flag| options.flags().is_some_and(|flags| flags.contains(&flag));
    Flags { log: has(Flag::Log), spec_allow: has(Flag::SpecAllow), listener: options.listener_path().is_some() }
}

/// The ABIs of all filters, of one byte order.
fn arches(subjects: &[Subject]) -> Result<Vec<Arch>, Failure> {
    let mut arches: Vec<Arch> = Vec::new();
    for subject in subjects {
        for &arch in &subject.arches {
            if !arches.contains(&arch) {
                arches.push(arch);
            }
        }
    }
    if let [first, .., last] = subjects
        && let Some(other) = subjects.iter().find(|other| other.endian != first.endian)
    {
        let other = if other.name == first.name { last } else { other };
        return Err(Failure::new(format!(
            "{} and {} are for different byte orders; a process has filters of one",
            first.name, other.name
        )));
    }
    Ok(arches)
}
