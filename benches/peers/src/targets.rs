//! What ours have to reach, one row for each figure.

use crate::Entry;
use crate::clock::Stages;
use crate::figures::Figures;
use crate::quoted::Quoted;
use crate::table::Table;
use callsieve::Level;

/// A figure that has to be reached.
pub struct Target {
    what: String,
    reached: String,
    wanted: String,
    is_met: bool,
    /// Nobody has reached it yet.
    is_open: bool,
}

/// Entries of each policy by name.
pub struct Found<'a> {
    pub cases: Vec<(&'a str, &'a [Entry])>,
    pub quoted: &'a [Quoted],
}

/// A level, or the level with weights of its own that reaches the row.
const BALANCED: &str = "callsieve balanced";
const SIZE: &str = "callsieve size";
const SPEED: &str = "callsieve speed";
const CACHED: &str = "callsieve cached";
const UNIFORM: &str = "callsieve balanced: any 1";

type Get = fn(&Figures) -> f64;
const LEN: Get = |figures| figures.len as f64;
const KNOWN: Get = |figures| figures.known;
const MIX: Get = |figures| figures.mix;
const WORST: Get = |figures| f64::from(figures.worst);
const ALLOWED: Get = |figures| figures.allowed;
const ARG: Get = |figures| figures.arg;
const DENIED: Get = |figures| figures.denied;
const X86: Get = |figures| figures.others.first().map_or(f64::NAN, |other| other.allowed);
/// All that a program is compared in, in the order of [`columns`].
const COLUMNS: [(&str, Get); 6] =
    [("insns", LEN), ("allowed", ALLOWED), ("known", KNOWN), ("mix", MIX), ("arg", ARG), ("denied", DENIED)];

/// Policy, figure, who has to reach it, what, with so many digits.
const COUNTED: [(&str, &str, &str, Get, f64, usize); 24] = [
    ("p1", "known, uniform weights", UNIFORM, KNOWN, 8.95, 2),
    ("p1", "mix", SPEED, MIX, 6.5, 2),
    ("p1", "mix", BALANCED, MIX, 6.9, 2),
    ("p1", "known", BALANCED, KNOWN, 9.53, 2),
    ("p1", "worst", BALANCED, WORST, 18.0, 0),
    ("p1", "worst", CACHED, WORST, 13.0, 0),
    ("p1", "arg", CACHED, ARG, 9.6, 2),
    ("p1", "denied", CACHED, DENIED, 10.3, 2),
    ("p1", "length", SIZE, LEN, 60.0, 0),
    ("p1", "length", BALANCED, LEN, 64.0, 0),
    ("p1", "length", SPEED, LEN, 82.0, 0),
    ("p1", "emulated", SIZE, |figures| figures.emulated as f64, 5800.0, 0),
    ("p2", "length", SIZE, LEN, 200.0, 0),
    ("p2", "known", BALANCED, KNOWN, 9.6, 2),
    ("p2", "x86, allowed", BALANCED, X86, 11.0, 1),
    ("p3", "length", SIZE, LEN, 10.0, 0),
    ("p3", "known", BALANCED, KNOWN, 6.2, 2),
    ("p4", "worst", "callsieve size: any 3, denied 2, checked 3, mix 2, aim 20", WORST, 20.0, 0),
    ("p4", "length", "callsieve size: any 3, denied 2, checked 3, mix 2, aim 20", LEN, 182.0, 0),
    ("p6", "length", "callsieve size: any 60, denied 20, checked 20, aim 16", LEN, 117.0, 0),
    ("p6", "worst", "callsieve size: any 60, denied 20, checked 20, aim 16", WORST, 16.0, 0),
    ("small20", "known, uniform weights", UNIFORM, KNOWN, 6.35, 2),
    ("small20", "mix", SPEED, MIX, 6.75, 2),
    ("small20", "length", SIZE, LEN, 22.0, 0),
];

/// Rows that are the same on every machine.
pub fn counted(found: &Found<'_>) -> Vec<Target> {
    let mut targets: Vec<Target> = COUNTED
        .iter()
        .map(|&(policy, figure, name, get, wanted, digits)| {
            let reached = found.entry(policy, name).map_or(f64::NAN, |entry| get(&entry.figures));
            at_most(format!("{}, {figure}: {name}", policy.to_uppercase()), reached, wanted, digits)
        })
        .collect();
    targets.extend(found.peers("p5").into_iter().map(|(name, peer)| below(found, "p5", &name, &peer, 0)));
    targets.push(Target { is_open: true, ..below(found, "p5", "the best of all peers", &found.least("p5"), 1) });
    let tuned = ["callsieve size: any 60, denied 20, checked 20, aim 16"];
    let peers = found.least("p6");
    let best =
        tuned.iter().filter_map(|name| found.entry("p6", name)).any(|entry| misses(&columns(entry), &peers) == 0);
    let what = "P6: below the best of all peers in length and every mean".to_owned();
    targets.push(Target {
        what,
        reached: tuned[0].to_owned(),
        wanted: "all columns".to_owned(),
        is_met: best,
        is_open: false,
    });
    let ours = found.cases.iter().flat_map(|(_, entries)| entries.iter()).filter(|entry| entry.ours);
    let left = ours.map(|entry| entry.figures.cached.1 - entry.figures.cached.0).sum::<usize>();
    targets.push(at_most("all: unconditional allows that are not cacheable".to_owned(), left as f64, 0.0, 0));
    targets
}

/// Rows that are measured.
pub fn timed(found: &Found<'_>, stages: &[(&str, Level, Stages)]) -> Vec<Target> {
    let mut targets = Vec::new();
    let of = |policy, level| stages.iter().find(|stage| stage.0 == policy && stage.1 == level).map(|stage| &stage.2);
    for (level, wanted) in [(Level::Balanced, 500.0), (Level::Fast, 100.0)] {
        let what =
            format!("P1: us from rules in memory to a program and its report, {level:?}, the proof apart (best)");
        let time =
            of("p1", level).map_or(f64::NAN, |stages| stages.resolve.best + stages.compile.best - stages.prove.best);
        targets.push(at_most(what, time, wanted, 0));
    }
    let text = of("p2", Level::Balanced).and_then(|stages| stages.text_to_filter).map_or(f64::NAN, |time| time.best);
    targets.push(at_most("P2: us from JSON text to a proven filter (best)".to_owned(), text, 3000.0, 0));
    let time = |name| found.entry("p2", name).and_then(|entry| entry.compile).map_or(f64::NAN, |time| time.best);
    let times = time("libseccomp level 2") / time(BALANCED);
    targets.push(at_least("P2: times faster than libseccomp level 2, with the proof (best)".to_owned(), times, 5.0));
    for policy in ["p1", "p2"] {
        let best = |ours: bool| {
            let entries = found.entries(policy).iter().filter(|entry| entry.ours == ours && !entry.tuned);
            entries.filter_map(|entry| entry.install).map(|time| time.best).fold(f64::INFINITY, f64::min)
        };
        let what = format!("{}: install time, part of the best peer that was run (best)", policy.to_uppercase());
        targets.push(at_most(what, best(true) / best(false), 0.9, 2));
    }
    let heap = found.entry("p2", BALANCED).and_then(|entry| entry.heap).map_or(f64::NAN, |bytes| bytes as f64 / 1024.0);
    targets.push(at_most("P2: KiB of heap while compiling and proving".to_owned(), heap, 1024.0, 0));
    targets
}

/// The rows as a table.
pub fn table(title: &str, targets: &[Target]) -> String {
    let mut table = Table::new(&["figure", "to reach", "reached", "met"]);
    for target in targets {
        let met = match (target.is_met, target.is_open) {
            (true, _) => "yes",
            (false, true) => "not yet",
            (false, false) => "**no**",
        };
        table.row(&[target.what.clone(), target.wanted.clone(), target.reached.clone(), met.to_owned()]);
    }
    format!("## {title}\n\n{}", table.finish())
}

/// The rows that are not met, but for those that never were.
pub fn unmet(targets: &[Target]) -> Vec<&str> {
    targets.iter().filter(|target| !target.is_met && !target.is_open).map(|target| target.what.as_str()).collect()
}

/// Compared with as many digits as are wanted.
fn at_most(what: String, reached: f64, wanted: f64, digits: usize) -> Target {
    let unit = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let is_met = (reached * unit).round() <= (wanted * unit).round();
    Target {
        what,
        reached: format!("{reached:.digits$}"),
        wanted: format!("at most {wanted:.digits$}"),
        is_met,
        is_open: false,
    }
}

fn at_least(what: String, reached: f64, wanted: f64) -> Target {
    Target {
        what,
        reached: format!("{reached:.1}"),
        wanted: format!("at least {wanted:.1}"),
        is_met: reached >= wanted,
        is_open: false,
    }
}

/// Whether one of ours is below a peer in all columns but so many.
fn below(found: &Found<'_>, policy: &str, name: &str, peer: &[f64; 6], but: usize) -> Target {
    let best = found
        .entries(policy)
        .iter()
        .filter(|entry| entry.ours)
        .min_by_key(|entry| misses(&columns(entry), peer))
        .map(|entry| (entry, misses(&columns(entry), peer)));
    let reached = best.map_or_else(String::new, |(entry, missed)| {
        let own = columns(entry);
        let names = COLUMNS.iter().enumerate().filter(|(at, _)| own[*at] >= peer[*at]).map(|(_, column)| column.0);
        let names: Vec<&str> = names.collect();
        if missed == 0 { entry.name.clone() } else { format!("{}, but {}", entry.name, names.join(", ")) }
    });
    let wanted = if but == 0 { "all columns".to_owned() } else { format!("all columns but {but}") };
    let is_met = best.is_some_and(|(_, missed)| missed <= but);
    Target {
        what: format!("{}: below {name} in length and every mean", policy.to_uppercase()),
        reached,
        wanted,
        is_met,
        is_open: false,
    }
}

fn columns(entry: &Entry) -> [f64; 6] {
    COLUMNS.map(|(_, get)| get(&entry.figures))
}

/// In how many columns ours is not below; columns that a peer does not have do not count.
fn misses(ours: &[f64; 6], peer: &[f64; 6]) -> usize {
    ours.iter().zip(peer).filter(|(ours, peer)| ours >= peer).count()
}

impl Found<'_> {
    fn entries(&self, policy: &str) -> &[Entry] {
        self.cases.iter().find(|case| case.0 == policy).map_or(&[], |case| case.1)
    }

    fn entry(&self, policy: &str, name: &str) -> Option<&Entry> {
        self.entries(policy).iter().find(|entry| entry.name == name)
    }

    /// The columns of the peers that get a policy right.
    fn peers(&self, policy: &str) -> Vec<(String, [f64; 6])> {
        let made = self.entries(policy).iter().filter(|entry| !entry.ours && entry.is_right);
        let mut peers: Vec<_> = made.map(|entry| (entry.name.clone(), columns(entry))).collect();
        let quoted = self.quoted.iter().filter(|row| row.policy == policy && !row.differs);
        peers.extend(quoted.map(|row| {
            let means =
                [row.allowed, row.known, row.mix, row.arg, row.denied].map(|mean| mean.unwrap_or(f64::INFINITY));
            let [allowed, known, mix, arg, denied] = means;
            (row.generator.clone(), [row.len as f64, allowed, known, mix, arg, denied])
        }));
        peers
    }

    /// The least of all peers in each column.
    fn least(&self, policy: &str) -> [f64; 6] {
        let peers = self.peers(policy);
        std::array::from_fn(|at| peers.iter().map(|(_, columns)| columns[at]).fold(f64::INFINITY, f64::min))
    }
}
