//! Images made larger by repetition or by a border.

use crate::kernels::movement::copy::{PadGeometry, pad};
use crate::kernels::movement::upscale::{Upscale, upscale};
use crate::plan::checked_kernel::CheckedKernel;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// Every pixel repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpscaleStep {
    pub repeat: Upscale,
}

impl KernelStep for UpscaleStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
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
        Sizes { inputs: Inputs::Fixed(vec![(product([in_h, in_w]), channels)]), output }
    }
}

impl CheckedKernel for UpscaleStep {
    fn check(&self) -> Result<(), &'static str> {
        // A scale of nothing would give a tensor without values.
        Ok(())
    }
}

/// A border of zeros around each image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZeroPadStep {
    pub geometry: PadGeometry,
}

impl KernelStep for ZeroPadStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        pad(call.inputs[0], call.output, call.batch, &self.geometry, 0.0, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = self.geometry;
        format!("border of zeros, top {top} bottom {bottom} left {left} right {right}, around {in_h}x{in_w}x{channels}")
    }

    fn sizes(&self) -> Sizes {
        let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = self.geometry;
        Sizes {
            inputs: Inputs::Fixed(vec![(product([in_h, in_w]), channels)]),
            output: (product([sum([in_h, top, bottom]), sum([in_w, left, right])]), channels),
        }
    }
}

impl CheckedKernel for ZeroPadStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}
