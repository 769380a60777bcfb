//! The model configuration in a Keras file (`model_config` in `.h5`, `config.json` in a `.keras` archive), read as data: no code
//! in it is run. It names layers if the weights do not, and is compared with the spec.

mod bound;
mod branches;
mod chain;
mod compare;
pub mod configuration;
mod function;
mod groups;
pub(super) mod model;
mod of_file;
mod of_net;
mod places;
mod read;
mod sequences;
#[cfg(test)]
mod tests;
mod unmatched;
mod walk;
mod with_model;

pub(super) use bound::Bound;
pub(super) use compare::check;
pub use configuration::Configuration;
pub(super) use groups::names_of_groups;
pub(crate) use groups::snake_case;
pub use model::{LayerConfig, Model, ONLY_IN_TRAINING};
pub use places::{Place, place, places};
pub(super) use with_model::with_model;
