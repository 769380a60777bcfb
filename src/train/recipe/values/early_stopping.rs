//! `stop = early_stopping(…)`: ends training when the loss no longer improves.

use super::choice::{Choice, argument};
use crate::graph::signature::definition::Default;

/// Ends training when the loss has not improved for some epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Epochs to wait for an improvement.
    pub patience: usize,
    /// The minimum decrease of the loss that counts as an improvement (Keras' `min_delta`).
    pub min_delta: f64,
    /// Whether the parameters of the best epoch are kept.
    pub restore: bool,
}

/// Every value of `stop`.
pub static STOPS: &[Choice<EarlyStopping>] = &[Choice {
    name: "early_stopping",
    summary: "ends when the loss (on the validation data, if there is any) has not improved for some epochs",
    arguments: &[
        argument("patience", "number of epochs", Default::Int(10), "epochs to wait for a better loss"),
        argument("min_delta", "number", Default::Float(0.0), "the minimum decrease of the loss that counts as better"),
        argument("restore", "`true` or `false`", Default::Bool(true), "keeps the parameters of the best epoch"),
    ],
    build: |arguments| {
        Ok(EarlyStopping {
            patience: arguments.integer("patience", 1)?,
            min_delta: arguments.number_within("min_delta", 0.0, 1e9)?,
            restore: arguments.boolean("restore")?,
        })
    },
}];
