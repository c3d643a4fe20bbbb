//! Every worked case of the design's chapter on meaning, in both semantics.

#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, clippy::panic)] // The helpers are not inside of #[test].

use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::policy::{ArgWidth, Policy, ResolveError, Semantics, Target, UnlistedX32};
use callsieve::profile::{Arg, Code, Diagnostic, Format, Profile, Severity, arg};
use std::fmt::Write;

const ALLOW: Action = Action::Allow;
const LOG: Action = Action::Log;
const E1: Action = Action::Errno(1);
const E2: Action = Action::Errno(2);
const E3: Action = Action::Errno(3);
const E38: Action = Action::Errno(38);

/// What a semantics makes of a profile: what it says, and the action of each call.
struct Expected {
    says: Option<(Severity, Code)>,
    /// `None` if the profile is an error.
    calls: Option<Vec<((u64, u64), Action)>>,
}

fn fine(calls: &[((u64, u64), Action)]) -> Expected {
    Expected { says: None, calls: Some(calls.to_vec()) }
}

fn warns(code: Code, calls: &[((u64, u64), Action)]) -> Expected {
    Expected { says: Some((Severity::Warning, code)), calls: Some(calls.to_vec()) }
}

fn error(code: Code) -> Expected {
    Expected { says: Some((Severity::Error, code)), calls: None }
}

/// The call that the cases are about: its parameters are as wide as registers.
const CALL: &str = "remap_file_pages";

/// A profile in JSON: the call under the given rules.
fn json(default: Action, rules: &[(Action, &[Arg])]) -> String {
    let mut text = format!("{{{}, \"syscalls\": [", action("default", default));
    for (position, (rule, args)) in rules.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(text, "{comma}{{\"names\": [\"{CALL}\"], {}, \"args\": [", action("", *rule)).unwrap();
        for (position, arg) in args.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            let (index, value, two, op) = (arg.index(), arg.value(), arg.value_two(), operator(arg));
            write!(text, "{comma}{{\"index\": {index}, \"value\": {value}, \"valueTwo\": {two}, \"op\": \"{op}\"}}")
                .unwrap();
        }
        text.push_str("]}");
    }
    text + "]}"
}

fn action(prefix: &str, action: Action) -> String {
    let (key, errno) = if prefix.is_empty() { ("action", "errnoRet") } else { ("defaultAction", "defaultErrnoRet") };
    match action {
        Action::Errno(number) => format!("\"{key}\": \"SCMP_ACT_ERRNO\", \"{errno}\": {number}"),
        other => format!("\"{key}\": \"SCMP_ACT_{}\"", other.kind()),
    }
}

fn operator(arg: &Arg) -> &'static str {
    use callsieve::profile::Op;
    match arg.op() {
        Op::Eq => "SCMP_CMP_EQ",
        Op::Ne => "SCMP_CMP_NE",
        Op::Lt => "SCMP_CMP_LT",
        Op::Le => "SCMP_CMP_LE",
        Op::Gt => "SCMP_CMP_GT",
        Op::Ge => "SCMP_CMP_GE",
        _ => "SCMP_CMP_MASKED_EQ",
    }
}

fn resolve(
    default: Action,
    arch: Arch,
    rules: &[(Action, &[Arg])],
    semantics: Semantics,
) -> Result<Policy, ResolveError> {
    let profile = Profile::from_json(&json(default, rules), Format::Auto).unwrap();
    profile.resolve(&Target::exactly(&[arch]).semantics(semantics))
}

#[track_caller]
fn check(story: &str, arch: Arch, rules: &[(Action, &[Arg])], expected: [&Expected; 2]) {
    for (semantics, expected) in [Semantics::Oci, Semantics::Strict].into_iter().zip(expected) {
        let story = format!("{story} in {semantics:?}");
        let resolved = resolve(E1, arch, rules, semantics);
        let findings = match &resolved {
            Ok(policy) => policy.diagnostics(),
            Err(error) => error.diagnostics().unwrap(),
        };
        let said = findings.iter().map(|finding| (finding.severity(), finding.code()));
        let said = said.max_by_key(|(severity, _)| *severity);
        assert_eq!(said, expected.says, "{story}: {findings:?}");
        match (&resolved, &expected.calls) {
            (Ok(policy), Some(calls)) => {
                for ((a0, a1), action) in calls {
                    let call = call_with(CALL, arch, *a0, *a1);
                    assert_eq!(policy.decide(&call), *action, "{story}: call with {a0}, {a1}");
                }
            }
            (Err(_), None) => {}
            (Ok(policy), None) => panic!("{story}: not refused: {policy}"),
            (Err(error), Some(_)) => panic!("{story}: {error}"),
        }
    }
}

fn call_with(name: &str, arch: Arch, a0: u64, a1: u64) -> SyscallData {
    let nr = arch.number(name).unwrap();
    SyscallData { nr, arch: arch.audit(), args: [a0, a1, 0, 0, 0, 0], ..SyscallData::default() }
}

const ANY: (u64, u64) = (5, 7);

#[test]
fn unconditional_rules() {
    let x = Arch::X86_64;
    check(
        "allow, deny",
        x,
        &[(ALLOW, &[]), (E38, &[])],
        [&warns(Code::TwoUnconditional, &[(ANY, ALLOW)]), &error(Code::TwoUnconditional)],
    );
    check(
        "deny, allow",
        x,
        &[(E38, &[]), (ALLOW, &[])],
        [&warns(Code::TwoUnconditional, &[(ANY, E38)]), &error(Code::TwoUnconditional)],
    );
    check(
        "exception before",
        x,
        &[(E38, &[arg::<0>().eq(5)]), (ALLOW, &[])],
        [&warns(Code::Shadowed, &[((5, 0), ALLOW), ((6, 0), ALLOW)]), &fine(&[((5, 0), E38), ((6, 0), ALLOW)])],
    );
    check(
        "exception equal to the default",
        x,
        &[(ALLOW, &[]), (E1, &[arg::<0>().eq(5)])],
        [&warns(Code::EqualsDefault, &[((5, 0), ALLOW)]), &fine(&[((5, 0), E1), ((6, 0), ALLOW)])],
    );
}

#[test]
fn overlapping_conditions() {
    let x = Arch::X86_64;
    let (eq5, eq7) = (arg::<0>().eq(5), arg::<1>().eq(7));
    check(
        "same conditions",
        x,
        &[(ALLOW, &[eq5]), (E38, &[eq5])],
        [&error(Code::SameConditionTwoActions), &error(Code::SameConditionTwoActions)],
    );
    // The narrower rule wins without a word: that is what both readings and the author agree on.
    let narrower = [((5, 7), ALLOW), ((5, 8), E38), ((6, 7), E1)];
    check("narrower", x, &[(E38, &[eq5]), (ALLOW, &[eq5, eq7])], [&fine(&narrower), &fine(&narrower)]);
    check(
        "two arguments",
        x,
        &[(ALLOW, &[eq5]), (E38, &[eq7])],
        [
            &warns(Code::OverlapTwoActions, &[((5, 7), E38), ((5, 8), ALLOW), ((4, 7), E38)]),
            &error(Code::OverlapTwoActions),
        ],
    );
    check(
        "crossing ranges",
        x,
        &[(ALLOW, &[arg::<0>().ge(3)]), (E38, &[arg::<0>().le(10)])],
        [
            &warns(Code::OverlapTwoActions, &[((5, 0), E38), ((2, 0), E38), ((11, 0), ALLOW)]),
            &error(Code::OverlapTwoActions),
        ],
    );
    let nested = [((12, 0), E38), ((5, 0), ALLOW), ((2, 0), E1)];
    check(
        "nested ranges",
        x,
        &[(ALLOW, &[arg::<0>().ge(3)]), (E38, &[arg::<0>().ge(10)])],
        [&fine(&nested), &fine(&nested)],
    );
    check(
        "two errors",
        x,
        &[(E3, &[arg::<0>().ge(3)]), (E2, &[arg::<0>().le(10)])],
        [&warns(Code::OverlapTwoActions, &[((5, 0), E2), ((11, 0), E3)]), &error(Code::OverlapTwoActions)],
    );
    let three: [(Action, &[Arg]); 3] =
        [(E38, &[arg::<0>().ge(3)]), (ALLOW, &[arg::<0>().ge(10)]), (LOG, &[arg::<1>().eq(7)])];
    check(
        "narrower, and a third across",
        x,
        &three,
        [
            &warns(Code::OverlapTwoActions, &[((12, 7), LOG), ((12, 8), ALLOW), ((5, 7), E38), ((5, 8), E38)]),
            &error(Code::OverlapTwoActions),
        ],
    );
}

#[test]
fn the_error_shows_a_call_and_both_rules() {
    let rules: [(Action, &[Arg]); 2] = [(ALLOW, &[arg::<0>().eq(5)]), (E38, &[arg::<1>().eq(7)])];
    let error = resolve(E1, Arch::X86_64, &rules, Semantics::Strict).unwrap_err().to_string();
    assert_eq!(
        error,
        "1 problem in the profile\n  $.syscalls[1]: remap_file_pages: ERRNO(38) and $.syscalls[0], which gives ALLOW, both \
         match when arg0 is 5, arg1 is 7; make one condition imply the other, or separate them"
    );
}

#[test]
fn repeated_index() {
    let range: &[Arg] = &[arg::<0>().ge(5), arg::<0>().le(9)];
    check(
        "a range",
        Arch::X86_64,
        &[(ALLOW, range)],
        [
            &warns(Code::RepeatedIndex, &[((3, 0), ALLOW), ((7, 0), ALLOW), ((11, 0), ALLOW)]),
            &fine(&[((3, 0), E1), ((7, 0), ALLOW), ((11, 0), E1)]),
        ],
    );
}

#[test]
fn masks() {
    let x = Arch::X86_64;
    check(
        "datum beside the mask",
        x,
        &[(ALLOW, &[arg::<0>().masked_eq(1, 2)])],
        [&warns(Code::MaskedValueOutsideMask, &[((1, 0), E1), ((2, 0), ALLOW)]), &error(Code::MaskedValueOutsideMask)],
    );
    let resolved = resolve(E1, x, &[(ALLOW, &[arg::<0>().masked_eq(0, 7)])], Semantics::Oci).unwrap();
    assert_eq!(resolved.decide(&call_with(CALL, x, 5, 0)), ALLOW);
    assert_eq!(resolved.diagnostics().worst(), Some(Severity::Warning));
    let refused = resolve(E1, x, &[(ALLOW, &[arg::<0>().masked_eq(0, 7)])], Semantics::Strict);
    assert!(refused.unwrap_err().to_string().contains("outside of the mask"));
}

#[test]
fn constants_beyond_32_bits() {
    let wide = 0x1_0000_0005;
    let never = warns(Code::ConstantTooWide, &[((5, 0), E1)]);
    check("never equal", Arch::X86, &[(ALLOW, &[arg::<0>().eq(wide)])], [&never, &never]);
    let always = warns(Code::ConstantTooWide, &[((5, 0), ALLOW)]);
    check("always different", Arch::X86, &[(ALLOW, &[arg::<0>().ne(wide)])], [&always, &always]);
}

/// In Oci the whole register counts, although the kernel takes 32 bits; in Strict what the kernel takes.
#[test]
fn wide_comparisons() {
    let kill = json(E1, &[(Action::KillThread, &[arg::<0>().eq(1)])]).replace(CALL, "personality");
    let kill = Profile::from_json(&kill, Format::Auto).unwrap();
    let target = Target::exactly(&[Arch::X86_64]);
    let said = |policy: &Policy| policy.diagnostics().iter().map(Diagnostic::code).collect::<Vec<_>>();
    let oci = kill.resolve(&target).unwrap();
    let strict = kill.resolve(&target.clone().semantics(Semantics::Strict)).unwrap();
    assert_eq!((said(&oci), said(&strict)), (vec![Code::WideComparison], vec![]));
    for (a0, by_oci, by_strict) in
        [(1, Action::KillThread, Action::KillThread), (0x1_0000_0001, E1, Action::KillThread), (0x1_0000_0000, E1, E1)]
    {
        let call = call_with("personality", Arch::X86_64, a0, 0);
        assert_eq!((oci.decide(&call), strict.decide(&call)), (by_oci, by_strict), "{a0:#x}");
    }
    // Either can be asked for.
    for semantics in [Semantics::Oci, Semantics::Strict] {
        let target = target.clone().semantics(semantics);
        assert_eq!(kill.resolve(&target.clone().arg_width(ArgWidth::Typed)).unwrap().to_string(), {
            let gates = |policy: &Policy| policy.to_string().replace("KILL_PROCESS", "KILL_THREAD");
            if semantics == Semantics::Oci { gates(&strict) } else { strict.to_string() }
        });
        let written = kill.resolve(&target.arg_width(ArgWidth::Written)).unwrap();
        assert_eq!(written.decide(&call_with("personality", Arch::X86_64, 0x1_0000_0001, 0)), E1);
    }
}

#[test]
fn gates() {
    let call = |nr, arch: Arch| SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
    for (semantics, refused) in [(Semantics::Oci, Action::KillThread), (Semantics::Strict, Action::KillProcess)] {
        for default in [E1, ALLOW] {
            let target = Target::exactly(&[Arch::X86_64]).semantics(semantics);
            let policy = Profile::new(default).rule(LOG, ["read", "write"], []).resolve(&target).unwrap();
            assert_eq!(policy.decide(&call(0, Arch::X86_64)), LOG);
            assert_eq!(policy.decide(&call(3, Arch::X86)), refused);
            assert_eq!(policy.decide(&call(0x4000_0000, Arch::X86_64)), refused);
            assert_eq!(policy.decide(&call(0x4000_0001, Arch::X86_64)), refused);
            assert_eq!(policy.decide(&call(0xffff_fffe, Arch::X86_64)), refused);
            assert_eq!(policy.decide(&call(0xffff_ffff, Arch::X86_64)), default);
            assert_eq!(policy.decide(&call(0x8000_0000, Arch::X86_64)), default);
            assert_eq!(policy.decide(&call(0xbfff_ffff, Arch::X86_64)), default);
        }
    }
}

#[test]
fn gates_follow_the_target() {
    let call = |nr, arch: Arch| SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
    let profile = Profile::new(E1).allow("read");
    let target = Target::exactly(&[Arch::X86_64]).bad_arch(Action::Trap(0));
    let policy = profile.resolve(&target).unwrap();
    assert_eq!(policy.decide(&call(0, Arch::X86)), Action::Trap(0));
    assert_eq!(policy.decide(&call(0x4000_0000, Arch::X32)), Action::Trap(0));
    let policy = profile.resolve(&target.clone().unlisted_x32(UnlistedX32::Default)).unwrap();
    assert_eq!(policy.decide(&call(0x4000_0000, Arch::X32)), E1);
    let policy = profile.resolve(&target.unlisted_x32(UnlistedX32::Action(E38))).unwrap();
    assert_eq!(policy.decide(&call(0x4000_0000, Arch::X32)), E38);
    // Only x32: the other half of the token is a foreign architecture, but not -1.
    let policy = profile.resolve(&Target::exactly(&[Arch::X32])).unwrap();
    assert_eq!(policy.decide(&call(0x4000_0000, Arch::X32)), ALLOW);
    assert_eq!(policy.decide(&call(0, Arch::X86_64)), Action::KillProcess);
    assert_eq!(policy.decide(&call(0xffff_ffff, Arch::X86_64)), E1);
    // Every other listed token: -1 is a number without rules.
    let policy = profile.resolve(&Target::exactly(&[Arch::Mips64n32, Arch::S390x])).unwrap();
    assert_eq!(policy.decide(&call(0xffff_ffff, Arch::S390x)), E1);
    assert_eq!(policy.decide(&call(0xffff_ffff, Arch::Mips64n32)), E1);
    assert_eq!(policy.decide(&call(6000, Arch::Mips64n32)), ALLOW);
}

#[test]
fn unknown_names() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["openat", "opennat", "riscv_flush_icache"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let profile = Profile::from_json(text, Format::Auto).unwrap();
    let target = Target::exactly(&[Arch::X86_64]);
    let policy = profile.resolve(&target).unwrap();
    let said: Vec<String> = policy.diagnostics().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "$.syscalls[0]: riscv_flush_icache: only on architectures that are not listed; skipped",
            "$.syscalls[0].names[1]: unknown system call \"opennat\", skipped (did you mean \"openat\"?)",
        ]
    );
    let error = profile.resolve(&target.semantics(Semantics::Strict)).unwrap_err().to_string();
    assert!(error.starts_with("2 problems in the profile\n  $.syscalls[0]: riscv_flush_icache: "), "{error}");
}
