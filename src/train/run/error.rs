//! The errors and interruptions of a training run, and their diagnostics.

use super::loop_error::LoopError;
use super::record::checkpoint;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::graph::number_text;
use crate::source::{Span, plain};
use crate::train::batches::batch_source::{BatchSourceError, UnreadablePhoto};
use crate::train::batches::unreadable_photos::SamplesError;
use crate::train::recipe::Recipe;
use crate::weights::bind::Bindings;
use std::path::Path;

/// A run that ended early.
#[derive(Debug)]
pub enum TrainError {
    /// Files that were written before stay.
    Errors(Diagnostics),
    Interrupted(Interruption),
}

/// Where a run was interrupted, which decides what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Before the first epoch, while photos were checked or features computed: the features so far are in the cache, if there
    /// is one.
    Front,
    /// In an epoch: the checkpoint has the state after this number of its samples.
    Epoch { epoch: usize, epochs: usize, samples: usize, total: usize },
    /// After the last epoch, before the weights were written: the checkpoint has the state.
    End,
}

impl From<Diagnostics> for TrainError {
    fn from(errors: Diagnostics) -> Self {
        TrainError::Errors(errors)
    }
}

impl TrainError {
    /// The error of samples that cannot be read, or features that cannot be computed; `span` is where the spec names the data.
    pub fn of_samples(error: &SamplesError, span: Span) -> TrainError {
        let code = match error {
            SamplesError::BatchSource(BatchSourceError::NonFinite { .. }) => Code::NoNumber,
            SamplesError::BatchSource(BatchSourceError::Run(error)) if error.is_memory() => Code::Memory,
            _ => Code::Dataset,
        };
        let diagnostic = Diagnostic::new(code, error.to_string()).at(span, "this data");
        TrainError::Errors(match error {
            SamplesError::Dataset(_) => diagnostic
                .help("remove them, or write `unreadable=skip` in the data to skip them with a message")
                .into(),
            SamplesError::BatchSource(BatchSourceError::Interrupted) => {
                return TrainError::Interrupted(Interruption::Front);
            }
            SamplesError::BatchSource(BatchSourceError::NonFinite { origin: Some(origin), .. }) => {
                diagnostic.note(origin.to_string()).into()
            }
            SamplesError::BatchSource(_) => diagnostic.into(),
        })
    }

    /// The error of the training loop of this recipe, whose run has its files in `folder`.
    pub fn of(error: LoopError, recipe: &Recipe, bindings: &Bindings, folder: &Path) -> TrainError {
        let has_checkpoint = folder.join(checkpoint::FILE).is_file();
        let span = recipe.data.span();
        let errors: Diagnostics = match error {
            LoopError::Interrupted { epoch, samples, total } => {
                let epochs = recipe.epochs;
                return TrainError::Interrupted(Interruption::Epoch { epoch, epochs, samples, total });
            }
            LoopError::BatchSource(BatchSourceError::Interrupted) => return TrainError::Interrupted(Interruption::End),
            LoopError::Diverged { .. } => {
                let help = format!(
                    "try a smaller learning rate (`step`) than {}, a warm-up (`schedule = warm_up(100)`), or `clip_norm=1` in the optimizer",
                    number_text(recipe.optimizer.step)
                );
                let diverged = Diagnostic::new(Code::Diverged, format!("training diverged: {error}"));
                let mut errors = Diagnostics::from(diverged.at(recipe.span, "this recipe").help(help));
                errors.extend(bindings.lint_values());
                errors
            }
            LoopError::NonFiniteOutput { ref origin, .. } => {
                let mut error =
                    Diagnostic::new(Code::NoNumber, error.to_string()).at(span, "this data, or its validation");
                if let Some(origin) = origin {
                    error = error.note(origin.to_string());
                }
                let error = error.help("training has likely diverged: try a smaller learning rate (`step`)");
                if has_checkpoint { error.help("the last checkpoint stays").into() } else { error.into() }
            }
            LoopError::NonFiniteInput { .. } => {
                let error = Diagnostic::new(Code::Dataset, error.to_string()).at(span, "this data, or its validation");
                error.help("remove the sample, or replace its missing values with numbers").into()
            }
            LoopError::BatchSource(BatchSourceError::Photos(unreadable)) => {
                let lines: Vec<String> = unreadable.iter().map(UnreadablePhoto::to_string).collect();
                Diagnostic::new(Code::Dataset, format!("{} cannot be used", counted(unreadable.len(), "photo")))
                    .at(span, "this data")
                    .note(lines.join("\n"))
                    .help("remove them, or write `unreadable=skip` in the data to skip them with a message")
                    .into()
            }
            LoopError::Checkpoint(error) => {
                let error = Diagnostic::new(Code::Output, error.to_string());
                let help = "the last checkpoint stays: `--resume` continues from there";
                if has_checkpoint { error.help(help).into() } else { error.into() }
            }
            LoopError::Record(error) => Diagnostic::new(Code::Output, error.to_string()).into(),
            LoopError::Run(error) | LoopError::BatchSource(BatchSourceError::Run(error)) if error.is_memory() => {
                Diagnostic::new(Code::Memory, error.to_string())
                    .help("a smaller `batch` in the recipe needs less")
                    .into()
            }
            LoopError::Run(_) | LoopError::BatchSource(_) => {
                Diagnostic::new(Code::Dataset, error.to_string()).at(span, "this data").into()
            }
        };
        errors.into()
    }
}

/// The error of `--resume` without a checkpoint in the run's folder.
pub fn no_checkpoint(folder: &Path) -> Diagnostics {
    resume_error(&format!("there is no checkpoint in {}", folder.display()))
}

/// The error of a checkpoint that this run cannot continue from.
pub fn resume_error(message: &str) -> Diagnostics {
    Diagnostic::new(Code::Resume, message).help("leave out `--resume` to start again").into()
}

/// The error of a checkpoint of a run with other settings.
pub fn other_run(message: &str) -> Diagnostic {
    Diagnostic::new(Code::Resume, message)
        .help("resume with the same net, recipe, `--set` and data, or leave out `--resume` to start again")
}

/// The error of a file that cannot be written.
pub fn unwritable(path: &Path, error: &std::io::Error) -> Diagnostics {
    Diagnostic::new(Code::Output, format!("{} cannot be written: {}", path.display(), plain(error))).into()
}
