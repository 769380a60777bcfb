//! Fusion of consecutive convolutions into chains that are computed by bands of rows: if the tensor between them is too large
//! for the cache, and their weights are small enough that each band reads them from the nearest caches. Networks of depthwise
//! convolutions begin with such layers.

use super::buffers::{BufferHome, PendingStep, Placement, TensorRef};
use super::cost_model::{self, ConvolutionCosts};
use crate::kernels::conv::Algorithm;
use crate::kernels::conv::im2col::Im2col;
use crate::kernels::target;
use crate::plan::Kernel;
use crate::plan::kernel_step::KernelStep;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::convolution::fused_convolutions::FusedConvolutionsStep;

/// Fuses all chains.
pub fn fuse(steps: Vec<PendingStep>, placement: &Placement, costs: &ConvolutionCosts) -> Vec<PendingStep> {
    let mut uses = vec![0; placement.buffers.len()];
    for buffer in steps.iter().flat_map(PendingStep::buffers) {
        uses[buffer.0] += 1;
    }
    // A large tensor that is written once and read once.
    let is_internal = |value: &TensorRef| {
        let buffer = &placement.buffers[value.buffer.0];
        let is_single = uses[value.buffer.0] == 2 && buffer.home == BufferHome::Arena && !buffer.is_unbatched;
        let large = 4 * buffer.floats() > target::L2_BYTES;
        is_single && large && value.channel_offset == 0 && value.row_stride.is_none()
    };
    let mut all: Vec<PendingStep> = Vec::with_capacity(steps.len());
    for pending_step in steps {
        let before = all
            .last()
            .filter(|before| pending_step.inputs.first() == Some(&before.output) && is_internal(&before.output));
        let fused = before.and_then(|before| fuse_pair(before, &pending_step, costs));
        match (fused, all.last_mut()) {
            (Some(chain), Some(before)) => {
                before.kernel = Kernel::FusedConvolutions(chain);
                before.layers.push(std::mem::replace(&mut before.name, pending_step.name));
                before.layers.extend(pending_step.layers);
                before.inputs.extend(pending_step.inputs.into_iter().skip(1));
                before.parameters.extend(pending_step.parameters);
                before.output = pending_step.output;
            }
            _ => all.push(pending_step),
        }
    }
    all
}

/// The chain of two consecutive steps.
fn fuse_pair(
    before: &PendingStep,
    pending_step: &PendingStep,
    costs: &ConvolutionCosts,
) -> Option<FusedConvolutionsStep> {
    let mut links = match &before.kernel {
        Kernel::FusedConvolutions(chain) => chain.links.clone(),
        other => vec![link(other, costs)?],
    };
    links.push(link(&pending_step.kernel, costs)?);
    let chain = FusedConvolutionsStep { links };
    let weights: usize = chain.constants().iter().sum();
    // A step may not read the buffer that it writes, and a concatenation may contain both ends.
    let separate =
        before.inputs.iter().chain(&pending_step.inputs[1..]).all(|value| value.buffer != pending_step.output.buffer);
    let plain =
        [before, pending_step].iter().all(|pending_step| !pending_step.in_place && pending_step.changed.is_empty());
    let fits = chain.is_valid() && 4 * weights <= target::L2_BYTES / 4;
    (fits && separate && plain).then_some(chain)
}

/// The convolution of a step with an algorithm that a chain can run, if that is about the fastest.
fn link(kernel: &Kernel, costs: &ConvolutionCosts) -> Option<ConvolutionStep> {
    let Kernel::Convolution(step) = kernel else { return None };
    // A sequence is an image of one row, which has no bands.
    if step.geometry.window.in_h == 1 {
        return None;
    }
    let mut step = step.clone();
    costs.choose(&mut step, cost_model::MAX_IMAGES);
    if matches!(step.algorithm, Algorithm::Pointwise(_)) {
        step.algorithm = Algorithm::Im2col(Im2col);
    }
    FusedConvolutionsStep::can_fuse(&step).then_some(step)
}
