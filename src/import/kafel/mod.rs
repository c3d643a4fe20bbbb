//! Policies of kafel, the language of nsjail: blocks of actions with calls, of which the first that matches counts.
//!
//! Arguments have the names of the kernel's source, or those that the rule declares; they are as wide as the kernel's
//! parameter. Comparisons of one argument with another cannot be said in a profile and are an error, as is `|` on an
//! argument that is compared for order.

mod expression;

use super::report::{Reading, did_you_mean, profile, rule};
use super::text::{Grammar, Kind, Spot, Token, Tokens, tokens};
use super::{Imported, MAX_ALTERNATIVES, MAX_DEPTH};
use crate::arch::{Arch, nearest};
use crate::bpf::Action;
use crate::profile::json::value::quote;
use crate::profile::{Arg, Call, Code, Foreign, Rule, Width};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const GRAMMAR: Grammar = Grammar {
    comment: "//",
    like_c: true,
    by_lines: false,
    marks: &["||", "&&", "==", "!=", "<=", ">=", "<", ">", "&", "|", "!", "(", ")", "{", "}", "[", "]", ",", ";", "#"],
    inside_words: &[],
};

/// Names of machines behind `ON`.
const MACHINES: [(&str, Arch); 7] = [
    ("x86_64", Arch::X86_64),
    ("x86", Arch::X86),
    ("arm", Arch::Arm),
    ("aarch64", Arch::Aarch64),
    ("mips64", Arch::Mips64),
    ("riscv64", Arch::Riscv64),
    ("m68k", Arch::M68k),
];

/// Calls that kafel's tables have under the name of the kernel's function.
const FUNCTIONS: [(&str, &str); 8] = [
    ("newstat", "stat"),
    ("newfstat", "fstat"),
    ("newlstat", "lstat"),
    ("newuname", "uname"),
    ("umount", "umount2"),
    ("sendfile64", "sendfile"),
    ("sysctl", "_sysctl"),
    ("pread", "pread64"),
];

const ACTIONS: [&str; 10] =
    ["ALLOW", "LOG", "KILL", "KILL_THREAD", "DENY", "KILL_PROCESS", "USER_NOTIF", "ERRNO", "TRAP", "TRACE"];

/// Reads a policy.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Imported> {
    let mut parser =
        Parser { reading, constants: BTreeMap::new(), policies: BTreeMap::new(), main: Vec::new(), default: None };
    let text = parser.reading.text;
    parser.file(text, 0, 0);
    parser.finish()
}

/// A rule for one call: its action, and the lists of comparisons of which one must hold.
#[derive(Clone)]
struct Entry {
    call: Call,
    action: Action,
    alternatives: Rc<Vec<Vec<Arg>>>,
    spot: Spot,
}

struct Parser<'r, 't> {
    reading: &'r mut Reading<'t>,
    constants: BTreeMap<String, u64>,
    policies: BTreeMap<String, Vec<Entry>>,
    main: Vec<Entry>,
    default: Option<(Action, Spot)>,
}

/// The arguments of a call: their names, and how much of each is looked at.
type Names = Vec<(String, Width)>;

/// What went wrong has been reported; the rest of the file is not looked at.
type Parsed<T> = Option<T>;

impl Parser<'_, '_> {
    fn finish(self) -> Vec<Imported> {
        let default = self.default.map_or(Action::KillThread, |(action, _)| action);
        let foreign = Foreign { bad_arch: Action::KillThread, x32_is_unlisted: true, multiplexes: false };
        let mut rules: Vec<Rule> = Vec::new();
        for entry in &self.main {
            let place = self.reading.show(entry.spot);
            let own = |args: &Vec<Arg>| rule(Vec::from([entry.call.clone()]), entry.action, args.clone(), &place);
            rules.extend(entry.alternatives.iter().map(own));
        }
        let profile = profile(default, &[self.reading.arch()], foreign, rules);
        Vec::from([Imported { name: None, profile, frequencies: Vec::new() }])
    }

    fn error(&mut self, code: Code, spot: Spot, message: impl Into<String>) {
        let place = self.reading.show(spot);
        self.reading.error(code, &place, message);
    }

    fn syntax<T>(&mut self, tokens: &Tokens, expected: &str) -> Parsed<T> {
        self.error(Code::Syntax, tokens.spot(), format!("{expected} is expected, found {}", tokens.found()));
        None
    }

    fn expect(&mut self, tokens: &mut Tokens, mark: &str) -> Parsed<()> {
        if tokens.take(mark) { Some(()) } else { self.syntax(tokens, &quote(mark)) }
    }

    fn word(&mut self, tokens: &mut Tokens, what: &str) -> Parsed<(String, Spot)> {
        if let Some(Token { kind: Kind::Word(word), spot }) = tokens.peek().cloned() {
            tokens.next();
            return Some((word, spot));
        }
        self.syntax(tokens, what)
    }

    fn file(&mut self, text: &str, file: usize, depth: usize) {
        let list = tokens(text, file, &GRAMMAR, self.reading);
        let end = list.last().map_or(Spot { file, line: 1, column: 1 }, |last| last.spot);
        let mut tokens = Tokens::new(list, end);
        while tokens.peek().is_some() {
            if self.statement(&mut tokens, depth).is_none() {
                return;
            }
        }
    }

    fn statement(&mut self, tokens: &mut Tokens, depth: usize) -> Parsed<()> {
        if tokens.take("#") {
            return self.directive(tokens, depth);
        }
        let spot = tokens.spot();
        let word = match tokens.peek().map(|token| &token.kind) {
            Some(Kind::Word(word)) => word.clone(),
            _ => String::new(),
        };
        match word.as_str() {
            "POLICY" => {
                tokens.next();
                self.policy(tokens)
            }
            "DEFAULT" => {
                tokens.next();
                let action = self.action(tokens)?;
                if let Some((_, first)) = self.default.replace((action, spot)) {
                    let first = self.reading.show(first);
                    self.error(Code::BothForms, spot, format!("there is a DEFAULT already ({first}); remove one"));
                }
                Some(())
            }
            "USE" => {
                let entries = self.used(tokens)?;
                self.main.extend(entries);
                tokens.take(",");
                Some(())
            }
            word if ACTIONS.contains(&word) => {
                let entries = self.block(tokens)?;
                self.main.extend(entries);
                tokens.take(",");
                Some(())
            }
            _ => {
                self.syntax(tokens, "POLICY, USE, DEFAULT, #define, #include or an action (ALLOW, KILL, ERRNO(1) ...)")
            }
        }
    }

    fn directive(&mut self, tokens: &mut Tokens, depth: usize) -> Parsed<()> {
        let (word, spot) = self.word(tokens, "define or include")?;
        match word.as_str() {
            "define" => {
                let (name, at) = self.word(tokens, "the name of a constant")?;
                let value = self.number(tokens)?;
                if self.constants.insert(name.clone(), value).is_some() {
                    self.error(Code::DuplicateKey, at, format!("{} is defined already; remove one", quote(&name)));
                }
                Some(())
            }
            "include" => self.include(tokens, spot, depth),
            _ => {
                self.error(
                    Code::Syntax,
                    spot,
                    format!("unknown directive {}; known are #define and #include", quote(&word)),
                );
                None
            }
        }
    }

    /// Files up to the end of the line or a semicolon.
    fn include(&mut self, tokens: &mut Tokens, spot: Spot, depth: usize) -> Parsed<()> {
        if depth >= MAX_DEPTH {
            self.error(Code::TooLarge, spot, format!("files include each other more than {MAX_DEPTH} deep"));
            return None;
        }
        let mut any = false;
        while let Some(Token { kind: Kind::Text(path), spot: at }) = tokens.peek().cloned()
            && at.line == spot.line
        {
            tokens.next();
            any = true;
            let (text, file) = self.reading.open(at, &path)?;
            self.file(&text, file, depth.saturating_add(1));
        }
        if !any {
            return self.syntax(tokens, "the name of a file in double quotes, in the same line,");
        }
        tokens.take(";");
        Some(())
    }

    fn policy(&mut self, tokens: &mut Tokens) -> Parsed<()> {
        let (name, spot) = self.word(tokens, "the name of a policy")?;
        self.expect(tokens, "{")?;
        let mut entries = Vec::new();
        while !tokens.take("}") {
            let more = if tokens.peek().is_some_and(|token| token.is_word("USE")) {
                self.used(tokens)?
            } else {
                self.block(tokens)?
            };
            entries.extend(more);
            if !tokens.take(",") && !tokens.peek_is("}") {
                return self.syntax(tokens, "\",\" or \"}\"");
            }
        }
        if self.policies.insert(name.clone(), entries).is_some() {
            self.error(Code::DuplicateKey, spot, format!("there is a policy {} already; remove one", quote(&name)));
        }
        Some(())
    }

    /// `USE name`: the rules of a policy, once more.
    fn used(&mut self, tokens: &mut Tokens) -> Parsed<Vec<Entry>> {
        tokens.next();
        let (name, spot) = self.word(tokens, "the name of a policy")?;
        let Some(entries) = self.policies.get(&name).cloned() else {
            let near = nearest(&name, self.policies.keys().map(String::as_str));
            let hint = did_you_mean(near);
            self.error(Code::BadField, spot, format!("there is no policy {} before this{hint}", quote(&name)));
            return None;
        };
        for entry in &entries {
            if !self.reading.spend(spot, 1, &entry.alternatives) {
                return None;
            }
        }
        Some(entries)
    }

    /// `ACTION { filter, filter }`
    fn block(&mut self, tokens: &mut Tokens) -> Parsed<Vec<Entry>> {
        let action = self.action(tokens)?;
        self.expect(tokens, "{")?;
        let mut entries = Vec::new();
        while !tokens.take("}") {
            entries.extend(self.filter(tokens, action)?);
            if !tokens.take(",") && !tokens.peek_is("}") {
                return self.syntax(tokens, "\",\" or \"}\"");
            }
        }
        Some(entries)
    }

    fn action(&mut self, tokens: &mut Tokens) -> Parsed<Action> {
        let spot = tokens.spot();
        let (word, _) = self.word(tokens, "an action")?;
        let plain = match word.as_str() {
            "ALLOW" => Action::Allow,
            "LOG" => Action::Log,
            "KILL" | "KILL_THREAD" | "DENY" => Action::KillThread,
            "KILL_PROCESS" => Action::KillProcess,
            "USER_NOTIF" => Action::Notify,
            "ERRNO" => Action::Errno(self.data(tokens, Action::MAX_ERRNO)?),
            "TRAP" => Action::Trap(self.data(tokens, u16::MAX)?),
            "TRACE" => Action::Trace(self.data(tokens, u16::MAX)?),
            _ => {
                let (word, hint) = (quote(&word), did_you_mean(nearest(&word, ACTIONS)));
                self.error(
                    Code::Syntax,
                    spot,
                    format!("unknown action {word}{hint}; known are {}", ACTIONS.join(", ")),
                );
                return None;
            }
        };
        Some(plain)
    }

    /// `(number)`
    fn data(&mut self, tokens: &mut Tokens, most: u16) -> Parsed<u16> {
        self.expect(tokens, "(")?;
        let spot = tokens.spot();
        let number = self.number(tokens)?;
        self.expect(tokens, ")")?;
        let Some(data) = u16::try_from(number).ok().filter(|data| *data <= most) else {
            self.error(Code::ErrnoRange, spot, format!("{number} is out of range: 0 to {most} are allowed"));
            return None;
        };
        Some(data)
    }

    /// A number or a constant.
    fn number(&mut self, tokens: &mut Tokens) -> Parsed<u64> {
        let number = match tokens.peek().map(|token| &token.kind) {
            Some(Kind::Number(number, _)) => Some(*number),
            Some(Kind::Word(name)) => self.constants.get(name).copied(),
            _ => None,
        };
        if number.is_none() {
            return self.syntax(tokens, "a number or a constant");
        }
        tokens.next();
        number
    }

    /// `call`, `call(arguments)`, `CONSTANT` or `SYSCALL[number]`, then `ON machines`, then `{ expression }`.
    fn filter(&mut self, tokens: &mut Tokens, action: Action) -> Parsed<Option<Entry>> {
        let spot = tokens.spot();
        let (name, _) = self.word(tokens, "a system call")?;
        let number = if name == "SYSCALL" && tokens.take("[") {
            let number = self.number(tokens)?;
            self.expect(tokens, "]")?;
            Some(number)
        } else {
            self.constants.get(&name).copied()
        };
        let declared = self.declared(tokens)?;
        let for_us = !tokens.peek().is_some_and(|token| token.is_word("ON")) || self.is_for_us(tokens)?;
        if !for_us {
            skip_block(tokens);
            return Some(None);
        }
        let call = match number {
            // Numbers of calls have 32 bits, also negative ones.
            Some(number) => Call::Number(self.reading.arch(), (number & 0xffff_ffff).try_into().unwrap_or(u32::MAX)),
            None => Call::Name(self.call(&name, spot)?),
        };
        let names = self.names(&call, declared);
        let expr = self.condition(tokens, &names)?;
        let alternatives = match expr.alternatives(MAX_ALTERNATIVES) {
            Ok(alternatives) => alternatives,
            Err(error) => {
                self.error(Code::TooLarge, spot, error.to_string());
                return None;
            }
        };
        if !self.reading.spend(spot, 1, &alternatives) {
            return None;
        }
        Some(Some(Entry { call, action, alternatives: Rc::new(alternatives), spot }))
    }

    /// The name of a call of the machine.
    fn call(&mut self, name: &str, spot: Spot) -> Parsed<String> {
        let arch = self.reading.arch();
        let function = FUNCTIONS.iter().find(|(own, _)| *own == name).map(|(_, call)| *call);
        let name = function.filter(|call| arch.number(name).is_none() && arch.number(call).is_some()).unwrap_or(name);
        let place = self.reading.show(spot);
        self.reading.knows(name, &place).then(|| name.into())
    }

    /// `(name, name)`; `None` without it.
    fn declared(&mut self, tokens: &mut Tokens) -> Parsed<Option<Vec<String>>> {
        if !tokens.take("(") {
            return Some(None);
        }
        let mut names: Vec<String> = Vec::new();
        while !tokens.take(")") {
            let (name, spot) = self.word(tokens, "the name of an argument")?;
            if names.contains(&name) {
                self.error(Code::DuplicateKey, spot, format!("there is an argument {} already", quote(&name)));
            }
            names.push(name);
            if names.len() > 6 {
                self.error(Code::BadField, spot, "a system call has at most 6 arguments");
                return None;
            }
            if !tokens.take(",") && !tokens.peek_is(")") {
                return self.syntax(tokens, "\",\" or \")\"");
            }
        }
        Some(Some(names))
    }

    /// Whether `ON x86_64` or `ON {x86_64, arm}` names the machine.
    fn is_for_us(&mut self, tokens: &mut Tokens) -> Parsed<bool> {
        tokens.next();
        let several = tokens.take("{");
        let mut is_ours = false;
        loop {
            let (name, spot) = self.word(tokens, "the name of a machine")?;
            is_ours |= self.reading.is_machine(&MACHINES, &name, spot);
            if !several {
                return Some(is_ours);
            }
            if !tokens.take(",") {
                break;
            }
        }
        self.expect(tokens, "}")?;
        Some(is_ours)
    }

    /// The names of the arguments: those that are declared, or the kernel's.
    fn names(&self, call: &Call, declared: Option<Vec<String>>) -> Names {
        let arch = self.reading.arch();
        let number = match call {
            Call::Name(name) => arch.number(name),
            Call::Number(_, number) => Some(*number),
        };
        let by_name = matches!(call, Call::Name(_));
        let prototype = number.filter(|_| by_name).and_then(|number| arch.prototype(number));
        let own: Names = prototype.map_or(Vec::new(), |prototype| {
            let width = |bits: u8| if bits <= 32 { Width::Bits32 } else { Width::Bits64 };
            prototype.args().take(6).map(|arg| (String::from(arg.name()), width(arg.bits()))).collect()
        });
        let Some(declared) = declared else { return own };
        let width = |index: usize| own.get(index).map_or(Width::Bits64, |(_, width)| *width);
        declared.into_iter().enumerate().map(|(index, name)| (name, width(index))).collect()
    }
}

/// Skips `{ ... }` of a rule for other machines, whose arguments are not known here.
fn skip_block(tokens: &mut Tokens) {
    if !tokens.take("{") {
        return;
    }
    while let Some(token) = tokens.next() {
        if token.is("}") {
            return;
        }
    }
}
