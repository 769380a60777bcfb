//! Misclassified photos.

use crate::ops::output_kind::OutputKind;
use std::path::PathBuf;

/// A misclassified photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Misclassification {
    pub path: PathBuf,
    /// The index of its class.
    pub truth: usize,
    /// The index of the predicted class.
    pub predicted: usize,
    /// The predicted class's probability, from 0 to 1.
    pub probability: f32,
}

/// The maximum of misclassified photos in a report.
const MAX_SHOWN: usize = 24;

/// The misclassified photos with the highest probabilities, highest first. `predictions` are `(photos, outputs)`.
pub fn most_confident(
    predictions: &[f32],
    outputs: usize,
    output_kind: OutputKind,
    classes: &[usize],
    photos: &[PathBuf],
) -> Vec<Misclassification> {
    let rows = predictions.chunks_exact(outputs.max(1)).zip(classes).zip(photos);
    let mut misclassified: Vec<Misclassification> = rows
        .filter_map(|((row, &truth), path)| {
            let (predicted, probability) = output_kind.ranked(row, outputs == 1).first().copied()?;
            (predicted != truth).then(|| Misclassification { path: path.clone(), truth, predicted, probability })
        })
        .collect();
    misclassified.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.path.cmp(&b.path)));
    misclassified.truncate(MAX_SHOWN);
    misclassified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_probability_comes_first() {
        let photos = ["a", "b", "c"].map(PathBuf::from);
        let found = most_confident(&[0.6, 0.4, 0.1, 0.9, 0.3, 0.7], 2, OutputKind::Classes, &[1, 1, 0], &photos);
        let listed: Vec<(usize, usize, f32)> =
            found.iter().map(|one| (one.truth, one.predicted, one.probability)).collect();
        assert_eq!(listed, [(0, 1, 0.7), (1, 0, 0.6)]);
        let found = most_confident(&[0.5, 0.25], 1, OutputKind::Probabilities, &[0, 1], &photos[..2]);
        let listed: Vec<(usize, f32)> = found.iter().map(|one| (one.predicted, one.probability)).collect();
        assert_eq!(listed, [(0, 0.75), (1, 0.5)]);
    }
}
