//! The order of predicted values, from which the area under the ROC curve is computed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bits of a value that its place in the order leaves out: values that differ by less than 1/2048 of themselves (of
/// probabilities above 1/2: of their distance from 1) may share a place, so that memory is bounded.
const DROPPED_BITS: u32 = 12;

/// How many samples of a class, and of others, were predicted with each value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ranking(BTreeMap<u32, [u64; 2]>);

/// The place of a value: larger values have larger ones.
fn place(value: f32, is_probability: bool) -> u32 {
    let bits = |value: f32| value.to_bits() >> DROPPED_BITS;
    match value {
        _ if is_probability && value > 0.5 => (u32::MAX >> DROPPED_BITS) - bits((1.0 - value).max(0.0)),
        _ if is_probability => bits(value.max(0.0)),
        _ if value.is_sign_negative() => !value.to_bits() >> DROPPED_BITS,
        _ => (value.to_bits() | 1 << 31) >> DROPPED_BITS,
    }
}

impl Ranking {
    /// Adds the value of a sample, which is of the class or not.
    pub(super) fn add(&mut self, value: f32, is_of_class: bool, is_probability: bool) {
        self.0.entry(place(value, is_probability)).or_default()[usize::from(is_of_class)] += 1;
    }

    /// The share of the pairs of a sample of the class and another one in which the first has the larger value; equal values
    /// count half. None without such pairs.
    pub(super) fn area(&self) -> Option<f64> {
        let (mut below, mut of_class, mut area) = (0.0, 0.0, 0.0);
        for &[others, own] in self.0.values() {
            let (others, own) = (others as f64, own as f64);
            area += own * (below + others / 2.0);
            below += others;
            of_class += own;
        }
        (below * of_class > 0.0).then(|| area / (below * of_class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's own example of `roc_auc_score`, and one with ties: y = [0, 1, 1, 0, 1], equal values for two of them.
    #[test]
    fn areas_are_those_of_scikit_learn() {
        let area = |pairs: &[(f32, bool)], is_probability| {
            let mut ranking = Ranking::default();
            pairs.iter().for_each(|&(value, own)| ranking.add(value, own, is_probability));
            ranking.area()
        };
        let example = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        assert_eq!(area(&example, true), Some(0.75));
        assert_eq!(area(&example.map(|(value, own)| (value * 20.0 - 8.0, own)), false), Some(0.75));
        let ties = [(0.2, false), (0.2, true), (0.9, true), (0.999, false), (0.99999, true)];
        assert_eq!(area(&ties, true), Some(3.5 / 6.0));
        assert_eq!(area(&example[2..], true), None, "there is no other class");
    }

    #[test]
    fn places_follow_the_values() {
        let probabilities = [0.0, 1e-30, 1e-6, 0.25, 0.4999, 0.5, 0.51, 0.9, 0.999, 0.999_99, 1.0];
        assert!(probabilities.windows(2).all(|pair| place(pair[0], true) < place(pair[1], true)));
        let numbers = [f32::MIN, -3.0, -1e-9, 0.0, 1e-9, 0.7, 3.0, f32::MAX];
        assert!(numbers.windows(2).all(|pair| place(pair[0], false) < place(pair[1], false)));
    }
}
