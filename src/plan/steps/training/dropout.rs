//! Dropout, Gaussian noise and DropBlock.

use crate::kernels::parallel::image_batches::Images;
use crate::kernels::training::dropout::{
    DropBlock, RandomKey, drop_block, drop_block_scratch_len, dropout, gaussian_noise,
};
use crate::plan::kernel_step::{Call, KernelError, KernelStep, Sizes};
use crate::plan::steps::pointwise::unary_sizes;
use serde::{Deserialize, Serialize};

/// The kind of noise and its hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Noise {
    Dropout { proba: f32 },
    Gaussian { mean: f32, std: f32 },
    DropBlock { height: usize, width: usize, keep_proba: f32, block: [usize; 2] },
}

/// Noise as a function of the seed, the layer, the update and the index of a value; the same step computes the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseStep {
    pub pixels: usize,
    pub channels: usize,
    pub noise: Noise,
    pub seed: u64,
    /// The index of the layer in the net.
    pub layer: u32,
}

impl NoiseStep {
    fn images(&self, n: usize) -> Images {
        Images { n, pixels: self.pixels, channels: self.channels }
    }
}

impl KernelStep for NoiseStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let update = u64::from(call.constants[0][0].to_bits());
        let key = RandomKey { seed: self.seed, update, layer: self.layer };
        let (x, size) = (call.first(), self.images(call.batch));
        match self.noise {
            Noise::Dropout { proba } => dropout(x, call.output, size, proba, key, call.threads),
            Noise::Gaussian { mean, std } => gaussian_noise(x, call.output, size, mean, std, key, call.threads),
            Noise::DropBlock { height, width, keep_proba, block: [block_height, block_width] } => {
                let block = DropBlock { height, width, keep_proba, block_height, block_width };
                drop_block(x, call.output, size, &block, key, call.scratch, call.threads);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let text = match self.noise {
            Noise::Dropout { proba } => format!("drop {proba}"),
            Noise::Gaussian { mean, std } => format!("noise of mean {mean} and deviation {std}"),
            Noise::DropBlock { keep_proba, block: [height, width], .. } => {
                format!("drop blocks of {height}x{width}, keep {keep_proba}")
            }
        };
        format!("{text} of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.pixels, self.channels)
    }

    fn constants(&self) -> Vec<usize> {
        vec![1]
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        match self.noise {
            Noise::DropBlock { .. } => drop_block_scratch_len(self.images(batch), workers),
            _ => 0,
        }
    }
}
