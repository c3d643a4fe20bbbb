//! The compiler: from a policy to a filter.

#[cfg(test)]
mod tests;

use crate::bpf::Insn;
use crate::code::{Flow, Shares};
use crate::opt::{Lowered, Params};
use crate::policy::Policy;
use crate::{emit, graph, opt};
use alloc::vec::Vec;

/// All stages of one compilation.
#[derive(Debug)]
struct Stages {
    built: graph::Built,
    lowered: Lowered,
    insns: Vec<Insn>,
}

fn stages(policy: &Policy, known: &[Shares], params: Params) -> Stages {
    let built = graph::build(policy);
    let lowered = opt::lower(&built, known, params);
    let flow = Flow::of(&lowered.code, lowered.root, known);
    let insns = emit::emit(&lowered.code, lowered.root, &flow, policy.endian());
    Stages { built, lowered, insns }
}
