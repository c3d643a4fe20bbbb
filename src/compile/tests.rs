//! Compiled programs against the meaning of their policies.

use super::{CompileError, Compiler, Level, Picture, Stage, finish};
use crate::arch::Arch;
use crate::bpf::{Action, Program, SyscallData};
use crate::check::{ProveError, evaluate};
use crate::code::Shares;
use crate::fuzzing::random_policy;
use crate::graph::{self, Order};
use crate::opt::Params;
use crate::policy::{Condition, InstallOptions, Policy, Rule, Section, Source, Test};
use crate::profile::{Diagnostics, Width};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arbitrary::Unstructured;
use proptest::prelude::*;

/// Values at which a test may change its mind.
fn edges(test: &Test) -> Vec<u64> {
    let (value, mask) = match *test {
        Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => (v, u64::MAX),
        Test::MaskedEq { mask, value } => (value, mask),
    };
    let near = [value, value.wrapping_sub(1), value.wrapping_add(1), value | !mask, value ^ mask, mask, !mask];
    let flips = [0, 1 << 31, 1 << 32, 1 << 63, 0xffff_ffff, 0xffff_ffff << 32];
    near.iter().flat_map(|value| flips.iter().map(move |flip| value ^ flip)).collect()
}

/// Calls around every number and every constant of a policy.
fn vectors(policy: &Policy, seed: u64) -> Vec<SyscallData> {
    let mut state = seed | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut calls = Vec::new();
    let mut tokens: Vec<u32> = policy.arches().map(Arch::audit).collect();
    tokens.extend([0, u32::MAX, 0xc000_003f, 0x4000_0002]);
    let mut numbers: Vec<u32> = Vec::from([0, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff]);
    numbers.extend([0xc000_0000, 0xffff_fffe, u32::MAX]);
    for &nr in policy.sections.iter().flat_map(|section| section.calls.keys()) {
        numbers.extend([nr, nr.wrapping_sub(1), nr.wrapping_add(1)]);
    }
    numbers.sort_unstable();
    numbers.dedup();
    for &arch in &tokens {
        calls.extend(numbers.iter().map(|&nr| SyscallData { nr, arch, ..SyscallData::default() }));
    }
    for section in &policy.sections {
        for (&nr, rules) in &section.calls {
            let edges_of = |arg: u8| -> Vec<u64> {
                let tests = rules.iter().flat_map(|rule: &Rule| &rule.conditions).filter(|c| c.arg == arg);
                let mut edges: Vec<u64> = tests.flat_map(|condition| edges(&condition.test)).collect();
                edges.push(0);
                edges
            };
            let edges: [Vec<u64>; 6] = core::array::from_fn(|arg| edges_of(u8::try_from(arg).unwrap()));
            for _ in 0..60 {
                let args = core::array::from_fn(|arg| edges[arg][random(edges[arg].len())]);
                calls.push(SyscallData { nr, arch: section.arch.audit(), instruction_pointer: 7, args });
            }
        }
    }
    calls
}

fn agrees(policy: &Policy, order: Order, known: &[Shares], params: Params, seed: u64) -> usize {
    let built = graph::build(policy, order);
    let made = finish(policy.endian(), &built, known, params);
    let program = Program::new(made.insns).unwrap();
    for call in vectors(policy, seed) {
        let raw = evaluate(&program, &call, policy.endian()).raw;
        assert_eq!(raw, policy.decide(&call).to_raw(), "{call:x?}\n{built}\n{policy:#?}");
    }
    program.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_policies_keep_their_meaning(bytes in prop::collection::vec(any::<u8>(), 4096), seed: u64) {
        let policy = random_policy(&mut Unstructured::new(&bytes)).unwrap();
        for params in [Params::default(), Params { few: 0, ..Params::default() }, Params { max_runs: 0, ..Params::default() }] {
            agrees(&policy, Order::First, &[], params, seed);
            agrees(&policy, Order::Last, &[], params, seed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_policies_are_proven_at_every_level(bytes in prop::collection::vec(any::<u8>(), 4096)) {
        let policy = random_policy(&mut Unstructured::new(&bytes)).unwrap();
        for level in [Level::Size, Level::Balanced, Level::Speed, Level::Cached, Level::Fast] {
            let filter = Compiler::new().level(level).compile(&policy).unwrap();
            let again = Compiler::new().level(level).compile(&policy).unwrap();
            prop_assert_eq!(filter.to_bytes(), again.to_bytes());
            prop_assert_eq!(filter.report().len, filter.program().len());
        }
    }
}

/// A policy for x86_64 with rules for one call.
fn one_call(nr: u32, rules: Vec<Rule>) -> Policy {
    let section = Section {
        arch: Arch::X86_64,
        default: Action::Errno(1),
        unlisted: Vec::new(),
        calls: [(nr, rules.into())].into(),
    };
    Policy {
        sections: Vec::from([section]),
        bad_arch: Action::KillProcess,
        unlisted_x32: Action::KillProcess,
        diagnostics: Diagnostics::default(),
        install_options: InstallOptions::default(),
    }
}

fn allow_if(conditions: Vec<Condition>) -> Rule {
    let source = Source { entry: 0, path: String::new() };
    Rule { action: Action::Allow, conditions, narrower: Vec::new(), source }
}

#[test]
fn a_long_program_is_refused_with_the_calls_that_need_most() {
    let value =
        |value: u64| allow_if(Vec::from([Condition { arg: 1, width: Width::Bits64, test: Test::Eq(value * 7) }]));
    let mut policy = one_call(16, (0..5000).map(value).collect());
    policy.sections[0].calls.insert(41, (0..20).map(value).collect());
    let error = Compiler::new().compile(&policy).unwrap_err();
    let CompileError::TooLarge { len, exact: true, limit: 4096, largest } = &error else { panic!("{error}") };
    assert!(*len > 4096);
    let names: Vec<&str> = largest.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["ioctl", "socket"]);
    let counts = (largest[0].insns, largest[1].insns);
    let wanted = std::format!(
        "filter needs {len} instructions, the kernel accepts 4096; largest contributors: ioctl ({}), socket ({})",
        counts.0,
        counts.1
    );
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn tangled_rules_are_asked_one_after_the_other() {
    // Ranges on six arguments that all overlap: deciding them together would need a node for each combination.
    let tests = |seed: u64| {
        (0..6_u8).map(move |arg| {
            let value = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(u32::from(arg) * 11 + 3);
            let test = if (seed + u64::from(arg)).is_multiple_of(2) { Test::Ge(value) } else { Test::Le(value) };
            Condition { arg, width: Width::Bits64, test }
        })
    };
    let rules: Vec<Rule> = (1..100).map(|seed| allow_if(tests(seed).collect())).collect();
    let policy = one_call(16, rules);
    let filter = Compiler::new().compile(&policy).map(|filter| filter.report().chained_calls);
    match filter {
        Ok(chained) => assert_eq!(chained, 1),
        // The program is fine, but its proof has a budget as well.
        Err(CompileError::Proof(ProveError::TooLarge { .. })) => {}
        Err(error) => panic!("{error}"),
    }
    agrees(&policy, Order::First, &[], Params::default(), 5);
}

#[test]
fn stages_can_be_looked_at() {
    let policy = one_call(0, Vec::from([allow_if(Vec::new())]));
    let compiler = Compiler::new();
    let graph = compiler.stage(&policy, Stage::Graph, Picture::Text);
    assert!(graph.contains("arch\n") && graph.contains("  0 -> n"), "{graph}");
    let code = compiler.stage(&policy, Stage::Code, Picture::Text);
    assert!(code.contains("load nr") && code.contains("ALLOW"), "{code}");
    for stage in [Stage::Graph, Stage::Code] {
        let dot = compiler.stage(&policy, stage, Picture::Dot);
        assert!(dot.starts_with("digraph") && dot.ends_with("}\n"), "{dot}");
    }
}

#[test]
fn a_hopeless_policy_is_refused_without_lowering_it() {
    let rule = |seed: u64| {
        let test = Test::Eq(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let condition = |arg| Condition { arg, width: Width::Bits64, test };
        allow_if((0..6).map(condition).collect())
    };
    let policy = one_call(16, (0..6000).map(rule).collect());
    let error = Compiler::new().compile(&policy).unwrap_err();
    let CompileError::TooLarge { exact: false, .. } = &error else { panic!("{error}") };
    let text = error.to_string();
    assert!(text.starts_with("filter needs more than ") && text.contains("largest contributors: ioctl ("), "{text}");
}
