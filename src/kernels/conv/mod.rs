//! Convolution algorithms: each is one file, and one line in the table below.

pub mod algorithm;
pub mod bf16;
pub mod cost;
pub mod depthwise;
mod depthwise_tile;
pub mod direct;
pub mod fused_rows;
pub mod gradient;
pub mod im2col;
pub mod im2col_blas;
mod input_rows;
#[cfg(test)]
pub(crate) mod naive;
pub mod pointwise;
pub mod small_groups;
pub mod transposed;
mod window_copy;
pub mod winograd;

use crate::kernels::epilogue::Pool;
use crate::kernels::tensor_view::Convolution;
use algorithm::ConvAlgorithm;
use bf16::Bf16;
use depthwise::Depthwise;
use direct::Direct;
use im2col::Im2col;
use im2col_blas::Im2colBlas;
use pointwise::Pointwise;
use serde::{Deserialize, Serialize};
use small_groups::SmallGroups;
use std::fmt;
use std::ops::Deref;
use winograd::Blocking;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident($implementation:ty),)*) => {
        /// A convolution algorithm with its parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Algorithm {
            $($(#[$doc])* $variant($implementation),)*
        }

        impl Algorithm {
            /// The algorithms that support a convolution; the first is im2col, which supports all.
            pub fn candidates(conv: &Convolution, pool: Option<Pool>, micro_batch: usize) -> Vec<Algorithm> {
                let mut list = Vec::new();
                $(list.extend(<$implementation>::candidates(conv, micro_batch).into_iter().map(Algorithm::$variant));)*
                list.retain(|algorithm| algorithm.supports(conv, pool));
                list
            }

            /// See [`ConvAlgorithm::tuning_variants`].
            pub fn tuning_variants(&self, conv: &Convolution) -> Vec<Algorithm> {
                match self {
                    $(Algorithm::$variant(algorithm) => {
                        algorithm.tuning_variants(conv).into_iter().map(Algorithm::$variant).collect()
                    })*
                }
            }
        }

        impl Deref for Algorithm {
            type Target = dyn ConvAlgorithm;

            fn deref(&self) -> &(dyn ConvAlgorithm + 'static) {
                match self {
                    $(Algorithm::$variant(algorithm) => algorithm,)*
                }
            }
        }
    };
}

algorithms! {
    /// Implicit im2col: a blocked GEMM whose left rows are read through an indirection buffer. Supports every convolution.
    Im2col(Im2col),
    /// One kernel, or `multiplier` of them, per channel.
    Depthwise(Depthwise),
    /// 3x3 in groups of 4 or 8 channels.
    SmallGroups(SmallGroups),
    /// 1x1: a GEMM over pixels.
    Pointwise(Pointwise),
    /// For few input channels: windows are read in place from a padded copy.
    Direct(Direct),
    /// Explicit im2col, in blocks, and a GEMM with unpacked weights by BLAS.
    Blas(Im2colBlas),
    /// 3x3 and 5x5 with stride 1: minimal filtering with fewer multiplications (Lavin and Gray, 2016).
    Winograd(Blocking),
    /// Operands rounded to bf16: half the memory, and up to half the instructions.
    Bf16(Bf16),
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
