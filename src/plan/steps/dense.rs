//! Dense layers.

use crate::kernels::dense;
use crate::kernels::dense::bf16;
use crate::kernels::dense::few_outputs::has_few_outputs;
use crate::kernels::elementwise::softmax::softmax;
use crate::kernels::gemm::bf16::Operands;
use crate::kernels::gemm::{Backend, Shape};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::epilogue::Epilogue;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes, copy_unpacked};
use crate::size::{is_tensor, product};
use serde::{Deserialize, Serialize};

/// The storage format of dense weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// f32, packed into the panels of the kernel.
    #[default]
    Packed,
    /// f32, row-major and unpacked, as training updates them.
    Raw,
    /// bf16 (the upper half of an f32) in pairs along the inputs, packed into panels.
    Bf16,
    /// The same; inputs are rounded to bf16 too where the CPU has fast products of it.
    Bf16Products,
}

/// `(n, inputs)` times `(inputs, outputs)`, with bias, activation and softmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseStep {
    pub inputs: usize,
    pub outputs: usize,
    pub bias: bool,
    pub epilogue: Epilogue,
    #[serde(default, skip_serializing_if = "is_packed")]
    pub weights: Storage,
    /// The backend for unpacked weights.
    #[serde(default, skip_serializing_if = "Backend::is_default")]
    pub backend: Backend,
}

fn is_packed(weights: &Storage) -> bool {
    *weights == Storage::Packed
}

impl Storage {
    /// Whether weights are rounded to bf16.
    pub fn is_bf16(self) -> bool {
        matches!(self, Storage::Bf16 | Storage::Bf16Products)
    }
}

impl DenseStep {
    /// A dense layer.
    pub fn new(inputs: usize, outputs: usize, bias: bool, epilogue: Epilogue) -> Self {
        Self { inputs, outputs, bias, epilogue, weights: Storage::Packed, backend: Backend::Tiles }
    }
}

impl KernelStep for DenseStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, output, scratch, threads, .. } = call;
        let ViewMut { data, ld, image } = output;
        let bias = if self.bias { constants.get(1).copied() } else { None };
        // The rows of the product are the images, so the row stride is the image stride.
        let input = View { ld: inputs[0].image, ..inputs[0] };
        let out = ViewMut { data: &mut *data, ld: image, image };
        let activation = self.epilogue.activation;
        let (inputs, outputs, weights) = (self.inputs, self.outputs, constants[0]);
        match self.weights {
            Storage::Packed => {
                let operands = Operands::F32;
                dense::multiply(
                    threads, operands, batch, inputs, outputs, input, weights, bias, activation, scratch, out,
                );
            }
            Storage::Raw => {
                dense::multiply_unpacked(
                    threads,
                    self.backend,
                    batch,
                    inputs,
                    outputs,
                    input,
                    weights,
                    bias,
                    activation,
                    out,
                    scratch,
                );
            }
            Storage::Bf16 | Storage::Bf16Products => {
                let rounds = self.weights == Storage::Bf16Products;
                bf16::multiply(threads, rounds, batch, inputs, outputs, input, weights, bias, activation, scratch, out);
            }
        }
        if self.epilogue.softmax {
            let size = Images { n: batch, pixels: 1, channels: self.outputs };
            softmax(None, ViewMut { data, ld, image }, size, threads);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = format!("dense {} to {}", self.inputs, self.outputs);
        if self.epilogue.activation != Default::default() {
            text += &format!(", {}", self.epilogue.activation);
        }
        if self.epilogue.softmax {
            text += ", softmax";
        }
        match self.weights {
            Storage::Packed => {}
            Storage::Raw => {
                text += ", unpacked weights";
                text += self.backend.note();
            }
            Storage::Bf16 => text += ", weights in bf16",
            Storage::Bf16Products => text += " by bf16",
        }
        text
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, self.inputs)]), output: (1, self.outputs) }
    }

    fn constants(&self) -> Vec<usize> {
        let mut list = vec![match self.weights {
            Storage::Packed => dense::packed_len_weights(self.inputs, self.outputs),
            Storage::Raw => product([self.inputs, self.outputs]),
            Storage::Bf16 | Storage::Bf16Products => bf16::packed_len_weights(self.inputs, self.outputs),
        }];
        list.extend(self.bias.then_some(self.outputs));
        list
    }

    fn needs_packing(&self) -> bool {
        self.weights != Storage::Raw
    }

    fn pack(&self, mut parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if let Some(weights) = parameters.first_mut() {
            match self.weights {
                Storage::Packed => *weights = dense::pack_weights(self.inputs, self.outputs, weights),
                Storage::Raw => {}
                Storage::Bf16 | Storage::Bf16Products => {
                    *weights = bf16::pack_weights(self.inputs, self.outputs, weights);
                }
            }
        }
        parameters
    }

    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], _: &mut [f32], threads: &ThreadPool) {
        if let Some(weights) = parameters.first() {
            let packed = copy_unpacked(parameters, dense::packed_len_weights(self.inputs, self.outputs), packed);
            dense::pack_weights_into(self.inputs, self.outputs, weights, packed, threads);
        }
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        match self.weights {
            Storage::Packed => dense::scratch_len(batch, self.inputs, workers),
            Storage::Raw => dense::unpacked_scratch_len(batch, self.inputs, self.outputs),
            Storage::Bf16 => bf16::scratch_len(batch, self.inputs, workers, false),
            Storage::Bf16Products => bf16::scratch_len(batch, self.inputs, workers, true),
        }
    }

    fn gemm_shape(&self, batch: usize) -> Option<Shape> {
        let Self { inputs: depth, outputs: columns, .. } = *self;
        let general = self.weights == Storage::Raw && !has_few_outputs(columns);
        general.then_some(Shape { rows: batch, columns, depth, transposed: (false, false), count: 1 })
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    fn executed_macs(&self) -> u64 {
        product([self.inputs, self.outputs]) as u64
    }
}

impl CheckedKernel for DenseStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(is_tensor(&[self.inputs, self.outputs]), "the shape of the weights is invalid")?;
        ensure(
            !self.epilogue.residual && !self.epilogue.pool,
            "a dense layer cannot have a residual or pooling epilogue",
        )?;
        // BLAS counts rows and columns in 32 bits.
        let counts = self.inputs.max(self.outputs) <= i32::MAX as usize;
        ensure(self.weights != Storage::Raw || counts, "the weights are too large to be used unpacked")
    }
}
