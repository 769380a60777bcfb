//! The weights of samples and pixels in the loss: by their class, and 0 where the target says `ignore`.

/// The weights of samples, or of single positions of them (pixels, steps), in the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleWeights {
    /// All have the weight 1.
    Equal,
    PerSample(Vec<f32>),
    /// Positions without a target have the weight 0, the others the weight of their class, or 1 without class weights.
    PerPosition(Option<Vec<f32>>),
}

impl SampleWeights {
    /// Whether the loss takes weights.
    pub fn is_weighted(&self) -> bool {
        *self != SampleWeights::Equal
    }
}

/// Writes the weight of each position of a batch to `weights`. `targets` are `(positions, width)`, row-major; a position
/// whose first value is NaN has no target. The weights are scaled so that the mean over all positions is the mean over
/// those with a target. Returns the number of the latter.
pub fn position_weights(targets: &[f32], width: usize, class_weights: Option<&[f32]>, weights: &mut [f32]) -> usize {
    let class = |position: &[f32]| match position {
        [one] => usize::from(*one > 0.5),
        several => {
            several.iter().enumerate().fold(0, |best, (index, value)| if *value > several[best] { index } else { best })
        }
    };
    let mut count = 0;
    for (weight, position) in weights.iter_mut().zip(targets.chunks_exact(width.max(1))) {
        let has_target = !position[0].is_nan();
        count += usize::from(has_target);
        let of_class = || class_weights.map_or(1.0, |weights| weights.get(class(position)).copied().unwrap_or(0.0));
        *weight = if has_target { of_class() } else { 0.0 };
    }
    if count > 0 && count < weights.len() {
        let scale = weights.len() as f32 / count as f32;
        weights.iter_mut().for_each(|weight| *weight *= scale);
    }
    count
}
