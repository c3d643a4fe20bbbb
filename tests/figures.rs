//! The figures of the benchmark policies: lengths and executed instructions, which are the same on every machine. They
//! may get better; then lower the limit. `benches/peers` measures the same and compares it with other generators.

#![allow(dead_code, unexpected_cfgs, missing_docs)] // Parts of the comparison are used here.
#![allow(clippy::pedantic, clippy::unwrap_used, clippy::panic)] // They are checked where they belong.

#[path = "../benches/peers/src/case.rs"]
mod case;
#[path = "../benches/peers/src/figures.rs"]
mod figures;
#[path = "../src/compile/mix.rs"]
mod mix;
#[path = "../benches/policies/mod.rs"]
mod policies;

use callsieve::policy::UnlistedX32;
use callsieve::{Compiler, Level, Weights};
use figures::Figures;

fn made(policy: &str, x32: UnlistedX32, compiler: &Compiler) -> Figures {
    let cases = case::all().unwrap();
    let case = cases.iter().find(|case| case.name == policy).unwrap();
    let filter = compiler.compile(&case.policy(x32).unwrap()).unwrap();
    let figures = figures::measure(filter.program(), case, &case.policy(x32).unwrap());
    assert_eq!(figures.cached.0, figures.cached.1, "{policy}: each unconditional allow is cacheable");
    figures
}

fn level(policy: &str, level: Level) -> Figures {
    made(policy, UnlistedX32::Default, &Compiler::new().level(level))
}

fn weighed(policy: &str, level: Level, weights: Weights) -> Figures {
    made(policy, UnlistedX32::Default, &Compiler::new().level(level).weights(weights))
}

#[track_caller]
fn at_most(what: &str, found: impl Into<f64>, limit: f64) {
    let found = found.into();
    assert!(found <= limit, "{what}: {found:.3} is above {limit}");
}

fn len(figures: &Figures) -> f64 {
    figures.len as f64
}

#[test]
fn the_container_default() {
    let size = level("p1", Level::Size);
    at_most("length, size", len(&size), 60.0);
    at_most("emulated, size", size.emulated as f64, 5756.0);
    let balanced = level("p1", Level::Balanced);
    at_most("length", len(&balanced), 64.0);
    at_most("mix", balanced.mix, 6.89);
    at_most("known", balanced.known, 9.53);
    at_most("worst", balanced.worst, 18.0);
    let speed = level("p1", Level::Speed);
    at_most("length, speed", len(&speed), 67.0);
    at_most("mix, speed", speed.mix, 6.5);
    let cached = level("p1", Level::Cached);
    at_most("arg, cached", cached.arg, 9.6);
    at_most("denied, cached", cached.denied, 10.3);
    at_most("worst, cached", cached.worst, 13.0);
    at_most("known, uniform", weighed("p1", Level::Balanced, Weights::uniform()).known, 8.95);
}

#[test]
fn three_abis() {
    at_most("length, size", len(&level("p2", Level::Size)), 192.0);
    let balanced = level("p2", Level::Balanced);
    at_most("known", balanced.known, 9.55);
    let x86 = balanced.others.iter().find(|other| other.arch.short_name() == "x86").unwrap();
    at_most("x86", x86.known, 11.15);
    at_most("x86, allowed", x86.allowed, 10.97);
}

#[test]
fn few_calls() {
    at_most("length, size", len(&level("p3", Level::Size)), 10.0);
    at_most("known", level("p3", Level::Balanced).known, 6.2);
    at_most("p7 length", len(&level("p7", Level::Balanced)), 13.0);
    at_most("small20 known", weighed("small20", Level::Balanced, Weights::uniform()).known, 6.34);
    at_most("small20 mix", level("small20", Level::Speed).mix, 6.75);
    at_most("small20 length", len(&level("small20", Level::Size)), 21.0);
}

#[test]
fn arguments() {
    let p4 = weighed("p4", Level::Size, Weights::shares(3, 0, 2, 3, 2).worst_case(20));
    at_most("p4 length", len(&p4), 177.0);
    at_most("p4 worst", p4.worst, 20.0);
    at_most("p5 length", len(&level("p5", Level::Size)), 59.0);
    // Below every other generator in every column but `arg`.
    let text = include_str!("../benches/peers/src/generators/p5-weights.json");
    let p5 = weighed("p5", Level::Speed, Weights::from_json(text).unwrap());
    let means = [(p5.allowed, 9.9499), (p5.known, 9.9599), (p5.mix, 9.3599), (p5.denied, 8.7899)];
    for (mean, limit) in means {
        at_most("p5", mean, limit);
    }
    // The last argument is looked at first.
    let last = level("p6", Level::Size);
    at_most("p6 length, size", len(&last), 110.0);
    at_most("p6 worst, size", last.worst, 19.0);
    // Below every other generator that gets it right, in every column at once.
    let p6 = weighed("p6", Level::Size, Weights::shares(60, 0, 20, 20, 0).worst_case(16));
    at_most("p6 length", len(&p6), 116.0);
    at_most("p6 worst", p6.worst, 16.0);
    let means = [(p6.allowed, 11.1), (p6.known, 10.1), (p6.mix, 10.6), (p6.arg, 13.1), (p6.denied, 10.0)];
    for (mean, limit) in means {
        at_most("p6", mean, limit);
    }
}

#[test]
fn the_gate_against_x32_is_short() {
    for (policy, most) in [("p1", 2.0), ("p3", 3.0), ("p5", 2.0), ("small20", 2.0)] {
        for which in [Level::Size, Level::Balanced, Level::Speed, Level::Cached] {
            let gated = made(policy, UnlistedX32::BadArch, &Compiler::new().level(which));
            at_most(policy, len(&gated) - len(&level(policy, which)), most);
        }
    }
}

/// Counted in the weights that the filters were asked for. The level for size trades comparisons for length, the fast one
/// does not search, and x32 numbers share the tree of x86_64.
#[test]
fn no_tree_of_range_tests_is_better() {
    for case in case::all().unwrap() {
        let policy = case.policy(UnlistedX32::Default).unwrap();
        for which in [Level::Balanced, Level::Speed, Level::Cached] {
            let filter = Compiler::new().level(which).compile(&policy).unwrap();
            for arch in filter.report().arches.iter().filter(|arch| arch.arch.short_name() != "x32") {
                at_most(case.name, arch.dispatch.unwrap().distance(), 0.0);
            }
        }
    }
}
