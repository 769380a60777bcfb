//! Gradients of convolutions.

use crate::kernels::conv::gradient::input_gradient::{
    input_gradient, input_gradient_products, input_gradient_scratch_len,
};
use crate::kernels::conv::gradient::weight_gradient::{
    weight_gradient, weight_gradient_products, weight_gradient_scratch_len,
};
use crate::kernels::gemm::{Backend, Shape};
use crate::kernels::tensor_view::Convolution;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

fn input(conv: &Convolution) -> (usize, usize) {
    (conv.window.in_h * conv.window.in_w, conv.in_c)
}

fn output(conv: &Convolution) -> (usize, usize) {
    (conv.window.out_h * conv.window.out_w, conv.out_c)
}

fn executed_macs(conv: &Convolution) -> u64 {
    conv.macs() as u64
}

fn describe(conv: &Convolution) -> String {
    let Convolution { window, in_c, out_c, groups } = conv;
    let mut text = format!("{}x{}", window.kernel_h, window.kernel_w);
    if (window.stride_h, window.stride_w) != (1, 1) {
        text += &format!(" stride {}x{}", window.stride_h, window.stride_w);
    }
    text += &format!(" {}x{}x{in_c} to {}x{}x{out_c}", window.in_h, window.in_w, window.out_h, window.out_w);
    if *groups > 1 {
        text += &format!(" in {groups} groups");
    }
    text
}

/// The gradient of a convolution's weights: from x and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightGradientStep {
    pub geometry: Convolution,
    #[serde(default, skip_serializing_if = "Backend::is_default")]
    pub backend: Backend,
}

impl KernelStep for WeightGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, dy) = (call.inputs[0], call.inputs[1]);
        let out = &mut call.output.data[..self.geometry.weights()];
        weight_gradient(call.threads, self.backend, &self.geometry, call.batch, x, dy, out, call.scratch);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradient of weights {}{}", describe(&self.geometry), self.backend.note())
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            inputs: Inputs::Fixed(vec![input(&self.geometry), output(&self.geometry)]),
            output: (1, self.geometry.weights()),
        }
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        weight_gradient_scratch_len(&self.geometry, batch, workers)
    }

    fn gemm_shape(&self, batch: usize) -> Option<Shape> {
        weight_gradient_products(&self.geometry, batch)
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    fn executed_macs(&self) -> u64 {
        executed_macs(&self.geometry)
    }
}

/// dx of a convolution that is none itself when seen from dy (a stride, more padding than the window reaches).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputGradientStep {
    pub geometry: Convolution,
    #[serde(default, skip_serializing_if = "Backend::is_default")]
    pub backend: Backend,
}

impl KernelStep for InputGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (dy, weights) = (call.inputs[0], call.constants[0]);
        input_gradient(call.threads, self.backend, &self.geometry, call.batch, dy, weights, call.output, call.scratch);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through conv {}{}", describe(&self.geometry), self.backend.note())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![output(&self.geometry)]), output: input(&self.geometry) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.geometry.weights()]
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        input_gradient_scratch_len(&self.geometry, workers)
    }

    fn gemm_shape(&self, batch: usize) -> Option<Shape> {
        input_gradient_products(&self.geometry, batch)
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    fn executed_macs(&self) -> u64 {
        executed_macs(&self.geometry)
    }
}
