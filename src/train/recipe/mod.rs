//! Training recipes, read from a spec: `train NAME { key = value … }`.
//!
//! [`RecipeKey`](crate::request::RecipeKey) lists the keys; parsing, completion and help come from [`keys::KEYS`], which says what
//! each takes.

pub mod augmentations;
pub mod choice;
pub mod class_weighting;
mod definition;
pub mod early_stopping;
pub mod help;
pub mod keep_policy;
pub mod key;
mod key_definitions;
pub mod keys;
pub mod losses;
pub mod metric;
pub mod optimizers;
mod read;
pub mod schedule;
mod settings;
pub mod sources;

pub use class_weighting::ClassWeights;
pub use definition::{Recipe, Unfreezing};
pub use early_stopping::EarlyStopping;
pub use metric::Metric;
pub use read::{check, of};
