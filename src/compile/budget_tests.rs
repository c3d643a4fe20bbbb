//! What hostile profiles cost, counted: the same on every machine. Of time and memory there are two seconds and 256 MB for
//! a profile in a release build; of 33 profiles, on both byte orders and with both semantics, the worst took 1.7 s on a busy
//! machine and 55 MB.

use super::{Compiler, HOPELESS, Level};
use crate::bpf::{Endian, MAX_INSNS};
use crate::fuzzing::{all_of, fits, hostile_profile, random_bytes};
use crate::graph::{self, Order};
use crate::policy::{Policy, ResolveError, Target};
use alloc::vec::Vec;
use arbitrary::Unstructured;

/// Nodes that a graph may get before it is refused or asked one rule after the other.
const NODES: usize = 150_000;
/// States that the searches for one program may visit, and steps that they may write.
const STATES: usize = 60_000;
const STEPS: usize = 60_000;

#[derive(Debug, Default)]
struct Ends {
    entangled: usize,
    hopeless: usize,
    long: usize,
    made: usize,
}

/// Counts what each level takes.
fn measure(policy: &Policy, ends: &mut Ends) {
    let built = graph::build(policy, Order::First);
    assert!(built.graph.len() <= NODES, "{} nodes", built.graph.len());
    let arches: Vec<_> = policy.arches().collect();
    if built.graph.reachable(built.root).len() > HOPELESS {
        ends.hopeless += 1;
        assert!(!fits(policy, &Compiler::new()));
        return;
    }
    for level in [Level::Size, Level::Balanced, Level::Speed, Level::Cached, Level::Fast] {
        let compiler = Compiler::new().level(level);
        let made = compiler.best_stages(policy, &arches, graph::build(policy, Order::First)).made;
        assert!(made.lowered.states <= STATES, "{level:?}: {} states", made.lowered.states);
        assert!(made.lowered.code.len() <= STEPS, "{level:?}: {} steps", made.lowered.code.len());
        if made.insns.len() > MAX_INSNS {
            ends.long += 1;
        } else {
            ends.made += usize::from(fits(policy, &compiler));
        }
    }
}

/// On all ABIs of a byte order, as many as one filter can have.
#[test]
fn hostile_profiles_end_within_the_bounds() {
    let mut ends = Ends::default();
    for seed in [13_u64, 21, 23, 24, 25, 31] {
        let profile = hostile_profile(&mut Unstructured::new(&random_bytes(seed, 64))).unwrap();
        let endian = if seed.is_multiple_of(2) { Endian::Little } else { Endian::Big };
        match profile.resolve(&Target::exactly(&all_of(endian))) {
            Ok(policy) => measure(&policy, &mut ends),
            Err(ResolveError::Problems(_) | ResolveError::TooComplex { .. }) => ends.entangled += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(ends.entangled > 0 && ends.hopeless > 0 && ends.long > 0 && ends.made > 0, "{ends:?}");
}
