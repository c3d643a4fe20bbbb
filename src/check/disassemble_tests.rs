//! Listings that somebody is to read.

use super::*;
use crate::bpf::SyscallData;
use crate::bpf::opcode::*;

fn program(insns: &[Insn]) -> Program {
    Program::new(insns.to_vec()).unwrap()
}

fn load(offset: u32) -> Insn {
    Insn::stmt(LD_W_ABS, offset)
}

#[test]
fn numbers_have_the_names_of_their_abi() {
    let program = program(&[
        load(4),
        Insn::new(JEQ_K, 3, 0, 0xc000_003e),
        Insn::new(JEQ_K, 0, 9, 0x4000_0003),
        load(0),
        Insn::new(JEQ_K, 8, 6, 59),
        load(0),
        Insn::new(JSET_K, 0, 3, 0x4000_0000),
        Insn::new(JGE_K, 0, 5, 0x4000_0208),
        Insn::stmt(AND_K, !0x4000_0000),
        Insn::stmt(JA, 0),
        Insn::new(JGT_K, 1, 0, 435),
        Insn::stmt(RET_K, 0x0005_0026),
        Insn::stmt(RET_K, 0x0005_0001),
        Insn::stmt(RET_K, 0x7fff_0000),
    ]);
    let expected = "\
; 14 instructions, 23 as eBPF in the kernel
         0  ld   arch
         1  jeq  0xc000003e (x86_64, x32)  -> L5
         2  jeq  0x40000003 (x86)          else ERRNO(1) EPERM
         3  ld   nr
         4  jeq  59 (oldolduname)          -> ALLOW else ERRNO(38) ENOSYS
   L5:   5  ld   nr
         6  jset 0x40000000 (x32)          else L10
         7  jge  0x40000208 (x32 execve)   else ALLOW
         8  and  0xbfffffff
         9  ja   next
  L10:  10  jgt  435 (clone3)              -> ERRNO(1) EPERM
  L11:  11  ret  ERRNO(38) ENOSYS
  L12:  12  ret  ERRNO(1) EPERM
  L13:  13  ret  ALLOW
";
    assert_eq!(disassemble(&program, Endian::Little).with_header(&program).to_string(), expected);
}

#[test]
fn arguments_follow_the_byte_order() {
    let program = program(&[load(16), load(20), load(60), load(8), load(12), Insn::stmt(RET_K, 1)]);
    let words = |endian| {
        let listing = disassemble(&program, endian);
        (0..5).map(|pc| listing.instruction(pc).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(words(Endian::Little), ["ld   arg0.lo", "ld   arg0.hi", "ld   arg5.hi", "ld   ip.lo", "ld   ip.hi"]);
    assert_eq!(words(Endian::Big), ["ld   arg0.hi", "ld   arg0.lo", "ld   arg5.lo", "ld   ip.hi", "ld   ip.lo"]);
    assert_eq!(disassemble(&program, Endian::Big).instruction(5).unwrap(), "ret  0x00000001 (acts as KILL_THREAD)");
    assert_eq!(disassemble(&program, Endian::Big).instruction(6), None);
}

#[test]
fn every_operation_has_a_line() {
    let insns = [
        Insn::stmt(LD_IMM, 5),
        Insn::stmt(LDX_IMM, 0x12345678),
        Insn::stmt(ST, 1),
        Insn::stmt(STX, 2),
        Insn::stmt(LD_MEM, 1),
        Insn::stmt(LDX_MEM, 2),
        Insn::stmt(LD_W_LEN, 0),
        Insn::stmt(LDX_W_LEN, 0),
        Insn::stmt(TAX, 0),
        Insn::stmt(TXA, 0),
        Insn::stmt(NEG, 0),
        Insn::stmt(ADD_K, 1),
        Insn::stmt(OR_X, 0),
        Insn::stmt(RSH_K, 31),
        Insn::new(JGT_X, 0, 1, 0),
        Insn::new(JEQ_K, 0, 0, 7),
        Insn::stmt(RET_A, 0),
        Insn::stmt(RET_K, 0x0003_0000),
    ];
    let program = program(&insns);
    let listing = disassemble(&program, Endian::Little);
    let lines: Vec<_> = (0..insns.len()).filter_map(|pc| listing.instruction(pc)).collect();
    let expected = [
        "ld   5",
        "ldx  0x12345678",
        "st   M[1]",
        "stx  M[2]",
        "ld   M[1]",
        "ldx  M[2]",
        "ld   len",
        "ldx  len",
        "tax",
        "txa",
        "neg",
        "add  1",
        "or   x",
        "rsh  31",
        "jgt  x  else L16",
        "jeq  7  -> next",
        "ret  a",
        "ret  TRAP  ; never reached",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_assumed_abi() {
    let program = program(&[
        load(SyscallData::NR),
        Insn::new(JEQ_K, 0, 1, 4003),
        Insn::stmt(RET_K, 0x0005_0059),
        Insn::stmt(RET_K, 0),
    ]);
    let listing = disassemble(&program, Endian::Big);
    assert_eq!(listing.instruction(1).unwrap(), "jeq  4003  else KILL_THREAD");
    assert_eq!(listing.instruction(2).unwrap(), "ret  ERRNO(89)");
    let listing = listing.assuming(Arch::Mips);
    assert_eq!(listing.instruction(1).unwrap(), "jeq  4003 (read)  else KILL_THREAD");
    assert_eq!(listing.instruction(2).unwrap(), "ret  ERRNO(89) ENOSYS");
}

/// All instructions, for a program of which every one is reached.
fn lines(listing: &Listing<'_>) -> Vec<String> {
    (0..).map_while(|pc| listing.instruction(pc)).collect()
}

#[test]
fn names_only_where_the_number_is_held() {
    let end = Insn::stmt(RET_K, 0x7fff_0000);
    let execve = Insn::new(JEQ_K, 0, 0, 59);
    let last = |insns: &[Insn]| {
        let program = program(&[insns, &[end]].concat());
        let lines = lines(&disassemble(&program, Endian::Little).assuming(Arch::X86_64));
        lines[insns.len() - 1].split_at(5).1.split("  ").next().map(str::to_string)
    };
    let shown = |insns: &[Insn]| last(insns).unwrap();
    assert_eq!(shown(&[load(0), execve]), "59 (execve)");
    // What copies the accumulator leaves it, what writes it does not.
    assert_eq!(shown(&[load(0), Insn::stmt(ST, 0), Insn::stmt(TAX, 0), Insn::stmt(JA, 0), execve]), "59 (execve)");
    assert_eq!(shown(&[load(0), Insn::stmt(TXA, 0), execve]), "59");
    assert_eq!(shown(&[load(0), Insn::stmt(LD_IMM, 59), execve]), "59");
    assert_eq!(shown(&[load(16), execve]), "59");
    // Two ways with different words, and with the same.
    let [either, other] = [16, 0].map(|offset| [load(0), Insn::new(JEQ_K, 1, 0, 1), load(offset), execve]);
    assert_eq!([shown(&either), shown(&other)], ["59", "59 (execve)"]);
    // Bits are no number.
    assert_eq!(shown(&[load(0), Insn::new(JSET_K, 0, 0, 59)]), "0x3b");
    assert_eq!(shown(&[load(4), Insn::new(JSET_K, 0, 0, 0xc000_003e)]), "0xc000003e");
    // Nor are some bits of the architecture an architecture.
    let token = Insn::new(JEQ_K, 0, 0, 0xc000_003e);
    assert_eq!(shown(&[load(4), token]), "0xc000003e (x86_64, x32)");
    assert_eq!(shown(&[load(4), Insn::stmt(AND_K, 0xc000_003e), token]), "0xc000003e");
    // Without bit 30 a number may be one of x32; with it it is none of x86_64.
    let masked = |mask, nr| shown(&[load(0), Insn::stmt(AND_K, mask), Insn::new(JEQ_K, 0, 0, nr)]);
    assert_eq!(masked(!Arch::X32_BIT, 520), "520 (x32 execve)");
    assert_eq!(masked(0x7fff_ffff, Arch::X32_BIT | 0x3b), "0x4000003b");
    assert_eq!([0xffff, 0x1_0000].map(|nr| masked(u32::MAX, nr)), ["65535", "0x10000"]);
}

/// Error numbers have a name if it is the same on all ABIs that the program asks for.
#[test]
fn only_comparisons_with_a_token_ask_for_an_abi() {
    let answer = |offset, code| {
        let test = Insn::new(code, 0, 0, Arch::X86.audit());
        let program = program(&[load(offset), test, Insn::stmt(RET_K, 0x0005_0026)]);
        lines(&disassemble(&program, Endian::Little)).pop().unwrap()
    };
    assert_eq!(answer(4, JEQ_K), "ret  ERRNO(38) ENOSYS");
    assert_eq!(answer(4, JGE_K), "ret  ERRNO(38)");
    assert_eq!(answer(16, JEQ_K), "ret  ERRNO(38)");
}

#[test]
fn operations_have_names() {
    for (codes, name) in [
        ([ADD_K, ADD_X], "add"),
        ([SUB_K, SUB_X], "sub"),
        ([MUL_K, MUL_X], "mul"),
        ([DIV_K, DIV_X], "div"),
        ([OR_K, OR_X], "or "),
        ([AND_K, AND_X], "and"),
        ([LSH_K, LSH_X], "lsh"),
        ([RSH_K, RSH_X], "rsh"),
        ([XOR_K, XOR_X], "xor"),
    ] {
        assert_eq!(codes.map(arithmetic), [name; 2]);
    }
}

#[test]
fn an_assumed_abi_leaves_the_header() {
    let program = program(&[Insn::stmt(RET_K, 0)]);
    let listing = disassemble(&program, Endian::Little).with_header(&program);
    assert_eq!(listing.clone().assuming(Arch::Mips).to_string(), listing.to_string());
    assert!(listing.to_string().starts_with("; 1 instructions"));
}
