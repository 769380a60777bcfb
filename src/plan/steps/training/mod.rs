//! Kernels used only in training: losses, parameter updates and noise.

pub mod dropout;
pub mod update;
