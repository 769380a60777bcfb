//! How much scratch a plan's kernels take: the one place that all that reserves or counts scratch asks.
//!
//! A kernel says what it takes for exactly so many images on exactly so many threads. Fewer images may take more, since
//! work is cut otherwise: what is reserved is the most over all batches up to the largest.

use super::kernel_step::KernelStep;
use super::{Plan, Stage};

/// Floats of scratch that are enough for a kernel on so many threads, whatever batch of up to so many images it runs on.
pub fn max_scratch_len(kernel: &dyn KernelStep, images: usize, workers: usize) -> usize {
    (1..=images).map(|images| kernel.scratch_len(images, workers)).max().unwrap_or(0)
}

impl Plan {
    /// Floats of scratch that are enough for batches of up to so many images on so many threads.
    pub fn scratch_floats(&self, batch: usize, workers: usize) -> usize {
        let of_stage = |(steps, stage): (std::ops::Range<usize>, &Stage)| {
            let images = stage.max_micro_batch(batch);
            self.steps[steps].iter().map(|step| max_scratch_len(&*step.kernel, images, workers)).max().unwrap_or(0)
        };
        self.stages().map(of_stage).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tensor_view::{Convolution, Window};
    use crate::plan::steps::gradient::convolution_gradient::WeightGradientStep;

    /// Nine images go in parts of five where eight may go at a time, and eight in one part.
    #[test]
    fn no_batch_has_a_larger_part_than_is_reserved_for_a_larger_batch() {
        for chunk in (1..12).map(Some).chain([None]) {
            let stage = Stage { steps: 1, micro_batch: chunk, floats: 1 };
            for batch in 1..40 {
                assert!(
                    (1..=batch).all(|fewer| stage.micro_batch_size(fewer) <= stage.max_micro_batch(batch)),
                    "{chunk:?} of {batch}"
                );
                assert!(stage.max_micro_batch(batch) <= batch);
            }
        }
    }

    /// A gradient whose work is cut by the batch takes more for six images than for eight.
    #[test]
    fn what_is_enough_for_a_batch_is_enough_for_fewer_images() {
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
        let takes: Vec<usize> = (1..=8).map(|images| step.scratch_len(images, 2)).collect();
        assert!(takes.iter().any(|&floats| floats > takes[7]), "{takes:?}");
        assert_eq!(max_scratch_len(&step, 8, 2), takes.iter().copied().max().unwrap_or(0));
    }
}
