//! Policies of kafel, the language of nsjail: blocks of actions with calls, of which the first that matches counts.
//!
//! Arguments have the names of the kernel's source, or those that the rule declares; they are as wide as the kernel's
//! parameter. Comparisons of one argument with another cannot be said in a profile and are an error, as is `|` on an
//! argument that is compared for order.

use super::condition::{Compare, Expr, Operand};
use super::report::{Reading, profile, rule};
use super::text::{Grammar, Kind, Spot, Token, Tokens, tokens};
use super::{Imported, MAX_ALTERNATIVES, MAX_DEPTH, MAX_NESTING};
use crate::arch::{Arch, nearest};
use crate::bpf::Action;
use crate::profile::json::value::quote;
use crate::profile::{Arg, Call, Code, Foreign, Rule, Width};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
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

/// What an operand of a comparison is.
enum Value {
    Number(u64),
    /// Some bits of an argument, and bits that are always set.
    Bits(Operand, u64),
}

/// A part of an expression.
enum Part {
    Bool(Expr),
    Value(Value),
}

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
            let hint = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
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
                let hint = nearest(&word, ACTIONS).map(|near| format!(" (did you mean \"{near}\"?)"));
                let (word, hint) = (quote(&word), hint.unwrap_or_default());
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
        let Some(alternatives) = expr.alternatives(MAX_ALTERNATIVES) else {
            let message = format!("the expression comes to more than {MAX_ALTERNATIVES} alternatives");
            self.error(Code::TooLarge, spot, message);
            return None;
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

    /// `{ expression }`; without it, or if it is empty, the rule always matches.
    fn condition(&mut self, tokens: &mut Tokens, names: &Names) -> Parsed<Expr> {
        if !tokens.take("{") || tokens.take("}") {
            return Some(Expr::Always);
        }
        let mut any = Vec::new();
        loop {
            any.push(self.boolean(tokens, names, 0)?);
            if !tokens.take(",") {
                break;
            }
        }
        self.expect(tokens, "}")?;
        Some(Expr::Any(any))
    }

    fn boolean(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Expr> {
        let spot = tokens.spot();
        let part = self.or(tokens, names, depth)?;
        self.as_bool(part, spot)
    }

    fn as_bool(&mut self, part: Part, spot: Spot) -> Parsed<Expr> {
        match part {
            Part::Bool(expr) => Some(expr),
            Part::Value(_) => {
                self.error(Code::Syntax, spot, "a comparison is expected, found a value; write VALUE != 0");
                None
            }
        }
    }

    fn as_value(&mut self, part: Part, spot: Spot) -> Parsed<Value> {
        match part {
            Part::Value(value) => Some(value),
            Part::Bool(_) => {
                self.error(Code::Syntax, spot, "a value is expected, found a comparison");
                None
            }
        }
    }

    fn or(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        self.chain(tokens, names, depth, "||", Self::and, Expr::Any)
    }

    fn and(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        self.chain(tokens, names, depth, "&&", Self::unary, Expr::All)
    }

    fn chain(
        &mut self,
        tokens: &mut Tokens,
        names: &Names,
        depth: usize,
        mark: &str,
        part: fn(&mut Self, &mut Tokens, &Names, usize) -> Parsed<Part>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Parsed<Part> {
        let mut spot = tokens.spot();
        let first = part(self, tokens, names, depth)?;
        if !tokens.peek_is(mark) {
            return Some(first);
        }
        let mut all = Vec::from([self.as_bool(first, spot)?]);
        while tokens.take(mark) {
            spot = tokens.spot();
            let next = part(self, tokens, names, depth)?;
            all.push(self.as_bool(next, spot)?);
        }
        Some(Part::Bool(join(all)))
    }

    fn unary(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let mut negated = false;
        while tokens.take("!") {
            negated = !negated;
        }
        let spot = tokens.spot();
        let part = self.comparison(tokens, names, depth)?;
        if negated { Some(Part::Bool(self.as_bool(part, spot)?.negated())) } else { Some(part) }
    }

    fn comparison(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let spot = tokens.spot();
        let left = self.bits(tokens, names, depth)?;
        let compare = match tokens.peek().map(|token| &token.kind) {
            Some(Kind::Mark("==")) => Compare::Eq,
            Some(Kind::Mark("!=")) => Compare::Ne,
            Some(Kind::Mark("<")) => Compare::Lt,
            Some(Kind::Mark("<=")) => Compare::Le,
            Some(Kind::Mark(">")) => Compare::Gt,
            Some(Kind::Mark(">=")) => Compare::Ge,
            _ => return Some(left),
        };
        tokens.next();
        let right_spot = tokens.spot();
        let right = self.bits(tokens, names, depth)?;
        let (left, right) = (self.as_value(left, spot)?, self.as_value(right, right_spot)?);
        self.compared(left, compare, right, spot).map(Part::Bool)
    }

    fn compared(&mut self, left: Value, compare: Compare, right: Value, spot: Spot) -> Parsed<Expr> {
        let (operand, set, compare, value) = match (left, right) {
            (Value::Number(left), Value::Number(right)) => {
                return Some(if compare.holds(left, right) { Expr::Always } else { Expr::Never });
            }
            (Value::Bits(operand, set), Value::Number(value)) => (operand, set, compare, value),
            (Value::Number(value), Value::Bits(operand, set)) => (operand, set, compare.mirrored(), value),
            (Value::Bits(..), Value::Bits(..)) => {
                let message = "compares an argument with another one; a profile compares arguments with constants only";
                self.error(Code::NotExpressible, spot, message);
                return None;
            }
        };
        if set == 0 {
            return Some(operand.compare(compare, value));
        }
        // Bits that are always set are equal or not, whatever the argument is.
        match (compare, value & set == set) {
            (Compare::Eq | Compare::Ne, true) => Some(operand.compare(compare, value & !set)),
            (Compare::Eq, false) => Some(Expr::Never),
            (Compare::Ne, false) => Some(Expr::Always),
            _ => {
                let message = "compares the order of an argument of which bits are set with |; compare it for == or !=";
                self.error(Code::NotExpressible, spot, message);
                None
            }
        }
    }

    /// Operands with `&`, or with `|`.
    fn bits(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let spot = tokens.spot();
        let first = self.primary(tokens, names, depth)?;
        let Some(mark) = ["&", "|"].into_iter().find(|mark| tokens.peek_is(mark)) else { return Some(first) };
        let mut value = self.as_value(first, spot)?;
        while tokens.take(mark) {
            let spot = tokens.spot();
            let next = self.primary(tokens, names, depth)?;
            let next = self.as_value(next, spot)?;
            value = self.combined(value, mark, next, spot)?;
        }
        if tokens.peek_is("&") || tokens.peek_is("|") {
            self.error(Code::Syntax, tokens.spot(), "& and | in one operand; write parentheses");
            return None;
        }
        Some(Part::Value(value))
    }

    fn combined(&mut self, left: Value, mark: &str, right: Value, spot: Spot) -> Parsed<Value> {
        Some(match (left, right, mark) {
            (Value::Number(left), Value::Number(right), "&") => Value::Number(left & right),
            (Value::Number(left), Value::Number(right), _) => Value::Number(left | right),
            (Value::Bits(operand, set), Value::Number(number), "&")
            | (Value::Number(number), Value::Bits(operand, set), "&") => {
                Value::Bits(Operand { mask: operand.mask & number, ..operand }, set & number)
            }
            (Value::Bits(operand, set), Value::Number(more), _)
            | (Value::Number(more), Value::Bits(operand, set), _) => {
                Value::Bits(Operand { mask: operand.mask & !more, ..operand }, set | more)
            }
            (Value::Bits(..), Value::Bits(..), _) => {
                let message = "puts two arguments together; a profile compares single arguments with constants only";
                self.error(Code::NotExpressible, spot, message);
                return None;
            }
        })
    }

    fn primary(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        if depth > MAX_NESTING {
            let message = format!("more than {MAX_NESTING} parentheses inside of each other");
            self.error(Code::TooLarge, tokens.spot(), message);
            return None;
        }
        if tokens.take("(") {
            let part = self.in_parentheses(tokens, names, depth.saturating_add(1))?;
            self.expect(tokens, ")")?;
            return Some(part);
        }
        if let Some(Token { kind: Kind::Number(number, _), .. }) = tokens.peek() {
            let number = *number;
            tokens.next();
            return Some(Part::Value(Value::Number(number)));
        }
        let (name, spot) = self.word(tokens, "an argument, a constant or a number")?;
        if let Some(value) = self.constants.get(&name) {
            return Some(Part::Value(Value::Number(*value)));
        }
        if let Some(index) = names.iter().position(|(own, _)| *own == name)
            && let (Some((_, width)), Ok(index)) = (names.get(index), u8::try_from(index))
        {
            return Some(Part::Value(Value::Bits(Operand::whole(index, *width), 0)));
        }
        if let Ok(value) = self.reading.arch().constant(&name) {
            return Some(Part::Value(Value::Number(value)));
        }
        let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let hint = nearest(&name, known.iter().copied()).map(|near| format!(" (did you mean \"{near}\"?)"));
        let has = match known.as_slice() {
            [] => "no arguments are known; declare them: call(a, b)".into(),
            known => format!("the arguments are {}", known.join(", ")),
        };
        let message = format!("unknown argument or constant {}{}; {has}", quote(&name), hint.unwrap_or_default());
        self.error(Code::BadField, spot, message);
        None
    }

    /// Expressions with commas between them, or one value.
    fn in_parentheses(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let mut spot = tokens.spot();
        let first = self.or(tokens, names, depth)?;
        if !tokens.peek_is(",") {
            return Some(first);
        }
        let mut any = Vec::from([self.as_bool(first, spot)?]);
        while tokens.take(",") {
            spot = tokens.spot();
            let next = self.or(tokens, names, depth)?;
            any.push(self.as_bool(next, spot)?);
        }
        Some(Part::Bool(Expr::Any(any)))
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
