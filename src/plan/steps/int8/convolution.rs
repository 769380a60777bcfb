//! Convolutions of bytes.

use super::{clamped, constants};
use crate::kernels::elementwise::activate::activate;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::int8::conv::{self, ConvCall, Output, Rescale};
use crate::kernels::int8::quantization::Quantization;
use crate::kernels::int8::weights::Rescaling;
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::{Convolution, ViewMut};
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::convolution::ConvolutionStep;
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// A convolution of bytes with bias, residual and activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Int8ConvolutionStep {
    pub geometry: Convolution,
    pub activation: Activation,
    pub input: Quantization,
    /// Bytes that are added before the activation.
    pub residual: Option<Quantization>,
    /// `None` for a result in f32.
    pub output: Option<Quantization>,
}

impl Int8ConvolutionStep {
    /// Whether a step of this geometry and activation can be computed on bytes.
    pub fn supports(geometry: &Convolution, activation: Activation, output: Option<Quantization>) -> bool {
        conv::supports(geometry) && output.is_none_or(|output| clamped(activation, output).is_some())
    }

    fn rescaling(&self) -> Rescaling {
        Rescaling { input: self.input, output: self.output, residual: self.residual }
    }
}

impl KernelStep for Int8ConvolutionStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, mut output, scratch, threads, .. } = call;
        let residual_scale = self.rescaling().residual_scale();
        let mut run = |output: Output<'_>| {
            conv::convolve(ConvCall {
                threads,
                conv: &self.geometry,
                batch,
                input: inputs[0].bytes(),
                zero_point: self.input.zero_point,
                weights: bytemuck::cast_slice(constants[0]),
                rescale: Rescale {
                    multipliers: constants[1],
                    biases: constants[2],
                    residual: self.residual.map(|_| (inputs[1].bytes(), residual_scale)),
                },
                scratch,
                output,
            });
        };
        match self.output {
            Some(bytes) => {
                let (low, high) = clamped(self.activation, bytes).unwrap_or((0, 255));
                run(Output::Bytes { to: output.bytes(), low, high });
            }
            None => {
                run(Output::Floats(ViewMut { data: &mut *output.data, ..output }));
                let (pixels, channels) = self.sizes().output;
                output = ViewMut { data: output.data, ..output };
                activate(None, output, Images { n: batch, pixels, channels }, self.activation, threads);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let (activation, residual) = (self.activation, self.residual.is_some());
        let mut step = ConvolutionStep::new(self.geometry, true, Default::default());
        (step.epilogue.activation, step.epilogue.residual) = (activation, residual);
        let text = step.describe();
        let geometry = text.rsplit_once(" by ").map_or(text.as_str(), |(text, _)| text);
        format!("int8 {geometry}, {}", super::scales(self.input, self.output))
    }

    fn sizes(&self) -> Sizes {
        let Convolution { window, in_c, out_c, .. } = self.geometry;
        let output = (product([window.out_h, window.out_w]), out_c);
        let mut inputs = vec![(product([window.in_h, window.in_w]), in_c)];
        inputs.extend(self.residual.map(|_| output));
        Sizes { inputs: Inputs::Fixed(inputs), output }
    }

    fn input_quantization(&self, index: usize) -> Option<Quantization> {
        if index == 0 { Some(self.input) } else { self.residual }
    }

    fn output_quantization(&self) -> Option<Quantization> {
        self.output
    }

    fn constants(&self) -> Vec<usize> {
        let columns = conv::columns_len(&self.geometry);
        vec![conv::packed_len(&self.geometry).div_ceil(size_of::<f32>()), columns, columns]
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let conv = &self.geometry;
        let in_panels = |values: &[f32]| conv::in_panels(conv, values);
        constants(parameters, conv.out_c, &self.rescaling(), |weights| conv::pack(conv, weights), in_panels)
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        conv::scratch_len(&self.geometry, batch, workers)
    }

    fn executed_macs(&self) -> u64 {
        self.geometry.macs() as u64
    }
}

impl CheckedKernel for Int8ConvolutionStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.geometry.is_possible(), "the window is invalid")?;
        ensure(
            Self::supports(&self.geometry, self.activation, self.output),
            "groups or activation of a convolution of bytes are unsupported",
        )?;
        // Sums of this many products fit 32 bits.
        let terms = self.geometry.weights().checked_div(self.geometry.out_c).unwrap_or(0);
        ensure(terms <= MAX_TERMS, "its sums could overflow")?;
        let all = [Some(self.input), self.residual, self.output];
        ensure(all.into_iter().flatten().all(Quantization::is_valid), "a scale is invalid")
    }

    fn work(&self) -> usize {
        sum([self.geometry.macs(), conv::scratch_len(&self.geometry, 1, 1)])
    }
}

/// Products of a byte and a weight whose sum fits 32 bits.
pub const MAX_TERMS: usize = i32::MAX as usize / (255 * 128);
