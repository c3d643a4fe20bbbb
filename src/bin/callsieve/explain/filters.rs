//! What filters say about a call where there is no profile: those of a process, or a raw one.

use super::{Answer, Question};
use crate::outcome::{Failure, count, wrap};
use crate::subject::{Opened, What};
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, Program, SyscallData};
use callsieve::check::{Judge, Region, Word, disassemble, simulate};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What is asked, and of what.
struct Asked<'a> {
    opened: &'a Opened,
    question: &'a Question,
    arch: Option<Arch>,
    /// The regions that the arguments leave.
    regions: Vec<Region>,
}

/// Explains a call by filters.
pub fn explain(opened: &Opened, question: &Question) -> Result<Answer, Failure> {
    if let Some(bounds) = question.bounds.iter().find(|bounds| !is_one(bounds) && !is_any(bounds)) {
        let shown = super::shown_bounds(bounds);
        return Err(Failure::new(format!("{shown}: ranges are for profiles; a filter is asked about a value, or *")));
    }
    let regions = Judge::new().call_regions(&opened.subject(), question.token, question.nr);
    let mut regions = regions.map_err(|error| Failure::new(format!("{}: {error}", opened.name)))?;
    regions.retain(|region| question.meets(region));
    let asked = Asked { opened, question, arch: Arch::of_call(question.token, question.nr), regions };
    let runs = |region: &Region| matches!(region.action(), Action::Allow | Action::Log);
    let denied = !asked.regions.iter().any(runs);
    Ok(Answer { text: asked.to_text(), json: asked.to_json(), denied })
}

fn is_one(bounds: &std::ops::RangeInclusive<u64>) -> bool {
    bounds.start() == bounds.end()
}

fn is_any(bounds: &std::ops::RangeInclusive<u64>) -> bool {
    *bounds == (0..=u64::MAX)
}

impl Question {
    /// Whether a region has calls with these arguments.
    fn meets(&self, region: &Region) -> bool {
        region.conditions().iter().all(|condition| match condition.word() {
            Word::Argument(arg) => self
                .bounds
                .get(usize::from(arg))
                .filter(|bounds| is_one(bounds))
                .is_none_or(|bounds| condition.values().contains(*bounds.start())),
            Word::InstructionPointer => {
                self.instruction_pointer.is_none_or(|pointer| condition.values().contains(pointer))
            }
            _ => true,
        })
    }

    /// The call, if all that filters can see of it is known.
    fn exact(&self) -> Option<SyscallData> {
        let mut args = [0; 6];
        for (slot, bounds) in args.iter_mut().zip(&self.bounds) {
            *slot = is_one(bounds).then_some(*bounds.start())?;
        }
        let instruction_pointer = self.instruction_pointer?;
        (self.bounds.len() == 6).then_some(SyscallData { nr: self.nr, arch: self.token, instruction_pointer, args })
    }
}

impl Asked<'_> {
    fn action(&self, action: Action) -> String {
        self.arch.map_or_else(|| action.to_string(), |arch| values::action_words(action, arch))
    }

    fn programs(&self) -> &[Program] {
        match &self.opened.what {
            What::Program(program) => std::slice::from_ref(program),
            What::Stack(programs) => programs,
            What::Policy(_) => &[],
        }
    }

    fn conditions(&self, region: &Region) -> String {
        let has_64bit_args = self.arch.is_none_or(Arch::has_64bit_args);
        super::when(region.conditions().iter().map(|condition| condition.words(has_64bit_args)))
    }

    fn to_text(&self) -> String {
        let place =
            self.arch.map_or_else(|| format!("architecture {:#x}", self.question.token), |arch| arch.to_string());
        let call = self.question.call(self.arch);
        let mut text = String::new();
        let answer = match self.regions.as_slice() {
            [one] => self.action(one.action()),
            _ => "depends on arguments".into(),
        };
        wrap(&mut text, &format!("{}: {call} on {place}: {answer}", self.opened.name));
        if self.programs().is_empty() {
            text.push_str("  there is no filter\n");
        }
        for region in &self.regions {
            let conditions = self.conditions(region);
            if !conditions.is_empty() {
                wrap(&mut text, &format!("  {}{conditions}", self.action(region.action())));
            }
        }
        if let Some(call) = self.question.exact() {
            self.paths(&mut text, &call);
        }
        text
    }

    /// The way of a call through each filter, in the order in which the kernel runs them.
    fn paths(&self, text: &mut String, call: &SyscallData) {
        let many = self.programs().len();
        for (index, program) in self.programs().iter().enumerate().rev() {
            let run = simulate(program, call, self.opened.endian);
            let which = if many == 1 { "the filter".to_owned() } else { format!("filter {index} of {many}") };
            let _ = writeln!(
                text,
                "{which}: {}, {} of {}:",
                self.action(run.action()),
                count(run.path.len(), "step"),
                count(program.len(), "instruction")
            );
            let listing = disassemble(program, self.opened.endian);
            for &pc in &run.path {
                let _ = writeln!(text, "{pc:>6}  {}", listing.instruction(pc).unwrap_or_default().trim_end());
            }
        }
    }

    fn to_json(&self) -> Value {
        let bounds: Vec<_> = self.question.bounds.iter().map(|bounds| json!([bounds.start(), bounds.end()])).collect();
        let exact = self.question.exact();
        let filters = self.programs().iter().map(|program| {
            let run = exact.map(|call| simulate(program, &call, self.opened.endian));
            json!({
                "instructions": program.len(),
                "action": run.as_ref().map(|run| run.action().to_string()),
                "path": run.map(|run| run.path),
            })
        });
        json!({
            "subject": self.opened.name,
            "call": {
                "arch": self.arch.map(|arch| arch.to_string()),
                "token": self.question.token,
                "number": self.question.nr,
                "name": self.arch.and_then(|arch| arch.name(self.question.nr)),
                "bounds": bounds,
                "instruction_pointer": self.question.instruction_pointer,
            },
            "regions": super::json::regions(&self.regions),
            "filters": filters.collect::<Vec<_>>(),
        })
    }
}
