//! Transposed convolutions.

use crate::kernels::conv::transposed::{TransposedConvolution, deconvolution, pack_deconvolution};
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
    /// The convolution that it transposes: what goes in there comes out here.
    pub forward: Convolution,
    pub bias: bool,
    pub activation: Activation,
}

impl TransposedConvolutionStep {
    fn weights(&self) -> usize {
        self.forward.weights()
    }
}

impl KernelStep for TransposedConvolutionStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, output, threads, .. } = call;
        let layer = TransposedConvolution {
            forward: self.forward,
            packed: constants[0],
            bias: if self.bias { constants.get(1).copied() } else { None },
            activation: self.activation,
        };
        deconvolution(inputs[0], output, batch, &layer, threads);
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
        std::iter::once(self.weights()).chain(self.bias.then_some(self.forward.in_c)).collect()
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, mut parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if let Some(weights) = parameters.first_mut() {
            let mut packed = vec![0.0; self.weights()];
            pack_deconvolution(weights, &self.forward, &mut packed);
            *weights = packed;
        }
        parameters
    }

    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], _: &mut [f32], _: &ThreadPool) {
        if let Some(weights) = parameters.first() {
            pack_deconvolution(weights, &self.forward, copy_unpacked(parameters, self.weights(), packed));
        }
    }

    fn executed_macs(&self) -> u64 {
        self.forward.macs() as u64
    }
}

impl CheckedKernel for TransposedConvolutionStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.forward.is_possible(), "window makes no sense")
    }

    /// Each output pixel looks at all taps, also at those that no input meets.
    fn work(&self) -> usize {
        let Convolution { window, in_c, .. } = self.forward;
        let looked = product([window.in_h, window.in_w, window.kernel_h, window.kernel_w, in_c]);
        sum([self.forward.macs(), looked])
    }
}
