//! Dense layers on bytes.

use super::convolution::MAX_TERMS;
use super::{clamped, constants};
use crate::kernels::elementwise::activate::activate;
use crate::kernels::elementwise::softmax::softmax;
use crate::kernels::int8::conv::{self, ConvCall, Output, Rescale};
use crate::kernels::int8::quantization::Quantization;
use crate::kernels::int8::weights::Rescaling;
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::{Bytes, BytesMut, Convolution, ViewMut, Window};
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::epilogue::Epilogue;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::dense::DenseStep;
use crate::size::{is_tensor, product};
use serde::{Deserialize, Serialize};

/// A dense layer on bytes: a 1x1 convolution of images of one pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Int8DenseStep {
    pub inputs: usize,
    pub outputs: usize,
    /// Activation and softmax.
    pub epilogue: Epilogue,
    pub input: Quantization,
    /// `None` for a result in f32.
    pub output: Option<Quantization>,
}

impl Int8DenseStep {
    fn geometry(&self) -> Convolution {
        let one = Window {
            in_h: 1,
            in_w: 1,
            out_h: 1,
            out_w: 1,
            kernel_h: 1,
            kernel_w: 1,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
        };
        Convolution { window: one, in_c: self.inputs, out_c: self.outputs, groups: 1 }
    }

    fn rescaling(&self) -> Rescaling {
        Rescaling { input: self.input, output: self.output, residual: None }
    }

    /// Whether bytes can be the result of this epilogue.
    pub fn supports(epilogue: &Epilogue, output: Option<Quantization>) -> bool {
        let plain = !epilogue.residual && !epilogue.pool;
        plain && output.is_none_or(|output| !epilogue.softmax && clamped(epilogue.activation, output).is_some())
    }
}

impl KernelStep for Int8DenseStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, output, scratch, threads, .. } = call;
        let input = inputs[0].bytes();
        let mut run = |output: Output<'_>| {
            conv::convolve(ConvCall {
                threads,
                conv: &self.geometry(),
                batch,
                // Images are rows that follow each other.
                input: Bytes { ld: input.image, ..input },
                zero_point: self.input.zero_point,
                weights: bytemuck::cast_slice(constants[0]),
                rescale: Rescale { multipliers: constants[1], biases: constants[2], residual: None },
                scratch,
                output,
            });
        };
        match self.output {
            Some(bytes) => {
                let (low, high) = clamped(self.epilogue.activation, bytes).unwrap_or((0, 255));
                let to = output.bytes();
                run(Output::Bytes { to: BytesMut { ld: to.image, ..to }, low, high });
            }
            None => {
                let ViewMut { data, ld, image } = output;
                run(Output::Floats(ViewMut { data: &mut *data, ld: image, image }));
                let size = Images { n: batch, pixels: 1, channels: self.outputs };
                activate(None, ViewMut { data: &mut *data, ld, image }, size, self.epilogue.activation, threads);
                if self.epilogue.softmax {
                    softmax(None, ViewMut { data, ld, image }, size, threads);
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let text = DenseStep::new(self.inputs, self.outputs, true, self.epilogue).describe();
        format!("int8 {text}, {}", super::scales(self.input, self.output))
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, self.inputs)]), output: (1, self.outputs) }
    }

    fn input_quantization(&self, _: usize) -> Option<Quantization> {
        Some(self.input)
    }

    fn output_quantization(&self) -> Option<Quantization> {
        self.output
    }

    fn constants(&self) -> Vec<usize> {
        let columns = conv::columns_len(&self.geometry());
        vec![conv::packed_len(&self.geometry()).div_ceil(size_of::<f32>()), columns, columns]
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let conv = self.geometry();
        let in_panels = |values: &[f32]| values.to_vec();
        constants(parameters, self.outputs, &self.rescaling(), |weights| conv::pack(&conv, weights), in_panels)
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        conv::scratch_len(&self.geometry(), batch, workers)
    }

    fn executed_macs(&self) -> u64 {
        product([self.inputs, self.outputs]) as u64
    }
}

impl CheckedKernel for Int8DenseStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(is_tensor(&[self.inputs, self.outputs]), "the shape of the weights is invalid")?;
        ensure(self.inputs <= MAX_TERMS, "its sums could overflow")?;
        ensure(Self::supports(&self.epilogue, self.output), "the epilogue of a dense layer of bytes is unsupported")?;
        ensure([Some(self.input), self.output].into_iter().flatten().all(Quantization::is_valid), "a scale is invalid")
    }
}
