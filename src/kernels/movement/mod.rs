//! Data movement: copies, padding, transposition, embedding lookups and nearest-neighbour upscaling.

pub mod copy;
pub mod embedding;
pub mod embedding_gradient;
pub mod tokens;
pub mod transpose;
pub mod upscale;
