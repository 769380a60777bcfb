//! Joins convolutions that follow each other to chains, which are computed by bands of rows: where what stands between
//! them is so large that it would go to memory and back, and their weights are so small that each band reads them from
//! the nearest caches. It is the beginning of networks of depthwise convolutions that has such layers.

use super::buffers::{Placement, TensorRef};
use super::{BufferHome, Options, PendingStep, cost_model};
use crate::kernels::conv::Algorithm;
use crate::kernels::conv::im2col::Im2col;
use crate::kernels::target;
use crate::plan::Kernel;
use crate::plan::kernel_step::KernelStep;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::fused_convolutions::FusedConvolutionsStep;

/// Joins what can be joined.
pub fn join(drafts: Vec<PendingStep>, placement: &Placement, options: Options<'_>) -> Vec<PendingStep> {
    let mut uses = vec![0; placement.buffers.len()];
    for buffer in drafts.iter().flat_map(PendingStep::buffers) {
        uses[buffer.0] += 1;
    }
    // What is written once, read once by the next step, and belongs to nobody else.
    let passes = |value: &TensorRef| {
        let buffer = &placement.buffers[value.buffer.0];
        let alone = uses[value.buffer.0] == 2 && buffer.home == BufferHome::Arena && !buffer.whole;
        let large = 4 * buffer.floats > target::L2_BYTES;
        alone && large && value.channel_offset == 0 && value.row_stride.is_none()
    };
    let mut all: Vec<PendingStep> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let joined = all.last().filter(|before| draft.inputs.first() == Some(&before.output) && passes(&before.output));
        let joined = joined.and_then(|before| together(before, &draft, options.exact));
        match (joined, all.last_mut()) {
            (Some(chain), Some(before)) => {
                before.kernel = Kernel::FusedConvolutions(chain);
                before.layers.push(std::mem::replace(&mut before.name, draft.name));
                before.layers.extend(draft.layers);
                before.inputs.extend(draft.inputs.into_iter().skip(1));
                before.parameters.extend(draft.parameters);
                before.output = draft.output;
            }
            _ => all.push(draft),
        }
    }
    all
}

/// The chain of two steps that follow each other.
fn together(before: &PendingStep, draft: &PendingStep, exact: bool) -> Option<FusedConvolutionsStep> {
    let mut links = match &before.kernel {
        Kernel::FusedConvolutions(chain) => chain.links.clone(),
        other => vec![link(other, exact)?],
    };
    links.push(link(&draft.kernel, exact)?);
    let chain = FusedConvolutionsStep { links };
    let weights: usize = chain.constants().iter().sum();
    // A step may not read the buffer that it writes: a concatenation may hold both ends.
    let apart = before.inputs.iter().chain(&draft.inputs[1..]).all(|value| value.buffer != draft.output.buffer);
    let plain = [before, draft].iter().all(|draft| !draft.in_place && draft.changed.is_empty());
    let fits = chain.is_valid() && 4 * weights <= target::L2_BYTES / 4;
    (fits && apart && plain).then_some(chain)
}

/// The convolution of a step, by the algorithm that a chain has for it, if that is about the fastest.
fn link(kernel: &Kernel, exact: bool) -> Option<ConvolutionStep> {
    let Kernel::Convolution(step) = kernel else { return None };
    let mut step = step.clone();
    cost_model::convolution(&mut step, cost_model::MAX_IMAGES, exact);
    if matches!(step.algorithm, Algorithm::Pointwise(_)) {
        step.algorithm = Algorithm::Im2col(Im2col);
    }
    FusedConvolutionsStep::can_fuse(&step).then_some(step)
}
