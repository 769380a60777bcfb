//! The values that the keys of a recipe take, each defined with its names, arguments and defaults.

pub mod augmentations;
pub mod choice;
pub mod class_weighting;
pub mod early_stopping;
pub mod keep_policy;
pub mod losses;
pub mod metric;
pub mod optimizers;
pub mod schedule;
pub mod sources;
