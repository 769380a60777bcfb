//! Gradients of functions of each value, and of softmax.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::activation_gradient::{
    SlopeSource, activation_gradient, is_slope_from_output, prelu_gradient, prelu_slope_gradient,
    prelu_slope_gradient_scratch_len, softmax_gradient,
};
use crate::kernels::parallel::image_batches::Images;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::pointwise::same;
use serde::{Deserialize, Serialize};

/// `dy` and another tensor of its size.
pub(crate) fn two(pixels: usize, channels: usize) -> Sizes {
    Sizes { inputs: Inputs::Fixed(vec![(pixels, channels); 2]), output: (pixels, channels) }
}

/// dx of an elementwise function from dy and what came out of it, or went in where that does not tell the slope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationGradientStep {
    pub pixels: usize,
    pub channels: usize,
    pub activation: Activation,
}

impl KernelStep for ActivationGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let (dy, Some(&known)) = (call.first(), call.inputs.last()) else { return Ok(()) };
        let known =
            if is_slope_from_output(self.activation) { SlopeSource::Output(known) } else { SlopeSource::Input(known) };
        activation_gradient(known, dy, call.output, size, self.activation, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("slope of {} of {}x{}", self.activation, self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        two(self.pixels, self.channels)
    }
}

/// dx of a softmax from dy and its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxGradientStep {
    pub pixels: usize,
    pub channels: usize,
}

impl KernelStep for SoftmaxGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let (dy, Some(&y)) = (call.first(), call.inputs.last()) else { return Ok(()) };
        softmax_gradient(y, dy, call.output, size, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("slope of softmax of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        two(self.pixels, self.channels)
    }
}

/// dx of learnt slopes from dy and x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PReluGradientStep {
    /// The layer's own step.
    pub layer: crate::plan::steps::prelu::PReluStep,
}

impl KernelStep for PReluGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (pixels, channels) = self.layer.pixels_channels();
        let size = Images { n: call.batch, pixels, channels };
        let (dy, Some(&x)) = (call.first(), call.inputs.last()) else { return Ok(()) };
        prelu_gradient(x, dy, call.output, size, call.constants[0], call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("slope of {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let (pixels, channels) = self.layer.pixels_channels();
        two(pixels, channels)
    }

    fn constants(&self) -> Vec<usize> {
        self.layer.constants()
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        self.layer.pack(parameters)
    }
}

/// The gradient of learnt slopes from x and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PReluSlopeStep {
    /// The layer's own step.
    pub layer: crate::plan::steps::prelu::PReluStep,
}

impl PReluSlopeStep {
    fn images(&self, n: usize) -> Images {
        let (pixels, channels) = self.layer.pixels_channels();
        Images { n, pixels, channels }
    }
}

impl KernelStep for PReluSlopeStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (places, scratch) = call.scratch.split_at_mut(self.layer.places());
        prelu_slope_gradient(call.inputs[0], call.inputs[1], places, self.images(call.batch), scratch, call.threads);
        // One slope may stand at several places.
        let out = &mut call.output.data[..self.layer.slopes()];
        out.fill(0.0);
        places.iter().enumerate().for_each(|(place, value)| out[self.layer.slope_at(place)] += value);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradient of {} slopes of {}", self.layer.slopes(), self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![self.layer.pixels_channels(); 2]), output: (1, self.layer.slopes()) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        let places = self.layer.places();
        places + prelu_slope_gradient_scratch_len(self.images(batch), places)
    }
}

/// dx of rows brought to unit length, from dy and x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalizeGradientStep {
    pub pixels: usize,
    pub channels: usize,
    pub epsilon: f32,
}

impl KernelStep for NormalizeGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (dy, x, out) = (call.inputs[0], call.inputs[1], call.output);
        for image in 0..call.batch {
            for pixel in 0..self.pixels {
                let row = |view: &crate::kernels::tensor_view::View<'_>| view.image * image + pixel * view.ld;
                let (dy, x) = (&dy.data[row(&dy)..][..self.channels], &x.data[row(&x)..][..self.channels]);
                let dot =
                    |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
                let (length, along) = (dot(x, x).sqrt(), dot(x, dy));
                let least = f64::from(self.epsilon);
                let (divisor, pull) = if length > least { (length, along / (length * length)) } else { (least, 0.0) };
                let dx = &mut out.data[image * out.image + pixel * out.ld..][..self.channels];
                for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
                    *dx = ((f64::from(*dy) - f64::from(*x) * pull) / divisor) as f32;
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("slope of unit length of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        two(self.pixels, self.channels)
    }
}

/// A copy of a tensor into the channels from one on of a wider one; the other channels become 0. It is the gradient of a slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScatterSliceStep {
    pub pixels: usize,
    pub channels: usize,
    pub from: usize,
    pub width: usize,
}

impl KernelStep for ScatterSliceStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, out) = (call.inputs[0], call.output);
        for image in 0..call.batch {
            for pixel in 0..self.pixels {
                let row = &mut out.data[image * out.image + pixel * out.ld..][..self.width];
                row.fill(0.0);
                let from = &x.data[image * x.image + pixel * x.ld..][..self.channels];
                row[self.from..self.from + self.channels].copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{}x{} among {} channels from {} on", self.pixels, self.channels, self.width, self.from)
    }

    fn sizes(&self) -> Sizes {
        let Sizes { inputs, .. } = same(self.pixels, self.channels);
        Sizes { inputs, output: (self.pixels, self.width) }
    }
}
