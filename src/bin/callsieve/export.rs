//! Filters as source code and JSON.

use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program};
use callsieve::check::disassemble;
use serde_json::{Value, json};
use std::fmt::Write;

/// A filter and what it is for.
#[derive(Debug)]
pub struct Export<'a> {
    pub program: &'a Program,
    pub arches: Vec<Arch>,
    pub endian: Endian,
}

impl Export<'_> {
    /// The byte order of the target as a word.
    pub fn byte_order(&self) -> &'static str {
        match self.endian {
            Endian::Little => "little",
            Endian::Big => "big",
        }
    }

    /// The instructions as `[code, jt, jf, k]`.
    pub fn json(&self) -> Value {
        self.program.as_insns().iter().map(|insn| json!([insn.code, insn.jt, insn.jf, insn.k])).collect()
    }

    /// For which ABIs, in words.
    fn purpose(&self) -> String {
        let names: Vec<_> = self.arches.iter().map(ToString::to_string).collect();
        format!("for {} ({}-endian)", names.join(", "), self.byte_order())
    }

    /// Each instruction with its text.
    fn lines(&self) -> impl Iterator<Item = (callsieve::bpf::Insn, String)> + '_ {
        let listing = disassemble(self.program, self.endian);
        let text = move |pc| listing.instruction(pc).unwrap_or_default().trim_end().to_owned();
        self.program.as_insns().iter().enumerate().map(move |(pc, &insn)| (insn, format!("{pc:>4}  {}", text(pc))))
    }
}

/// A C header. Its numbers are in the byte order of the compiler, which must be that of the target.
pub fn c_header(export: &Export) -> String {
    let order = export.byte_order().to_uppercase();
    let mut text = format!(
        "/* Seccomp filter {}, made by callsieve {}. Install it with\n\
         \x20*\n\
         \x20*   struct sock_fprog program = {{ CALLSIEVE_FILTER_LEN, (struct sock_filter *)callsieve_filter }};\n\
         \x20*   prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);\n\
         \x20*   syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);\n\
         \x20*/\n\
         #ifndef CALLSIEVE_FILTER_H\n\
         #define CALLSIEVE_FILTER_H\n\n\
         #include <linux/filter.h>\n\n\
         #if __BYTE_ORDER__ != __ORDER_{order}_ENDIAN__\n\
         #error \"this filter is for a target of the other byte order\"\n\
         #endif\n\n\
         #define CALLSIEVE_FILTER_LEN {}\n\n\
         static const struct sock_filter callsieve_filter[CALLSIEVE_FILTER_LEN] = {{\n",
        export.purpose(),
        env!("CARGO_PKG_VERSION"),
        export.program.len(),
    );
    for (insn, line) in export.lines() {
        let _ = writeln!(
            text,
            "\t{{ {:#04x}, {:>3}, {:>3}, {:#010x} }}, /* {line} */",
            insn.code, insn.jt, insn.jf, insn.k
        );
    }
    text.push_str("};\n\n#endif\n");
    text
}

/// Rust source with a `static`. The kernel's checks run when it is compiled.
pub fn rust_source(export: &Export) -> String {
    let mut text = format!(
        "// Made by callsieve {}.\n\n\
         use callsieve::bpf::{{Insn, Program}};\n\n\
         /// Seccomp filter {}.\n\
         #[rustfmt::skip]\n\
         pub static FILTER: Program = Program::from_static(&[\n",
        env!("CARGO_PKG_VERSION"),
        export.purpose(),
    );
    for (insn, line) in export.lines() {
        let _ = writeln!(
            text,
            "    Insn::new({:#04x}, {:>3}, {:>3}, {:#010x}), // {line}",
            insn.code, insn.jt, insn.jf, insn.k
        );
    }
    text.push_str("]);\n");
    text
}
