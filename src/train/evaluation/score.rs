//! Scores a net on a dataset, batch by batch: the mean loss and the metrics. Evaluation of an artifact and the validation
//! of a training run differ in the model alone.

use super::class_weights::{SampleWeights, position_weights};
use super::metric_accumulator::MetricAccumulator;
use super::output_loss::loss_rows;
use super::task::LearningTask;
use crate::data::Targets;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::View;
use crate::kernels::training::loss::{self, Loss};
use crate::runtime::non_finite::Origin;
use crate::runtime::{RunError, Session};
use crate::train::batches::batch_source::{
    Batch, BatchSource, BatchSourceError, Traversal, first_non_finite, run_batch,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The samples of a dataset with their targets: the training or the validation data.
#[derive(Debug)]
pub struct DataSplit<'d> {
    pub source: BatchSource,
    /// They match the net's output: see [`LearningTask::prepare_targets`].
    pub targets: &'d Targets,
    pub weights: SampleWeights,
}

/// The mean loss and the metrics of a net on a dataset.
#[derive(Debug)]
pub struct EvalResult {
    /// Over the samples, or over the pixels that have a target; none if the model computes no loss.
    pub loss: Option<f64>,
    pub accumulator: MetricAccumulator,
}

/// A dataset that cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("{0}")]
    BatchSource(#[from] BatchSourceError),
    #[error("{0}")]
    Run(#[from] RunError),
    /// The inputs of a sample have an infinite or NaN value.
    #[error("sample {sample} has input values that are not finite")]
    NonFiniteInput { sample: usize },
    /// The prediction for a sample has a NaN or infinite value; `origin` is where it comes from, if that is known.
    #[error("the net's prediction for sample {sample} is not finite")]
    NonFiniteOutput { sample: usize, origin: Option<Origin> },
}

/// How a dataset is scored.
#[derive(Clone, Copy, Debug)]
pub struct ScoreSettings<'a> {
    pub task: &'a LearningTask,
    /// The names of the classes.
    pub labels: Option<&'a [String]>,
    /// Samples in a batch.
    pub batch: usize,
    /// When another thread sets it, scoring ends before the next batch.
    pub interrupted: Option<&'a AtomicBool>,
}

/// A batch with its targets.
#[derive(Clone, Copy, Debug)]
pub struct LabelledBatch<'a> {
    pub samples: usize,
    pub inputs: Batch<'a>,
    /// `(samples, output)`, row-major.
    pub targets: &'a [f32],
    /// `(samples, positions)`; none where all positions count equally.
    pub weights: Option<&'a [f32]>,
}

/// A net that predicts batches.
pub trait Model {
    /// Values of the output for one sample.
    fn output_len(&self) -> usize;

    fn pool(&self) -> Arc<ThreadPool>;

    /// Writes the predictions of a batch, `(samples, output)`, and returns the batch's mean loss, if the model computes one.
    ///
    /// # Errors
    /// As [`Session::run`].
    fn predict(&mut self, batch: &LabelledBatch<'_>, predictions: &mut [f32]) -> Result<Option<f64>, RunError>;

    /// The error for the non-finite prediction of a sample, whose index in the batch is `index`. `first` is the index of the
    /// batch's first sample in the dataset.
    ///
    /// # Errors
    /// As [`Session::run`].
    fn non_finite(&mut self, batch: &LabelledBatch<'_>, first: usize, index: usize) -> Result<ScoreError, RunError>;
}

/// Scores a model on a dataset. Classes count equally, whatever weights training gives them. `on_batch` gets the number of
/// samples done and the batch's predictions.
///
/// # Errors
/// Samples that cannot be read, values that are not finite, a failed run, and an interruption.
pub fn score(
    model: &mut dyn Model,
    split: &mut DataSplit<'_>,
    settings: &ScoreSettings<'_>,
    on_batch: &mut dyn FnMut(usize, &[f32]),
) -> Result<EvalResult, ScoreError> {
    let ScoreSettings { task, labels, batch, interrupted } = *settings;
    let outputs = model.output_len();
    let width = task.coding.width.max(1);
    let positions = outputs / width;
    let DataSplit { source, targets: all_targets, weights } = split;
    let order: Vec<usize> = (0..all_targets.len()).collect();
    let batch_len = batch.min(order.len().max(1));
    let mut prediction_buffer = vec![0.0; batch_len * outputs];
    let mut target_buffer = vec![0.0; batch_len * outputs];
    let has_weights = matches!(weights, SampleWeights::PerPosition(_));
    let mut weight_buffer = vec![0.0; if has_weights { batch_len * positions } else { 0 }];
    let mut accumulator = task.accumulator(labels);
    let (mut loss_sum, mut weight_sum, mut has_loss) = (0.0, 0.0, false);
    let pool = model.pool();
    let traversal = Traversal { order: &order, batch, epoch: 0, pool: &pool, interrupted };
    source.for_each_batch::<ScoreError>(traversal, |range, inputs| {
        let samples = range.len();
        let predictions = &mut prediction_buffer[..samples * outputs];
        let targets = &mut target_buffer[..samples * outputs];
        for (row, sample) in targets.chunks_exact_mut(outputs.max(1)).zip(range.clone()) {
            all_targets.row(sample, task.coding, row).map_err(BatchSourceError::Rows)?;
        }
        let (mut weight, mut weights) = (samples as f64, None);
        if has_weights {
            let buffer = &mut weight_buffer[..samples * positions];
            weight = position_weights(targets, width, None, buffer) as f64 / positions as f64;
            weights = Some(&*buffer);
        }
        let labelled = LabelledBatch { samples, inputs, targets, weights };
        if let Some(loss) = model.predict(&labelled, predictions)? {
            loss_sum += loss * weight;
            has_loss = true;
        }
        weight_sum += weight;
        if accumulator.add(predictions, targets).is_err() {
            let index = predictions.iter().position(|value| !value.is_finite()).unwrap_or(0) / outputs.max(1);
            return Err(model.non_finite(&labelled, range.start, index)?);
        }
        on_batch(range.end, predictions);
        Ok(())
    })?;
    let loss = has_loss.then(|| loss_sum / weight_sum.max(f64::MIN_POSITIVE));
    Ok(EvalResult { loss, accumulator })
}

/// A compiled net, whose loss is computed from its first output.
pub struct ArtifactModel {
    pub session: Session,
    /// None if the loss is not known.
    pub loss: Option<Loss>,
}

impl Model for ArtifactModel {
    fn output_len(&self) -> usize {
        self.session.artifact().manifest.plan.outputs[0].len()
    }

    fn pool(&self) -> Arc<ThreadPool> {
        Arc::clone(self.session.pool())
    }

    fn predict(&mut self, batch: &LabelledBatch<'_>, predictions: &mut [f32]) -> Result<Option<f64>, RunError> {
        let outputs = run_batch(&mut self.session, batch.samples, batch.inputs)?;
        predictions.copy_from_slice(&outputs[0]);
        let port = &self.session.artifact().manifest.plan.outputs[0];
        let loss = self.loss.map(|loss| {
            let (row_stride, batch_stride) = (port.sizes.last().copied().unwrap_or(1).max(1), port.len());
            let view = |data| View { data, ld: row_stride, image: batch_stride };
            let rows = loss_rows(loss, batch.weights.is_some(), &port.sizes);
            loss::loss_of_images(loss, view(predictions), view(batch.targets), batch.weights, batch.samples, rows)
        });
        Ok(loss)
    }

    fn non_finite(&mut self, batch: &LabelledBatch<'_>, first: usize, index: usize) -> Result<ScoreError, RunError> {
        let origin = self.session.origin(batch.inputs, batch.samples, index)?;
        Ok(ScoreError::NonFiniteOutput { sample: first + index, origin })
    }
}

/// A net in training: the plan that computes loss and prediction, and the parameters at this point.
pub struct StateModel<'a> {
    pub session: &'a mut Session,
    pub state: &'a mut [f32],
}

impl Model for StateModel<'_> {
    fn output_len(&self) -> usize {
        self.session.artifact().manifest.plan.outputs[1].len()
    }

    fn pool(&self) -> Arc<ThreadPool> {
        Arc::clone(self.session.pool())
    }

    fn predict(&mut self, batch: &LabelledBatch<'_>, predictions: &mut [f32]) -> Result<Option<f64>, RunError> {
        let mut inputs: Vec<&[f32]> = batch.inputs.to_vec();
        inputs.push(batch.targets);
        inputs.extend(batch.weights);
        let mut loss = [0.0];
        self.session.run_with(batch.samples, &inputs, &mut [&mut loss, predictions], self.state)?;
        Ok(Some(f64::from(loss[0])))
    }

    fn non_finite(&mut self, batch: &LabelledBatch<'_>, first: usize, index: usize) -> Result<ScoreError, RunError> {
        Ok(match first_non_finite(batch.inputs, batch.samples) {
            Some(index) => ScoreError::NonFiniteInput { sample: first + index },
            None => {
                let mut inputs: Vec<&[f32]> = batch.inputs.to_vec();
                inputs.push(batch.targets);
                inputs.extend(batch.weights);
                let origin = self.session.origin_with(&inputs, batch.samples, index, self.state)?;
                ScoreError::NonFiniteOutput { sample: first + index, origin }
            }
        })
    }
}
