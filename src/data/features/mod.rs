//! The outputs of frozen layers for each sample, cached on disk between runs.

pub mod feature_cache;
#[cfg(test)]
mod feature_cache_tests;
pub(crate) mod feature_file;
