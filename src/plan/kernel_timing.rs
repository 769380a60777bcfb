//! A kernel alone, on made-up values: how long it takes.

use super::kernel::Kernel;
use super::kernel_step::{Call, Inputs, KernelError};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// A kernel with memory to run in.
#[derive(Debug)]
pub struct KernelTiming {
    kernel: Kernel,
    batch: usize,
    /// Pixels, channels and values of each.
    inputs: Vec<((usize, usize), Vec<f32>)>,
    constants: Vec<Vec<f32>>,
    output: Vec<f32>,
    scratch: Vec<f32>,
}

impl KernelTiming {
    /// Of a kernel for prediction, on a batch of so many images; none for kernels that take any number of inputs.
    pub fn new(kernel: &Kernel, batch: usize, threads: &ThreadPool) -> Option<Self> {
        let sizes = kernel.sizes();
        let Inputs::Fixed(list) = sizes.inputs else { return None };
        let (pixels, channels) = sizes.output;
        Some(Self {
            batch,
            inputs: list.into_iter().map(|size| (size, values(batch * size.0 * size.1))).collect(),
            constants: kernel.constants().into_iter().map(values).collect(),
            output: vec![0.0; batch * pixels * channels],
            scratch: vec![0.0; kernel.scratch_len(batch, threads.count())],
            kernel: kernel.clone(),
        })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// As the kernel's own.
    pub fn run(&mut self, threads: &ThreadPool) -> Result<Duration, KernelError> {
        let inputs: SmallVec<[View; 4]> = self
            .inputs
            .iter()
            .map(|((pixels, channels), data)| View { data, ld: *channels, image: pixels * channels })
            .collect();
        let constants: SmallVec<[&[f32]; 4]> = self.constants.iter().map(Vec::as_slice).collect();
        let (pixels, channels) = self.kernel.sizes().output;
        let call = Call {
            batch: self.batch,
            inputs: &inputs,
            in_place: false,
            constants: &constants,
            output: ViewMut { data: &mut self.output, ld: channels, image: pixels * channels },
            state: SmallVec::new(),
            scratch: &mut self.scratch,
            threads,
        };
        let began = Instant::now();
        self.kernel.run(call)?;
        Ok(began.elapsed())
    }
}

/// Neither all zero nor denormal, which would take another time.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index % 251) as f32 / 251.0 - 0.5).collect()
}
