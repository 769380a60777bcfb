//! Training recipes, read from a spec: `train NAME { key = value … }`.
//!
//! [`keys::KEYS`] is the one list of entries: parsing, completion and help come from it.

pub mod augmentations;
pub mod choice;
pub mod class_weighting;
mod definition;
pub mod early_stopping;
pub mod help;
pub mod keep_policy;
pub mod keys;
pub mod metric;
pub mod optimizers;
mod read;
pub mod schedule;
pub mod sources;

pub use class_weighting::ClassWeights;
pub use definition::Recipe;
pub use early_stopping::EarlyStopping;
pub use metric::Metric;
pub use read::{check, of};
