//! The errors of running a net.

use super::messages::fail_with;
use crate::cli::result::Failed;
use crate::runtime::RunError;

/// Reports a failed run.
pub fn run_failed(cause: &RunError) -> Failed {
    fail_with(cause.diagnostic())
}
