//! How a run ends before its end, and what is said of it.

use super::batch_source::{BatchSourceError, Broken};
use super::frozen_features::FeaturesError;
use super::training_loop::LoopError;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::graph::number_text;
use crate::source::{Span, plain};
use crate::train::recipe::Recipe;
use crate::weights::bind::Bindings;
use std::path::Path;

/// A run that did not come to its end.
#[derive(Debug)]
pub enum TrainError {
    /// Something is wrong; what was written before stays.
    Errors(Diagnostics),
    Interrupted(Interruption),
}

/// Where a run was interrupted, and so what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Before the first epoch, while photos were looked at or the front was computed: what it gave is in the cache, where
    /// there is one.
    Front,
    /// In an epoch: the checkpoint holds the state behind so many of its samples.
    Epoch { epoch: usize, epochs: usize, samples: usize, total: usize },
    /// Behind the last epoch, before the weights were written: the checkpoint holds the state.
    End,
}

impl From<Diagnostics> for TrainError {
    fn from(errors: Diagnostics) -> Self {
        TrainError::Errors(errors)
    }
}

impl TrainError {
    /// What ended the work on data that was written at `span`.
    pub fn of_features(error: &FeaturesError, span: Span) -> TrainError {
        let code = match error {
            FeaturesError::BatchSource(BatchSourceError::NoNumber(_)) => Code::NoNumber,
            _ => Code::Dataset,
        };
        let diagnostic = Diagnostic::new(code, error.to_string()).at(span, "this data");
        TrainError::Errors(match error {
            FeaturesError::Data(_) => diagnostic.help("leave them out, or write `unreadable=skip` in the data").into(),
            FeaturesError::BatchSource(BatchSourceError::Interrupted) => {
                return TrainError::Interrupted(Interruption::Front);
            }
            FeaturesError::BatchSource(_) => diagnostic.into(),
        })
    }

    /// What ended the loop of a run by this recipe.
    pub fn of(error: LoopError, recipe: &Recipe, bindings: &Bindings) -> TrainError {
        let span = recipe.data.span();
        let told: Diagnostics = match error {
            LoopError::Interrupted { epoch, samples, total } => {
                let epochs = recipe.epochs;
                return TrainError::Interrupted(Interruption::Epoch { epoch, epochs, samples, total });
            }
            LoopError::BatchSource(BatchSourceError::Interrupted) => return TrainError::Interrupted(Interruption::End),
            LoopError::Diverged { .. } => {
                let help = format!(
                    "try a smaller step than {}, a warm-up (`schedule = warm_up(100)`), or `clip_norm=1` in the optimizer",
                    number_text(recipe.optimizer.step)
                );
                let diverged = Diagnostic::new(Code::Diverged, format!("training diverged: {error}"));
                let mut told = Diagnostics::from(diverged.at(recipe.span, "this recipe").help(help));
                told.extend(bindings.lint_values());
                told
            }
            LoopError::NoNumber { .. } => {
                let error = Diagnostic::new(Code::NoNumber, error.to_string()).at(span, "this data, or its validation");
                let help = "training has likely diverged: try a smaller step; the checkpoint before it stays";
                error.help(help).into()
            }
            LoopError::Input { .. } => {
                let error = Diagnostic::new(Code::Dataset, error.to_string()).at(span, "this data, or its validation");
                error.help("take the sample out, or write numbers for what is missing").into()
            }
            LoopError::BatchSource(BatchSourceError::Photos(broken)) => {
                let lines: Vec<String> = broken.iter().map(Broken::to_string).collect();
                Diagnostic::new(Code::Dataset, format!("{} cannot be used", counted(broken.len(), "photo")))
                    .at(span, "this data")
                    .note(lines.join("\n"))
                    .help("leave them out, or write `unreadable=skip` in the data to have them listed and skipped")
                    .into()
            }
            LoopError::Checkpoint(error) => Diagnostic::new(Code::Output, error.to_string())
                .help("what was written before stays: `--resume` goes on from there")
                .into(),
            LoopError::Record(error) => Diagnostic::new(Code::Output, error.to_string()).into(),
            LoopError::Run(_) | LoopError::BatchSource(_) => {
                Diagnostic::new(Code::Dataset, error.to_string()).at(span, "this data").into()
            }
        };
        told.into()
    }
}

/// `--resume` without a checkpoint in the run's folder.
pub fn no_checkpoint(folder: &Path) -> Diagnostics {
    resume_error(&format!("{} holds no checkpoint", folder.display()))
}

/// A checkpoint that is of no use for this run.
pub fn resume_error(message: &str) -> Diagnostics {
    Diagnostic::new(Code::Resume, message).help("leave out `--resume` to begin anew").into()
}

/// A file that cannot be written.
pub fn unwritable(path: &Path, error: &std::io::Error) -> Diagnostics {
    Diagnostic::new(Code::Output, format!("{} cannot be written: {}", path.display(), plain(error))).into()
}
