//! The targets of a batch: read, weighted, smoothed and mixed.

use crate::data::{SeededRng, TableError};
use crate::train::evaluation::class_weights::{SampleWeights, position_weights};
use crate::train::evaluation::score::SplitTargets;
use crate::train::evaluation::task::LearningTask;

/// What the random numbers of mixing are for.
const MIXUP: u64 = u64::from_le_bytes(*b"mixup\0\0\0");

/// The targets of a batch for one output.
#[derive(Debug)]
pub(super) struct BatchTargets {
    /// Values of a sample, and those of a position.
    len: usize,
    width: usize,
    pub targets: Vec<f32>,
    /// `(samples, positions)`, or with weights by sample one for each; empty where all count equally.
    pub weights: Vec<f32>,
    /// What the mean loss of the batch counts in that of the epoch.
    pub weight: f64,
}

impl BatchTargets {
    /// For outputs of `len` values.
    pub fn new(task: &LearningTask, len: usize) -> Self {
        let width = task.coding.width.max(1);
        BatchTargets { len, width, targets: Vec::new(), weights: Vec::new(), weight: 0.0 }
    }

    /// Reads the targets of samples.
    ///
    /// # Errors
    /// Rows that cannot be read.
    pub fn load(
        &mut self,
        split: &SplitTargets<'_>,
        task: &LearningTask,
        samples: &[usize],
        smoothing: f32,
    ) -> Result<(), TableError> {
        self.targets.resize(samples.len() * self.len, 0.0);
        for (to, &sample) in self.targets.chunks_exact_mut(self.len.max(1)).zip(samples) {
            split.targets.row(sample, task.coding, to)?;
        }
        self.weight = samples.len() as f64;
        match &split.weights {
            SampleWeights::Equal => self.weights.clear(),
            SampleWeights::PerSample(all) => {
                self.weights.clear();
                self.weights.extend(samples.iter().map(|&sample| all[sample]));
            }
            SampleWeights::PerPosition(by_class) => {
                let positions = self.len / self.width;
                self.weights.resize(samples.len() * positions, 0.0);
                let count = position_weights(&self.targets, self.width, by_class.as_deref(), &mut self.weights);
                self.weight = count as f64 / positions as f64;
            }
        }
        if smoothing > 0.0 {
            let classes = if task.loss.is_categorical() { self.width } else { 2 };
            smooth(&mut self.targets, smoothing, classes);
        }
        Ok(())
    }

    /// The weights, if samples or positions have any.
    pub fn weights(&self) -> Option<&[f32]> {
        (!self.weights.is_empty()).then_some(&self.weights[..])
    }
}

/// t = (1 - share) t + share / classes, as PyTorch's and Keras' `label_smoothing`.
fn smooth(targets: &mut [f32], share: f32, classes: usize) {
    let added = share / classes.max(1) as f32;
    targets.iter_mut().for_each(|target| *target = (1.0 - share) * *target + added);
}

/// How the samples of a batch are mixed (Zhang et al., 2018): each with the one at its place in `partners`, `share` of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mixing {
    share: f32,
    partners: Vec<usize>,
}

impl Mixing {
    /// The mixing of the batch of `samples` that begins at this sample of an epoch; one share for the batch, as in the
    /// authors' code.
    pub fn new(alpha: f64, samples: usize, seed: u64, epoch: usize, begin: usize) -> Mixing {
        let mut rng = SeededRng::new([MIXUP, seed, epoch as u64, begin as u64]);
        let share = beta(&mut rng, alpha) as f32;
        let mut partners: Vec<usize> = (0..samples).collect();
        rng.shuffle(&mut partners);
        Mixing { share, partners }
    }

    /// Mixes the rows of `values`, `(samples, floats)`.
    pub fn apply(&self, values: &mut [f32]) {
        let floats = values.len() / self.partners.len().max(1);
        if floats == 0 {
            return;
        }
        let before = values.to_vec();
        for (row, &partner) in values.chunks_exact_mut(floats).zip(&self.partners) {
            let other = &before[partner * floats..][..floats];
            row.iter_mut()
                .zip(other)
                .for_each(|(value, other)| *value = self.share * *value + (1.0 - self.share) * other);
        }
    }
}

/// A number of the beta distribution with both parameters alpha, at most 1 (Jöhnk, 1964).
fn beta(rng: &mut SeededRng, alpha: f64) -> f64 {
    // A pair is accepted with a probability of at least 1/2; where all are so close to 0 that none is, one share is 1.
    for _ in 0..1000 {
        let [x, y] = [rng.unit(), rng.unit()].map(|unit| libm::pow(unit, 1.0 / alpha));
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
    }
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean is 1/2, and the variance 1 / (4 (2 alpha + 1)).
    #[test]
    fn shares_have_the_moments_of_the_beta_distribution() {
        for alpha in [0.2, 0.4, 1.0] {
            let mut rng = SeededRng::new([9, 9, 9, 9]);
            let shares: Vec<f64> = (0..20_000).map(|_| beta(&mut rng, alpha)).collect();
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / shares.len() as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01 && (variance - expected).abs() < 0.005, "{alpha}: {mean}, {variance}");
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }

    #[test]
    fn rows_are_mixed_with_those_of_their_partners() {
        let mixing = Mixing { share: 0.75, partners: vec![1, 0, 2] };
        let mut values = vec![1.0, 2.0, 5.0, 10.0, 7.0, 7.0];
        mixing.apply(&mut values);
        assert_eq!(values, [2.0, 4.0, 4.0, 8.0, 7.0, 7.0]);
        let drawn = |begin| Mixing::new(0.3, 8, 1, 2, begin);
        assert_eq!(drawn(0), drawn(0));
        assert_ne!(drawn(0), drawn(8));
    }

    /// PyTorch's `CrossEntropyLoss(label_smoothing=0.1)` has the targets 0.1 / 4 and 0.9 + 0.1 / 4 for four classes; Keras'
    /// `BinaryCrossentropy(label_smoothing=0.1)` has 0.05 and 0.95.
    #[test]
    fn smoothed_targets() {
        let smoothed = |mut targets: Vec<f32>, classes| {
            smooth(&mut targets, 0.1, classes);
            targets
        };
        let near = |actual: Vec<f32>, expected: &[f32]| {
            assert!(actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{actual:?} is not {expected:?}");
        };
        near(smoothed(vec![0.0, 1.0, 0.0, 0.0], 4), &[0.025, 0.925, 0.025, 0.025]);
        near(smoothed(vec![0.0, 1.0], 2), &[0.05, 0.95]);
        assert!(smoothed(vec![f32::NAN], 2)[0].is_nan());
    }
}
