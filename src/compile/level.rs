//! What a filter shall be good for.

use super::weights::Importance;
use crate::opt::Params;
use alloc::vec::Vec;

/// What a filter shall be good for. Every level means the same; they differ in length and in the number of instructions
/// that a call executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// The shortest program. It also installs fastest: for each known number the kernel emulates the program once.
    Size,
    /// Half by how often servers make a call, half every call alike.
    #[default]
    Balanced,
    /// Calls that servers make often come first.
    Speed,
    /// For kernels that remember which calls are always allowed (5.11 and later): such calls no longer run the filter,
    /// so calls with argument checks and denied calls come first.
    Cached,
    /// Compiles fastest: balanced trees without a search.
    Fast,
}

impl Level {
    /// How the calls are weighed against each other, in thousandths.
    pub(super) const fn shares(self) -> Importance {
        const NONE: Importance = Importance { any: 0, allowed: 0, denied: 0, checked: 0, mix: 0 };
        match self {
            Self::Size => Importance { any: 1000, ..NONE },
            Self::Balanced | Self::Fast => Importance { any: 500, mix: 500, ..NONE },
            Self::Speed => Importance { any: 100, mix: 900, ..NONE },
            Self::Cached => Importance { checked: 800, denied: 150, mix: 20, allowed: 30, ..NONE },
        }
    }

    /// The ways to search; the first that is about as short as any is taken.
    pub(super) fn params(self) -> Vec<Params> {
        let usual = Params::default();
        match self {
            Self::Size => Vec::from([
                Params { size_price: 300, few: 6, ..usual },
                Params { size_price: 300, few: 8, few_values: 10, ..usual },
                Params { size_price: 5000, few: 10, few_values: 10, ..usual },
            ]),
            Self::Balanced | Self::Cached => Vec::from([usual]),
            Self::Speed => Vec::from([Params { hot: 6, ..usual }]),
            Self::Fast => Vec::from([Params { max_runs: 0, ..usual }]),
        }
    }
}
