//! Rows of a table, chosen by indices.

use crate::kernels::movement::embedding::embedding;
use crate::kernels::movement::embedding_gradient::embedding_gradient;
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::View;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{is_tensor, product};
use serde::{Deserialize, Serialize};

/// A row of the table for each index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingStep {
    /// Indices per image.
    pub places: usize,
    /// Rows of the table.
    pub rows: usize,
    /// Floats of a row.
    pub features: usize,
}

impl EmbeddingStep {
    /// That the index at a place is no row of the table.
    fn beyond(&self, indices: &View<'_>, place: usize) -> KernelError {
        let (image, place) = (place / self.places.max(1), place % self.places.max(1));
        let value = indices.data.get(image * indices.image + place).copied().unwrap_or(f32::NAN);
        KernelError(format!("index {value} at place {place} of sample {image} is not below {}", self.rows))
    }
}

impl KernelStep for EmbeddingStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.places, channels: self.features };
        // The indices of an image are one dense row.
        let indices = View { ld: 1, ..call.inputs[0] };
        embedding(indices, call.output, size, call.constants[0], call.threads)
            .map_err(|place| self.beyond(&indices, place))
    }

    fn describe(&self) -> String {
        format!("{} rows of a table of {}x{}", self.places, self.rows, self.features)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, self.places)]), output: (self.places, self.features) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![product([self.rows, self.features])]
    }
}

impl CheckedKernel for EmbeddingStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(is_tensor(&[self.rows, self.features]), "table makes no sense")
    }
}

/// The gradient of the table: from the indices and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingGradientStep {
    pub layer: EmbeddingStep,
}

impl KernelStep for EmbeddingGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let EmbeddingStep { places, rows, features } = self.layer;
        let size = Images { n: call.batch, pixels: places, channels: features };
        let indices = View { ld: 1, ..call.inputs[0] };
        let table = &mut call.output.data[..rows * features];
        embedding_gradient(indices, call.inputs[1], table, size, call.threads)
            .map_err(|place| self.layer.beyond(&indices, place))
    }

    fn describe(&self) -> String {
        format!("gradient of a table of {}x{}", self.layer.rows, self.layer.features)
    }

    fn sizes(&self) -> Sizes {
        let EmbeddingStep { places, rows, features } = self.layer;
        Sizes { inputs: Inputs::Fixed(vec![(1, places), (places, features)]), output: (1, product([rows, features])) }
    }
}
