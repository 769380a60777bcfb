//! The trait of convolution algorithms and the arguments of a call.

use super::cost::Sizes;
use crate::kernels::epilogue::{EpilogueArgs, Pool};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Convolution, View, ViewMut};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The arguments of a convolution: `batch` images of `(in_h, in_w, in_c)` to `(out_h, out_w, out_c)`, or to half that height
/// and width if the epilogue pools.
pub struct ConvCall<'a> {
    pub threads: &'a ThreadPool,
    pub conv: &'a Convolution,
    pub batch: usize,
    pub input: View<'a>,
    /// Packed by [`ConvAlgorithm::pack`] of the same algorithm.
    pub weights: &'a [f32],
    pub epilogue: &'a EpilogueArgs<'a>,
    /// At least [`ConvAlgorithm::scratch_len`] floats of any content.
    pub scratch: &'a mut [f32],
    pub output: ViewMut<'a>,
}

/// How an algorithm rounds. A build allows all up to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rounding {
    /// Sums of rounded products, as in the direct method.
    Direct,
    /// In f32, of transformed operands.
    Transformed,
    /// Of operands that are rounded to bf16.
    Bf16,
}

/// A convolution algorithm: what it supports, its packing, its cost, and the kernel.
pub trait ConvAlgorithm: fmt::Display {
    /// The variants of this algorithm to consider for a convolution and a micro-batch size, in images.
    /// [`Algorithm::candidates`](super::Algorithm::candidates) drops those that do not support the convolution.
    fn candidates(conv: &Convolution, micro_batch: usize) -> Vec<Self>
    where
        Self: Sized;

    /// Further variants that `--tune` measures.
    fn tuning_variants(&self, _conv: &Convolution) -> Vec<Self>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Whether it supports the convolution, with or without fused pooling.
    fn supports(&self, conv: &Convolution, pool: Option<Pool>) -> bool;

    /// Length of the packed weights, in floats.
    fn packed_len(&self, conv: &Convolution) -> usize;

    /// Packs the weights `(kernel_h, kernel_w, in_c / groups, out_c)`.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool);

    /// Scratch memory of [`ConvAlgorithm::run`], in floats, for up to `batch` images on `workers` threads.
    fn scratch_len(&self, conv: &Convolution, batch: usize, pool: Option<Pool>, workers: usize) -> usize;

    /// Computes the convolution.
    ///
    /// # Panics
    /// If a slice is too short for the sizes, or [`ConvAlgorithm::supports`] is false.
    fn run(&self, call: ConvCall<'_>);

    /// Estimated nanoseconds per image on one core of the [target](crate::kernels::target).
    fn cost(&self, sizes: &Sizes) -> f64;

    /// How it rounds.
    fn rounding(&self) -> Rounding {
        Rounding::Direct
    }

    /// Multiply-adds that it executes per image.
    fn executed_macs(&self, conv: &Convolution) -> usize {
        conv.macs()
    }

    /// Floats that it copies per image besides reading the input and writing the output.
    fn copied_floats(&self, _conv: &Convolution) -> usize {
        0
    }

    /// Whether it calls GEMM, whose packing buffer must be reserved.
    fn uses_blas(&self) -> bool {
        false
    }

    /// Packs the weights into a new vector, on one thread.
    fn packed(&self, conv: &Convolution, weights: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; self.packed_len(conv)];
        self.pack(conv, weights, &mut packed, &ThreadPool::new(1));
        packed
    }
}
