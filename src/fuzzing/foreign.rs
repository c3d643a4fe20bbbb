//! Random programs as the kernel accepts them, whoever would write such a thing, and what is done with foreign ones.

use super::policy::{orderly_policy, random_policy};
use super::programs::MAX_NODES;
use crate::arch::Arch;
use crate::bpf::opcode::{
    ADD_K, ADD_X, AND_K, AND_X, DIV_K, DIV_X, JA, JEQ_K, JEQ_X, JGE_K, JGE_X, JGT_K, JGT_X, JSET_K, JSET_X, LD_IMM,
    LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, LSH_K, LSH_X, MUL_K, MUL_X, NEG, OR_K, OR_X, RET_A, RET_K,
    RSH_K, RSH_X, ST, STX, SUB_K, SUB_X, TAX, TXA, XOR_K, XOR_X,
};
use crate::bpf::{Endian, Insn, Program, SyscallData};
use crate::check::{Judge, JudgeError, Prover, Subject};
use crate::policy::{MergeError, Policy};
use crate::{Compiler, Layer, Level, ReplaceError, Replacement};
use alloc::vec::Vec;
use arbitrary::{Result, Unstructured};

/// Constants of comparisons: numbers of calls, architectures, flags, the ends of words.
const CONSTANTS: [u32; 20] = [
    0,
    1,
    2,
    3,
    16,
    41,
    59,
    135,
    321,
    0x5401,
    0x4000_0000,
    0x4000_0003,
    0x7e02_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0xc000_003e,
    0x4000_0003,
    0xc000_00b7,
];

/// Returned values: actions, actions with data that they do not have, values that no kernel knows.
const RETURNS: [u32; 14] = [
    0x7fff_0000,
    0x7fff_0000,
    0x7fff_0007,
    0x0005_0001,
    0x0005_0026,
    0x0005_1fff,
    0,
    0x8000_0000,
    0x0003_0000,
    0x7fc0_0000,
    0x7ff0_0002,
    0x7ffc_0000,
    0x1234_5678,
    0xffff_ffff,
];

/// A program that passes the kernel's checks, with every operation that seccomp(2) accepts: loads, comparisons and masks
/// as generators write them, and now and then arithmetic as they do not.
///
/// # Errors
/// When the bytes run out.
pub fn random_program(u: &mut Unstructured<'_>) -> Result<Program> {
    let length: usize = u.int_in_range(1..=48)?;
    // Scratch words must be written before they are read.
    let mut insns = alloc::vec![Insn::stmt(ST, 0), Insn::stmt(STX, 1)];
    for _ in 0..length {
        match u.int_in_range(0..=19)? {
            0..=5 => insns.push(Insn::stmt(LD_W_ABS, u.int_in_range(0..=15_u32)? * 4)),
            6..=12 => comparison(u, length, &mut insns)?,
            13 | 14 => insns.push(Insn::stmt(AND_K, constant(u)?)),
            15 | 16 => insns.push(Insn::stmt(RET_K, *u.choose(&RETURNS)?)),
            17 => insns.push(Insn::stmt(JA, u.int_in_range(0..=3)?)),
            _ => unusual(u, &mut insns)?,
        }
    }
    insns.extend(RETURNS.iter().take(4).map(|&raw| Insn::stmt(RET_K, raw)));
    // What jumps too far stays inside.
    let len = insns.len();
    for (pc, insn) in insns.iter_mut().enumerate() {
        let most = len - pc - 2;
        let near = |distance: u8| distance.min(u8::try_from(most).unwrap_or(u8::MAX));
        match insn.code {
            JA => insn.k = insn.k.min(u32::try_from(most).unwrap_or(0)),
            JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X | JSET_K | JSET_X => {
                (insn.jt, insn.jf) = (near(insn.jt), near(insn.jf));
            }
            _ => {}
        }
        if pc + 2 >= len {
            break;
        }
    }
    Program::new(insns).map_err(|_| arbitrary::Error::IncorrectFormat)
}

fn constant(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match u.int_in_range(0..=9)? {
        0 => u.arbitrary()?,
        1..=4 => u.int_in_range(0..=460)?,
        5 => 1 << u.int_in_range(0..=31)?,
        _ => *u.choose(&CONSTANTS)?,
    })
}

fn comparison(u: &mut Unstructured<'_>, length: usize, insns: &mut Vec<Insn>) -> Result<()> {
    let code = *u.choose(&[JEQ_K, JEQ_K, JEQ_K, JGT_K, JGE_K, JGE_K, JSET_K])?;
    let far = u8::try_from(length / 2).unwrap_or(u8::MAX);
    let distance =
        |u: &mut Unstructured<'_>| if u.ratio(3, 4)? { u.int_in_range(0..=3) } else { u.int_in_range(0..=far) };
    let (jt, jf) = (distance(u)?, distance(u)?);
    insns.push(Insn::new(code, jt, jf, constant(u)?));
    Ok(())
}

/// What hardly any generator emits.
fn unusual(u: &mut Unstructured<'_>, insns: &mut Vec<Insn>) -> Result<()> {
    let insn = match u.int_in_range(0..=9)? {
        0 => Insn::stmt(*u.choose(&[TAX, TXA, NEG])?, 0),
        1 => Insn::stmt(*u.choose(&[ST, STX, LD_MEM, LDX_MEM])?, u.int_in_range(0..=1)?),
        2 => Insn::stmt(*u.choose(&[LD_W_LEN, LDX_W_LEN])?, 0),
        3 => Insn::stmt(*u.choose(&[LD_IMM, LDX_IMM])?, constant(u)?),
        4 => Insn::stmt(*u.choose(&[LSH_K, RSH_K])?, u.int_in_range(0..=31)?),
        5 => Insn::stmt(*u.choose(&[MUL_K, DIV_K])?, u.int_in_range(1..=9)?),
        6 => Insn::stmt(*u.choose(&[ADD_X, SUB_X, MUL_X, DIV_X, OR_X, AND_X, LSH_X, RSH_X, XOR_X])?, 0),
        7 => Insn::new(*u.choose(&[JEQ_X, JGT_X, JGE_X, JSET_X])?, u.int_in_range(0..=3)?, u.int_in_range(0..=3)?, 0),
        8 => Insn::stmt(RET_A, 0),
        _ => Insn::stmt(*u.choose(&[ADD_K, SUB_K, OR_K, XOR_K])?, constant(u)?),
    };
    // Whole words are beyond what can be taken apart, and nobody does it.
    if matches!(insn.code, MUL_K | DIV_K | MUL_X | DIV_X | LSH_X | RSH_X | RET_A | JEQ_X | JGT_X | JGE_X | JSET_X) {
        insns.push(Insn::stmt(AND_K, 0xf << u.int_in_range(0..=28_u32)?));
    }
    insns.push(insn);
    Ok(())
}

fn endian(u: &mut Unstructured<'_>) -> Result<(Endian, [Arch; 2])> {
    Ok(if u.ratio(1, 4)? {
        (Endian::Big, [Arch::S390x, Arch::S390])
    } else {
        (Endian::Little, [Arch::X86_64, Arch::X86])
    })
}

fn compiler() -> Compiler {
    Compiler::new().level(Level::Fast).prover(Prover::new().max_nodes(MAX_NODES))
}

/// Bytes as a program: it is recompiled, and whatever came out does the same. Tells whether it could be taken apart;
/// `None` if the bytes are no program.
pub fn recompile_program(bytes: &[u8]) -> Option<bool> {
    let mut u = Unstructured::new(bytes);
    let (endian, arches) = endian(&mut u).ok()?;
    let program = random_program(&mut u).ok()?;
    let result = compiler().recompile(&program, &arches);
    if let Ok(made) = &result {
        assert!(made.is_original() == (made.filter().program() == &program));
        assert!(made.is_original() || made.filter().program().len() < program.len());
    }
    Some(check(result, core::slice::from_ref(&program), endian, &mut u))
}

/// Bytes as two or three programs, random ones or those of random policies: fused, they do what running all of them
/// does.
pub fn fuse_programs(bytes: &[u8]) -> Option<bool> {
    let mut u = Unstructured::new(bytes);
    let (endian, arches) = endian(&mut u).ok()?;
    let mut stack = Vec::new();
    for _ in 0..u.int_in_range(2..=3).ok()? {
        let made = if u.ratio(1, 3).ok()? {
            let policy = random_policy(&mut u).ok()?;
            (policy.endian() == endian)
                .then(|| compiler().compile(&policy).ok())
                .flatten()
                .map(crate::Filter::into_program)
        } else {
            None
        };
        stack.push(match made {
            Some(program) => program,
            None => random_program(&mut u).ok()?,
        });
    }
    let layers: Vec<Layer<'_>> = stack.iter().map(Layer::new).collect();
    let result = compiler().fuse(&layers, &arches);
    if let Ok(made) = &result {
        assert!(made.is_original() == stack.contains(made.filter().program()));
    }
    Some(check(result, &stack, endian, &mut u))
}

/// The result is proven already, so this looks for what a wrong proof would miss.
fn check(
    result: core::result::Result<Replacement, ReplaceError>,
    stack: &[Program],
    endian: Endian,
    u: &mut Unstructured<'_>,
) -> bool {
    let made = match result {
        Ok(made) => made,
        Err(
            ReplaceError::CannotLift { .. }
            | ReplaceError::TooComplex
            | ReplaceError::TooLarge { .. }
            | ReplaceError::Proof(JudgeError::TooLarge { .. }),
        ) => return false,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(made.replaced().programs, stack.len());
    let new = core::slice::from_ref(made.filter().program());
    for call in calls(stack, u) {
        let raw = [new, stack].map(|programs| Subject::stack(programs, endian).raw_answer(&call));
        assert_eq!(raw[0], raw[1], "{call:x?}");
    }
    true
}

/// Calls made of the constants of the programs.
fn calls(stack: &[Program], u: &mut Unstructured<'_>) -> Vec<SyscallData> {
    let insns = stack.iter().flat_map(Program::as_insns);
    let mut words: Vec<u32> = insns.flat_map(|insn| [insn.k, insn.k.wrapping_add(1), insn.k.wrapping_sub(1)]).collect();
    words.extend([0, u32::MAX]);
    let mut word = || u.choose(&words).copied().unwrap_or(0);
    let mut call = || {
        let mut wide = || u64::from(word()) | u64::from(word()) << 32;
        let (args, instruction_pointer) = ([(); 6].map(|()| wide()), wide());
        SyscallData { nr: word(), arch: word(), instruction_pointer, args }
    };
    (0..64).map(|_| call()).collect()
}

/// Bytes as three policies: unions and intersections answer as their parts do, and obey the laws of a lattice. Each
/// claim is proven over all calls.
pub fn merge_policies(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let policies: Vec<Policy> = (0..3).filter_map(|_| orderly_policy(&mut u).ok()).collect();
    let [a, b, c] = policies.as_slice() else { return };
    if [b, c].iter().any(|policy| policy.endian() != a.endian()) {
        assert!(matches!(Policy::union(&policies), Err(MergeError::MixedByteOrder { .. })));
        return;
    }
    let union = |one: &Policy, other: &Policy| Policy::union([one, other]);
    let intersection = |one: &Policy, other: &Policy| Policy::intersection([one, other]);
    let laws = || -> core::result::Result<(), MergeError> {
        let (all, none) = (Policy::union(&policies)?, Policy::intersection(&policies)?);
        equal(&Subject::policy(&all), &Subject::union(&policies));
        equal(&Subject::policy(&none), &Subject::intersection(&policies));
        for (join, meet) in [(&union as Operation<'_>, &intersection as Operation<'_>), (&intersection, &union)] {
            same(&join(a, a)?, a);
            let ab = join(a, b)?;
            same(&ab, &join(b, a)?);
            same(&join(&ab, c)?, &join(a, &join(b, c)?)?);
            same(&meet(a, &ab)?, a);
        }
        Ok(())
    };
    match laws() {
        Ok(()) | Err(MergeError::TooComplex { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

type Operation<'a> = &'a dyn Fn(&Policy, &Policy) -> core::result::Result<Policy, MergeError>;

fn same(one: &Policy, other: &Policy) {
    equal(&Subject::policy(one), &Subject::policy(other));
}

fn equal(one: &Subject<'_>, other: &Subject<'_>) {
    match Judge::new().max_nodes(MAX_NODES).witness(one, other) {
        Ok(None) | Err(JudgeError::TooLarge { .. }) => {}
        Ok(Some(witness)) => panic!("{witness:x?}: {:?}", witness.actions()),
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::random_bytes;
    use proptest::prelude::*;

    /// Nine of ten random programs are taken apart.
    #[test]
    fn most_programs_are_recompiled() {
        let (mut programs, mut lifted) = (0, 0);
        for seed in 0..400 {
            let Some(done) = recompile_program(&random_bytes(seed, 1024)) else { continue };
            programs += 1;
            lifted += i32::from(done);
        }
        assert!(programs > 300 && lifted * 10 >= programs * 9, "{lifted} of {programs}");
    }

    #[test]
    fn most_stacks_are_fused() {
        let (mut stacks, mut fused) = (0, 0);
        for seed in 0..100 {
            let Some(done) = fuse_programs(&random_bytes(seed, 4096)) else { continue };
            stacks += 1;
            fused += i32::from(done);
        }
        assert!(stacks > 60 && fused * 10 >= stacks * 8, "{fused} of {stacks}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

        #[test]
        fn recompiled_programs_are_equal(bytes in prop::collection::vec(any::<u8>(), 600)) {
            recompile_program(&bytes);
        }

        #[test]
        fn fused_programs_are_equal(bytes in prop::collection::vec(any::<u8>(), 2400)) {
            fuse_programs(&bytes);
        }

        #[test]
        fn policies_are_a_lattice(bytes in prop::collection::vec(any::<u8>(), 1500)) {
            merge_policies(&bytes);
        }
    }
}
