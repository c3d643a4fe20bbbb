//! The least that a tree of range tests costs.
//!
//! Neighbouring runs have different classes, so a tree of range tests has a leaf for each run, in the order of the numbers:
//! it is an alphabetic tree. (A test inside of a run decides nothing that a test at its border would not.) Garsia and
//! Wachs found how to get the least sum of weights times depths in linear memory: of the first three weights in a row of
//! which the last is not below the first, put the first two together, and move their sum to the left, behind the nearest
//! weight that is not below it. Every sum is paid once, as a test that all below it pass.
//!
//! Nothing is built from such a tree; others are compared with it.

use alloc::vec::Vec;

/// The sum of the weights of all tests that runs of these weights pass in the cheapest tree of range tests.
pub(crate) fn least_range_tests(weights: &[u64]) -> u64 {
    let mut forest = Forest { weights: Vec::with_capacity(weights.len()), cost: 0 };
    for &weight in weights {
        forest.weights.push(weight);
        forest.settle(forest.weights.len() - 1);
    }
    while forest.weights.len() > 1 {
        forest.join(forest.weights.len() - 2);
    }
    forest.cost
}

/// Trees whose order is settled: each weight is above the next but one.
struct Forest {
    weights: Vec<u64>,
    cost: u64,
}

impl Forest {
    /// Joins trees while the one at a place is not below the last but one before it.
    fn settle(&mut self, mut at: usize) {
        while at >= 2 && self.weights[at - 2] <= self.weights[at] {
            let behind = self.weights.len() - at;
            self.join(at - 2);
            at = self.weights.len() - behind;
        }
    }

    /// Joins the trees at a place and behind it, and settles what comes out.
    fn join(&mut self, at: usize) {
        let sum = self.weights[at].saturating_add(self.weights[at + 1]);
        self.cost = self.cost.saturating_add(sum);
        self.weights.remove(at + 1);
        let heavier = self.weights[..at].iter().rposition(|weight| *weight >= sum);
        let place = heavier.map_or(0, |heavier| heavier + 1);
        self.weights[at] = sum;
        self.weights[place..=at].rotate_right(1);
        self.settle(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        assert_eq!(least_range_tests(&[]), 0);
        assert_eq!(least_range_tests(&[7]), 0);
        assert_eq!(least_range_tests(&[7, 5]), 12);
        // The heavy one after one test, the others after two.
        assert_eq!(least_range_tests(&[90, 5, 5]), 110);
        // In the middle two tests are needed to be alone.
        assert_eq!(least_range_tests(&[5, 90, 5]), 195);
        // A sum that moves to the left is looked at again, and so is what it leaves behind.
        assert_eq!(least_range_tests(&[6, 9, 3, 0, 8, 0, 7, 5, 6]), 135);
    }

    /// By trying every test of every window.
    fn plain(weights: &[u64], known: &mut BTreeMap<(usize, usize), u64>, i: usize, j: usize) -> u64 {
        if i == j {
            return 0;
        }
        if let Some(&cost) = known.get(&(i, j)) {
            return cost;
        }
        let sides = (i + 1..=j).map(|x| plain(weights, known, i, x - 1) + plain(weights, known, x, j)).min();
        let cost = sides.unwrap_or(0) + weights[i..=j].iter().sum::<u64>();
        known.insert((i, j), cost);
        cost
    }

    proptest! {
        #[test]
        fn as_cheap_as_the_best_of_all_trees(weights in prop::collection::vec(prop_oneof![0_u64..5, 0_u64..1000], 1..40)) {
            let wanted = plain(&weights, &mut BTreeMap::new(), 0, weights.len() - 1);
            prop_assert_eq!(least_range_tests(&weights), wanted);
        }
    }
}
