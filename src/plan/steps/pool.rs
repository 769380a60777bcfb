//! Pooling over windows and over entire images.

use crate::kernels::parallel::image_batches::Images;
use crate::kernels::pool::global_pool::{self, GlobalPool, global_pool};
use crate::kernels::pool::{average_pool, max_pool};
use crate::kernels::tensor_view::Window;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::product;
use serde::{Deserialize, Serialize};

/// The reduction of a pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reduction {
    Maximum,
    Average,
    Sum,
}

impl Reduction {
    /// Whether the gradient depends on the input values.
    pub fn gradient_needs_input(self) -> bool {
        self == Reduction::Maximum
    }

    /// The same reduction for global pooling.
    pub fn global(self) -> GlobalPool {
        match self {
            Reduction::Maximum => GlobalPool::Max,
            Reduction::Average => GlobalPool::Average,
            Reduction::Sum => GlobalPool::Sum,
        }
    }

    /// Its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Reduction::Maximum => "max",
            Reduction::Average => "avg",
            Reduction::Sum => "sum",
        }
    }
}

/// Pooling over a sliding window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStep {
    pub window: Window,
    pub channels: usize,
    pub reduction: Reduction,
}

impl KernelStep for PoolStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, y, window) = (call.inputs[0], call.output, &self.window);
        match self.reduction {
            Reduction::Maximum => max_pool(x, y, call.batch, self.channels, window, call.threads),
            _ => average_pool(x, y, call.batch, self.channels, window, false, call.threads),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let window = &self.window;
        format!(
            "{} {}x{} stride {}x{} over {}x{}x{}",
            self.reduction.name(),
            window.kernel_h,
            window.kernel_w,
            window.stride_h,
            window.stride_w,
            window.in_h,
            window.in_w,
            self.channels
        )
    }

    fn sizes(&self) -> Sizes {
        let window = &self.window;
        Sizes {
            inputs: Inputs::Fixed(vec![(product([window.in_h, window.in_w]), self.channels)]),
            output: (product([window.out_h, window.out_w]), self.channels),
        }
    }
}

impl CheckedKernel for PoolStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.window.is_possible(), "the window is invalid")
    }

    fn work(&self) -> usize {
        let Window { in_h, in_w, out_h, out_w, kernel_h, kernel_w, .. } = self.window;
        // Only the part of a window inside the image is read.
        product([out_h, out_w, kernel_h.min(in_h), kernel_w.min(in_w), self.channels])
    }
}

/// Global pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GlobalPoolStep {
    pub pixels: usize,
    pub channels: usize,
    pub reduction: Reduction,
}

impl KernelStep for GlobalPoolStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        global_pool(call.inputs[0], call.output, size, self.reduction.global(), call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} of all pixels of {}x{}", self.reduction.name(), self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(self.pixels, self.channels)]), output: (1, self.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        global_pool::scratch_len(Images { n: batch, pixels: self.pixels, channels: self.channels })
    }
}

impl CheckedKernel for GlobalPoolStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}
