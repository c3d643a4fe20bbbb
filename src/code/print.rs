//! Steps to look at: text and DOT.

use super::{Code, CodeId, Held, Input, Op, Step};
use crate::bpf::Answer;
use alloc::string::String;
use core::fmt::{self, Write};

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nr => f.write_str("nr"),
            Self::Arch => f.write_str("arch"),
            Self::Low(arg) => write!(f, "arg{arg}"),
            Self::High(arg) => write!(f, "arg{arg}.high"),
            Self::IpLow => f.write_str("ip"),
            Self::IpHigh => f.write_str("ip.high"),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mask {
            u32::MAX => self.input.fmt(f),
            mask => write!(f, "({} & {mask:#x})", self.input),
        }
    }
}

/// One step without what follows.
struct Label(Step);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Step::Return(raw) => Answer(raw).fmt(f),
            Step::Load(input, _) => write!(f, "load {input}"),
            Step::And { mask, .. } => write!(f, "and {mask:#x}"),
            Step::Test { held, op: Op::Eq, k, .. } => write!(f, "{held} == {k:#x}"),
            Step::Test { held, op: Op::Ge, k, .. } => write!(f, "{held} >= {k:#x}"),
            Step::Test { held, op: Op::Set, k, .. } => write!(f, "{held} & {k:#x}"),
        }
    }
}

impl Code {
    /// The steps below a root, one a line.
    pub(crate) fn to_text(&self, root: CodeId) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.text(root, &mut out);
        out
    }

    fn text(&self, root: CodeId, out: &mut String) -> fmt::Result {
        for id in self.reachable(root) {
            let step = self.step(id);
            write!(out, "c{}: {}", id.index(), Label(step))?;
            match step {
                Step::Return(_) => writeln!(out)?,
                Step::Load(_, next) | Step::And { next, .. } => writeln!(out, " -> c{}", next.index())?,
                Step::Test { yes, no, .. } => writeln!(out, " ? c{} : c{}", yes.index(), no.index())?,
            }
        }
        Ok(())
    }

    /// A picture in the DOT language of Graphviz.
    pub(crate) fn to_dot(&self, root: CodeId) -> String {
        let mut out = String::from("digraph code {\n  node [shape=box, fontname=monospace];\n");
        let _ = self.dot(root, &mut out);
        out.push_str("}\n");
        out
    }

    fn dot(&self, root: CodeId, out: &mut String) -> fmt::Result {
        for id in self.reachable(root) {
            let step = self.step(id);
            let from = id.index();
            let shape = if matches!(step, Step::Return(_)) { ", style=rounded" } else { "" };
            writeln!(out, "  c{from} [label=\"{}\"{shape}];", Label(step))?;
            match step {
                Step::Return(_) => {}
                Step::Load(_, next) | Step::And { next, .. } => writeln!(out, "  c{from} -> c{};", next.index())?,
                Step::Test { yes, no, .. } => {
                    writeln!(out, "  c{from} -> c{} [label=\"yes\"];", yes.index())?;
                    writeln!(out, "  c{from} -> c{} [label=\"no\", style=dashed];", no.index())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;

    #[test]
    fn steps_as_text_and_as_a_picture() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let cut = Held { mask: 6, ..Held::all(Input::Low(2)) };
        let compared = code.test(cut, (Op::Eq, 2), allow, kill);
        let root = code.enter(None, compared);
        let text = "\
c4: load arg2 -> c3
c3: and 0x6 -> c2
c2: (arg2 & 0x6) == 0x2 ? c0 : c1
c1: KILL_PROCESS
c0: ALLOW
";
        assert_eq!(code.to_text(root), text);
        let dot = "\
digraph code {
  node [shape=box, fontname=monospace];
  c4 [label=\"load arg2\"];
  c4 -> c3;
  c3 [label=\"and 0x6\"];
  c3 -> c2;
  c2 [label=\"(arg2 & 0x6) == 0x2\"];
  c2 -> c0 [label=\"yes\"];
  c2 -> c1 [label=\"no\", style=dashed];
  c1 [label=\"KILL_PROCESS\", style=rounded];
  c0 [label=\"ALLOW\", style=rounded];
}
";
        assert_eq!(code.to_dot(root), dot);
    }
}
