//! Joins convolutions that follow each other to chains, which are computed by bands of rows: where what stands between
//! them is so large that it would go to memory and back, and their weights are so small that each band reads them from
//! the nearest caches. It is the beginning of networks of depthwise convolutions that has such layers.

use super::buffers::{Placement, Value};
use super::cost_model::target;
use super::{Draft, Home, Options, cost_model};
use crate::plan::steps::convolution::{Algorithm, ConvolutionStep};
use crate::plan::steps::fused_convolutions::ChainStep;
use crate::plan::{Kernel, StepKernel};

/// Joins what can be joined.
pub fn join(drafts: Vec<Draft>, placement: &Placement, options: Options<'_>) -> Vec<Draft> {
    let mut uses = vec![0; placement.buffers.len()];
    for buffer in drafts.iter().flat_map(Draft::buffers) {
        uses[buffer.0] += 1;
    }
    // What is written once, read once by the next step, and belongs to nobody else.
    let passes = |value: &Value| {
        let buffer = &placement.buffers[value.buffer.0];
        let alone = uses[value.buffer.0] == 2 && buffer.home == Home::Arena && !buffer.whole;
        let large = 4 * buffer.floats > target::NEAR_BYTES;
        alone && large && value.skip == 0 && value.ld.is_none()
    };
    let mut all: Vec<Draft> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let joined = all.last().filter(|before| draft.inputs.first() == Some(&before.output) && passes(&before.output));
        let joined = joined.and_then(|before| together(before, &draft, options.exact));
        match (joined, all.last_mut()) {
            (Some(chain), Some(before)) => {
                before.kernel = Kernel::Chain(chain);
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
fn together(before: &Draft, draft: &Draft, exact: bool) -> Option<ChainStep> {
    let mut links = match &before.kernel {
        Kernel::Chain(chain) => chain.links.clone(),
        other => vec![link(other, exact)?],
    };
    links.push(link(&draft.kernel, exact)?);
    let chain = ChainStep { links };
    let weights: usize = chain.constants().iter().sum();
    // A step may not read the buffer that it writes: a concatenation may hold both ends.
    let apart = before.inputs.iter().chain(&draft.inputs[1..]).all(|value| value.buffer != draft.output.buffer);
    let plain = [before, draft].iter().all(|draft| !draft.in_place && draft.changed.is_empty());
    let fits = chain.is_possible() && 4 * weights <= target::NEAR_BYTES / 4;
    (fits && apart && plain).then_some(chain)
}

/// The convolution of a step, by the algorithm that a chain has for it, if that is about the fastest.
fn link(kernel: &Kernel, exact: bool) -> Option<ConvolutionStep> {
    let Kernel::Convolution(step) = kernel else { return None };
    let mut step = step.clone();
    cost_model::convolution(&mut step, cost_model::MOST_IMAGES, exact);
    if step.algorithm == Algorithm::Pointwise {
        step.algorithm = Algorithm::Im2col;
    }
    ChainStep::takes(&step).then_some(step)
}
