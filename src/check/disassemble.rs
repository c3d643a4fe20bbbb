//! Programs as text.
//!
//! A pass over the instructions finds out what the accumulator holds and which architecture is known at each of them,
//! so that numbers get the names of the right ABI.

use super::names;
use crate::arch::Arch;
use crate::bpf::{Endian, Insn, Program, opcode};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// A program as text, one line an instruction.
///
/// Jumps are shown by what is different from going on with the next line; a jump to a return shows what is returned.
///
/// See the example of [`disassemble`].
#[derive(Clone, Debug)]
pub struct Listing<'a> {
    insns: &'a [Insn],
    endian: Endian,
    header: Option<String>,
    /// What is known in front of each instruction; `None` where no path leads.
    facts: Vec<Option<Fact>>,
    /// Whether something jumps there.
    targets: Vec<bool>,
    /// The ABIs that the program asks for: their names count where it is not plain which one it is.
    abis: Vec<Arch>,
    /// Width of the column of operands in front of jump targets.
    width: usize,
}

/// Makes a program readable. The byte order tells which half of an argument an offset means.
///
/// ```
/// use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
/// use callsieve::check::disassemble;
/// let program = Program::new(vec![
///     Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH),
///     Insn::new(opcode::JEQ_K, 0, 3, 0xc000_003e),
///     Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
///     Insn::new(opcode::JEQ_K, 0, 1, 59),
///     Insn::stmt(opcode::RET_K, Action::Errno(1).to_raw()),
///     Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
/// ])?;
/// assert_eq!(
///     disassemble(&program, Endian::Little).to_string(),
///     "         0  ld   arch
///          1  jeq  0xc000003e (x86_64, x32)  else ALLOW
///          2  ld   nr
///          3  jeq  59 (execve)               else ALLOW
///          4  ret  ERRNO(1) EPERM
///    L5:   5  ret  ALLOW
/// "
/// );
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
pub fn disassemble(program: &Program, endian: Endian) -> Listing<'_> {
    Listing::new(program.as_insns(), endian, None)
}

impl<'a> Listing<'a> {
    fn new(insns: &'a [Insn], endian: Endian, assumed: Option<u32>) -> Self {
        let mut targets = vec![false; insns.len()];
        let jumps = insns.iter().enumerate().flat_map(|(pc, &insn)| ways(pc, insn));
        for target in jumps.filter(|way| way.skip != 0).map(|way| way.to) {
            if let Some(place) = targets.get_mut(target) {
                *place = true;
            }
        }
        let facts = facts(insns, endian, assumed);
        let abis = abis(insns, &facts, assumed);
        let mut listing = Self { insns, endian, header: None, facts, targets, abis, width: 0 };
        listing.width = (0..insns.len()).filter_map(|pc| Some(listing.operand(pc)?.len())).max().unwrap_or(0);
        listing
    }

    /// Takes this ABI for calls of which the program does not test the architecture.
    #[must_use]
    pub fn assuming(self, arch: Arch) -> Self {
        Self { header: self.header, ..Self::new(self.insns, self.endian, Some(arch.audit())) }
    }

    /// Puts a line with the length and the length inside the kernel in front.
    #[must_use]
    pub fn with_header(self, program: &Program) -> Self {
        let header = format!("; {} instructions, {} as eBPF in the kernel", program.len(), program.ebpf_len());
        Self { header: Some(header), ..self }
    }

    /// One instruction without its index; `None` behind the end.
    pub fn instruction(&self, pc: usize) -> Option<String> {
        let insn = *self.insns.get(pc)?;
        let line = match (conditional(insn.code), self.operand(pc)) {
            (Some(name), Some(operand)) => self.jump(pc, insn, name, &operand),
            _ => self.statement(pc, insn),
        };
        let reached = self.facts.get(pc).is_some_and(Option::is_some);
        Some(if reached { line } else { format!("{line}  ; never reached") })
    }

    /// What a conditional jump compares with.
    fn operand(&self, pc: usize) -> Option<String> {
        let insn = *self.insns.get(pc)?;
        conditional(insn.code)?;
        let x = super::simulate::takes_x(insn.code);
        Some(if x { "x".to_string() } else { constant(insn, self.fact(pc)) })
    }

    fn fact(&self, pc: usize) -> Fact {
        self.facts.get(pc).copied().flatten().unwrap_or_default()
    }

    /// What a return at one place says to those who come from another.
    fn answer(&self, raw: u32, from: usize) -> String {
        match self.fact(from).token {
            Some(token) => names::answer(raw, &names::abi(token, 0).into_iter().collect::<Vec<_>>()),
            None => names::answer(raw, &self.abis),
        }
    }

    fn jump(&self, pc: usize, insn: Insn, name: &str, operand: &str) -> String {
        let [yes, no] = [insn.jt, insn.jf].map(usize::from);
        let taken = (yes != 0 || no == 0).then(|| format!("-> {}", self.target(pc, yes)));
        let otherwise = (no != 0).then(|| format!("else {}", self.target(pc, no)));
        let sides: Vec<String> = taken.into_iter().chain(otherwise).collect();
        format!("{name:<4} {operand:<width$}  {}", sides.join(" "), width = self.width)
    }

    /// A jump target: what is returned there, or the label.
    fn target(&self, pc: usize, skip: usize) -> String {
        let to = pc.saturating_add(1).saturating_add(skip);
        match self.insns.get(to) {
            Some(insn) if insn.code == opcode::RET_K => self.answer(insn.k, pc),
            _ if skip == 0 => "next".to_string(),
            _ => format!("L{to}"),
        }
    }

    fn statement(&self, pc: usize, insn: Insn) -> String {
        use opcode::{
            JA, LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, NEG, RET_A, RET_K, ST, STX, TAX, TXA,
        };
        let k = insn.k;
        match insn.code {
            LD_W_ABS => format!("ld   {}", Content::loaded(k, self.endian)),
            LD_IMM => format!("ld   {}", number(k)),
            LD_MEM => format!("ld   M[{k}]"),
            LD_W_LEN => "ld   len".to_string(),
            LDX_IMM => format!("ldx  {}", number(k)),
            LDX_MEM => format!("ldx  M[{k}]"),
            LDX_W_LEN => "ldx  len".to_string(),
            ST => format!("st   M[{k}]"),
            STX => format!("stx  M[{k}]"),
            TAX => "tax".to_string(),
            TXA => "txa".to_string(),
            NEG => "neg".to_string(),
            JA => format!("ja   {}", self.target(pc, k as usize)),
            RET_K => format!("ret  {}", self.answer(k, pc)),
            RET_A => "ret  a".to_string(),
            code => {
                let x = super::simulate::takes_x(code);
                format!("{}  {}", arithmetic(code), if x { "x".to_string() } else { number(k) })
            }
        }
    }
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(header) = &self.header {
            writeln!(f, "{header}")?;
        }
        for pc in 0..self.insns.len() {
            let label = if self.targets.get(pc) == Some(&true) { format!("L{pc}:") } else { String::new() };
            let text = self.instruction(pc).unwrap_or_default();
            writeln!(f, "{label:>6}{pc:>4}  {}", text.trim_end())?;
        }
        Ok(())
    }
}

/// What is known in front of an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fact {
    a: Content,
    /// The architecture token, if all paths to here agree on it.
    token: Option<u32>,
}

impl Fact {
    fn join(self, other: Self) -> Self {
        let a = match (self.a, other.a) {
            (a, b) if a == b => a,
            // The tree for x32 numbers without bit 30 may go on in that for x86_64.
            (Content::Number, Content::MaskedNumber) | (Content::MaskedNumber, Content::Number) => {
                Content::MaskedNumber
            }
            _ => Content::Unknown,
        };
        Self { a, token: self.token.filter(|_| self.token == other.token) }
    }
}

/// What the accumulator holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Unknown,
    Number,
    /// Some bits of the number.
    MaskedNumber,
    Token,
    /// Half of an argument or, after the arguments, of the instruction pointer.
    Half {
        arg: u32,
        high: bool,
    },
}

impl Content {
    fn loaded(offset: u32, endian: Endian) -> Self {
        let high = (offset % 8 == 4) == (endian == Endian::Little);
        match offset {
            0 => Self::Number,
            4 => Self::Token,
            8 | 12 => Self::Half { arg: 6, high },
            _ => Self::Half { arg: offset.saturating_sub(16) / 8, high },
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |high| if high { "hi" } else { "lo" };
        match *self {
            Self::Unknown => f.write_str("?"),
            Self::Number | Self::MaskedNumber => f.write_str("nr"),
            Self::Token => f.write_str("arch"),
            Self::Half { arg: 6, high } => write!(f, "ip.{}", half(high)),
            Self::Half { arg, high } => write!(f, "arg{arg}.{}", half(high)),
        }
    }
}

/// One way on from an instruction.
#[derive(Clone, Copy)]
struct Way {
    to: usize,
    skip: usize,
    /// For a conditional jump, whether its test holds on this way.
    holds: Option<bool>,
}

fn ways(pc: usize, insn: Insn) -> impl Iterator<Item = Way> {
    let way = |skip: usize, holds| Some(Way { to: pc.saturating_add(1).saturating_add(skip), skip, holds });
    let ways = match insn.code {
        opcode::RET_K | opcode::RET_A => [None, None],
        opcode::JA => [way(insn.k as usize, None), None],
        code if conditional(code).is_some() => {
            [way(usize::from(insn.jt), Some(true)), way(usize::from(insn.jf), Some(false))]
        }
        _ => [way(0, None), None],
    };
    ways.into_iter().flatten()
}

/// One pass from the start is enough, since all jumps go forward.
fn facts(insns: &[Insn], endian: Endian, assumed: Option<u32>) -> Vec<Option<Fact>> {
    let mut facts = vec![None; insns.len()];
    if let Some(first) = facts.first_mut() {
        *first = Some(Fact { a: Content::Unknown, token: assumed });
    }
    for (pc, &insn) in insns.iter().enumerate() {
        let Some(fact) = facts.get(pc).copied().flatten() else { continue };
        for way in ways(pc, insn) {
            let after = after(insn, fact, way.holds, endian);
            if let Some(known) = facts.get_mut(way.to) {
                *known = Some(known.map_or(after, |known: Fact| known.join(after)));
            }
        }
    }
    facts
}

/// The ABIs whose tokens the program compares with.
fn abis(insns: &[Insn], facts: &[Option<Fact>], assumed: Option<u32>) -> Vec<Arch> {
    let asks = |fact: &Option<Fact>| fact.is_some_and(|fact| fact.a == Content::Token);
    let tests = insns.iter().zip(facts).filter(|(insn, fact)| insn.code == opcode::JEQ_K && asks(fact));
    tests.map(|(insn, _)| insn.k).chain(assumed).filter_map(|token| names::abi(token, 0)).collect()
}

fn after(insn: Insn, fact: Fact, holds: Option<bool>, endian: Endian) -> Fact {
    match insn.code {
        opcode::LD_W_ABS => Fact { a: Content::loaded(insn.k, endian), ..fact },
        opcode::AND_K => match fact.a {
            Content::Number | Content::MaskedNumber => Fact { a: Content::MaskedNumber, ..fact },
            _ => Fact { a: Content::Unknown, ..fact },
        },
        opcode::JEQ_K if fact.a == Content::Token && holds == Some(true) => Fact { token: Some(insn.k), ..fact },
        // On the other way nothing is known that was not known before.
        _ if holds.is_some() => fact,
        opcode::JA | opcode::ST | opcode::STX | opcode::TAX | opcode::LDX_IMM | opcode::LDX_MEM | opcode::LDX_W_LEN => {
            fact
        }
        _ => Fact { a: Content::Unknown, ..fact },
    }
}

/// The constant of a comparison in the terms of what it is compared with.
fn constant(insn: Insn, fact: Fact) -> String {
    let k = insn.k;
    let bits = matches!(insn.code, opcode::JSET_K | opcode::JSET_X);
    let note = match fact.a {
        Content::Token if !bits => names::abis(k),
        Content::Number | Content::MaskedNumber if bits && k == Arch::X32_BIT => "x32".to_string(),
        Content::Number | Content::MaskedNumber if !bits => call(fact, k),
        _ => String::new(),
    };
    let value = if bits || fact.a == Content::Token { format!("{k:#x}") } else { number(k) };
    if note.is_empty() { value } else { format!("{value} ({note})") }
}

/// The name of a system call, with its ABI where that is not plain from the architecture.
fn call(fact: Fact, nr: u32) -> String {
    let named = |nr: u32| {
        let arch = names::abi(fact.token?, nr)?;
        let name = arch.name(nr)?;
        Some(if arch == Arch::X32 { format!("x32 {name}") } else { name.to_string() })
    };
    let masked = || if fact.a == Content::MaskedNumber { named(nr | Arch::X32_BIT) } else { None };
    named(nr).or_else(masked).unwrap_or_default()
}

/// Small numbers are read as numbers, large ones as bits.
fn number(k: u32) -> String {
    if k < 0x1_0000 { format!("{k}") } else { format!("{k:#x}") }
}

fn conditional(code: u16) -> Option<&'static str> {
    use opcode::{JEQ_K, JEQ_X, JGE_K, JGE_X, JGT_K, JGT_X, JSET_K, JSET_X};
    Some(match code {
        JEQ_K | JEQ_X => "jeq",
        JGT_K | JGT_X => "jgt",
        JGE_K | JGE_X => "jge",
        JSET_K | JSET_X => "jset",
        _ => return None,
    })
}

fn arithmetic(code: u16) -> &'static str {
    use opcode::{
        ADD_K, ADD_X, AND_K, AND_X, DIV_K, DIV_X, LSH_K, LSH_X, MUL_K, MUL_X, OR_K, OR_X, RSH_K, RSH_X, SUB_K, SUB_X,
    };
    match code {
        ADD_K | ADD_X => "add",
        SUB_K | SUB_X => "sub",
        MUL_K | MUL_X => "mul",
        DIV_K | DIV_X => "div",
        OR_K | OR_X => "or ",
        AND_K | AND_X => "and",
        LSH_K | LSH_X => "lsh",
        RSH_K | RSH_X => "rsh",
        _ => "xor",
    }
}

#[cfg(test)]
#[path = "disassemble_tests.rs"]
mod tests;
