//! Everybody who makes a filter from a policy.

mod libseccomp;
mod ours;
#[cfg(feature = "seacomb")]
mod seacomb;
mod seccompiler;

use crate::case::{Case, Rule};
use callsieve::Level;
use callsieve::bpf::Program;
use callsieve::policy::UnlistedX32;
use std::error::Error;

/// Why there is no program.
pub type Failure = Box<dyn Error>;

/// A generator with its options.
pub trait Generator {
    /// As it stands in tables.
    fn name(&self) -> String;

    /// Compiles the rules of a policy, which are in memory, to the bytes of a program.
    fn compile(&self, case: &Case) -> Result<Vec<u8>, Failure>;

    /// Whether it is for this policy at all.
    fn is_for(&self, _: &Case) -> bool {
        true
    }

    /// What its programs do with x32 numbers where x32 is not listed.
    fn x32(&self) -> UnlistedX32 {
        UnlistedX32::Default
    }

    /// Where the generator cannot say everything that a policy says: the rules as it took them, and what is different.
    fn restated(&self, _: &Case) -> Option<(Vec<Rule>, String)> {
        None
    }

    /// Whether its options were chosen for this policy.
    fn is_tuned(&self) -> bool {
        false
    }

    /// Whether it is one of ours.
    fn is_ours(&self) -> bool {
        false
    }
}

/// All generators that are run, the levels of ours first.
pub fn all() -> Result<Vec<Box<dyn Generator>>, Failure> {
    let mut all: Vec<Box<dyn Generator>> = Vec::new();
    for level in [Level::Size, Level::Balanced, Level::Speed, Level::Cached, Level::Fast] {
        all.push(Box::new(ours::Ours { level, x32: UnlistedX32::Default }));
    }
    for tuned in ours::Tuned::all()? {
        all.push(Box::new(tuned));
    }
    all.push(Box::new(libseccomp::Libseccomp { level: 1 }));
    all.push(Box::new(libseccomp::Libseccomp { level: 2 }));
    all.push(Box::new(seccompiler::Seccompiler));
    #[cfg(feature = "seacomb")]
    all.push(Box::new(seacomb::Seacomb));
    Ok(all)
}

/// The other generators, each in its strongest form.
pub fn peers() -> Vec<fn() -> Box<dyn Generator>> {
    vec![
        || Box::new(libseccomp::Libseccomp { level: 1 }),
        || Box::new(libseccomp::Libseccomp { level: 2 }),
        || Box::new(seccompiler::Seccompiler),
        #[cfg(feature = "seacomb")]
        || Box::new(seacomb::Seacomb),
    ]
}

/// The same level of ours with the x32 gate, which the peers but libseccomp do not have.
pub fn gated(case: &Case, level: Level) -> Result<Program, Failure> {
    ours::Ours { level, x32: UnlistedX32::BadArch }.program(case)
}

/// The version of the C library that is linked.
pub fn libseccomp_version() -> String {
    libseccomp::version()
}
