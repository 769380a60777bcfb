//! Losses, updates of parameters, noise, and parameters that are packed again after each update.

pub mod dropout;
pub mod update;
