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

/// The targets of one output.
#[derive(Debug)]
pub struct SplitTargets<'d> {
    /// They match the net's output: see [`LearningTask::prepare_targets`].
    pub targets: &'d Targets,
    pub weights: SampleWeights,
}

/// The samples of a dataset with their targets: the training or the validation data.
#[derive(Debug)]
pub struct DataSplit<'d> {
    pub source: BatchSource,
    /// Of each output, at least one.
    pub outputs: Vec<SplitTargets<'d>>,
}

impl DataSplit<'_> {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.outputs.first().map_or(0, |output| output.targets.len())
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The mean loss and the metrics of one output on a dataset.
#[derive(Debug)]
pub struct OutputResult {
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

/// How an output is scored.
#[derive(Clone, Copy, Debug)]
pub struct OutputScoring<'a> {
    pub task: &'a LearningTask,
    /// The names of the classes.
    pub labels: Option<&'a [String]>,
    /// Whether the area under the ROC curve is computed.
    pub with_auc: bool,
}

/// How a dataset is scored.
#[derive(Clone, Debug)]
pub struct ScoreSettings<'a> {
    pub outputs: Vec<OutputScoring<'a>>,
    /// Samples in a batch.
    pub batch: usize,
    /// When another thread sets it, scoring ends before the next batch.
    pub interrupted: Option<&'a AtomicBool>,
}

/// The targets of an output for a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchTargets<'a> {
    /// `(samples, output)`, row-major.
    pub targets: &'a [f32],
    /// `(samples, positions)`; none where all positions count equally.
    pub weights: Option<&'a [f32]>,
}

/// A batch with its targets.
#[derive(Clone, Copy, Debug)]
pub struct LabelledBatch<'a> {
    pub samples: usize,
    pub inputs: Batch<'a>,
    /// Of each output.
    pub outputs: &'a [BatchTargets<'a>],
}

/// A net that predicts batches.
pub trait Model {
    /// Values of each output for one sample.
    fn output_lens(&self) -> Vec<usize>;

    fn pool(&self) -> Arc<ThreadPool>;

    /// Writes the predictions of a batch, `(samples, output)` for each output, and returns the mean loss of each, if the model
    /// computes one.
    ///
    /// # Errors
    /// As [`Session::run`].
    fn predict(
        &mut self,
        batch: &LabelledBatch<'_>,
        predictions: &mut [&mut [f32]],
    ) -> Result<Vec<Option<f64>>, RunError>;

    /// The error for the non-finite prediction of a sample, whose index in the batch is `index`. `first` is the index of the
    /// batch's first sample in the dataset.
    ///
    /// # Errors
    /// As [`Session::run`].
    fn non_finite(&mut self, batch: &LabelledBatch<'_>, first: usize, index: usize) -> Result<ScoreError, RunError>;
}

/// The buffers and sums of one output.
struct OutputScore<'a> {
    scoring: OutputScoring<'a>,
    targets: &'a Targets,
    /// Values of a sample, and those of a position.
    len: usize,
    width: usize,
    prediction_buffer: Vec<f32>,
    target_buffer: Vec<f32>,
    /// Empty where all positions count equally.
    weight_buffer: Vec<f32>,
    loss_sum: f64,
    weight_sum: f64,
    has_loss: bool,
    accumulator: MetricAccumulator,
}

impl<'a> OutputScore<'a> {
    fn new(scoring: OutputScoring<'a>, split: &'a SplitTargets<'_>, len: usize, batch: usize) -> Self {
        let width = scoring.task.coding.width.max(1);
        let has_weights = matches!(split.weights, SampleWeights::PerPosition(_));
        OutputScore {
            targets: split.targets,
            len,
            width,
            prediction_buffer: vec![0.0; batch * len],
            target_buffer: vec![0.0; batch * len],
            weight_buffer: vec![0.0; if has_weights { batch * (len / width) } else { 0 }],
            loss_sum: 0.0,
            weight_sum: 0.0,
            has_loss: false,
            accumulator: scoring.task.accumulator(scoring.labels, scoring.with_auc),
            scoring,
        }
    }

    /// Reads the targets of samples, and their weights.
    fn load(&mut self, range: std::ops::Range<usize>) -> Result<(), BatchSourceError> {
        let samples = range.len();
        let targets = &mut self.target_buffer[..samples * self.len];
        for (row, sample) in targets.chunks_exact_mut(self.len.max(1)).zip(range) {
            self.targets.row(sample, self.scoring.task.coding, row).map_err(BatchSourceError::Rows)?;
        }
        let positions = self.len / self.width;
        self.weight_sum += match self.weight_buffer.is_empty() {
            true => samples as f64,
            false => {
                let weights = &mut self.weight_buffer[..samples * positions];
                position_weights(targets, self.width, None, weights) as f64 / positions as f64
            }
        };
        Ok(())
    }
}

/// Scores a model on a dataset. Classes count equally, whatever weights training gives them. `on_batch` gets the number of
/// samples done and the batch's predictions of the first output. Returns the results of each output.
///
/// # Errors
/// Samples that cannot be read, values that are not finite, a failed run, and an interruption.
pub fn score(
    model: &mut dyn Model,
    split: &mut DataSplit<'_>,
    settings: &ScoreSettings<'_>,
    on_batch: &mut dyn FnMut(usize, &[f32]),
) -> Result<Vec<OutputResult>, ScoreError> {
    let ScoreSettings { outputs, batch, interrupted } = settings;
    let order: Vec<usize> = (0..split.len()).collect();
    let DataSplit { source, outputs: split_outputs } = split;
    let batch_len = (*batch).min(order.len().max(1));
    let lens = model.output_lens();
    let all = outputs.iter().zip(&*split_outputs).zip(lens);
    let mut scores: Vec<OutputScore<'_>> =
        all.map(|((&scoring, split), len)| OutputScore::new(scoring, split, len, batch_len)).collect();
    let pool = model.pool();
    let traversal = Traversal { order: &order, batch: *batch, epoch: 0, pool: &pool, interrupted: *interrupted };
    source.for_each_batch::<ScoreError>(traversal, |range, inputs| {
        let samples = range.len();
        let mut before = Vec::with_capacity(scores.len());
        for score in &mut scores {
            before.push(score.weight_sum);
            score.load(range.clone())?;
        }
        let mut targets = Vec::with_capacity(scores.len());
        let mut predictions: Vec<&mut [f32]> = Vec::with_capacity(scores.len());
        let mut accumulators = Vec::with_capacity(scores.len());
        for score in &mut scores {
            let weights = &score.weight_buffer[..score.weight_buffer.len().min(samples * (score.len / score.width))];
            let weights = (!score.weight_buffer.is_empty()).then_some(weights);
            targets.push(BatchTargets { targets: &score.target_buffer[..samples * score.len], weights });
            predictions.push(&mut score.prediction_buffer[..samples * score.len]);
            accumulators.push((&mut score.accumulator, &mut score.loss_sum, &mut score.has_loss, score.weight_sum));
        }
        let labelled = LabelledBatch { samples, inputs, outputs: &targets };
        let losses = model.predict(&labelled, &mut predictions)?;
        let sums = accumulators.into_iter().zip(before).zip(losses);
        for ((((accumulator, loss_sum, has_loss, weight), before), loss), (prediction, output)) in
            sums.zip(predictions.iter().zip(&targets))
        {
            if let Some(loss) = loss {
                *loss_sum += loss * (weight - before);
                *has_loss = true;
            }
            if accumulator.add(prediction, output.targets).is_err() {
                let len = prediction.len() / samples.max(1);
                let index = prediction.iter().position(|value| !value.is_finite()).unwrap_or(0) / len.max(1);
                return Err(model.non_finite(&labelled, range.start, index)?);
            }
        }
        on_batch(range.end, predictions.first().map_or(&[][..], |first| &first[..]));
        Ok(())
    })?;
    let result = |score: OutputScore<'_>| OutputResult {
        loss: score.has_loss.then(|| score.loss_sum / score.weight_sum.max(f64::MIN_POSITIVE)),
        accumulator: score.accumulator,
    };
    Ok(scores.into_iter().map(result).collect())
}

/// A compiled net, whose losses are computed from its outputs.
pub struct ArtifactModel {
    pub session: Session,
    /// Of the outputs that are scored; none for a loss that is not known.
    pub losses: Vec<Option<Loss>>,
}

impl Model for ArtifactModel {
    fn output_lens(&self) -> Vec<usize> {
        let outputs = &self.session.artifact().manifest.plan.outputs;
        outputs.iter().take(self.losses.len()).map(|port| port.len()).collect()
    }

    fn pool(&self) -> Arc<ThreadPool> {
        Arc::clone(self.session.pool())
    }

    fn predict(
        &mut self,
        batch: &LabelledBatch<'_>,
        predictions: &mut [&mut [f32]],
    ) -> Result<Vec<Option<f64>>, RunError> {
        let outputs = run_batch(&mut self.session, batch.samples, batch.inputs)?;
        let ports = &self.session.artifact().manifest.plan.outputs;
        let all = predictions.iter_mut().zip(&outputs).zip(ports).zip(&self.losses).zip(batch.outputs);
        let losses = all.map(|((((prediction, output), port), loss), target)| {
            prediction.copy_from_slice(output);
            loss.map(|loss| {
                let (row_stride, batch_stride) = (port.sizes.last().copied().unwrap_or(1).max(1), port.len());
                let view = |data| View { data, ld: row_stride, image: batch_stride };
                let rows = loss_rows(loss, target.weights.is_some(), &port.sizes);
                loss::loss_of_images(
                    loss,
                    view(&prediction[..]),
                    view(target.targets),
                    target.weights,
                    batch.samples,
                    rows,
                )
            })
        });
        Ok(losses.collect())
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
    fn output_lens(&self) -> Vec<usize> {
        // The losses come first.
        let outputs = &self.session.artifact().manifest.plan.outputs;
        outputs[outputs.len() / 2..].iter().map(|port| port.len()).collect()
    }

    fn pool(&self) -> Arc<ThreadPool> {
        Arc::clone(self.session.pool())
    }

    fn predict(
        &mut self,
        batch: &LabelledBatch<'_>,
        predictions: &mut [&mut [f32]],
    ) -> Result<Vec<Option<f64>>, RunError> {
        let mut inputs: Vec<&[f32]> = batch.inputs.to_vec();
        for output in batch.outputs {
            inputs.push(output.targets);
            inputs.extend(output.weights);
        }
        let mut losses = vec![[0.0]; batch.outputs.len()];
        let mut outputs: Vec<&mut [f32]> = losses.iter_mut().map(|loss| &mut loss[..]).collect();
        outputs.extend(predictions.iter_mut().map(|prediction| &mut prediction[..]));
        self.session.run_with(batch.samples, &inputs, &mut outputs, self.state)?;
        Ok(losses.into_iter().map(|[loss]| Some(f64::from(loss))).collect())
    }

    fn non_finite(&mut self, batch: &LabelledBatch<'_>, first: usize, index: usize) -> Result<ScoreError, RunError> {
        Ok(match first_non_finite(batch.inputs, batch.samples) {
            Some(index) => ScoreError::NonFiniteInput { sample: first + index },
            None => {
                let mut inputs: Vec<&[f32]> = batch.inputs.to_vec();
                for output in batch.outputs {
                    inputs.push(output.targets);
                    inputs.extend(output.weights);
                }
                let origin = self.session.origin_with(&inputs, batch.samples, index, self.state)?;
                ScoreError::NonFiniteOutput { sample: first + index, origin }
            }
        })
    }
}
