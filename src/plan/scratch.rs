//! How much scratch a plan's kernels take: the one place that all that reserves or counts scratch asks.
//!
//! A kernel says what it takes for exactly so many images on exactly so many threads. Fewer images may take more, since
//! work is cut otherwise: what is reserved is the most over all batches up to the largest.

use super::{Plan, Stage, StepKernel};

/// Floats of scratch that are enough for a kernel on so many threads, whatever batch of up to so many images it runs on.
pub fn enough_for(kernel: &dyn StepKernel, images: usize, workers: usize) -> usize {
    (1..=images).map(|images| kernel.scratch_len(images, workers)).max().unwrap_or(0)
}

impl Plan {
    /// Floats of scratch that are enough for batches of up to so many images on so many threads.
    pub fn scratch_floats(&self, batch: usize, workers: usize) -> usize {
        let of_stage = |(steps, stage): (std::ops::Range<usize>, &Stage)| {
            let images = stage.most(batch);
            self.steps[steps].iter().map(|step| enough_for(&step.kernel, images, workers)).max().unwrap_or(0)
        };
        self.stages().map(of_stage).max().unwrap_or(0)
    }
}
