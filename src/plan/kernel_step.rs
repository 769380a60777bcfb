//! What the description of a kernel can do, and what a kernel is called with.

use crate::kernels::gemm::{Backend, Shape};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::{product, sum};
use smallvec::SmallVec;

/// Constants begin at multiples of this many floats: a cache line.
pub const CONSTANT_ALIGNMENT: usize = 16;

/// What a kernel is given to work on.
#[derive(Debug)]
pub struct Call<'a> {
    /// How many images.
    pub batch: usize,
    pub inputs: &'a [View<'a>],
    /// Whether the first input stands in the output.
    pub in_place: bool,
    pub constants: &'a [&'a [f32]],
    pub output: ViewMut<'a>,
    /// What it changes: [`KernelStep::state`].
    pub state: SmallVec<[&'a mut [f32]; 4]>,
    /// [`KernelStep::scratch_len`] floats of any value.
    pub scratch: &'a mut [f32],
    pub threads: &'a ThreadPool,
}

impl<'a> Call<'a> {
    /// The first input, or none where it stands in the output.
    pub fn first(&self) -> Option<View<'a>> {
        if self.in_place { None } else { self.inputs.first().copied() }
    }
}

/// A failure that only the values tell, such as an index beyond a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KernelError(pub String);

/// What a description of a kernel can do.
pub trait KernelStep {
    /// Runs it.
    fn run(&self, call: Call<'_>) -> Result<(), KernelError>;

    /// In a few words with all sizes, for the plan's text.
    fn describe(&self) -> String;

    /// How many tensors it reads, where the number is fixed, and floats of one image of each and of the output:
    /// `(pixels, channels)` of each, by which a plan is checked before it runs.
    fn sizes(&self) -> Sizes;

    /// Lengths of the constants as they are stored.
    fn constants(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Brings the parameters, row-major and in the order of the operation, into the order in which it reads them.
    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        parameters
    }

    /// Whether [`KernelStep::pack`] changes anything; else the parameters are used as they are.
    fn needs_packing(&self) -> bool {
        false
    }

    /// As [`KernelStep::pack`], for parameters that change: the constants, each at the next multiple of
    /// [`CONSTANT_ALIGNMENT`], go to `packed`.
    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], _scratch: &mut [f32], _threads: &ThreadPool) {
        let list = self.pack(parameters.iter().map(|values| values.to_vec()).collect());
        let mut begin = 0;
        for constant in list {
            packed[begin..begin + constant.len()].copy_from_slice(&constant);
            begin += constant.len().next_multiple_of(CONSTANT_ALIGNMENT);
        }
    }

    /// Floats of scratch that [`KernelStep::pack_into`] needs.
    fn pack_scratch_len(&self) -> usize {
        0
    }

    /// Lengths of the tensors of the state that it changes.
    fn state(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Floats of scratch that it takes for exactly so many images and threads, those of the steps inside it too. What is
    /// reserved is [`max_scratch_len`](super::scratch::max_scratch_len) all batches that can occur.
    fn scratch_len(&self, _batch: usize, _workers: usize) -> usize {
        0
    }

    /// The general products that it computes for a batch, where either backend can.
    fn gemm_shape(&self, _batch: usize) -> Option<Shape> {
        None
    }

    /// Whether it computes general products, for which each thread has a buffer.
    fn uses_gemm(&self) -> bool {
        self.gemm_shape(1).is_some()
    }

    /// What computes them.
    fn backend(&self) -> Backend {
        Backend::Tiles
    }

    /// Has them computed by another backend.
    fn set_backend(&mut self, _backend: Backend) {}

    /// Multiply-adds per image that it really does.
    fn executed_macs(&self) -> u64 {
        0
    }
}

/// For [`KernelStep::pack_into`] where only the first parameter changes its order: copies the others to their places
/// behind it, and gives the first one's place of `len` floats.
pub fn copy_unpacked<'p>(parameters: &[&[f32]], len: usize, packed: &'p mut [f32]) -> &'p mut [f32] {
    let mut begin = len.next_multiple_of(CONSTANT_ALIGNMENT);
    for constant in parameters.iter().skip(1) {
        packed[begin..begin + constant.len()].copy_from_slice(constant);
        begin += constant.len().next_multiple_of(CONSTANT_ALIGNMENT);
    }
    &mut packed[..len]
}

/// The tensors of a kernel: pixels and channels of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub inputs: Inputs,
    pub output: (usize, usize),
}

/// The inputs of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// These, in order.
    Fixed(Vec<(usize, usize)>),
    /// Any number of this one, at least one.
    Variadic((usize, usize)),
    /// A gate among several of one size: its place, and the size of the others. It gives one value for each of them.
    Gated(usize, (usize, usize)),
}

impl Sizes {
    /// The row lengths in which the kernel sees the inputs that are handed to it (without one that stands in the output).
    pub fn widths(&self, count: usize, in_place: bool) -> Vec<usize> {
        let total = count + usize::from(in_place);
        let list: Vec<usize> = match &self.inputs {
            Inputs::Fixed(list) => list.iter().map(|(_, channels)| *channels).collect(),
            Inputs::Variadic((_, channels)) => vec![*channels; total],
            Inputs::Gated(gate, (_, channels)) => {
                (0..total).map(|place| if place == *gate { total - 1 } else { *channels }).collect()
            }
        };
        list.into_iter().skip(usize::from(in_place)).collect()
    }

    /// Floats of one image of all tensors, of which so many are inputs.
    pub fn floats(&self, inputs: usize) -> usize {
        let one = |(pixels, channels): (usize, usize)| product([pixels, channels]);
        let read: usize = match &self.inputs {
            Inputs::Fixed(list) => sum(list.iter().copied().map(one)),
            Inputs::Variadic(size) => product([inputs, one(*size)]),
            Inputs::Gated(_, size) => product([inputs.saturating_sub(1), sum([one(*size), 1])]),
        };
        sum([read, one(self.output)])
    }

    /// Whether all tensors are single rows.
    pub fn are_rows(&self) -> bool {
        self.output.0 == 1
            && match &self.inputs {
                Inputs::Fixed(list) => list.iter().all(|(pixels, _)| *pixels == 1),
                Inputs::Variadic((pixels, _)) | Inputs::Gated(_, (pixels, _)) => *pixels == 1,
            }
    }
}
