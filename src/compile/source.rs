//! Filters as source code, for programs that bring theirs along.

use super::Filter;
use crate::arch::Arch;
use crate::bpf::{Endian, Insn};
use crate::check::disassemble;
use crate::policy::Policy;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

impl Filter {
    /// Rust source with a `static FILTER: Program`, for a `build.rs`. The compiler checks it as the kernel would.
    ///
    /// This is [`Source::to_rust`] with nothing set.
    pub fn to_rust(&self) -> String {
        Source::new(self).to_rust()
    }

    /// A C header with an array of `struct sock_filter`.
    pub fn to_c(&self) -> String {
        Source::new(self).to_c()
    }
}

/// How a filter becomes source code.
///
/// In a `build.rs`, with `callsieve` among the `build-dependencies`; the program itself then needs it only with the
/// feature `install`:
///
/// ```
/// use callsieve::{Action, Arch, Compiler, Profile, Source, Target};
///
/// let profile = Profile::new(Action::Errno(1)).allow(["read", "write", "exit_group"]);
/// let policy = profile.resolve(&Target::exactly(&[Arch::X86_64]))?;
/// let filter = Compiler::new().compile(&policy)?;
/// let text = Source::new(&filter).name("WORKER").proven_by(&policy, "crate::rules::policy()").to_rust();
/// assert!(text.contains("pub static WORKER: ::callsieve::bpf::Program"));
/// assert!(text.contains("prove(&WORKER, &crate::rules::policy())"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Source<'a> {
    filter: &'a Filter,
    name: &'a str,
    proof: Option<(&'a Policy, &'a str)>,
    cfg: bool,
}

impl<'a> Source<'a> {
    /// The name `FILTER`, no test, for every machine.
    pub const fn new(filter: &'a Filter) -> Self {
        Self { filter, name: "FILTER", proof: None, cfg: false }
    }

    /// The name of the `static`. In C it is written in small letters after `callsieve_`.
    ///
    /// It goes into the text as it is, so it should be a name.
    pub const fn name(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// Adds a test that proves the filter again, against the policy that an expression of the program gives, and names
    /// the policy's [digest](Policy::digest) in the documentation. Rust only.
    ///
    /// The test needs `callsieve` with its default features among the `dev-dependencies`.
    pub const fn proven_by(self, policy: &'a Policy, expression: &'a str) -> Self {
        Self { proof: Some((policy, expression)), ..self }
    }

    /// Makes it exist only on machines of the filter's first ABI, so that several filters can stand in one file.
    pub const fn for_its_machine_only(self) -> Self {
        Self { cfg: true, ..self }
    }

    /// Rust source.
    pub fn to_rust(&self) -> String {
        let mut text = format!(
            "// Made by callsieve {}.\n\n\
             /// Seccomp filter {}.\n",
            env!("CARGO_PKG_VERSION"),
            self.purpose(),
        );
        if let Some((policy, _)) = self.proof {
            let _ = writeln!(text, "///\n/// Policy {:016x}.", policy.digest());
        }
        let condition = self.condition();
        if let Some(condition) = &condition {
            let _ = writeln!(text, "#[cfg({condition})]");
        }
        let _ = write!(
            text,
            "#[rustfmt::skip]\n\
             pub static {}: ::callsieve::bpf::Program = ::callsieve::bpf::Program::from_static(&[\n",
            self.name
        );
        for (insn, line) in self.lines() {
            let _ = writeln!(
                text,
                "    ::callsieve::bpf::Insn::new({:#04x}, {:>3}, {:>3}, {:#010x}), // {line}",
                insn.code, insn.jt, insn.jf, insn.k
            );
        }
        text.push_str("]);\n");
        if let Some((_, expression)) = self.proof {
            let condition = condition.map_or_else(|| "test".into(), |condition| format!("all(test, {condition})"));
            let _ = write!(
                text,
                "\n#[cfg({condition})]\n\
                 #[test]\n\
                 fn {}_is_proven() {{\n    \
                     ::callsieve::check::prove(&{}, &{expression}).expect(\"compile the filter again\");\n\
                 }}\n",
                self.name.to_lowercase(),
                self.name,
            );
        }
        text
    }

    /// A C header. Its numbers are in the byte order of the compiler, which must be that of the target.
    pub fn to_c(&self) -> String {
        let (small, large) = (self.name.to_lowercase(), self.name.to_uppercase());
        let mut text = format!(
            "/* Seccomp filter {}, made by callsieve {}. Install it with\n\
             \x20*\n\
             \x20*   struct sock_fprog program = {{ CALLSIEVE_{large}_LEN, (struct sock_filter *)callsieve_{small} }};\n\
             \x20*   prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);\n\
             \x20*   syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);\n\
             \x20*/\n\
             #ifndef CALLSIEVE_{large}_H\n\
             #define CALLSIEVE_{large}_H\n\n\
             #include <linux/filter.h>\n\n\
             #if __BYTE_ORDER__ != __ORDER_{}_ENDIAN__\n\
             #error \"this filter is for a target of the other byte order\"\n\
             #endif\n\n\
             #define CALLSIEVE_{large}_LEN {}\n\n\
             static const struct sock_filter callsieve_{small}[CALLSIEVE_{large}_LEN] = {{\n",
            self.purpose(),
            env!("CARGO_PKG_VERSION"),
            self.byte_order().to_uppercase(),
            self.filter.program().len(),
        );
        for (insn, line) in self.lines() {
            let _ = writeln!(
                text,
                "\t{{ {:#04x}, {:>3}, {:>3}, {:#010x} }}, /* {line} */",
                insn.code, insn.jt, insn.jf, insn.k
            );
        }
        text.push_str("};\n\n#endif\n");
        text
    }

    fn byte_order(&self) -> &'static str {
        match self.filter.endian() {
            Endian::Little => "little",
            Endian::Big => "big",
        }
    }

    fn arches(&self) -> impl Iterator<Item = Arch> {
        self.filter.report().arches.iter().map(|report| report.arch)
    }

    /// For which ABIs, in words.
    fn purpose(&self) -> String {
        let names: Vec<String> = self.arches().map(|arch| arch.to_string()).collect();
        format!("for {} ({}-endian)", names.join(", "), self.byte_order())
    }

    /// What `cfg` says on a machine of the first ABI.
    fn condition(&self) -> Option<String> {
        let arch = self.arches().next().filter(|_| self.cfg)?;
        let (name, endian, width) = arch.rust_target();
        Some(format!("all(target_arch = \"{name}\", target_endian = \"{endian}\", target_pointer_width = \"{width}\")"))
    }

    /// Each instruction with its text.
    fn lines(&self) -> impl Iterator<Item = (Insn, String)> {
        let listing = disassemble(self.filter.program(), self.filter.endian());
        let insns = self.filter.program().as_insns().iter().enumerate();
        insns.map(move |(pc, &insn)| {
            (insn, format!("{pc:>4}  {}", listing.instruction(pc).unwrap_or_default().trim_end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;
    use crate::compile::Compiler;
    use crate::policy::Target;
    use crate::profile::Profile;

    #[test]
    fn names_conditions_and_tests() {
        let profile = Profile::new(Action::Errno(1)).allow("read");
        let policy = profile.resolve(&Target::exactly(&[Arch::S390x])).unwrap();
        let filter = Compiler::new().compile(&policy).unwrap();
        let plain = filter.to_rust();
        assert!(plain.contains("pub static FILTER: ::callsieve::bpf::Program") && !plain.contains("cfg"));
        let source = Source::new(&filter).name("WORKER").for_its_machine_only().proven_by(&policy, "rules()");
        let text = source.to_rust();
        let condition = "target_arch = \"s390x\", target_endian = \"big\", target_pointer_width = \"64\"";
        assert!(text.contains(&format!("#[cfg(all({condition}))]\n#[rustfmt::skip]\npub static WORKER")));
        assert!(text.contains(&format!("#[cfg(all(test, all({condition})))]\n#[test]\nfn worker_is_proven()")));
        assert!(text.contains(&format!("Policy {:016x}", policy.digest())));
        let header = source.to_c();
        assert!(header.contains("callsieve_worker[CALLSIEVE_WORKER_LEN]") && header.contains("__ORDER_BIG_ENDIAN__"));
    }

    #[test]
    fn the_digest_is_of_the_meaning() {
        let digest = |profile: Profile| profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap().digest();
        let new = || Profile::new(Action::Errno(1));
        assert_eq!(digest(new().allow(["read", "write"])), digest(new().allow("write").allow("read")));
        assert_ne!(digest(new().allow("read")), digest(new().allow("write")));
        assert_ne!(digest(new().allow("read")), digest(Profile::new(Action::Errno(2)).allow("read")));
    }
}
