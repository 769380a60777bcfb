//! Data movement: copies, padding, transposition, embedding lookups, and images in other sizes.

pub mod border;
pub mod copy;
pub mod embedding;
pub mod embedding_gradient;
pub mod photo_resample;
pub mod resample;
mod resample_table;
pub mod tokens;
pub mod transpose;
pub mod upscale;
