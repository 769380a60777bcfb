//! Scratch requirements of a plan, for both allocation and memory accounting.
//!
//! [`KernelStep::scratch_len`] holds for an exact batch size and number of threads. A smaller batch may need more, since the
//! work is partitioned differently: the maximum over all batch sizes up to the limit is reserved.

use super::kernel_step::KernelStep;
use super::{Plan, Stage};

/// Max floats of scratch of a kernel on `workers` threads, over all batches of up to `max_batch` images.
pub fn max_scratch_len(kernel: &dyn KernelStep, max_batch: usize, workers: usize) -> usize {
    (1..=max_batch).map(|batch| kernel.scratch_len(batch, workers)).max().unwrap_or(0)
}

impl Plan {
    /// Max floats of scratch of any step on `workers` threads, over all batches of up to `batch` images.
    pub fn scratch_floats(&self, batch: usize, workers: usize) -> usize {
        let stage_scratch = |(steps, stage): (std::ops::Range<usize>, &Stage)| {
            let max_batch = stage.max_micro_batch(batch);
            self.steps[steps].iter().map(|step| max_scratch_len(&*step.kernel, max_batch, workers)).max().unwrap_or(0)
        };
        self.stages().map(stage_scratch).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tensor_view::{Convolution, Window};
    use crate::plan::steps::gradient::convolution_gradient::WeightGradientStep;

    /// With micro-batches of at most eight, nine images are split into five and four, and eight are not split.
    #[test]
    fn max_micro_batch_bounds_the_micro_batches_of_smaller_batches() {
        for micro_batch in (1..12).map(Some).chain([None]) {
            let stage = Stage { steps: 1, micro_batch, floats: 1 };
            for batch in 1..40 {
                assert!(
                    (1..=batch).all(|smaller| stage.micro_batch_size(smaller) <= stage.max_micro_batch(batch)),
                    "{micro_batch:?} of {batch}"
                );
                assert!(stage.max_micro_batch(batch) <= batch);
            }
        }
    }

    /// The weight gradient partitions its work by batch size and needs more scratch for six images than for eight.
    #[test]
    fn max_scratch_len_covers_smaller_batches() {
        let window = Window {
            in_h: 32,
            in_w: 32,
            out_h: 15,
            out_w: 15,
            kernel_h: 3,
            kernel_w: 3,
            stride_h: 2,
            stride_w: 2,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
        };
        let geometry = Convolution { window, in_c: 3, out_c: 8, groups: 1 };
        let step = WeightGradientStep { geometry, backend: Default::default() };
        let lengths: Vec<usize> = (1..=8).map(|images| step.scratch_len(images, 2)).collect();
        assert!(lengths.iter().any(|&floats| floats > lengths[7]), "{lengths:?}");
        assert_eq!(max_scratch_len(&step, 8, 2), lengths.iter().copied().max().unwrap_or(0));
    }
}
