//! How a run ends before its end, and what is said of it.

use super::batch_source::{Broken, FeedError};
use super::frozen_features::FeaturesError;
use super::training_loop::FitError;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::graph::number_text;
use crate::source::{Span, plain};
use crate::train::recipe::Recipe;
use crate::weights::bind::Bindings;
use std::path::Path;

/// A run that did not come to its end.
#[derive(Debug)]
pub enum Halt {
    /// Something is wrong; what was written before stays.
    Faults(Diagnostics),
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

impl From<Diagnostics> for Halt {
    fn from(faults: Diagnostics) -> Self {
        Halt::Faults(faults)
    }
}

impl Halt {
    /// What ended the work on data that was written at `span`.
    pub fn of_features(fault: &FeaturesError, span: Span) -> Halt {
        let code = match fault {
            FeaturesError::Feed(FeedError::NoNumber(_)) => Code::NoNumber,
            _ => Code::Dataset,
        };
        let diagnostic = Diagnostic::new(code, fault.to_string()).at(span, "this data");
        Halt::Faults(match fault {
            FeaturesError::Data(_) => diagnostic.help("leave them out, or write `unreadable=skip` in the data").into(),
            FeaturesError::Feed(FeedError::Interrupted) => return Halt::Interrupted(Interruption::Front),
            FeaturesError::Feed(_) => diagnostic.into(),
        })
    }

    /// What ended the loop of a run by this recipe.
    pub fn of(fault: FitError, recipe: &Recipe, bindings: &Bindings) -> Halt {
        let span = recipe.data.span();
        let told: Diagnostics = match fault {
            FitError::Interrupted { epoch, samples, total } => {
                let epochs = recipe.epochs;
                return Halt::Interrupted(Interruption::Epoch { epoch, epochs, samples, total });
            }
            FitError::Feed(FeedError::Interrupted) => return Halt::Interrupted(Interruption::End),
            FitError::Diverged { .. } => {
                let help = format!(
                    "try a smaller step than {}, a warm-up (`schedule = warm_up(100)`), or `clip_norm=1` in the optimizer",
                    number_text(recipe.optimizer.step)
                );
                let diverged = Diagnostic::new(Code::Diverged, format!("training diverged: {fault}"));
                let mut told = Diagnostics::from(diverged.at(recipe.span, "this recipe").help(help));
                told.extend(bindings.lint_values());
                told
            }
            FitError::NoNumber { .. } => {
                let fault = Diagnostic::new(Code::NoNumber, fault.to_string()).at(span, "this data, or its validation");
                let help = "training has likely diverged: try a smaller step; the checkpoint before it stays";
                fault.help(help).into()
            }
            FitError::Input { .. } => {
                let fault = Diagnostic::new(Code::Dataset, fault.to_string()).at(span, "this data, or its validation");
                fault.help("take the sample out, or write numbers for what is missing").into()
            }
            FitError::Feed(FeedError::Photos(broken)) => {
                let lines: Vec<String> = broken.iter().map(Broken::to_string).collect();
                Diagnostic::new(Code::Dataset, format!("{} cannot be used", counted(broken.len(), "photo")))
                    .at(span, "this data")
                    .note(lines.join("\n"))
                    .help("leave them out, or write `unreadable=skip` in the data to have them listed and skipped")
                    .into()
            }
            FitError::Checkpoint(fault) => Diagnostic::new(Code::Output, fault.to_string())
                .help("what was written before stays: `--resume` goes on from there")
                .into(),
            FitError::Record(fault) => Diagnostic::new(Code::Output, fault.to_string()).into(),
            FitError::Run(_) | FitError::Feed(_) => {
                Diagnostic::new(Code::Dataset, fault.to_string()).at(span, "this data").into()
            }
        };
        told.into()
    }
}

/// `--resume` without a checkpoint in the run's folder.
pub fn no_checkpoint(folder: &Path) -> Diagnostics {
    resume_fault(&format!("{} holds no checkpoint", folder.display()))
}

/// A checkpoint that is of no use for this run.
pub fn resume_fault(message: &str) -> Diagnostics {
    Diagnostic::new(Code::Resume, message).help("leave out `--resume` to begin anew").into()
}

/// A file that cannot be written.
pub fn unwritable(path: &Path, fault: &std::io::Error) -> Diagnostics {
    Diagnostic::new(Code::Output, format!("{} cannot be written: {}", path.display(), plain(fault))).into()
}
