//! Equality of a program and the stack of programs that it replaces.

use super::bdd::Exhausted;
use super::judge::{Engine, Equality, Judge, JudgeError, Witness};
use super::prove::{Proof, Prover};
use super::subject::Subject;
use super::symbolic;
use crate::bpf::{Endian, Program};
use core::slice;

impl Prover {
    /// Shows that the kernel gets from a program for every possible call what it gets from a stack of programs (the
    /// oldest first), bit by bit: of a stack it is the value that won, and 0x7fff0000 if nothing was below ALLOW
    /// ([`Subject::raw_answer`]). A call where they differ is no error of this function.
    ///
    /// ```
    /// use callsieve::bpf::{Action, Endian, Insn, Program, opcode};
    /// use callsieve::check::Prover;
    /// let returns = |action: Action| Program::new(vec![Insn::stmt(opcode::RET_K, action.to_raw())]);
    /// let stack = [returns(Action::Errno(1))?, returns(Action::Log)?];
    /// let prover = Prover::new();
    /// assert!(prover.prove_stack(&returns(Action::Errno(1))?, &stack, Endian::Little)?.is_ok());
    /// let Err(witness) = prover.prove_stack(&returns(Action::Log)?, &stack, Endian::Little)? else { unreachable!() };
    /// assert_eq!(witness.actions(), [Action::Log, Action::Errno(1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`JudgeError`] if the budget ran out before there was an answer.
    pub fn prove_stack(
        self,
        program: &Program,
        stack: &[Program],
        endian: Endian,
    ) -> Result<Result<Proof, Witness>, JudgeError> {
        let judge = Judge::new().max_nodes(self.max_nodes).equality(Equality::Bitwise);
        let mut engine = Engine::new(judge);
        // A program alone is a stack as well.
        let alone = Subject::stack(slice::from_ref(program), endian);
        let stack = Subject::stack(stack, endian);
        let (_, states) =
            symbolic::behaviour(&mut engine.bdd, program.as_insns(), endian).map_err(|Exhausted| judge.too_large())?;
        let [found, wanted] = engine.both(&alone, &stack).map_err(|Exhausted| judge.too_large())?;
        if found == wanted {
            return Ok(Ok(Proof { nodes: engine.bdd.len(), states }));
        }
        match judge.witness(&alone, &stack)? {
            Some(witness) => Ok(Err(witness)),
            // Different nodes are different functions.
            None => Err(judge.too_large()),
        }
    }
}
