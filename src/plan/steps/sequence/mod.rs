//! Steps over sequences and indices.

pub mod attention;
pub mod embedding;
#[deny(clippy::arithmetic_side_effects)]
pub mod recurrent;
pub mod tokens;
