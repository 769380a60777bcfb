//! The numbers of a training step that change from batch to batch: they are in its state.

use crate::train::autodiff::OPTIMIZER;
use crate::train::autodiff::training_plans::Trainable;

/// The offsets of the optimizer's scalars in the state, of those that the step reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalars {
    rate: Option<usize>,
    update: Option<usize>,
    /// The count of batches, if gradients are accumulated and random numbers are drawn.
    batch: Option<usize>,
    /// The share of a batch in its update, and whether it is the first and the last of it.
    accumulation: Option<usize>,
}

/// The numbers of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchScalars {
    pub rate: f64,
    /// The updates and the batches before it.
    pub updates: u64,
    pub batches: u64,
    /// Its share of the samples of an update.
    pub share: f32,
    /// Whether it is the first and the last batch of an update.
    pub is_first: bool,
    pub is_last: bool,
}

impl Scalars {
    pub fn of(trainable: &Trainable) -> Scalars {
        let find = |role: &str| trainable.layout.find(&format!("{OPTIMIZER}/{role}")).map(|tensor| tensor.offset);
        Scalars { rate: find("rate"), update: find("update"), batch: find("batch"), accumulation: find("accumulation") }
    }

    /// Writes the numbers of a batch to the state.
    pub fn set(self, state: &mut [f32], batch: BatchScalars) {
        let numbers = [
            (self.rate, batch.rate as f32),
            (self.update, f32::from_bits(batch.updates as u32)),
            (self.batch, f32::from_bits(batch.batches as u32)),
        ];
        for (offset, number) in numbers {
            if let Some(offset) = offset {
                state[offset] = number;
            }
        }
        if let Some(accumulation) = self.accumulation {
            let flags = [batch.is_first, batch.is_last].map(|flag| f32::from(u8::from(flag)));
            state[accumulation..accumulation + 3].copy_from_slice(&[batch.share, flags[0], flags[1]]);
        }
    }
}
