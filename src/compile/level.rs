//! What a filter shall be good for.

use super::weights::Weights;
use crate::opt::Params;
use alloc::vec::Vec;

/// What a filter shall be good for. Every level means the same; they differ in length and in the number of instructions
/// that a call executes.
///
/// See the example of [`Compiler`](crate::Compiler).
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
    /// How the calls are weighed against each other, unless the caller says it.
    pub(super) const fn weights(self) -> Weights {
        match self {
            Self::Size => Weights::uniform(),
            Self::Balanced | Self::Fast => Weights::mix(),
            Self::Speed => Weights::shares(10, 0, 0, 0, 90),
            Self::Cached => Weights::shares(0, 3, 15, 80, 2),
        }
    }

    /// The ways to search; the first that is about as short as any is taken.
    pub(super) fn params(self) -> Vec<Params> {
        let usual = Params::default();
        match self {
            Self::Size => {
                let usual = Params { shortcuts: false, ..usual };
                Vec::from([
                    Params { size_price: 300, few: 6, ..usual },
                    Params { size_price: 5000, few: 10, few_values: 10, side: 7, nested: 7, elements: 64, ..usual },
                ])
            }
            Self::Balanced | Self::Cached => Vec::from([usual]),
            Self::Speed => Vec::from([Params { few: 5, heavy: 4, hot: 6, ..usual }]),
            Self::Fast => Vec::from([Params { max_runs: 0, ..usual }]),
        }
    }
}
