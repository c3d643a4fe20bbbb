//! Whether a peer's program means what the policy says, before it is compared with anything.

use crate::case::Case;
use crate::generators::{Failure, Generator};
use callsieve::arch::Arch;
use callsieve::bpf::{Insn, Program, opcode};
use callsieve::check::{ProveError, prove};
use callsieve::policy::Policy;

/// The outcome of a proof over all inputs.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It means the same.
    Equal,
    /// It means the same but for this.
    EqualBut(String),
    /// It means something else; a call that shows it, and more where more is known.
    Differs(String),
}

/// Proves a program equal to its policy. If that fails, tells by how much: whether the numbers from 0x80000000 on are all,
/// and whether it is what the generator can say of the policy.
pub fn verdict(generator: &dyn Generator, case: &Case, program: &Program) -> Result<Verdict, Failure> {
    let policy = case.policy(generator.x32())?;
    let Some(example) = difference(program, &policy)? else { return Ok(Verdict::Equal) };
    let aside = without_high_numbers(program, case)?;
    let high = "numbers from 0x80000000 to 0xbfffffff get the answer to x32";
    let Some(other) = difference(&aside, &policy)? else { return Ok(Verdict::EqualBut(high.to_owned())) };
    let Some((rules, note)) = generator.restated(case) else {
        let more = if example == other { String::new() } else { format!("; {other}") };
        return Ok(Verdict::Differs(format!("{example}{more}")));
    };
    let restated = case.restated(&rules, generator.x32())?;
    if difference(program, &restated)?.is_none() {
        return Ok(Verdict::EqualBut(note));
    }
    Ok(match difference(&aside, &restated)? {
        None => Verdict::EqualBut(format!("{note}; {high}")),
        Some(beyond) => Verdict::Differs(format!("{note}; beyond that, {beyond}")),
    })
}

fn difference(program: &Program, policy: &Policy) -> Result<Option<String>, Failure> {
    match prove(program, policy) {
        Ok(_) => Ok(None),
        Err(ProveError::Differs(example)) => Ok(Some(example.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// The program, with the right answer to the numbers from 0x80000000 to 0xbfffffff put in front: these are x86_64
/// numbers, because bit 30 is not set.
fn without_high_numbers(program: &Program, case: &Case) -> Result<Program, Failure> {
    let mut insns = vec![
        Insn::stmt(opcode::LD_W_ABS, 4),
        Insn::new(opcode::JEQ_K, 0, 4, Arch::X86_64.audit()),
        Insn::stmt(opcode::LD_W_ABS, 0),
        Insn::new(opcode::JGE_K, 0, 2, 0x8000_0000),
        Insn::new(opcode::JGE_K, 1, 0, 0xc000_0000),
        Insn::stmt(opcode::RET_K, case.default.to_raw()),
    ];
    insns.extend_from_slice(program.as_insns());
    Ok(Program::new(insns)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{case, generators};
    use callsieve::bpf::Endian;

    fn of(wanted: &str, generator: &str, change: impl Fn(&mut Vec<Insn>)) -> Verdict {
        let cases = case::all().unwrap();
        let case = cases.iter().find(|case| case.name == wanted).unwrap();
        let all = generators::all().unwrap();
        let generator = all.iter().find(|other| other.name() == generator).unwrap();
        let bytes = generator.compile(case).unwrap();
        let mut insns = Program::from_bytes(&bytes, Endian::NATIVE).unwrap().as_insns().to_vec();
        change(&mut insns);
        verdict(generator.as_ref(), case, &Program::new(insns).unwrap()).unwrap()
    }

    #[test]
    fn what_means_the_same() {
        assert!(matches!(of("p5", "seccompiler", |_| ()), Verdict::Equal));
        assert!(matches!(of("small20", "libseccomp level 2", |_| ()), Verdict::Equal));
    }

    #[test]
    fn known_deviations_are_named() {
        let Verdict::EqualBut(note) = of("p3", "libseccomp level 2", |_| ()) else { panic!("a note") };
        assert!(note.contains("0x80000000"), "{note}");
        let Verdict::EqualBut(note) = of("p1", "seccompiler", |_| ()) else { panic!("a note") };
        assert!(note.contains("clone3"), "{note}");
    }

    #[test]
    fn one_wrong_number_is_found() {
        let verdict = of("p3", "seccompiler", |insns| {
            let read = insns.iter_mut().filter(|insn| insn.code == opcode::JEQ_K && insn.k == 0);
            read.for_each(|insn| insn.k = 59);
        });
        let Verdict::Differs(example) = verdict else { panic!("a counterexample") };
        assert!(example.contains("read") || example.contains("execve"), "{example}");
    }
}
