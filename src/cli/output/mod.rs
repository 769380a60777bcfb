//! The output of commands: messages, tables, progress, and checks before files are written.

pub(super) mod confusion_text;
pub(super) mod diff_text;
pub(super) mod epoch_text;
pub(super) mod messages;
pub(super) mod metrics_table;
pub(super) mod output_guard;
pub(super) mod paragraphs;
pub(super) mod prediction_output;
pub(super) mod progress;
pub(super) mod run_errors;
pub(super) mod style;
