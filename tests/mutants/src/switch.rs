//! A source file with all of its mutants in it, of which one can be switched on when the program runs.
//!
//! Everything is an insertion, so that the original stays where it is, and has the mutants of its parts in it:
//!
//! ```text
//! a < b                 (if is(1) { a == b } else if is(2) { a > b } else { a < b })
//! fn f() -> T { x }     fn f() -> T { if is(3) { return Default::default(); } x }
//! p if a => x           p if !is(4) && (is(5) || !is(6) && (a)) => x
//! ```

use crate::list::{Kind, Mutant};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use syn::spanned::Spanned as _;
use syn::visit::Visit;

const IS: &str = "crate::mutation::is";

#[derive(Default)]
pub struct Switched {
    pub text: String,
    /// Where in the text the code of a mutant stands.
    variants: Vec<(Range<usize>, u32)>,
    /// The same for an original and its mutants together.
    sites: Vec<(Range<usize>, Vec<u32>)>,
    /// What cannot be switched.
    pub left: Vec<u32>,
}

impl Switched {
    /// The mutants that an error at this place is about.
    pub fn blamed(&self, at: usize) -> Vec<u32> {
        let variant =
            self.variants.iter().filter(|(range, _)| range.contains(&at)).min_by_key(|(range, _)| range.len());
        if let Some((_, number)) = variant {
            return vec![*number];
        }
        let around = self.sites.iter().filter(|(range, _)| range.contains(&at)).min_by_key(|(range, _)| range.len());
        around.map(|(_, numbers)| numbers.clone()).unwrap_or_default()
    }
}

/// Panics if the source does not parse; it is what was compiled.
pub fn switch(source: &str, mutants: &[&Mutant]) -> Switched {
    let file = syn::parse_file(source).expect("a source file that compiles");
    let mut places = Places::default();
    places.visit_file(&file);
    let mut writer = Writer { source, insertions: Vec::new(), sites: Vec::new(), left: Vec::new() };
    let mut sites: Vec<(Site, Vec<&Mutant>)> = Vec::new();
    for mutant in mutants {
        match places.of(mutant) {
            None => writer.left.push(mutant.number),
            Some(site) => match sites.iter_mut().find(|(other, _)| *other == site) {
                Some((_, at)) => at.push(mutant),
                None => sites.push((site, vec![mutant])),
            },
        }
    }
    for (site, mutants) in &sites {
        writer.site(site, mutants);
    }
    writer.text()
}

/// Whether some mutant stands in a function that the compiler may have evaluated before the program ran.
pub fn constant(source: &str, mutant: &Mutant) -> bool {
    let function = mutant.function.as_ref().and_then(|range| source.get(range.start..mutant.range.start));
    function.is_none_or(|text| text.split('{').next().is_some_and(|signature| signature.contains("const ")))
}

#[derive(Clone, PartialEq, Eq)]
enum Site {
    /// An expression, with what each mutant makes of it.
    Expression(Range<usize>),
    /// The first statement of a body.
    Body(usize),
    Arm {
        whole: Range<usize>,
        pattern_end: usize,
        guard: Option<Range<usize>>,
    },
}

/// Where expressions are, by where cargo-mutants says that the change is.
#[derive(Default)]
struct Places {
    operators: HashMap<usize, Range<usize>>,
    fields: HashMap<usize, Range<usize>>,
    arms: HashMap<usize, Site>,
    guards: HashMap<usize, Site>,
}

impl Places {
    fn of(&self, mutant: &Mutant) -> Option<Site> {
        let at = mutant.range.start;
        match mutant.kind {
            Kind::FnValue => (!mutant.opaque).then_some(Site::Body(at)),
            Kind::BinaryOperator | Kind::UnaryOperator => self.operators.get(&at).cloned().map(Site::Expression),
            Kind::StructField => self.fields.get(&at).cloned().map(Site::Expression),
            Kind::MatchArm => self.arms.get(&at).cloned(),
            Kind::MatchArmGuard => self.guards.get(&at).cloned(),
        }
    }
}

/// Not what the compiler evaluates: constants, lengths, discriminants, patterns.
impl<'a> Visit<'a> for Places {
    fn visit_item_const(&mut self, _: &'a syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'a syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'a syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'a syn::TraitItemConst) {}
    fn visit_variant(&mut self, _: &'a syn::Variant) {}
    fn visit_type(&mut self, _: &'a syn::Type) {}

    fn visit_pat(&mut self, pattern: &'a syn::Pat) {
        if let syn::Pat::Guard(guarded) = pattern {
            self.visit_expr(&guarded.guard);
        }
    }

    fn visit_expr_const(&mut self, _: &'a syn::ExprConst) {}
    fn visit_generic_argument(&mut self, _: &'a syn::GenericArgument) {}

    fn visit_expr_repeat(&mut self, repeat: &'a syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_expr_binary(&mut self, binary: &'a syn::ExprBinary) {
        // `let` stands in the condition itself or nowhere.
        if !has_let(&binary.left) && !has_let(&binary.right) {
            self.operators.insert(binary.op.span().byte_range().start, binary.span().byte_range());
        }
        syn::visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'a syn::ExprUnary) {
        self.operators.insert(unary.op.span().byte_range().start, unary.span().byte_range());
        syn::visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, expression: &'a syn::ExprStruct) {
        for field in &expression.fields {
            self.fields.insert(field.span().byte_range().start, expression.span().byte_range());
        }
        syn::visit::visit_expr_struct(self, expression);
    }

    fn visit_expr_match(&mut self, expression: &'a syn::ExprMatch) {
        let last = expression.arms.iter().position(|arm| takes_all(&arm.pat));
        for (index, arm) in expression.arms.iter().enumerate() {
            let (pattern, guard) = match &arm.pat {
                syn::Pat::Guard(guarded) => (&*guarded.pat, Some(&guarded.guard)),
                pattern => (pattern, None),
            };
            let site = Site::Arm {
                whole: arm.span().byte_range(),
                pattern_end: pattern.span().byte_range().end,
                guard: guard.map(|guard| guard.span().byte_range()),
            };
            if let Some(guard) = guard {
                self.guards.insert(guard.span().byte_range().start, site.clone());
            }
            // An arm with a condition is none that all values have one of.
            if guard.is_some() || last.is_some_and(|last| index < last) {
                self.arms.insert(arm.span().byte_range().start, site);
            }
        }
        syn::visit::visit_expr_match(self, expression);
    }
}

fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// `_`, or a name that is no variant and no constant; nothing with a condition.
fn takes_all(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(name) => name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase),
        _ => false,
    }
}

struct Insertion {
    at: usize,
    /// What ends at a place comes before what begins there, and is the inner before the outer.
    order: (bool, Reverse<usize>),
    text: String,
    /// Parts of the text that are mutants.
    variants: Vec<(Range<usize>, u32)>,
}

struct Writer<'a> {
    source: &'a str,
    insertions: Vec<Insertion>,
    sites: Vec<(Range<usize>, Vec<u32>)>,
    left: Vec<u32>,
}

impl Writer<'_> {
    fn site(&mut self, site: &Site, mutants: &[&Mutant]) {
        let range = match site {
            Site::Expression(range) => {
                self.expression(range, mutants);
                range.clone()
            }
            Site::Body(at) => {
                self.body(*at, mutants);
                mutants[0].range.clone()
            }
            Site::Arm { whole, pattern_end, guard } => {
                self.arm(*pattern_end, guard.as_ref(), mutants);
                whole.clone()
            }
        };
        self.sites.push((range, mutants.iter().map(|mutant| mutant.number).collect()));
    }

    fn expression(&mut self, range: &Range<usize>, mutants: &[&Mutant]) {
        let (mut text, mut variants) = ("(".to_owned(), Vec::new());
        for mutant in mutants {
            let before = &self.source[range.start..mutant.range.start];
            let after = &self.source[mutant.range.end..range.end];
            let begin = text.len();
            let _ = write!(text, "if {IS}({}) {{ {before}{}{after} }} else ", mutant.number, mutant.replacement);
            variants.push((begin..text.len(), mutant.number));
        }
        text.push_str("{ ");
        self.open(range.start, range.len(), text, variants);
        self.close(range.end, range.len(), " })");
    }

    fn body(&mut self, at: usize, mutants: &[&Mutant]) {
        let (mut text, mut variants) = (String::new(), Vec::new());
        for mutant in mutants {
            let begin = text.len();
            let _ = write!(text, "if {IS}({}) {{ return {}; }} ", mutant.number, mutant.replacement);
            variants.push((begin..text.len(), mutant.number));
        }
        self.open(at, usize::MAX, text, variants);
    }

    fn arm(&mut self, pattern_end: usize, guard: Option<&Range<usize>>, mutants: &[&Mutant]) {
        let mut text = if guard.is_some() { String::new() } else { " if ".to_owned() };
        let number = |kind, replacement: &str| {
            let one = mutants.iter().find(|mutant| mutant.kind == kind && mutant.replacement == replacement);
            one.map(|mutant| mutant.number)
        };
        if let Some(delete) = number(Kind::MatchArm, "") {
            let _ = write!(text, "!{IS}({delete})");
        }
        let Some(guard) = guard else { return self.close(pattern_end, 0, &text) };
        if !text.is_empty() {
            text.push_str(" && ");
        }
        text.push('(');
        if let Some(always) = number(Kind::MatchArmGuard, "true") {
            let _ = write!(text, "{IS}({always}) || ");
        }
        if let Some(never) = number(Kind::MatchArmGuard, "false") {
            let _ = write!(text, "!{IS}({never}) && ");
        }
        text.push('(');
        self.open(guard.start, usize::MAX, text, Vec::new());
        self.close(guard.end, usize::MAX, "))");
    }

    fn open(&mut self, at: usize, length: usize, text: String, variants: Vec<(Range<usize>, u32)>) {
        self.insertions.push(Insertion { at, order: (true, Reverse(length)), text, variants });
    }

    fn close(&mut self, at: usize, length: usize, text: &str) {
        let order = (false, Reverse(usize::MAX - length));
        self.insertions.push(Insertion { at, order, text: text.to_owned(), variants: Vec::new() });
    }

    fn text(mut self) -> Switched {
        self.insertions.sort_by_key(|insertion| (insertion.at, insertion.order));
        let mut switched = Switched { left: self.left, ..Switched::default() };
        let mut from = 0;
        for insertion in &self.insertions {
            switched.text.push_str(&self.source[from..insertion.at]);
            from = insertion.at;
            let begin = switched.text.len();
            switched.text.push_str(&insertion.text);
            let moved =
                insertion.variants.iter().map(|(range, number)| (range.start + begin..range.end + begin, *number));
            switched.variants.extend(moved);
        }
        switched.text.push_str(&self.source[from..]);
        // A site goes from the first of what was inserted for its beginning to the last of its end.
        let moved = |at: usize, ends: bool| {
            let inserted = |one: &&Insertion| one.at < at || ends && one.at == at;
            at + self.insertions.iter().filter(inserted).map(|one| one.text.len()).sum::<usize>()
        };
        let whole = |range: Range<usize>| moved(range.start, false)..moved(range.end, true);
        switched.sites = self.sites.into_iter().map(|(range, numbers)| (whole(range), numbers)).collect();
        switched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(source: &str, kind: Kind, replaced: &str, replacement: &str) -> Mutant {
        let start = source.find(replaced).expect("a part of the source");
        let (file, name, replacement) = (String::new(), String::new(), replacement.to_owned());
        let (range, function) = (start..start + replaced.len(), Some(0..source.len()));
        Mutant { number: 0, file, name, kind, range, replacement, function, opaque: false }
    }

    fn switched(source: &str, changes: &[(Kind, &str, &str)]) -> Switched {
        let one =
            |(number, &(kind, replaced, replacement))| Mutant { number, ..mutant(source, kind, replaced, replacement) };
        let mutants: Vec<_> = (1..).zip(changes).map(one).collect();
        switch(source, &mutants.iter().collect::<Vec<_>>())
    }

    fn text(source: &str, changes: &[(Kind, &str, &str)]) -> String {
        let text = switched(source, changes).text.replace(IS, "is");
        syn::parse_file(&text).expect("what is written is Rust");
        text
    }

    #[test]
    fn operators_nest() {
        let source = "fn f() -> bool { a < b && !c }";
        let changes = [
            (Kind::BinaryOperator, "&&", "||"),
            (Kind::BinaryOperator, "<", "=="),
            (Kind::BinaryOperator, "<", ">"),
            (Kind::UnaryOperator, "!", ""),
        ];
        let all = "(if is(1) { a < b || !c } else { (if is(2) { a == b } else if is(3) { a > b } else { a < b }) && \
            (if is(4) { c } else { !c }) })";
        assert_eq!(text(source, &changes), format!("fn f() -> bool {{ {all} }}"));
    }

    #[test]
    fn bodies_return_early() {
        let changes = [(Kind::FnValue, "x + 1", "0"), (Kind::FnValue, "x + 1", "1")];
        let all = "fn f(x: u32) -> u32 { if is(1) { return 0; } if is(2) { return 1; } x + 1 }";
        assert_eq!(text("fn f(x: u32) -> u32 { x + 1 }", &changes), all);
    }

    #[test]
    fn arms_get_conditions() {
        let source = "fn f() { match x { A => a, B if b => c, _ => d } }";
        let guarded = (Kind::MatchArmGuard, "b =>", "true");
        let changes = [(Kind::MatchArm, "A => a,", ""), guarded, (Kind::MatchArmGuard, "b =>", "false")];
        let all = "fn f() { match x { A if !is(1) => a, B if (is(2) || !is(3) && (b)) => c, _ => d } }";
        assert_eq!(text(source, &changes), all);
    }

    #[test]
    fn fields_come_from_the_rest() {
        let all = "fn f() { (if is(1) { S {  ..s } } else { S { a: 1, ..s } }) }";
        assert_eq!(text("fn f() { S { a: 1, ..s } }", &[(Kind::StructField, "a: 1,", "")]), all);
    }

    #[test]
    fn what_the_compiler_evaluates_is_left() {
        let plus = (Kind::BinaryOperator, "+", "-");
        for source in ["const A: u32 = 1 + 2;", "fn f() { let a = [0; 1 + 2]; }", "fn f(a: [u8; 1 + 2]) {}"] {
            assert_eq!(switched(source, &[plus]).left, [1], "{source}");
        }
        let chain = "fn f() { if let A = a && b {} }";
        assert_eq!(switched(chain, &[(Kind::BinaryOperator, "&&", "||")]).left, [1]);
        let whole = "fn f() { match x { A => a, B => b } }";
        assert_eq!(switched(whole, &[(Kind::MatchArm, "A => a,", "")]).left, [1]);
    }

    #[test]
    fn errors_are_of_the_smallest_part() {
        let source = "fn f() -> bool { a < b && c }";
        let switched = switched(source, &[(Kind::BinaryOperator, "&&", "||"), (Kind::BinaryOperator, "<", "==")]);
        let at = |part| switched.text.find(part).expect("a part of the text");
        assert_eq!(switched.blamed(at("a < b || c")), [1]);
        assert_eq!(switched.blamed(at("a == b")), [2]);
        assert_eq!(switched.blamed(at("{ a < b })") + 2), [2]);
        assert_eq!(switched.blamed(at("&& c")), [1]);
        assert!(switched.blamed(0).is_empty());
    }
}
