//! Images made larger by repetition or by a border.

use crate::kernels::movement::copy::{Frame, pad};
use crate::kernels::movement::upscale::{Upscale, upscale};
use crate::plan::input_checks::Checked;
use crate::plan::kernel::{Call, Inputs, RunFault, Sizes, StepKernel};
use crate::size::{product, sum};
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
        let output = (product([in_h, in_w, scale_h, scale_w]), channels);
        Sizes { inputs: Inputs::Each(vec![(product([in_h, in_w]), channels)]), output }
    }
}

impl Checked for UpscaleStep {
    fn check(&self) -> Result<(), &'static str> {
        // A scale of nothing would give a tensor without values.
        Ok(())
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
        Sizes {
            inputs: Inputs::Each(vec![(product([in_h, in_w]), channels)]),
            output: (product([sum([in_h, top, bottom]), sum([in_w, left, right])]), channels),
        }
    }
}

impl Checked for FrameStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}
