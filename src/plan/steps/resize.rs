//! Images made larger by repetition or by a border.

use crate::kernels::copy::{Frame, pad};
use crate::kernels::upscale::{Upscale, upscale};
use crate::plan::kernel::{Call, Inputs, RunFault, Sizes, StepKernel};
use serde::{Deserialize, Serialize};

/// Every pixel repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpscaleStep {
    pub repeat: Upscale,
}

impl StepKernel for UpscaleStep {
    fn run(&self, call: Call<'_>) -> Result<(), RunFault> {
        upscale(call.inputs[0], call.output, call.batch, &self.repeat, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let Upscale { in_h, in_w, channels, scale_h, scale_w } = self.repeat;
        format!("repeat {scale_h}x{scale_w} of {in_h}x{in_w}x{channels}")
    }

    fn sizes(&self) -> Sizes {
        let Upscale { in_h, in_w, channels, scale_h, scale_w } = self.repeat;
        let pixels = in_h.saturating_mul(in_w);
        let output = (pixels.saturating_mul(scale_h).saturating_mul(scale_w), channels);
        Sizes { inputs: Inputs::Each(vec![(pixels, channels)]), output }
    }
}

/// A border of zeros around each image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameStep {
    pub frame: Frame,
}

impl StepKernel for FrameStep {
    fn run(&self, call: Call<'_>) -> Result<(), RunFault> {
        pad(call.inputs[0], call.output, call.batch, &self.frame, 0.0, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let Frame { in_h, in_w, channels, top, left, bottom, right } = self.frame;
        format!("border of zeros, top {top} bottom {bottom} left {left} right {right}, around {in_h}x{in_w}x{channels}")
    }

    fn sizes(&self) -> Sizes {
        let Frame { in_h, in_w, channels, top, left, bottom, right } = self.frame;
        let height = in_h.saturating_add(top).saturating_add(bottom);
        let width = in_w.saturating_add(left).saturating_add(right);
        Sizes {
            inputs: Inputs::Each(vec![(in_h.saturating_mul(in_w), channels)]),
            output: (height.saturating_mul(width), channels),
        }
    }
}
