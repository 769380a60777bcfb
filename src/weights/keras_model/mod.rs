//! What a file of Keras says of its model (`model_config` of an `.h5` file, `config.json` of a `.keras` archive), read as
//! data: nothing in it is run. It names layers where the weights have no names, and is compared with the spec.

mod chain;
mod compare;
mod function;
mod groups;
pub(super) mod model;
mod read;
mod sides;
#[cfg(test)]
mod tests;
mod with_model;

pub(super) use compare::{Bound, check};
pub(super) use groups::names_of_groups;
pub use model::{LayerConfig, Model};
pub(super) use with_model::with_model;
