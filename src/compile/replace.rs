//! Programs in place of other programs: several stacked ones as one, a foreign one as a better one.
//!
//! The programs are lifted into a graph, which then goes the way of every policy. The result is proven equal to what it
//! replaces, and both run on a witness of every path through the originals before anything is handed out.

use super::{Compiler, Filter, HOPELESS, Report, report, weights};
use crate::arch::Arch;
use crate::bpf::{Action, Endian, Insn, MAX_INSNS, Program, SyscallData, VerifyError, opcode};
use crate::check::{JudgeError, Proof, Subject, Witness, evaluate};
use crate::opt::{CannotLift, lift};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::{fmt, slice};
use thiserror::Error;

/// A program of a stack, with what it was installed with.
///
/// ```
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// use callsieve::Layer;
/// let program = Program::new(vec![Insn::stmt(opcode::RET_K, Action::Log.to_raw())])?;
/// let layer = Layer::new(&program).log(true);
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Layer<'a> {
    program: &'a Program,
    log: bool,
    spec_allow: bool,
    listener: bool,
}

impl<'a> Layer<'a> {
    /// A program that was installed without flags.
    pub const fn new(program: &'a Program) -> Self {
        Self { program, log: false, spec_allow: false, listener: false }
    }

    /// Whether it was installed with `SECCOMP_FILTER_FLAG_LOG`.
    pub const fn log(self, log: bool) -> Self {
        Self { log, ..self }
    }

    /// Whether it was installed with `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
    pub const fn spec_allow(self, spec_allow: bool) -> Self {
        Self { spec_allow, ..self }
    }

    /// Whether it was installed with `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
    pub const fn listener(self, listener: bool) -> Self {
        Self { listener, ..self }
    }

    /// Whether it may ask a supervisor. A returned accumulator may hold anything.
    fn may_notify(&self) -> bool {
        let notify = |insn: &Insn| match insn.code {
            opcode::RET_K => Action::as_kernel(insn.k) == Action::Notify,
            opcode::RET_A => true,
            _ => false,
        };
        self.program.as_insns().iter().any(notify)
    }
}

/// A program that does what other programs did, and the figures of those.
///
/// See the example of [`Compiler::fuse`](crate::Compiler::fuse).
#[derive(Clone, Debug)]
#[must_use]
pub struct Replacement {
    filter: Filter,
    replaced: Replaced,
    is_original: bool,
}

impl Replacement {
    /// The program, proven equal to what it replaces.
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The program without the figures of the others.
    pub fn into_filter(self) -> Filter {
        self.filter
    }

    /// The figures of what it replaces.
    pub const fn replaced(&self) -> &Replaced {
        &self.replaced
    }

    /// Whether it is one of the originals, because that one answers every call as all do and nothing shorter was found.
    pub const fn is_original(&self) -> bool {
        self.is_original
    }
}

/// The figures of the programs that were replaced, all together. Steps are executed instructions, the returns included.
///
/// See the example of [`Compiler::fuse`](crate::Compiler::fuse).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Replaced {
    /// How many programs there were.
    pub programs: usize,
    /// Their instructions.
    pub len: usize,
    /// Their instructions after the kernel's conversion to eBPF.
    pub ebpf_len: usize,
    /// The sum of their longest ways, in steps.
    pub worst_path: u32,
    /// One for each ABI, as in the [`Report`] of the replacement.
    pub arches: Vec<ReplacedOnArch>,
}

/// Steps of the replaced programs on one ABI, over the same calls and arguments as in the [`Report`] of the replacement.
///
/// See the example of [`Compiler::fuse`](crate::Compiler::fuse).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReplacedOnArch {
    /// The ABI.
    pub arch: Arch,
    /// Mean steps, every call alike.
    pub mean_steps: f64,
    /// Mean steps, weighted by how often servers make a call.
    pub mix_steps: f64,
    /// Most steps of any call and arguments tried.
    pub worst_steps: u32,
}

/// Why programs could not be replaced by one.
///
/// ```
/// use callsieve::{Arch, Compiler, ReplaceError};
/// assert!(matches!(Compiler::new().fuse(&[], &[Arch::X86_64]), Err(ReplaceError::Nothing)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// There is no program.
    #[error("there is nothing to fuse: give at least one filter")]
    Nothing,
    /// No ABI was named, or ABIs of both byte orders.
    #[error("name one or more ABIs of the same byte order: a filter is made for one")]
    ByteOrder,
    /// One program has a flag that another one lacks, and a single program cannot be installed both with and without.
    #[error(
        "filter {with} has the flag SECCOMP_FILTER_FLAG_{flag} and filter {without} has not; only filters with the same \
         flags can become one"
    )]
    Flags {
        /// The flag.
        flag: &'static str,
        /// A program that has it, counted from 1.
        with: usize,
        /// One that has not.
        without: usize,
    },
    /// Two programs have a listener; one program can have only one.
    #[error("filters {first} and {second} each have a listener; one filter can have only one")]
    Listeners {
        /// A program, counted from 1.
        first: usize,
        /// Another one.
        second: usize,
    },
    /// A program without a listener may answer NOTIFY, which fails with ENOSYS; fused with one that has a listener, the
    /// call would go there.
    #[error(
        "filter {listener} has a listener, and filter {other} may answer NOTIFY without one, which the kernel turns into \
         ENOSYS; in one filter such calls would go to the listener"
    )]
    ForeignNotify {
        /// The program with the listener, counted from 1.
        listener: usize,
        /// The other one.
        other: usize,
    },
    /// An instruction depends on more bits of the input than can be taken apart.
    #[error("cannot lift filter {program}: instruction {pc} depends on too many bits of the call at once")]
    CannotLift {
        /// The program, counted from 1.
        program: usize,
        /// Index of the instruction.
        pc: usize,
    },
    /// There are too many paths.
    #[error("cannot lift the filter: it has too many paths or states to be taken apart")]
    TooComplex,
    /// The kernel would not accept the length.
    #[error("the fused filter would need {}{len} instructions, the kernel accepts {limit}; keep the filters apart", if *exact { "" } else { "more than " })]
    TooLarge {
        /// Instructions of the result.
        len: usize,
        /// Whether `len` is exact; else it is where counting ended.
        exact: bool,
        /// Instructions that the kernel accepts.
        limit: usize,
    },
    /// The proof does not fit into its budget.
    #[error("{0}")]
    Proof(JudgeError),
    /// The kernel would refuse the program: a defect of this crate, please report it.
    #[error("internal error: the kernel would refuse the program ({0})")]
    Refused(VerifyError),
    /// The program does not do what it replaces: a defect of this crate, please report it.
    #[error("internal error: the program does not answer the call {:x?} as what it replaces", .0.call)]
    Wrong(Box<Witness>),
}

impl From<CannotLift> for ReplaceError {
    fn from(reason: CannotLift) -> Self {
        match reason {
            CannotLift::Instruction { program, pc } => Self::CannotLift { program: program.saturating_add(1), pc },
            CannotLift::TooLarge => Self::TooComplex,
        }
    }
}

impl Compiler {
    /// Makes one program of several that are stacked in a process, the oldest first. For every call it returns the value
    /// that the kernel gets from all of them: the lowest action wins, and of equal actions the data of the newest counts.
    ///
    /// The programs may come from anywhere. `arches` are the ABIs whose calls are weighed and measured; they must be of
    /// the byte order of the programs. The result is for every ABI, like the programs. Where one of the programs answers
    /// as all do, and nothing shorter was found, it is handed back ([`Replacement::is_original`]).
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::Action;
    /// use callsieve::{Compiler, Layer, Profile, Target};
    /// let (compiler, target) = (Compiler::new(), Target::exactly(&[Arch::X86_64]));
    /// let policies = [["read", "write", "close"], ["write", "close", "openat"]]
    ///     .map(|calls| Profile::new(Action::Errno(1)).allow(calls).resolve(&target).unwrap());
    /// let [old, new] = [compiler.compile(&policies[0])?, compiler.compile(&policies[1])?];
    /// let fused = compiler.fuse(&[Layer::new(old.program()), Layer::new(new.program())], &[Arch::X86_64])?;
    /// assert!(fused.filter().report().ebpf_len < fused.replaced().ebpf_len);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplaceError`] if the programs cannot become one (flags, listeners), cannot be taken apart, or if the result
    /// would be too long for the kernel or for the proof.
    pub fn fuse(&self, stack: &[Layer<'_>], arches: &[Arch]) -> Result<Replacement, ReplaceError> {
        compatible(stack)?;
        let programs: Vec<Program> = stack.iter().map(|layer| layer.program.clone()).collect();
        self.replace(&programs, arches)
    }

    /// Makes a better program of a foreign one. If nothing shorter is found, the original is handed back
    /// ([`Replacement::is_original`]).
    ///
    /// `arches` as for [`Compiler::fuse`].
    ///
    /// ```
    /// use callsieve::Compiler;
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::{Action, Insn, Program, opcode};
    /// let mut insns = vec![Insn::stmt(opcode::LD_W_ABS, 0)];
    /// insns.extend((0..40).map(|nr| Insn::new(opcode::JEQ_K, 40 - nr as u8, 0, nr)));
    /// insns.extend([Action::KillProcess, Action::Allow].map(|action| Insn::stmt(opcode::RET_K, action.to_raw())));
    /// let better = Compiler::new().recompile(&Program::new(insns)?, &[Arch::X86_64])?;
    /// assert_eq!(better.filter().program().len(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplaceError`] if the program cannot be taken apart, or the proof does not fit into its budget.
    pub fn recompile(&self, program: &Program, arches: &[Arch]) -> Result<Replacement, ReplaceError> {
        self.replace(slice::from_ref(program), arches)
    }

    fn replace(&self, stack: &[Program], arches: &[Arch]) -> Result<Replacement, ReplaceError> {
        let endian = byte_order(arches)?;
        let mut tokens: Vec<u32> = arches.iter().map(|arch| arch.audit()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        let insns: Vec<&[Insn]> = stack.iter().map(Program::as_insns).collect();
        let lifted = lift(&insns, endian, &tokens)?;
        let made = self.emitted(lifted.built, arches);
        let shorter = |program: &Program| made.as_ref().map_or(true, |(insns, _)| program.len() <= insns.len());
        let mut kept = None;
        for program in by_length(stack).into_iter().filter(|program| shorter(program)) {
            if let Ok(proof) = self.replaces(program, stack, endian, &lifted.witnesses) {
                kept = Some((program.clone(), proof));
                break;
            }
        }
        let is_original = kept.is_some();
        let (program, proof, states) = match (kept, made) {
            (Some((program, proof)), _) => (program, proof, 0),
            (None, Ok((insns, states))) => {
                let program = Program::new(insns).map_err(ReplaceError::Refused)?;
                let proof = self.replaces(&program, stack, endian, &lifted.witnesses)?;
                (program, proof, states)
            }
            (None, Err(error)) => return Err(error),
        };
        let arguments = Arguments::new(&lifted.witnesses);
        let arguments = |arch: Arch, nr| arguments.of(arch.audit(), nr);
        let report = Report { search_states: states, ..report::measure(&program, arches, proof, &arguments) };
        let replaced = measure(stack, arches, &arguments);
        Ok(Replacement { filter: Filter { program, report, endian }, replaced, is_original })
    }

    /// Whether a program does what a stack does. It runs first: that is quick, and shares nothing with the proof but the
    /// interpreter.
    fn replaces(
        &self,
        program: &Program,
        stack: &[Program],
        endian: Endian,
        calls: &[SyscallData],
    ) -> Result<Proof, ReplaceError> {
        run_both(program, stack, endian, calls)?;
        match self.prover.prove_stack(program, stack, endian) {
            Ok(Ok(proof)) => Ok(proof),
            Ok(Err(witness)) => Err(ReplaceError::Wrong(Box::new(witness))),
            Err(error) => Err(ReplaceError::Proof(error)),
        }
    }

    /// The instructions for a graph, and how many states were searched.
    fn emitted(&self, built: crate::graph::Built, arches: &[Arch]) -> Result<(Vec<Insn>, usize), ReplaceError> {
        let nodes = built.graph.reachable(built.root).len();
        if nodes > HOPELESS {
            return Err(ReplaceError::TooLarge { len: nodes, exact: false, limit: MAX_INSNS });
        }
        let made = self.stages(arches, built).made;
        if made.insns.len() > MAX_INSNS {
            return Err(ReplaceError::TooLarge { len: made.insns.len(), exact: true, limit: MAX_INSNS });
        }
        Ok((made.insns, made.lowered.states))
    }
}

/// Whether the flags allow to make one program of several.
fn compatible(stack: &[Layer<'_>]) -> Result<(), ReplaceError> {
    type Has = fn(&Layer<'_>) -> bool;
    if stack.is_empty() {
        return Err(ReplaceError::Nothing);
    }
    let flags: [(&'static str, Has); 2] = [("LOG", |layer| layer.log), ("SPEC_ALLOW", |layer| layer.spec_allow)];
    for (flag, has) in flags {
        let with = stack.iter().position(has);
        let without = stack.iter().position(|layer| !has(layer));
        if let (Some(with), Some(without)) = (with, without) {
            return Err(ReplaceError::Flags { flag, with: with.saturating_add(1), without: without.saturating_add(1) });
        }
    }
    let mut listeners = stack.iter().zip(1..).filter(|(layer, _)| layer.listener).map(|(_, number)| number);
    let Some(listener) = listeners.next() else { return Ok(()) };
    if let Some(second) = listeners.next() {
        return Err(ReplaceError::Listeners { first: listener, second });
    }
    match stack.iter().zip(1..).find(|(layer, number)| *number != listener && layer.may_notify()) {
        Some((_, other)) => Err(ReplaceError::ForeignNotify { listener, other }),
        None => Ok(()),
    }
}

fn byte_order(arches: &[Arch]) -> Result<Endian, ReplaceError> {
    let endian = arches.first().map(|arch| arch.endian()).ok_or(ReplaceError::ByteOrder)?;
    if arches.iter().all(|arch| arch.endian() == endian) { Ok(endian) } else { Err(ReplaceError::ByteOrder) }
}

/// Each program once, the shortest first.
fn by_length(stack: &[Program]) -> Vec<&Program> {
    let mut programs: Vec<&Program> = Vec::with_capacity(stack.len());
    for program in stack {
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs.sort_by_key(|program| program.len());
    programs
}

fn run_both(program: &Program, stack: &[Program], endian: Endian, calls: &[SyscallData]) -> Result<(), ReplaceError> {
    let sides = [slice::from_ref(program), stack].map(|programs| Subject::stack(programs, endian));
    for call in calls {
        let raw = sides.map(|side| side.raw_answer(call));
        if raw.first() != raw.last() {
            return Err(ReplaceError::Wrong(Box::new(Witness { call: *call, raw })));
        }
    }
    Ok(())
}

/// Arguments with which a call is measured: those of the witnesses.
struct Arguments(BTreeMap<(u32, u32), Vec<[u64; 6]>>);

impl Arguments {
    /// Vectors for one call.
    const MOST: usize = 64;

    fn new(witnesses: &[SyscallData]) -> Self {
        let mut all: BTreeMap<(u32, u32), Vec<[u64; 6]>> = BTreeMap::new();
        for call in witnesses {
            let own = all.entry((call.arch, call.nr)).or_default();
            if own.len() < Self::MOST && !own.contains(&call.args) {
                own.push(call.args);
            }
        }
        Self(all)
    }

    fn of(&self, token: u32, nr: u32) -> Vec<[u64; 6]> {
        self.0.get(&(token, nr)).cloned().unwrap_or_else(|| Vec::from([[0; 6]]))
    }
}

#[allow(clippy::cast_precision_loss)] // Means of a few hundred small numbers.
fn measure(stack: &[Program], arches: &[Arch], arguments: &dyn Fn(Arch, u32) -> Vec<[u64; 6]>) -> Replaced {
    let on_arch = |&arch: &Arch| {
        let mut mix = weights::mix(arch).into_iter().peekable();
        let (mut known, mut sum, mut mix_sum, mut shares, mut worst) = (0_u32, 0.0, 0.0, 0.0, 0);
        for (nr, _) in arch.syscalls() {
            let (mean, most) = steps(stack, arch, nr, &arguments(arch, nr));
            // Both ascend.
            while mix.next_if(|&(other, _)| other < nr).is_some() {}
            let share = f64::from(mix.next_if(|&(other, _)| other == nr).map_or(0, |(_, share)| share));
            known = known.saturating_add(1);
            sum += mean;
            mix_sum += share * mean;
            shares += share;
            worst = worst.max(most);
        }
        ReplacedOnArch {
            arch,
            mean_steps: sum / f64::from(known.max(1)),
            mix_steps: mix_sum / f64::max(shares, 1.0),
            worst_steps: worst,
        }
    };
    Replaced {
        programs: stack.len(),
        len: stack.iter().map(Program::len).sum(),
        ebpf_len: stack.iter().map(Program::ebpf_len).sum(),
        worst_path: stack.iter().map(|program| report::longest(program.as_insns())).sum(),
        arches: arches.iter().map(on_arch).collect(),
    }
}

/// Mean and most steps of a call; if it may be allowed, the mean is over arguments for which it is.
fn steps(stack: &[Program], arch: Arch, nr: u32, arguments: &[[u64; 6]]) -> (f64, u32) {
    let (mut allowed, mut other, mut worst) = ((0_u32, 0_u32), (0_u32, 0_u32), 0);
    for &args in arguments {
        let call = SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() };
        let taken = stack.iter().map(|program| evaluate(program, &call, arch.endian()).steps).sum::<u32>();
        let answer = Subject::stack(stack, arch.endian()).answer(&call);
        let sum = if matches!(answer, Action::Allow | Action::Log) { &mut allowed } else { &mut other };
        *sum = (sum.0.saturating_add(1), sum.1.saturating_add(taken));
        worst = worst.max(taken);
    }
    let (count, steps) = if allowed.0 > 0 { allowed } else { other };
    (f64::from(steps) / f64::from(count.max(1)), worst)
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instructions ({} as eBPF), longest path {}", self.len, self.ebpf_len, self.worst_path)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // A test.
#[path = "replace_tests.rs"]
mod tests;
