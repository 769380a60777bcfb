//! Execution plans: steps with resolved sizes and algorithms, whose operands are offsets in one arena, and packed constants.
//! Running a plan looks up no names and allocates nothing.
//!
//! A training step is a plan too. The parameters and the optimizer slots that it updates are its state, which persists between
//! runs; the gradients of parameters are unbatched tensors, whose memory does not grow with the batch.

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
pub mod training_reference;
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

/// The memory that an operand is located in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Space {
    /// An input of the caller.
    Input(usize),
    /// An output of the caller.
    Output(usize),
    /// Activations of one micro-batch; reused by the next.
    MicroBatch,
    /// Activations of all images of the batch.
    Batch,
    /// Tensors without a batch axis: gradients of parameters, repacked parameters.
    Unbatched,
    /// Tensors that persist between runs.
    State,
}

impl Space {
    /// Whether tensors in this space have no batch axis: `offset` and `batch_stride` are in floats, not in floats per image.
    pub fn is_unbatched(self) -> bool {
        matches!(self, Space::Unbatched | Space::State)
    }
}

/// The number format of a tensor in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    #[default]
    F32,
    /// Unsigned bytes; the kernels that write and read them know their scale.
    U8,
}

impl Format {
    /// How many values a word of memory holds: the size of an f32, in which all memory is counted.
    pub fn per_word(self) -> usize {
        match self {
            Format::F32 => 1,
            Format::U8 => size_of::<f32>(),
        }
    }

    /// The words that so many values take.
    pub fn words(self, values: usize) -> usize {
        values.div_ceil(self.per_word())
    }

    /// The format of a tensor that is stored in bytes or not.
    pub fn of<Q>(quantization: Option<Q>) -> Self {
        if quantization.is_some() { Format::U8 } else { Format::F32 }
    }

    fn is_f32(&self) -> bool {
        *self == Format::F32
    }
}

/// The location and strides of a tensor. `offset` is per image: with n images, the buffer starts `offset * n` floats into its
/// space; its images are `batch_stride` values apart and its pixels `row_stride`. A tensor without a batch axis is one image,
/// whatever the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operand {
    pub space: Space,
    /// Floats per image before the buffer.
    pub offset: usize,
    /// Values from one image of the buffer to the next; whole words.
    pub batch_stride: usize,
    /// Values from the start of the buffer to the start of the tensor: the channels before it in a concatenation. Whole words.
    pub channel_offset: usize,
    /// Values from one pixel (or row) to the next.
    pub row_stride: usize,
    #[serde(default, skip_serializing_if = "Format::is_f32")]
    pub format: Format,
}

impl Operand {
    /// Floats (words) from one image of the buffer to the next.
    pub fn image_floats(&self) -> usize {
        self.format.words(self.batch_stride)
    }

    /// Floats (words) from the start of the buffer to the start of the tensor.
    pub fn floats_before(&self) -> usize {
        self.format.words(self.channel_offset)
    }
}

/// A kernel and its operands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The layer that it computes.
    pub name: String,
    pub kernel: Kernel,
    /// The inputs, without the first one if `in_place`.
    pub inputs: Vec<Operand>,
    /// The parameters.
    pub constants: Vec<Source>,
    /// The state tensors that it updates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Operand>,
    pub output: Operand,
    /// Whether the first input is stored in the output.
    pub in_place: bool,
    /// The other layers fused into this step.
    pub layers: Vec<String>,
}

impl Step {
    /// Number of input tensors, including one that is stored in the output.
    pub fn input_count(&self) -> usize {
        sum([self.inputs.len(), usize::from(self.in_place)])
    }

    fn work(&self) -> usize {
        self.kernel.work(self.input_count())
    }
}

/// The source of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A constant of the plan, by index.
    Constant(usize),
    /// A tensor in memory: state, or a parameter that another step has packed.
    Memory(Operand),
}

/// A packed parameter or a state tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constant {
    pub name: String,
    /// Offset in floats, a multiple of [`CONSTANT_ALIGNMENT`].
    pub offset: usize,
    /// Length in floats.
    pub len: usize,
}

/// Max floats of memory and constants; larger plans are corrupt or malicious.
const MAX_FLOATS: usize = 1 << 40;

/// Max work per image (multiply-adds and values moved) of a valid plan. 2^46 takes about an hour on a current machine; known
/// networks need less than a hundredth of it.
pub const MAX_WORK: usize = 1 << 46;

/// An input or output of a net.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    /// Sizes without the batch.
    pub sizes: Vec<usize>,
    /// Whether it has no batch axis, such as a loss.
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

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Consecutive steps that run for one micro-batch after the other: as many images as have their activations in the last-level
/// cache, so that the weights are read once for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Number of steps.
    pub steps: usize,
    /// Max images of a micro-batch; `None` runs the batch at once.
    pub micro_batch: Option<usize>,
    /// Floats per image of [`Space::MicroBatch`].
    pub floats: usize,
}

impl Stage {
    /// Images of each micro-batch of a batch, which is split evenly.
    pub fn micro_batch_size(&self, batch: usize) -> usize {
        let max = self.micro_batch.unwrap_or(batch).max(1);
        batch.div_ceil(batch.div_ceil(max).max(1))
    }

    /// Max images of a micro-batch over all batches of up to `batch` images. With a limit of 8, 9 images are split into 5 and
    /// 4, but 8 images are not split.
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
    /// The steps that run together, in order.
    pub stages: Vec<Stage>,
    /// Floats per image of [`Space::Batch`].
    pub batch_floats: usize,
    /// Lower bound of the arena of any plan: the max floats per image that are live at one step.
    pub lower_bound: usize,
    pub constants: Vec<Constant>,
    /// Floats of [`Space::Unbatched`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unbatched_floats: usize,
    /// The state tensors, in order, each aligned to [`CONSTANT_ALIGNMENT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Constant>,
    /// Multiply-adds per image of the layers, computed directly.
    pub macs: u64,
}

impl Plan {
    /// The index of the step that computes a layer, by itself or with the layers fused into it.
    pub fn step_of(&self, layer: &str) -> Option<usize> {
        let named = self.steps.iter().position(|step| step.name == layer);
        named.or_else(|| self.steps.iter().position(|step| step.layers.iter().any(|fused| fused == layer)))
    }

    /// Floats of all constants.
    pub fn constant_floats(&self) -> usize {
        end(&self.constants)
    }

    /// Floats of the state.
    pub fn state_floats(&self) -> usize {
        end(&self.state)
    }

    /// The stages with the index ranges of their steps.
    pub fn stages(&self) -> impl Iterator<Item = (Range<usize>, &Stage)> {
        let mut start = 0usize;
        self.stages.iter().map(move |stage| {
            let steps = start..start.saturating_add(stage.steps);
            start = steps.end;
            (steps, stage)
        })
    }

    /// The stage of a step.
    pub fn stage(&self, step: usize) -> Option<&Stage> {
        self.stages().find(|(steps, _)| steps.contains(&step)).map(|(_, stage)| stage)
    }

    /// Max images of a micro-batch of a step; [`Plan::MEMORY_BATCH`] if it runs the batch at once.
    pub fn micro_batch(&self, step: usize) -> usize {
        self.stage(step).and_then(|stage| stage.micro_batch).unwrap_or(Self::MEMORY_BATCH)
    }

    /// Floats of [`Space::MicroBatch`] for batches of up to `batch` images; `None` on overflow.
    pub fn micro_batch_floats(&self, batch: usize) -> Option<usize> {
        self.stages
            .iter()
            .try_fold(0, |max: usize, stage| Some(max.max(stage.floats.checked_mul(stage.max_micro_batch(batch))?)))
    }

    /// Floats of the arena for one image.
    pub fn image_floats(&self) -> usize {
        sum([self.stages.iter().map(|stage| stage.floats).max().unwrap_or(0), self.batch_floats])
    }

    /// Batch size that [`Plan::memory`] assumes.
    pub const MEMORY_BATCH: usize = 8;
    /// Max number of threads that [`Plan::memory`] assumes.
    pub const MEMORY_THREADS: usize = 4;

    /// Bytes of the constants and of a session's memory, for batches of up to [`Plan::MEMORY_BATCH`] images on up to
    /// [`Plan::MEMORY_THREADS`] threads.
    pub fn memory(&self) -> u64 {
        let micro_batch = self.micro_batch_floats(Self::MEMORY_BATCH).unwrap_or(BEYOND);
        let batch = product([self.batch_floats, Self::MEMORY_BATCH]);
        let scratch_on = |workers| self.scratch_floats(Self::MEMORY_BATCH, workers);
        let scratch = (1..=Self::MEMORY_THREADS).map(scratch_on).max().unwrap_or(0);
        product([size_of::<f32>(), sum([self.constant_floats(), micro_batch, batch, self.unbatched_floats, scratch])])
            as u64
    }

    /// Convolutions and dense layers that are computed on bytes, and all of them.
    pub fn int8_layers(&self) -> (usize, usize) {
        let layers = |kernel: &Kernel| match kernel {
            Kernel::Int8Convolution(_) | Kernel::Int8Dense(_) => (1, 1),
            Kernel::Convolution(_) | Kernel::Dense(_) | Kernel::TransposedConvolution(_) => (0, 1),
            Kernel::FusedConvolutions(chain) => (0, chain.links.len()),
            _ => (0, 0),
        };
        let add = |(a, b): (usize, usize), (c, d): (usize, usize)| (sum([a, c]), sum([b, d]));
        self.steps.iter().map(|step| layers(&step.kernel)).fold((0, 0), add)
    }

    /// Upper bound of the multiply-adds and values moved per image, limited by [`MAX_WORK`].
    pub fn work(&self) -> usize {
        sum(self.steps.iter().map(Step::work))
    }

    /// Multiply-adds per image that the chosen algorithms execute.
    pub fn executed_macs(&self) -> u64 {
        self.steps.iter().map(|step| step.kernel.executed_macs()).fold(0, u64::saturating_add)
    }
}

/// The end of the last tensor, aligned.
fn end(list: &[Constant]) -> usize {
    list.last().map_or(0, |last| sum([last.offset, round_up(last.len, CONSTANT_ALIGNMENT)]))
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}
