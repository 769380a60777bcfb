//! The targets of `tests/fuzz`, for the programs in `fuzz_targets`.

#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;
