//! Why the training loop ends early.

use super::record::RecordError;
use super::record::checkpoint::CheckpointError;
use crate::runtime::RunError;
use crate::runtime::non_finite::Origin;
use crate::train::batches::batch_source::BatchSourceError;
use crate::train::evaluation::score::ScoreError;

/// Why the training loop ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    #[error("{0}")]
    BatchSource(#[from] BatchSourceError),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("the net's prediction for sample {sample} is not finite")]
    NonFiniteOutput { sample: usize, origin: Option<Origin> },
    #[error("sample {sample} has input values that are not finite")]
    NonFiniteInput { sample: usize },
    #[error("the loss of update {update} in epoch {epoch} is {loss}")]
    Diverged { epoch: usize, update: u64, loss: f32 },
    /// A checkpoint has the state after this number of the epoch's samples.
    #[error("interrupted in epoch {epoch}")]
    Interrupted { epoch: usize, samples: usize, total: usize },
}

impl From<ScoreError> for LoopError {
    fn from(error: ScoreError) -> Self {
        match error {
            ScoreError::BatchSource(error) => error.into(),
            ScoreError::Run(error) => error.into(),
            ScoreError::NonFiniteInput { sample } => LoopError::NonFiniteInput { sample },
            ScoreError::NonFiniteOutput { sample, origin } => LoopError::NonFiniteOutput { sample, origin },
        }
    }
}
