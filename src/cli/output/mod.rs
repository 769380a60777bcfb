//! What commands print and write.

pub(super) mod messages;
pub(super) mod metrics_table;
pub(super) mod output_guard;
pub(super) mod prediction_output;
pub(super) mod progress;
