//! Convolutions with a choice of algorithms.

#[deny(clippy::arithmetic_side_effects)]
pub mod fused_convolutions;
#[deny(clippy::arithmetic_side_effects)]
pub mod transposed_convolution;

use crate::kernels::conv::Algorithm;
use crate::kernels::conv::algorithm::ConvCall;
use crate::kernels::conv::gradient::input_gradient::{flip_weights, input_gradient_geometry};
use crate::kernels::conv::im2col::Im2col;
use crate::kernels::epilogue::{EpilogueArgs, Pool};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::Convolution;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::epilogue::Epilogue;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes, copy_unpacked};
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// A convolution with bias, residual, activation and pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvolutionStep {
    pub geometry: Convolution,
    pub bias: bool,
    pub epilogue: Epilogue,
    pub algorithm: Algorithm,
    /// The forward convolution, if this is its input gradient: packing flips the weights of the forward convolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_gradient_of: Option<Convolution>,
}

impl ConvolutionStep {
    /// A convolution with the most general algorithm; lowering chooses a faster one.
    pub fn new(geometry: Convolution, bias: bool, epilogue: Epilogue) -> Self {
        Self { geometry, bias, epilogue, algorithm: Algorithm::Im2col(Im2col), input_gradient_of: None }
    }

    /// The input gradient of a convolution, if it is a convolution over dy.
    pub fn input_gradient(forward: &Convolution) -> Option<Self> {
        let geometry = input_gradient_geometry(forward)?;
        Some(Self { input_gradient_of: Some(*forward), ..Self::new(geometry, false, Epilogue::default()) })
    }

    /// Whether the geometry is valid and supported by the algorithm.
    pub fn is_valid(&self) -> bool {
        let conv = &self.geometry;
        conv.is_possible() && self.algorithm.supports(conv, self.pool())
    }

    /// The fused pooling.
    pub fn pool(&self) -> Option<Pool> {
        self.epilogue.pool.then_some(Pool::Max2x2)
    }

    fn packed_len(&self) -> usize {
        self.algorithm.packed_len(&self.geometry)
    }

    /// Packs the weights; `flipped` is scratch for an input gradient's flipped weights.
    fn pack_weights<'a>(
        &self,
        mut weights: &'a [f32],
        packed: &mut [f32],
        flipped: &'a mut [f32],
        threads: &ThreadPool,
    ) {
        let conv = &self.geometry;
        if let Some(forward) = &self.input_gradient_of {
            let flipped = &mut flipped[..weights.len()];
            flip_weights(forward, weights, flipped, threads);
            weights = flipped;
        }
        self.algorithm.pack(conv, weights, packed, threads);
    }

    /// Multiply-adds per image of the direct method.
    pub fn direct_arithmetic(&self) -> u64 {
        self.geometry.macs() as u64
    }
}

impl KernelStep for ConvolutionStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, output, scratch, threads, .. } = call;
        let epilogue = EpilogueArgs {
            bias: if self.bias { constants.get(1).copied() } else { None },
            residual: if self.epilogue.residual { inputs.get(1).copied() } else { None },
            activation: self.epilogue.activation,
            pool: self.pool(),
        };
        let (conv, input, weights, epilogue) = (&self.geometry, inputs[0], constants[0], &epilogue);
        self.algorithm.run(ConvCall { threads, conv, batch, input, weights, epilogue, scratch, output });
        Ok(())
    }

    fn describe(&self) -> String {
        let Convolution { window, in_c, out_c, groups } = self.geometry;
        let back = if self.input_gradient_of.is_some() { "back through " } else { "" };
        let mut text = format!("{back}conv {}x{}", window.kernel_h, window.kernel_w);
        if (window.stride_h, window.stride_w) != (1, 1) {
            text += &format!(" stride {}x{}", window.stride_h, window.stride_w);
        }
        if (window.dilation_h, window.dilation_w) != (1, 1) {
            text += &format!(" dilation {}x{}", window.dilation_h, window.dilation_w);
        }
        text += &format!(" {}x{}x{in_c} to {}x{}x{out_c}", window.in_h, window.in_w, window.out_h, window.out_w);
        if groups > 1 {
            text += &format!(" in {groups} groups");
        }
        if self.epilogue.residual {
            text += ", add";
        }
        if self.epilogue.activation != Default::default() {
            text += &format!(", {}", self.epilogue.activation);
        }
        if self.epilogue.pool {
            text += ", max 2x2";
        }
        text + &format!(" by {}", self.algorithm)
    }

    fn sizes(&self) -> Sizes {
        let Convolution { window, in_c, out_c, .. } = self.geometry;
        let out = (window.out_h, window.out_w);
        let pixels = |(height, width): (usize, usize)| product([height, width]);
        let mut inputs = vec![(pixels((window.in_h, window.in_w)), in_c)];
        inputs.extend(self.epilogue.residual.then_some((pixels(out), out_c)));
        let pooled = self.pool().map_or(out, |pool| (pool.reduced(out.0), pool.reduced(out.1)));
        Sizes { inputs: Inputs::Fixed(inputs), output: (pixels(pooled), out_c) }
    }

    fn constants(&self) -> Vec<usize> {
        std::iter::once(self.packed_len()).chain(self.bias.then_some(self.geometry.out_c)).collect()
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, mut parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if let Some(weights) = parameters.first_mut() {
            let mut packed = vec![0.0; self.packed_len()];
            let mut flipped = vec![0.0; self.pack_scratch_len()];
            self.pack_weights(weights, &mut packed, &mut flipped, &ThreadPool::new(1));
            *weights = packed;
        }
        parameters
    }

    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], scratch: &mut [f32], threads: &ThreadPool) {
        if let Some(weights) = parameters.first() {
            let packed = copy_unpacked(parameters, self.packed_len(), packed);
            self.pack_weights(weights, packed, scratch, threads);
        }
    }

    fn pack_scratch_len(&self) -> usize {
        self.input_gradient_of.map_or(0, |forward| forward.weights())
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        self.algorithm.scratch_len(&self.geometry, batch, self.pool(), workers)
    }

    fn uses_gemm(&self) -> bool {
        self.algorithm.uses_blas()
    }

    fn executed_macs(&self) -> u64 {
        self.algorithm.executed_macs(&self.geometry) as u64
    }
}

impl CheckedKernel for ConvolutionStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.is_valid(), "the window is invalid or unsupported by the algorithm")?;
        ensure(!self.epilogue.softmax, "a convolution cannot have a softmax epilogue")?;
        ensure(self.input_gradient_of.is_none_or(|forward| forward.is_possible()), "the forward convolution is invalid")
    }

    fn work(&self) -> usize {
        // Taps in the padding count too.
        sum([self.geometry.macs(), self.algorithm.copied_floats(&self.geometry)])
    }
}
