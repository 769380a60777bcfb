//! The trait of kernel descriptions, and the arguments of a kernel call.

use crate::kernels::gemm::{Backend, Shape};
use crate::kernels::int8::quantization::Quantization;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::{product, sum};
use smallvec::SmallVec;

/// Alignment of constants in floats: a cache line.
pub const CONSTANT_ALIGNMENT: usize = 16;

/// The arguments of a kernel call.
#[derive(Debug)]
pub struct Call<'a> {
    /// Number of images.
    pub batch: usize,
    /// The inputs, without the first one if `in_place`.
    pub inputs: &'a [View<'a>],
    /// Whether the first input is stored in the output.
    pub in_place: bool,
    pub constants: &'a [&'a [f32]],
    pub output: ViewMut<'a>,
    /// The state tensors that it updates: [`KernelStep::state`].
    pub state: SmallVec<[&'a mut [f32]; 4]>,
    /// [`KernelStep::scratch_len`] floats, uninitialised.
    pub scratch: &'a mut [f32],
    pub threads: &'a ThreadPool,
}

impl<'a> Call<'a> {
    /// The first input; `None` if it is stored in the output.
    pub fn first(&self) -> Option<View<'a>> {
        if self.in_place { None } else { self.inputs.first().copied() }
    }
}

/// An error that depends on the values of a tensor, such as an embedding index out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KernelError(pub String);

/// A kernel description with resolved sizes.
pub trait KernelStep {
    /// Runs the kernel.
    ///
    /// # Errors
    /// If a value of an input is invalid.
    fn run(&self, call: Call<'_>) -> Result<(), KernelError>;

    /// A short description with all sizes, for the text of a plan.
    fn describe(&self) -> String;

    /// The sizes of the inputs and of the output per image, by which a plan is verified before it runs.
    fn sizes(&self) -> Sizes;

    /// How an input is stored in bytes; `None` for f32.
    fn input_quantization(&self, _index: usize) -> Option<Quantization> {
        None
    }

    /// How the output is stored in bytes; `None` for f32.
    fn output_quantization(&self) -> Option<Quantization> {
        None
    }

    /// Lengths of the constants in floats, as they are stored.
    fn constants(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Packs the parameters, which are row-major and in the order of the operation, into the layout that the kernel reads.
    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        parameters
    }

    /// Whether [`KernelStep::pack`] changes anything.
    fn needs_packing(&self) -> bool {
        false
    }

    /// As [`KernelStep::pack`], into existing memory, for parameters that training changes: `packed` receives the constants,
    /// each at the next multiple of [`CONSTANT_ALIGNMENT`].
    fn pack_into(&self, parameters: &[&[f32]], packed: &mut [f32], _scratch: &mut [f32], _threads: &ThreadPool) {
        let constants = self.pack(parameters.iter().map(|values| values.to_vec()).collect());
        let mut offset = 0;
        for constant in constants {
            packed[offset..offset + constant.len()].copy_from_slice(&constant);
            offset += constant.len().next_multiple_of(CONSTANT_ALIGNMENT);
        }
    }

    /// Floats of scratch that [`KernelStep::pack_into`] needs.
    fn pack_scratch_len(&self) -> usize {
        0
    }

    /// Lengths in floats of the state tensors that it updates.
    fn state(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Floats of scratch for exactly this batch size and number of threads, nested steps included. It is not monotonic:
    /// [`max_scratch_len`](super::scratch::max_scratch_len) is what is reserved.
    fn scratch_len(&self, _batch: usize, _workers: usize) -> usize {
        0
    }

    /// The matrix products that it computes for a batch, if the backend is selectable.
    fn gemm_shape(&self, _batch: usize) -> Option<Shape> {
        None
    }

    /// Whether it computes general matrix products, which need a packing buffer per thread.
    fn uses_gemm(&self) -> bool {
        self.gemm_shape(1).is_some()
    }

    /// The backend of the matrix products.
    fn backend(&self) -> Backend {
        Backend::Tiles
    }

    /// Selects the backend of the matrix products.
    fn set_backend(&mut self, _backend: Backend) {}

    /// Multiply-adds per image that the chosen algorithm executes.
    fn executed_macs(&self) -> u64 {
        0
    }
}

/// For [`KernelStep::pack_into`] where only the first parameter is packed: copies the others to their offsets after it, and
/// returns the `len` floats of the first.
pub fn copy_unpacked<'p>(parameters: &[&[f32]], len: usize, packed: &'p mut [f32]) -> &'p mut [f32] {
    let mut offset = len.next_multiple_of(CONSTANT_ALIGNMENT);
    for constant in parameters.iter().skip(1) {
        packed[offset..offset + constant.len()].copy_from_slice(constant);
        offset += constant.len().next_multiple_of(CONSTANT_ALIGNMENT);
    }
    &mut packed[..len]
}

/// The tensors of a kernel per image: `(pixels, channels)` of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub inputs: Inputs,
    pub output: (usize, usize),
}

/// The inputs of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// A fixed list, in order.
    Fixed(Vec<(usize, usize)>),
    /// One or more inputs of the same size.
    Variadic((usize, usize)),
    /// A gate among several inputs of the same size: the index of the gate, and the size of the others. The gate has one
    /// value for each of them.
    Gated(usize, (usize, usize)),
}

impl Sizes {
    /// The number of channels of each of `count` separate inputs (without the one that is stored in the output).
    pub fn widths(&self, count: usize, in_place: bool) -> Vec<usize> {
        let total = count + usize::from(in_place);
        let list: Vec<usize> = match &self.inputs {
            Inputs::Fixed(list) => list.iter().map(|(_, channels)| *channels).collect(),
            Inputs::Variadic((_, channels)) => vec![*channels; total],
            Inputs::Gated(gate, (_, channels)) => {
                (0..total).map(|index| if index == *gate { total - 1 } else { *channels }).collect()
            }
        };
        list.into_iter().skip(usize::from(in_place)).collect()
    }

    /// Floats per image of all tensors, for a kernel with `inputs` inputs.
    pub fn floats(&self, inputs: usize) -> usize {
        let len = |(pixels, channels): (usize, usize)| product([pixels, channels]);
        let read: usize = match &self.inputs {
            Inputs::Fixed(list) => sum(list.iter().copied().map(len)),
            Inputs::Variadic(size) => product([inputs, len(*size)]),
            Inputs::Gated(_, size) => product([inputs.saturating_sub(1), sum([len(*size), 1])]),
        };
        sum([read, len(self.output)])
    }

    /// Whether all tensors have a single pixel.
    pub fn are_rows(&self) -> bool {
        self.output.0 == 1
            && match &self.inputs {
                Inputs::Fixed(list) => list.iter().all(|(pixels, _)| *pixels == 1),
                Inputs::Variadic((pixels, _)) | Inputs::Gated(_, (pixels, _)) => *pixels == 1,
            }
    }
}
