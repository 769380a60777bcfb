//! Embedding lookups and their gradient.

use crate::kernels::movement::embedding::embedding;
use crate::kernels::movement::embedding_gradient::embedding_gradient;
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::View;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{is_tensor, product};
use serde::{Deserialize, Serialize};

/// An embedding: a row of the table for each index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingStep {
    /// Indices per image.
    pub positions: usize,
    /// Rows of the table.
    pub rows: usize,
    /// Length of a row.
    pub features: usize,
}

impl EmbeddingStep {
    /// The error of an index that is out of range, given its position in the batch.
    fn out_of_range(&self, indices: &View<'_>, position: usize) -> KernelError {
        let (sample, position) = (position / self.positions.max(1), position % self.positions.max(1));
        let value = indices.data.get(sample * indices.image + position).copied().unwrap_or(f32::NAN);
        let rows = self.rows;
        KernelError(format!("index {value} at position {position} of sample {sample} is out of range 0..{rows}"))
    }
}

impl KernelStep for EmbeddingStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.positions, channels: self.features };
        // The indices of a sample are contiguous.
        let indices = View { ld: 1, ..call.inputs[0] };
        embedding(indices, call.output, size, call.constants[0], call.threads)
            .map_err(|position| self.out_of_range(&indices, position))
    }

    fn describe(&self) -> String {
        format!("{} rows of a table of {}x{}", self.positions, self.rows, self.features)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, self.positions)]), output: (self.positions, self.features) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![product([self.rows, self.features])]
    }
}

impl CheckedKernel for EmbeddingStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(is_tensor(&[self.rows, self.features]), "the shape of the table is invalid")
    }
}

/// The gradient of the table, from the indices and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingGradientStep {
    pub layer: EmbeddingStep,
}

impl KernelStep for EmbeddingGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let EmbeddingStep { positions, rows, features } = self.layer;
        let size = Images { n: call.batch, pixels: positions, channels: features };
        let indices = View { ld: 1, ..call.inputs[0] };
        let table = &mut call.output.data[..rows * features];
        embedding_gradient(indices, call.inputs[1], table, size, call.threads)
            .map_err(|position| self.layer.out_of_range(&indices, position))
    }

    fn describe(&self) -> String {
        format!("gradient of a table of {}x{}", self.layer.rows, self.layer.features)
    }

    fn sizes(&self) -> Sizes {
        let EmbeddingStep { positions, rows, features } = self.layer;
        Sizes {
            inputs: Inputs::Fixed(vec![(1, positions), (positions, features)]),
            output: (1, product([rows, features])),
        }
    }
}
