//! What frozen layers give for each sample, kept on disk between runs.

pub mod feature_cache;
#[cfg(test)]
mod feature_cache_tests;
pub(crate) mod feature_file;
