//! Conversion between f32 and bytes, and copies of bytes.

use crate::kernels::int8::bands::Size;
use crate::kernels::int8::convert::{copy, dequantize, quantize};
use crate::kernels::int8::quantization::Quantization;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// Which way values are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conversion {
    /// From f32 to bytes.
    Quantize,
    /// From bytes to f32.
    Dequantize,
    /// Bytes as they are, into or out of a wider tensor.
    Copy,
}

/// A conversion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvertStep {
    pub pixels: usize,
    pub channels: usize,
    pub conversion: Conversion,
    /// Of the bytes.
    pub bytes: Quantization,
}

impl KernelStep for ConvertStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Size { images: call.batch, pixels: self.pixels, channels: self.channels };
        let (x, y) = (call.inputs[0], call.output);
        match self.conversion {
            Conversion::Quantize => quantize(call.threads, x, y.bytes(), size, self.bytes),
            Conversion::Dequantize => dequantize(call.threads, x.bytes(), y, size, self.bytes),
            Conversion::Copy => copy(call.threads, x.bytes(), y.bytes(), size),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let size = format!("{}x{}", self.pixels, self.channels);
        match self.conversion {
            Conversion::Quantize => format!("{size} f32 to {}", self.bytes),
            Conversion::Dequantize => format!("{size} {} to f32", self.bytes),
            Conversion::Copy => format!("int8 copy of {size}, {}", self.bytes),
        }
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Fixed(vec![size]), output: size }
    }

    fn input_quantization(&self, _: usize) -> Option<Quantization> {
        (self.conversion != Conversion::Quantize).then_some(self.bytes)
    }

    fn output_quantization(&self) -> Option<Quantization> {
        (self.conversion != Conversion::Dequantize).then_some(self.bytes)
    }
}

impl CheckedKernel for ConvertStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.bytes.is_valid(), "a scale is invalid")
    }
}
