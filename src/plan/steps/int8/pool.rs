//! Pooling of bytes.

use crate::kernels::int8::bands::Size;
use crate::kernels::int8::pool::{GlobalAverage, average_pool, global_average, global_average_floats, max_pool};
use crate::kernels::int8::quantization::Quantization;
use crate::kernels::tensor_view::Window;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, KernelError, KernelStep, Sizes};
use crate::plan::steps::pool::{GlobalPoolStep, PoolStep, Reduction};
use crate::size::product;
use serde::{Deserialize, Serialize};

/// Bytes whose sum fits 32 bits with room for rounding.
const MAX_PIXELS: usize = 1 << 22;

/// The maximum or average over windows of bytes, whose scale is that of the output too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Int8PoolStep {
    pub window: Window,
    pub channels: usize,
    pub reduction: Reduction,
    pub bytes: Quantization,
}

impl Int8PoolStep {
    fn as_f32(&self) -> PoolStep {
        PoolStep { window: self.window, channels: self.channels, reduction: self.reduction }
    }
}

impl KernelStep for Int8PoolStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let pixels = product([self.window.out_h, self.window.out_w]);
        let size = Size { images: call.batch, pixels, channels: self.channels };
        let (x, y) = (call.inputs[0].bytes(), call.output.bytes());
        match self.reduction {
            Reduction::Maximum => max_pool(call.threads, x, y, size, &self.window),
            _ => average_pool(call.threads, x, y, size, &self.window, self.bytes.zero_point),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("int8 {}, {}", self.as_f32().describe(), self.bytes)
    }

    fn sizes(&self) -> Sizes {
        self.as_f32().sizes()
    }

    fn input_quantization(&self, _: usize) -> Option<Quantization> {
        Some(self.bytes)
    }

    fn output_quantization(&self) -> Option<Quantization> {
        Some(self.bytes)
    }
}

impl CheckedKernel for Int8PoolStep {
    fn check(&self) -> Result<(), &'static str> {
        self.as_f32().check()?;
        ensure(product([self.window.kernel_h, self.window.kernel_w]) <= MAX_PIXELS, "the window is too large")?;
        ensure(self.reduction != Reduction::Sum, "sums of windows of bytes are unsupported")?;
        ensure(self.bytes.is_valid(), "a scale is invalid")
    }

    fn work(&self) -> usize {
        self.as_f32().work()
    }
}

/// The average over all pixels of bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Int8GlobalPoolStep {
    pub pixels: usize,
    pub channels: usize,
    pub input: Quantization,
    /// `None` for a result in f32.
    pub output: Option<Quantization>,
}

impl Int8GlobalPoolStep {
    fn as_f32(&self) -> GlobalPoolStep {
        GlobalPoolStep { pixels: self.pixels, channels: self.channels, reduction: Reduction::Average }
    }
}

impl KernelStep for Int8GlobalPoolStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Size { images: call.batch, pixels: self.pixels, channels: self.channels };
        let average = GlobalAverage::new(self.pixels, self.input, self.output);
        let x = call.inputs[0].bytes();
        match self.output {
            Some(_) => global_average(call.threads, x, call.output.bytes(), size, average),
            None => global_average_floats(call.threads, x, call.output, size, average),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("int8 {}, {}", self.as_f32().describe(), super::scales(self.input, self.output))
    }

    fn sizes(&self) -> Sizes {
        self.as_f32().sizes()
    }

    fn input_quantization(&self, _: usize) -> Option<Quantization> {
        Some(self.input)
    }

    fn output_quantization(&self) -> Option<Quantization> {
        self.output
    }
}

impl CheckedKernel for Int8GlobalPoolStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure((1..=MAX_PIXELS).contains(&self.pixels), "its sums could overflow")?;
        ensure([Some(self.input), self.output].into_iter().flatten().all(Quantization::is_valid), "a scale is invalid")
    }
}
