//! Dense layers.

use crate::kernels::dense;
use crate::kernels::images::Images;
use crate::kernels::softmax::softmax;
use crate::kernels::threads::Threads;
use crate::kernels::view::{View, ViewMut};
use crate::plan::Epilogue;
use crate::plan::kernel::{Call, Inputs, RunFault, Sizes, StepKernel, keep_others};
use serde::{Deserialize, Serialize};

/// `(n, inputs)` times `(inputs, outputs)`, with bias, activation and softmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseStep {
    pub inputs: usize,
    pub outputs: usize,
    pub bias: bool,
    pub epilogue: Epilogue,
    /// The weights are read as they stand, not packed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
}

impl DenseStep {
    /// A dense layer.
    pub fn new(inputs: usize, outputs: usize, bias: bool, epilogue: Epilogue) -> Self {
        Self { inputs, outputs, bias, epilogue, raw: false }
    }
}

impl StepKernel for DenseStep {
    fn run(&self, call: Call<'_>) -> Result<(), RunFault> {
        let Call { batch, inputs, constants, output, scratch, threads, .. } = call;
        let ViewMut { data, ld, image } = output;
        let bias = if self.bias { constants.get(1).copied() } else { None };
        // The kernel's rows are the images here, and it finds them by `ld`.
        let input = View { ld: inputs[0].image, ..inputs[0] };
        let out = ViewMut { data: &mut *data, ld: image, image };
        let activation = self.epilogue.activation;
        let (inputs, outputs, weights) = (self.inputs, self.outputs, constants[0]);
        if self.raw {
            dense::multiply_raw(threads, batch, inputs, outputs, input, weights, bias, activation, out, scratch);
        } else {
            dense::multiply(threads, batch, inputs, outputs, input, weights, bias, activation, out);
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
        if self.raw {
            text += ", weights as they stand";
        }
        text
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Each(vec![(1, self.inputs)]), output: (1, self.outputs) }
    }

    fn constants(&self) -> Vec<usize> {
        let mut list = vec![match self.raw {
            true => self.inputs * self.outputs,
            false => dense::packed_len_weights(self.inputs, self.outputs),
        }];
        list.extend(self.bias.then_some(self.outputs));
        list
    }

    fn packs(&self) -> bool {
        !self.raw
    }

    fn pack(&self, mut parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if let (false, Some(weights)) = (self.raw, parameters.first_mut()) {
            *weights = dense::pack_weights(self.inputs, self.outputs, weights);
        }
        parameters
    }

    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], _: &mut [f32], threads: &Threads) {
        if let Some(weights) = parameters.first() {
            let packed = keep_others(parameters, dense::packed_len_weights(self.inputs, self.outputs), packed);
            dense::pack_weights_into(self.inputs, self.outputs, weights, packed, threads);
        }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        if self.raw { dense::raw_scratch_len(batch, self.inputs, self.outputs) } else { 0 }
    }

    fn arithmetic(&self) -> u64 {
        (self.inputs * self.outputs) as u64
    }
}
