//! Kernels used only in training: losses, optimizers, regularizers, dropout and its random numbers.

pub mod dropout;
pub mod loss;
pub mod optimizer;
mod philox;
pub mod regularizer;
