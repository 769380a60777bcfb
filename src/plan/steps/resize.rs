//! Images in other sizes: upscaling, interpolation, padding and cropping.

use crate::kernels::movement::border::{Border, extend};
use crate::kernels::movement::copy::{PadGeometry, crop, pad};
use crate::kernels::movement::resample::{Resize, ResizeAxis, resize, resize_scratch_len};
use crate::kernels::movement::upscale::{Upscale, upscale};
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// Nearest-neighbour upscaling.
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
        // A scale of 0 would make the output empty, which is checked for all kernels.
        Ok(())
    }
}

/// Interpolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResizeStep {
    pub resize: Resize,
}

impl KernelStep for ResizeStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        resize(call.inputs[0], call.output, call.batch, &self.resize, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let Resize { rows, columns, channels, interpolation, half_pixels } = self.resize;
        let corners = if half_pixels { "" } else { ", corners aligned" };
        let (name, [in_h, in_w, out_h, out_w]) =
            (interpolation.name(), [rows.input, columns.input, rows.output, columns.output]);
        format!("{name} {in_h}x{in_w}x{channels} to {out_h}x{out_w}x{channels}{corners}")
    }

    fn sizes(&self) -> Sizes {
        let Resize { rows, columns, channels, .. } = self.resize;
        Sizes {
            inputs: Inputs::Fixed(vec![(product([rows.input, columns.input]), channels)]),
            output: (product([rows.output, columns.output]), channels),
        }
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        resize_scratch_len(&self.resize, workers)
    }
}

impl CheckedKernel for ResizeStep {
    fn check(&self) -> Result<(), &'static str> {
        // Tables have indices of 32 bits.
        let fits = |axis: &ResizeAxis| {
            u32::try_from(axis.input).is_ok()
                && axis.ratio.is_finite()
                && (0.0..=f64::from(u32::MAX)).contains(&axis.ratio)
        };
        ensure(fits(&self.resize.rows) && fits(&self.resize.columns), "the ratio of sizes is invalid")
    }

    fn work(&self) -> usize {
        let Resize { rows, columns, channels, interpolation, .. } = self.resize;
        product([rows.output, sum([columns.input, columns.output]), channels, interpolation.taps()])
    }
}

/// A border around each image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PadStep {
    pub geometry: PadGeometry,
    pub border: Border,
}

impl KernelStep for PadStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { inputs, output, batch, threads, .. } = call;
        match self.border {
            Border::Zero => pad(inputs[0], output, batch, &self.geometry, 0.0, threads),
            border => extend(inputs[0], output, batch, &self.geometry, border, threads),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = self.geometry;
        let of = match self.border {
            Border::Zero => "of zeros",
            Border::Reflect => "that reflects the image",
            Border::Edge => "that repeats the edge",
        };
        format!("border {of}, top {top} bottom {bottom} left {left} right {right}, around {in_h}x{in_w}x{channels}")
    }

    fn sizes(&self) -> Sizes {
        let (inside, outside) = sides(&self.geometry);
        Sizes { inputs: Inputs::Fixed(vec![inside]), output: outside }
    }
}

impl CheckedKernel for PadStep {
    fn check(&self) -> Result<(), &'static str> {
        let PadGeometry { in_h, in_w, top, left, bottom, right, .. } = self.geometry;
        let fits = [(top, in_h), (bottom, in_h), (left, in_w), (right, in_w)];
        ensure(fits.into_iter().all(|(pixels, size)| self.border.supports(pixels, size)), "the border is too wide")
    }
}

/// Images without a border.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CropStep {
    /// The border that is cropped, and the size without it.
    pub geometry: PadGeometry,
}

impl KernelStep for CropStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        crop(call.inputs[0], call.output, call.batch, &self.geometry, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let PadGeometry { in_h, in_w, channels, top, left, .. } = self.geometry;
        format!("crop to {in_h}x{in_w}x{channels} from row {top}, column {left}")
    }

    fn sizes(&self) -> Sizes {
        let (inside, outside) = sides(&self.geometry);
        Sizes { inputs: Inputs::Fixed(vec![outside]), output: inside }
    }
}

impl CheckedKernel for CropStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// The sizes of an image without and with its border.
fn sides(geometry: &PadGeometry) -> ((usize, usize), (usize, usize)) {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
    let outside = product([sum([in_h, top, bottom]), sum([in_w, left, right])]);
    ((product([in_h, in_w]), channels), (outside, channels))
}
