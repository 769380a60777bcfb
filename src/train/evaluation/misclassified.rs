//! Photos that a net took for something else.

use crate::ops::output_kind::OutputKind;
use std::path::PathBuf;

/// A photo that was taken for something else: its class, the class that was predicted, and how sure the net was.
#[derive(Clone, Debug, PartialEq)]
pub struct Misclassification {
    pub path: PathBuf,
    pub truth: usize,
    pub predicted: usize,
    /// From 0 to 1.
    pub probability: f32,
}

/// Most mistakes that a report shows.
const MOST: usize = 24;

/// The worst mistakes among predictions, rows of `outputs` values for each photo, which say what `ending` does: the surest first.
pub fn worst(
    predictions: &[f32],
    outputs: usize,
    ending: OutputKind,
    classes: &[usize],
    photos: &[PathBuf],
) -> Vec<Misclassification> {
    let rows = predictions.chunks_exact(outputs.max(1)).zip(classes).zip(photos);
    let mut wrong: Vec<Misclassification> = rows
        .filter_map(|((row, &truth), path)| {
            let (predicted, probability) = ending.ranked(row, outputs == 1).first().copied()?;
            (predicted != truth).then(|| Misclassification { path: path.clone(), truth, predicted, probability })
        })
        .collect();
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.path.cmp(&b.path)));
    wrong.truncate(MOST);
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_mistakes_come_first() {
        let photos = ["a", "b", "c"].map(PathBuf::from);
        let found = worst(&[0.6, 0.4, 0.1, 0.9, 0.3, 0.7], 2, OutputKind::Classes, &[1, 1, 0], &photos);
        let told: Vec<(usize, usize, f32)> =
            found.iter().map(|one| (one.truth, one.predicted, one.probability)).collect();
        assert_eq!(told, [(0, 1, 0.7), (1, 0, 0.6)]);
        let found = worst(&[0.5, 0.25], 1, OutputKind::Probabilities, &[0, 1], &photos[..2]);
        let told: Vec<(usize, f32)> = found.iter().map(|one| (one.predicted, one.probability)).collect();
        assert_eq!(told, [(0, 0.75), (1, 0.5)]);
    }
}
