//! Benchmarks of single kernels on synthetic values.

use super::kernel::Kernel;
use super::kernel_step::{Call, Inputs, KernelError};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// Bytes of a kernel's copies of constants: more than the caches of a core and its share of the last level.
const MAX_COPIES_BYTES: usize = 64 << 20;
/// Copies of a kernel's constants; small ones are not what binds.
const MAX_COPIES: usize = 16;

/// A kernel with buffers to run in.
#[derive(Debug)]
pub struct KernelTiming {
    kernel: Kernel,
    batch: usize,
    /// `(pixels, channels)` and values of each.
    inputs: Vec<((usize, usize), Vec<f32>)>,
    /// Copies of the constants, used in turn.
    constants: Vec<Vec<Vec<f32>>>,
    runs: usize,
    output: Vec<f32>,
    scratch: Vec<f32>,
}

impl KernelTiming {
    /// Allocates the buffers of an inference kernel for `batch` images; `None` for kernels with a variable number of inputs.
    ///
    /// In a plan, a kernel's constants have left the caches when its turn comes again if those of all kernels are larger: of `net_bytes`
    /// of all constants, those of other kernels are represented by copies of this one's, up to `MAX_COPIES_BYTES`.
    pub fn new(kernel: &Kernel, batch: usize, net_bytes: usize, threads: &ThreadPool) -> Option<Self> {
        let bytes = 4 * kernel.constants().iter().sum::<usize>();
        let copies = (net_bytes.min(MAX_COPIES_BYTES) / bytes.max(1)).clamp(1, MAX_COPIES);
        let sizes = kernel.sizes();
        let Inputs::Fixed(list) = sizes.inputs else { return None };
        let (pixels, channels) = sizes.output;
        Some(Self {
            batch,
            inputs: list.into_iter().map(|size| (size, values(batch * size.0 * size.1))).collect(),
            constants: (0..copies).map(|_| kernel.constants().into_iter().map(values).collect()).collect(),
            runs: 0,
            output: vec![0.0; batch * pixels * channels],
            scratch: vec![0.0; kernel.scratch_len(batch, threads.count())],
            kernel: kernel.clone(),
        })
    }

    /// Runs the kernel once and returns the elapsed time.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn run(&mut self, threads: &ThreadPool) -> Result<Duration, KernelError> {
        let inputs: SmallVec<[View; 4]> = self
            .inputs
            .iter()
            .map(|((pixels, channels), data)| View { data, ld: *channels, image: pixels * channels })
            .collect();
        let constants = &self.constants[self.runs % self.constants.len()];
        self.runs += 1;
        let constants: SmallVec<[&[f32]; 4]> = constants.iter().map(Vec::as_slice).collect();
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
        let start = Instant::now();
        self.kernel.run(call)?;
        Ok(start.elapsed())
    }
}

/// Neither all zero nor denormal: both would distort the timing.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index % 251) as f32 / 251.0 - 0.5).collect()
}
