//! How much samples count in a loss, and the pixels of masks: by their classes, and not at all where they say nothing.

/// How much samples count in the loss, or single places of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// All the same.
    Equal,
    /// A weight for each sample.
    Samples(Vec<f32>),
    /// Of the places of each sample those that say something, by their classes where these have weights.
    Places(Option<Vec<f32>>),
}

impl Weights {
    /// Whether the loss takes weights.
    pub fn is_given(&self) -> bool {
        *self != Weights::Equal
    }
}

/// How much each place of a batch counts, whose targets are rows of `width` values; no number stands where nothing is said.
/// By the class of the place, where classes have weights, and so that the mean over all places is that over those which
/// say something. Returns how many these are.
pub fn weigh(targets: &[f32], width: usize, by_class: Option<&[f32]>, to: &mut [f32]) -> usize {
    let class = |place: &[f32]| match place {
        [one] => usize::from(*one > 0.5),
        several => {
            several.iter().enumerate().fold(0, |best, (at, value)| if *value > several[best] { at } else { best })
        }
    };
    let mut counted = 0;
    for (to, place) in to.iter_mut().zip(targets.chunks_exact(width.max(1))) {
        let says = !place[0].is_nan();
        counted += usize::from(says);
        let weight = || by_class.map_or(1.0, |weights| weights.get(class(place)).copied().unwrap_or(0.0));
        *to = if says { weight() } else { 0.0 };
    }
    if counted > 0 && counted < to.len() {
        let share = to.len() as f32 / counted as f32;
        to.iter_mut().for_each(|weight| *weight *= share);
    }
    counted
}
