//! The loss that fits the output of a net, and the rows that it is computed over.

use crate::graph::training::pixels_channels;
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;

/// The loss that fits an output: crossentropy for a softmax or sigmoid, else the mean squared error.
pub fn default_loss(output: OutputKind) -> Loss {
    match output {
        OutputKind::Classes => Loss::CategoricalCrossentropy,
        OutputKind::Probabilities => Loss::BinaryCrossentropy,
        OutputKind::Numbers => Loss::Mse,
    }
}

/// The rows of an output of these sizes that a loss treats separately, or that have their own weights, and their length.
pub fn loss_rows(loss: Loss, weighted: bool, sizes: &[usize]) -> (usize, usize) {
    if loss.is_by_pixel() || weighted { pixels_channels(sizes) } else { (1, sizes.iter().product()) }
}
