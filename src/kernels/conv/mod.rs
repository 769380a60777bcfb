//! Convolutions: each algorithm is one file and one line in the table here.

pub mod algorithm;
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
pub mod transposed;
mod window_copy;
pub mod winograd;

use crate::kernels::epilogue::Pool;
use crate::kernels::tensor_view::Convolution;
use algorithm::ConvAlgorithm;
use depthwise::Depthwise;
use direct::Direct;
use im2col::Im2col;
use im2col_blas::Im2colBlas;
use pointwise::Pointwise;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;
use winograd::Blocking;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident($implementation:ty),)*) => {
        /// How a convolution is computed.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Algorithm {
            $($(#[$doc])* $variant($implementation),)*
        }

        impl Algorithm {
            /// The algorithms that can compute a convolution; the first can compute every one.
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
    /// Rows of the window's pixels times the weights, in cache-sized blocks; computes every convolution.
    Im2col(Im2col),
    /// Each channel by itself.
    Depthwise(Depthwise),
    /// 1x1: a product over pixels.
    Pointwise(Pointwise),
    /// For few input channels: the window is read in place.
    Direct(Direct),
    /// Copied windows, or pixels, times the unpacked weights, by BLAS.
    Blas(Im2colBlas),
    /// 3x3 and 5x5 with stride 1 by fewer multiplications (Lavin and Gray, 2016).
    Winograd(Blocking),
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
