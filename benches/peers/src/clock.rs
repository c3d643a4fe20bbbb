//! Compile times, taken in turns so that all generators share what else the machine does.

use crate::case::Case;
use crate::generators::{Failure, Generator};
use crate::heap;
use callsieve::check::prove;
use callsieve::policy::UnlistedX32;
use callsieve::profile::{Format, Profile};
use callsieve::{Compiler, Level};
use std::hint::black_box;
use std::time::Instant;

/// Microseconds over all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub median: f64,
    pub best: f64,
}

/// Times of things that are done in turns.
pub struct Turns {
    samples: Vec<Vec<f64>>,
}

impl Turns {
    /// For so many things.
    pub fn new(things: usize) -> Self {
        Self { samples: vec![Vec::new(); things] }
    }

    /// Adds a time of one thing.
    pub fn add(&mut self, thing: usize, value: f64) {
        self.samples[thing].push(value);
    }

    /// The result for each thing; none for a thing that was never done.
    pub fn times(mut self) -> Vec<Option<Time>> {
        let time = |samples: &mut Vec<f64>| {
            samples.sort_by(f64::total_cmp);
            Some(Time { median: *samples.get(samples.len() / 2)?, best: *samples.first()? })
        };
        self.samples.iter_mut().map(time).collect()
    }
}

/// From rules in memory to the bytes of a program, for each generator; ours with the proof.
pub fn compile(generators: &[&dyn Generator], case: &Case, rounds: u32) -> Vec<Option<Time>> {
    let mut turns = Turns::new(generators.len());
    for _ in 0..rounds {
        for (thing, generator) in generators.iter().enumerate() {
            turns.add(thing, micros(|| generator.compile(case)));
        }
    }
    turns.times()
}

/// The most bytes of heap in use at a time while compiling.
pub fn heap(generator: &dyn Generator, case: &Case) -> usize {
    // Once before, for what is allocated once in the life of a process.
    drop(black_box(generator.compile(case)));
    heap::peak(|| black_box(generator.compile(case)).is_ok()).0
}

/// Where the time of ours goes.
pub struct Stages {
    pub resolve: Time,
    /// From a policy to a filter, the proof and the report included.
    pub compile: Time,
    pub prove: Time,
    /// From JSON text to a filter; nothing if the policy cannot be written as JSON.
    pub text_to_filter: Option<Time>,
}

/// Takes the stages of ours in turns.
pub fn stages(case: &Case, level: Level, rounds: u32) -> Result<Stages, Failure> {
    let target = case.target(UnlistedX32::Default);
    let policy = case.profile.resolve(&target)?;
    let compiler = Compiler::new().level(level);
    let filter = compiler.compile(&policy)?;
    let text = case.profile.to_json().ok();
    let mut turns = Turns::new(4);
    for _ in 0..rounds {
        turns.add(0, micros(|| case.profile.resolve(&target)));
        turns.add(1, micros(|| compiler.compile(&policy)));
        turns.add(2, micros(|| prove(filter.program(), &policy)));
        if let Some(text) = &text {
            turns.add(3, micros(|| from_text(text, case, level)));
        }
    }
    let times = turns.times();
    let time = |thing: usize| times[thing].ok_or("no round was made");
    Ok(Stages { resolve: time(0)?, compile: time(1)?, prove: time(2)?, text_to_filter: times[3] })
}

fn from_text(text: &str, case: &Case, level: Level) -> Result<callsieve::Filter, Failure> {
    let profile = Profile::from_json(text, Format::Oci)?;
    Ok(Compiler::new().level(level).compile(&profile.resolve(&case.target(UnlistedX32::Default))?)?)
}

fn micros<T>(work: impl FnOnce() -> T) -> f64 {
    let begin = Instant::now();
    let result = black_box(work());
    let time = begin.elapsed().as_secs_f64() * 1e6;
    drop(result);
    time
}
