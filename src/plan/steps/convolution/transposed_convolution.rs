//! Transposed convolutions.

use crate::kernels::conv::transposed::{
    TransposedConvolution, deconvolution, deconvolution_scratch_len, pack_deconvolution,
    pack_deconvolution_scratch_len, packed_deconvolution_len, uses_products,
};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Convolution, Window};
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes, copy_unpacked};
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// A transposed convolution with bias and activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransposedConvolutionStep {
    /// The convolution that it is the transpose of: its output is the input here.
    pub forward: Convolution,
    pub bias: bool,
    pub activation: Activation,
}

impl KernelStep for TransposedConvolutionStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, output, scratch, threads, .. } = call;
        let layer = TransposedConvolution {
            forward: self.forward,
            packed: constants[0],
            bias: if self.bias { constants.get(1).copied() } else { None },
            activation: self.activation,
        };
        deconvolution(inputs[0], output, batch, &layer, scratch, threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let Convolution { window, in_c, out_c, .. } = self.forward;
        let Window { in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, .. } = window;
        let mut text = format!("transposed conv {kernel_h}x{kernel_w}");
        if (stride_h, stride_w) != (1, 1) {
            text += &format!(" stride {stride_h}x{stride_w}");
        }
        text += &format!(" {out_h}x{out_w}x{out_c} to {in_h}x{in_w}x{in_c}");
        if self.activation != Default::default() {
            text += &format!(", {}", self.activation);
        }
        text
    }

    fn sizes(&self) -> Sizes {
        let Convolution { window, in_c, out_c, .. } = self.forward;
        Sizes {
            inputs: Inputs::Fixed(vec![(product([window.out_h, window.out_w]), out_c)]),
            output: (product([window.in_h, window.in_w]), in_c),
        }
    }

    fn constants(&self) -> Vec<usize> {
        std::iter::once(packed_deconvolution_len(&self.forward)).chain(self.bias.then_some(self.forward.in_c)).collect()
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, mut parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if let Some(weights) = parameters.first_mut() {
            let mut packed = vec![0.0; packed_deconvolution_len(&self.forward)];
            let mut scratch = vec![0.0; self.pack_scratch_len()];
            pack_deconvolution(weights, &self.forward, &mut packed, &mut scratch, &ThreadPool::new(1));
            *weights = packed;
        }
        parameters
    }

    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], scratch: &mut [f32], threads: &ThreadPool) {
        let Some(weights) = parameters.first() else { return };
        let packed = copy_unpacked(parameters, packed_deconvolution_len(&self.forward), packed);
        pack_deconvolution(weights, &self.forward, packed, scratch, threads);
    }

    fn pack_scratch_len(&self) -> usize {
        pack_deconvolution_scratch_len(&self.forward)
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        deconvolution_scratch_len(&self.forward, batch, workers)
    }

    fn uses_gemm(&self) -> bool {
        uses_products(&self.forward)
    }

    fn executed_macs(&self) -> u64 {
        self.forward.macs() as u64
    }
}

impl CheckedKernel for TransposedConvolutionStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.forward.is_possible(), "the window is invalid")
    }

    /// Each output pixel visits all taps, including those without an input.
    fn work(&self) -> usize {
        let Convolution { window, in_c, out_c, .. } = self.forward;
        let channels = sum([in_c, out_c]);
        let visited = product([window.in_h, window.in_w, window.kernel_h, window.kernel_w, channels]);
        sum([self.forward.macs(), visited])
    }
}
