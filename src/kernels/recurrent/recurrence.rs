//! The sizes of a recurrent layer.

use crate::kernels::parallel::image_batches::span;
use serde::{Deserialize, Serialize};

/// The shape of a recurrent layer and its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recurrence {
    pub n: usize,
    pub steps: usize,
    pub features: usize,
    pub units: usize,
    /// Whether only the last hidden state is returned, `(n, units)`; else all of them, `(n, steps, units)`.
    pub only_final: bool,
    /// Whether time runs from the last step to the first. Hidden states are stored at the index of their step; the final
    /// one is that of the first step.
    pub backwards: bool,
}

impl Recurrence {
    /// Floats from the first to the last of a sample's output.
    pub(super) fn span(&self, ld: usize) -> usize {
        if self.only_final { self.units } else { span(self.steps, ld, self.units) }
    }

    /// The time steps in the order of computation.
    pub(super) fn time_steps(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let Recurrence { steps, backwards, .. } = *self;
        (0..steps).map(move |i| if backwards { steps - 1 - i } else { i })
    }
}
