//! What an algorithm that computes convolutions can do, and what it is called with.

use super::cost::Sizes;
use crate::kernels::epilogue::{EpilogueArgs, Pool};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Convolution, View, ViewMut};
use std::fmt;

/// A call of a convolution: `batch` images of `(in_h, in_w, in_c)` to `(out_h, out_w, out_c)`, or half that height and width
/// where the epilogue pools.
pub struct ConvCall<'a> {
    pub threads: &'a ThreadPool,
    pub conv: &'a Convolution,
    pub batch: usize,
    pub input: View<'a>,
    /// As [`ConvAlgorithm::pack`] of the same algorithm packed them.
    pub weights: &'a [f32],
    pub epilogue: &'a EpilogueArgs<'a>,
    /// At least [`ConvAlgorithm::scratch_len`] floats; what they hold does not matter.
    pub scratch: &'a mut [f32],
    pub output: ViewMut<'a>,
}

/// A way to compute convolutions.
pub trait ConvAlgorithm: fmt::Display {
    /// The choices of this algorithm that may suit a convolution, in micro-batches of so many images. Those that do not
    /// support it are dropped by [`Algorithm::candidates`](super::Algorithm::candidates).
    fn candidates(conv: &Convolution, micro_batch: usize) -> Vec<Self>
    where
        Self: Sized;

    /// Further choices that are worth measuring when a plan is tuned for one machine.
    fn tuning_variants(&self, _conv: &Convolution) -> Vec<Self>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Whether it computes the convolution, with or without pooling behind it.
    fn supports(&self, conv: &Convolution, pool: Option<Pool>) -> bool;

    /// Floats of the packed weights.
    fn packed_len(&self, conv: &Convolution) -> usize;

    /// Packs the weights `(kernel_h, kernel_w, in_c / groups, out_c)`.
    ///
    /// # Panics
    /// If a slice does not have its length.
    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool);

    /// Floats of scratch memory that [`ConvAlgorithm::run`] needs, for up to `batch` images on `workers` threads.
    fn scratch_len(&self, conv: &Convolution, batch: usize, pool: Option<Pool>, workers: usize) -> usize;

    /// Computes the convolution.
    ///
    /// # Panics
    /// If a slice is too short for the sizes, or [`ConvAlgorithm::supports`] is false.
    fn run(&self, call: ConvCall<'_>);

    /// Estimated nanoseconds for one image on one core of the [target](crate::kernels::target).
    fn cost(&self, sizes: &Sizes) -> f64;

    /// Whether results round as the direct method's: plans that ask for exact arithmetic take no other.
    fn rounds_as_direct(&self) -> bool {
        true
    }

    /// Multiply-adds per image that it executes.
    fn executed_macs(&self, conv: &Convolution) -> usize {
        conv.macs()
    }

    /// Floats per image that it copies besides its input and output.
    fn copied_floats(&self, _conv: &Convolution) -> usize {
        0
    }

    /// Whether it calls BLAS, whose packing buffer must then be reserved.
    fn uses_blas(&self) -> bool {
        false
    }

    /// The packed weights.
    fn packed(&self, conv: &Convolution, weights: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; self.packed_len(conv)];
        self.pack(conv, weights, &mut packed, &ThreadPool::new(1));
        packed
    }
}
