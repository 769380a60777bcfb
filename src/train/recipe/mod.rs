//! Training recipes, read from a spec: `train NAME { key = value … }`.
//!
//! [`RecipeKey`](crate::request::RecipeKey) lists the keys; parsing, completion and help come from [`keys::KEYS`], which says what
//! each takes.

mod definition;
pub mod help;
pub mod keys;
mod read;
mod settings;
pub mod values;

pub use definition::{Recipe, Unfreezing};
pub use read::{check, of};
pub use values::class_weighting::ClassWeights;
pub use values::early_stopping::EarlyStopping;
pub use values::metric::Metric;
