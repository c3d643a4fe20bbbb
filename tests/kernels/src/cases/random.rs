//! Random policies, and calls at their borders and by chance.

use super::{Abi, BEYOND, LEAST_RANDOM};
use crate::case::{Call, Case, Look};
use crate::run::Failure;
use arbitrary::{Result, Unstructured};
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::fuzzing::{random_bytes, random_policy_for};
use callsieve::{Compiler, Level, Policy, check};

/// Calls of each policy.
const CALLS: usize = 200;
/// Of those at most so many that are killed, and as many that are traced but must not be carried out: each ends a process,
/// and the filter has to be installed in another one. The rest is made in one.
const MOST_ENDS: usize = 20;
/// Bytes of the largest policies, and how often they are halved: small policies reach other corners than large ones.
const LEN: usize = 8192;
const HALVINGS: [u32; 8] = [0, 4, 3, 4, 2, 4, 3, 1];
const LEVELS: [Level; 5] = [Level::Balanced, Level::Size, Level::Speed, Level::Cached, Level::Fast];

/// As many cases as it takes; the same in every run.
pub fn cases(abi: Abi) -> std::result::Result<Vec<Case>, Failure> {
    let (mut cases, mut asked) = (Vec::new(), 0);
    for round in 0.. {
        if asked >= LEAST_RANDOM {
            break;
        }
        // Each ABI has policies of its own.
        let seed = u64::from(abi.arch.audit()) << 16 ^ u64::from(abi.arch.number_base()) << 16 ^ round as u64;
        let bytes = random_bytes(seed, LEN >> HALVINGS[round % HALVINGS.len()]);
        let u = &mut Unstructured::new(&bytes);
        let arches = arches(u, abi)?;
        let policy = random_policy_for(u, &arches)?;
        let calls = calls(&mut Unstructured::new(&random_bytes(!seed, 64 * CALLS)), abi, &policy)?;
        let compiler = Compiler::new().level(LEVELS[round % LEVELS.len()]);
        // Some are too large for a program.
        let Ok(filter) = compiler.compile(&policy) else { continue };
        asked += calls.len();
        cases.push(Case::random(format!("random {seed:#x}"), policy, filter.into_program(), calls));
    }
    Ok(cases)
}

fn calls(u: &mut Unstructured<'_>, abi: Abi, policy: &Policy) -> Result<Vec<Call>> {
    let borders = check::boundary_calls(policy).into_iter().filter(|call| call.arch == abi.arch.audit());
    let borders: Vec<SyscallData> = borders.filter(|call| abi.is_filtered(call.nr)).collect();
    let (mut calls, mut killed, mut traced) = (Vec::new(), 0, 0);
    // Where nearly everything is killed there are fewer.
    for _ in 0..4 * CALLS {
        if calls.len() == CALLS {
            break;
        }
        let mut call = if u.ratio(1, 2)? && !borders.is_empty() {
            let border = u.choose(&borders)?;
            abi.call(border.nr, border.args)
        } else {
            call(u, abi)?
        };
        match policy.decide(&call.data(abi.arch)) {
            Action::KillProcess | Action::KillThread if killed == MOST_ENDS => continue,
            Action::KillProcess | Action::KillThread => killed += 1,
            Action::Trap(_) | Action::Errno(_) => {}
            _ if call.look == Look::Trace && traced == MOST_ENDS => call.look = Look::First,
            _ => traced += usize::from(call.look == Look::Trace),
        }
        calls.push(call);
    }
    Ok(calls)
}

/// What the policy is for: mostly this ABI alone or with others of its kernel, sometimes only the others.
fn arches(u: &mut Unstructured<'_>, abi: Abi) -> Result<Vec<Arch>> {
    let others: Vec<Arch> = abi.kernel.iter().copied().filter(|&arch| arch != abi.arch).collect();
    Ok(match u.int_in_range(0..=7)? {
        0 if !others.is_empty() => others,
        1..=3 => abi.kernel.to_vec(),
        4 => others.into_iter().chain([abi.arch]).collect(),
        _ => vec![abi.arch],
    })
}

/// A call by chance, often one that may be carried out.
fn call(u: &mut Unstructured<'_>, abi: Abi) -> Result<Call> {
    let base = abi.arch.number_base();
    let nr = match u.int_in_range(0..=7)? {
        0 => u.arbitrary()?,
        1 => base + u.int_in_range(BEYOND)?,
        2 | 3 => *u.choose(&abi.harmless())?,
        4 => Arch::X32_BIT ^ (base + u.int_in_range(0..=600_u32)?),
        _ => base + u.int_in_range(0..=600_u32)?,
    };
    let nr = if abi.is_filtered(nr) { nr } else { base + 1 };
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = match u.int_in_range(0..=4)? {
            0 => u.arbitrary()?,
            1 => 1 << u.int_in_range(0..=63)?,
            2 => u64::MAX,
            _ => u.int_in_range(0..=40)?,
        };
    }
    Ok(abi.call(nr, args))
}
