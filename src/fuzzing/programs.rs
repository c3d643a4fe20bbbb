//! Policies and programs: what is compiled is right, and what the judge says of any program is true.

use super::random_policy;
use crate::bpf::{Endian, Program, SyscallData};
use crate::check::{self, ProveError, Prover};
use crate::policy::Policy;
use crate::{CompileError, Compiler, Level};
use alloc::string::ToString;
use alloc::vec::Vec;
use arbitrary::Unstructured;

/// Small enough that a slow input is a finding.
pub(super) const MAX_NODES: usize = 200_000;

/// All levels.
pub(super) const LEVELS: [Level; 5] = [Level::Balanced, Level::Size, Level::Speed, Level::Cached, Level::Fast];

/// Bytes as a policy: it compiles at every level, and the simulator answers boundary calls as `decide` does. Tells whether
/// all levels have a program; some policies are too large for one.
pub fn policy_to_proof(bytes: &[u8]) -> bool {
    let Ok(policy) = random_policy(&mut Unstructured::new(bytes)) else { return false };
    let answers = answers(&policy);
    LEVELS.map(|level| compile(&policy, level, &answers)).iter().all(|&made| made)
}

/// The calls at the borders of a policy, and what it says of each.
pub(super) fn answers(policy: &Policy) -> Vec<(SyscallData, u32)> {
    let answer = |call| (call, policy.decide(&call).to_raw());
    check::boundary_calls(policy).into_iter().map(answer).collect()
}

/// A filter is proven, so this looks for what a wrong proof would miss. Whether there is one.
pub(super) fn compile(policy: &Policy, level: Level, answers: &[(SyscallData, u32)]) -> bool {
    match Compiler::new().level(level).prover(Prover::new().max_nodes(MAX_NODES)).compile(policy) {
        Ok(filter) => {
            for (call, answer) in answers {
                let run = check::evaluate(filter.program(), call, policy.endian());
                assert_eq!(run.raw, *answer, "{call:x?}");
            }
            true
        }
        Err(CompileError::TooLarge { .. } | CompileError::Proof(ProveError::TooLarge { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Bytes as a program: it is refused, or it can be run, listed, and compared with a policy; a difference is real.
pub fn program_bytes(bytes: &[u8]) {
    let endian = if bytes.first().is_some_and(|byte| byte & 1 == 1) { Endian::Big } else { Endian::Little };
    let Some((head, rest)) = bytes.split_at_checked(64) else { return };
    let Ok(program) = Program::from_bytes(rest, endian) else { return };
    assert_eq!(program.to_bytes(endian), rest);
    assert!(program.ebpf_len() > program.len());

    let Ok(policy) = random_policy(&mut Unstructured::new(head)) else { return };
    assert!(!check::disassemble(&program, endian).to_string().is_empty());
    for call in check::boundary_calls(&policy).into_iter().chain([SyscallData::default()]) {
        let run = check::simulate(&program, &call, policy.endian());
        assert!(run.path.len() <= program.len());
    }
    match Prover::new().max_nodes(MAX_NODES).prove(&program, &policy) {
        Err(ProveError::Unconfirmed(example)) => panic!("{example}"),
        Err(ProveError::Differs(example)) => {
            assert_ne!(policy.decide(&example.call).to_raw(), example.got);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The program of a random policy, some bytes of it changed, behind the bytes of another policy.
    fn altered(policy: &[u8], head: &[u8], changes: &[(prop::sample::Index, u8)]) -> Option<Vec<u8>> {
        let policy = random_policy(&mut Unstructured::new(policy)).ok()?;
        let mut program = Compiler::new().level(Level::Fast).compile(&policy).ok()?.to_bytes();
        for (at, byte) in changes {
            let at = at.index(program.len());
            program[at] = *byte;
        }
        Some([head, &program].concat())
    }

    fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), len)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn policies(bytes in bytes(2048)) {
            policy_to_proof(&bytes);
        }

        #[test]
        fn programs(
            policy in bytes(1024),
            head in bytes(64),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            if let Some(bytes) = altered(&policy, &head, &changes) {
                program_bytes(&bytes);
            }
        }
    }
}
