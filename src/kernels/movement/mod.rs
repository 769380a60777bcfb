//! Values that are moved and not changed: copies, permutations, rows of a table, enlarged images.

pub mod copy;
pub mod embedding;
pub mod embedding_gradient;
pub mod transpose;
pub mod upscale;
