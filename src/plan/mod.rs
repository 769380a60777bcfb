//! What a plan is: steps with resolved sizes and algorithms, their operands as places in one arena, constants in the
//! order in which they are stored. No names are looked up and nothing is allocated while it runs.
//!
//! A step of training is a plan too. What it changes (parameters, what an optimizer keeps) is its state, which stays from
//! one run to the next; gradients of parameters stand in scratch that does not grow with the batch.

#[deny(clippy::arithmetic_side_effects)]
pub mod checked_kernel;
pub mod epilogue;
mod error;
pub mod kernel;
pub mod kernel_step;
pub mod kernel_timing;
pub mod scratch;
pub mod steps;
mod text;
#[deny(clippy::arithmetic_side_effects)]
mod verify;

pub use checked_kernel::CheckedKernel;
pub use epilogue::Epilogue;
pub use error::PlanError;
pub use kernel::Kernel;
pub use kernel_step::{CONSTANT_ALIGNMENT, Call, KernelStep};

use crate::size::{BEYOND, product, round_up, sum};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Memory that a plan works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Space {
    /// What the caller gives.
    Input(usize),
    /// What the caller gets.
    Output(usize),
    /// Scratch for the images of one chunk, used anew by the next.
    MicroBatch,
    /// Scratch for the whole batch.
    Batch,
    /// Scratch for tensors without a batch: gradients of parameters, parameters that were packed.
    Unbatched,
    /// What stays from one run to the next.
    State,
}

impl Space {
    /// Whether a tensor there has no batch: its `offset` and `batch_stride` are floats, not floats per image.
    pub fn is_unbatched(self) -> bool {
        matches!(self, Space::Unbatched | Space::State)
    }
}

/// Where a tensor stands. Everything but `channel_offset` counts per image: with n images, the tensor begins `offset * n` floats
/// into its space, its images follow each other `batch_stride` floats apart, and its pixels `row_stride` floats.
/// Tensors without a batch are one image, whatever the batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operand {
    pub space: Space,
    /// Floats per image before the buffer.
    pub offset: usize,
    /// Floats of one image of the buffer.
    pub batch_stride: usize,
    /// Floats from the buffer's first to the tensor's first: the channels before it in a concatenation.
    pub channel_offset: usize,
    /// Floats from one pixel (or row) to the next.
    pub row_stride: usize,
}

/// A kernel and what it works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The layer that it computes.
    pub name: String,
    pub kernel: Kernel,
    /// What it reads; without the first one where that stands in the output (`in_place`).
    pub inputs: Vec<Operand>,
    /// Its parameters.
    pub constants: Vec<Source>,
    /// The state that it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Operand>,
    pub output: Operand,
    pub in_place: bool,
    /// The layers that it took in besides its own.
    pub layers: Vec<String>,
}

impl Step {
    /// How many tensors it reads, one that stands in its output among them.
    pub fn input_count(&self) -> usize {
        sum([self.inputs.len(), usize::from(self.in_place)])
    }

    fn work(&self) -> usize {
        self.kernel.work(self.input_count())
    }
}

/// Where a step finds a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// Among the plan's constants.
    Constant(usize),
    /// In memory, as training has changed or another step has packed it.
    Memory(Operand),
}

/// A packed parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constant {
    pub name: String,
    /// Floats from the start of the constants, a multiple of [`CONSTANT_ALIGNMENT`].
    pub offset: usize,
    /// Floats.
    pub len: usize,
}

/// Memory and constants of more floats than this are a mistake or an attack.
const LARGEST: usize = 1 << 40;

/// A plan that does more than this for one image (multiply-adds, and values that are moved) is refused: 2^46, which takes a
/// machine of today an hour, and no net that is known a hundredth of that.
pub const MAX_WORK: usize = 1 << 46;

/// An input or output of a net.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    /// Sizes without the batch.
    pub sizes: Vec<usize>,
    /// Whether it has none: one number for a whole batch, such as a loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbatched: bool,
}

impl Port {
    /// Floats per image.
    pub fn len(&self) -> usize {
        product(self.sizes.iter().copied())
    }

    /// Floats of a batch.
    pub fn floats(&self, batch: usize) -> usize {
        product([self.len(), if self.unbatched { 1 } else { batch }])
    }

    /// Whether it holds no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Steps that follow each other, and run for some images of a batch after the other: as many as the last cache holds
/// the activations of, since their weights are read once for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// How many steps.
    pub steps: usize,
    /// Images at a time at the most; none for the whole batch.
    pub micro_batch: Option<usize>,
    /// Floats per image of [`Space::MicroBatch`].
    pub floats: usize,
}

impl Stage {
    /// Images at a time of a batch: equal parts.
    pub fn micro_batch_size(&self, batch: usize) -> usize {
        let most = self.micro_batch.unwrap_or(batch).max(1);
        batch.div_ceil(batch.div_ceil(most).max(1))
    }

    /// Images at a time at the most of any batch up to this one: 9 images go in parts of 5 where 8 may go at a time, but
    /// 8 images in one part.
    pub fn max_micro_batch(&self, batch: usize) -> usize {
        self.micro_batch.unwrap_or(batch).clamp(1, batch.max(1))
    }
}

/// A compiled net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub steps: Vec<Step>,
    /// Which steps run together, in order.
    pub stages: Vec<Stage>,
    /// Floats per image of [`Space::Batch`].
    pub batch_floats: usize,
    /// What no plan could do without: the most floats per image that are alive at one step.
    pub lower_bound: usize,
    pub constants: Vec<Constant>,
    /// Floats of [`Space::Unbatched`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unbatched_floats: usize,
    /// The tensors of the state, in order; each begins at a multiple of [`CONSTANT_ALIGNMENT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Constant>,
    /// Multiply-adds per image that the layers ask for, computed directly.
    pub macs: u64,
}

impl Plan {
    /// Floats of all constants together.
    pub fn constant_floats(&self) -> usize {
        end(&self.constants)
    }

    /// Floats of the state.
    pub fn state_floats(&self) -> usize {
        end(&self.state)
    }

    /// The stages with their steps' indices.
    pub fn stages(&self) -> impl Iterator<Item = (Range<usize>, &Stage)> {
        let mut begin = 0usize;
        self.stages.iter().map(move |stage| {
            let steps = begin..begin.saturating_add(stage.steps);
            begin = steps.end;
            (steps, stage)
        })
    }

    /// The stage that a step is of.
    pub fn stage(&self, step: usize) -> Option<&Stage> {
        self.stages().find(|(steps, _)| steps.contains(&step)).map(|(_, stage)| stage)
    }

    /// Images at a time at the most of a step; as [`Plan::memory`] counts them where it runs for the whole batch.
    pub fn micro_batch(&self, step: usize) -> usize {
        self.stage(step).and_then(|stage| stage.micro_batch).unwrap_or(Self::MEMORY_BATCH)
    }

    /// Floats of [`Space::MicroBatch`] for batches of up to so many images; none where that is beyond all numbers.
    pub fn micro_batch_floats(&self, batch: usize) -> Option<usize> {
        self.stages
            .iter()
            .try_fold(0, |most: usize, stage| Some(most.max(stage.floats.checked_mul(stage.max_micro_batch(batch))?)))
    }

    /// Floats of the arena for one image.
    pub fn image_floats(&self) -> usize {
        sum([self.stages.iter().map(|stage| stage.floats).max().unwrap_or(0), self.batch_floats])
    }

    /// Images at a time that [`Plan::memory`] counts.
    pub const MEMORY_BATCH: usize = 8;
    /// Threads that [`Plan::memory`] counts.
    pub const MEMORY_THREADS: usize = 4;

    /// Bytes of the constants, and of a session's memory for up to [`Plan::MEMORY_BATCH`] images at a time on up to
    /// [`Plan::MEMORY_THREADS`] threads.
    pub fn memory(&self) -> u64 {
        let chunks = self.micro_batch_floats(Self::MEMORY_BATCH).unwrap_or(BEYOND);
        let batch = product([self.batch_floats, Self::MEMORY_BATCH]);
        let on = |workers| self.scratch_floats(Self::MEMORY_BATCH, workers);
        let scratch = (1..=Self::MEMORY_THREADS).map(on).max().unwrap_or(0);
        product([size_of::<f32>(), sum([self.constant_floats(), chunks, batch, self.unbatched_floats, scratch])]) as u64
    }

    /// Multiply-adds per image at the most, and values that are moved: what [`MAX_WORK`] bounds.
    pub fn work(&self) -> usize {
        sum(self.steps.iter().map(Step::work))
    }

    /// Multiply-adds per image that the plan really does.
    pub fn executed_macs(&self) -> u64 {
        self.steps.iter().map(|step| step.kernel.executed_macs()).fold(0, u64::saturating_add)
    }
}

/// Where a list of constants ends.
fn end(list: &[Constant]) -> usize {
    list.last().map_or(0, |last| sum([last.offset, round_up(last.len, CONSTANT_ALIGNMENT)]))
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
