//! The model configuration in a Keras file (`model_config` in `.h5`, `config.json` in a `.keras` archive), read as data: no code
//! in it is run. It names layers if the weights do not, and is compared with the spec.

mod compare;
pub mod configuration;
mod groups;
pub(super) mod model;
mod places;
mod read;
#[cfg(test)]
mod tests;
mod with_model;

pub(super) use compare::{Bound, check};
pub use configuration::Configuration;
pub(super) use groups::names_of_groups;
pub(crate) use groups::snake_case;
pub use model::{LayerConfig, Model, ONLY_IN_TRAINING};
pub use places::{Place, place, places};
pub(super) use with_model::with_model;
