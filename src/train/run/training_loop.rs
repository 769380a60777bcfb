//! The training loop: each epoch passes batches through the compiled step, is scored on the validation data and writes a
//! checkpoint. Random numbers depend on seed and epoch alone, so that a resumed run ends with the same weights as an
//! uninterrupted one.

use super::checkpoint;
use super::checkpoint::{Checkpoint, CheckpointError, EpochProgress, Progress};
use super::epoch_rank::rank;
use super::record::{Epoch, RecordError, RunRecord};
use crate::data::SeededRng;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::non_finite::Origin;
use crate::runtime::{RunError, Session};
use crate::train::autodiff::OPTIMIZER;
use crate::train::autodiff::training_plans::Trainable;
use crate::train::batches::batch_source::{BatchSourceError, Traversal, first_non_finite};
use crate::train::evaluation::class_weights::{SampleWeights, position_weights};
use crate::train::evaluation::metric_accumulator::MetricAccumulator;
use crate::train::evaluation::score::{DataSplit, EvalResult, ScoreError, ScoreSettings, StateModel, score};
use crate::train::evaluation::task::LearningTask;
use crate::train::recipe::keep_policy::KeepPolicy;
use crate::train::recipe::schedule::Schedule;
use crate::train::recipe::{EarlyStopping, Metric};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The hyperparameters of a run, and where it writes.
#[derive(Clone, Debug)]
pub struct TrainConfig {
    pub epochs: usize,
    /// Samples in a batch.
    pub batch: usize,
    pub seed: u64,
    pub shuffle: bool,
    /// The learning rate before schedules.
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub stop: Option<EarlyStopping>,
    pub keep: KeepPolicy,
    /// Epochs from one checkpoint to the next.
    pub checkpoint: usize,
    pub metrics: Vec<Metric>,
    pub task: LearningTask,
    /// The names of the classes; none for numbers.
    pub labels: Option<Vec<String>>,
    pub threads: usize,
    /// Where checkpoints and the record are written.
    pub folder: PathBuf,
}

impl TrainConfig {
    /// How the run's datasets are scored.
    pub fn score_settings<'a>(&'a self, interrupted: &'a AtomicBool) -> ScoreSettings<'a> {
        let labels = self.labels.as_deref();
        ScoreSettings { task: &self.task, labels, batch: self.batch, interrupted: Some(interrupted) }
    }
}

/// Gets the progress of the training loop.
pub trait Observer {
    /// `done` of the epoch's `total` samples were trained on, with this mean loss.
    fn samples(&mut self, epoch: usize, done: usize, total: usize, loss: f64);
    /// An epoch has ended.
    fn epoch(&mut self, epoch: &Epoch, epochs: usize);
}

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

/// The result of the training loop.
#[derive(Debug)]
pub struct TrainingResult {
    pub record: RunRecord,
    /// The state of the epoch that is kept.
    pub state: Vec<f32>,
}

/// The maximum of training time that a power cut may lose: syncing the disk after each short epoch would take longer than the
/// epoch.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// The maximum age of the record of a running training, besides one epoch.
const RECORD_INTERVAL: Duration = Duration::from_secs(1);

/// A training run.
pub struct TrainingLoop<'a> {
    trainable: &'a Trainable,
    config: &'a TrainConfig,
    step: Session,
    evaluation: Session,
    state: Vec<f32>,
    /// The offsets of the learning rate and of the number of updates in the state.
    rate_offset: usize,
    update_offset: usize,
    progress: Progress,
    /// The state of the best epoch, once the next epoch has changed the current state.
    best: Option<Vec<f32>>,
}

impl std::fmt::Debug for TrainingLoop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {}", self.progress.record.epochs.len())
    }
}

impl<'a> TrainingLoop<'a> {
    /// A run from the start. `record` describes it, and `run` is its digest.
    pub fn new(trainable: &'a Trainable, config: &'a TrainConfig, record: RunRecord, run: String) -> Self {
        let offset =
            |role: &str| trainable.layout.find(&format!("{OPTIMIZER}/{role}")).map_or(0, |tensor| tensor.offset);
        let pool = Arc::new(ThreadPool::new(config.threads));
        TrainingLoop {
            trainable,
            config,
            step: Session::with_pool(Arc::clone(&trainable.step), Arc::clone(&pool)),
            evaluation: Session::with_pool(Arc::clone(&trainable.evaluation), pool),
            state: trainable.start.floats().to_vec(),
            rate_offset: offset("rate"),
            update_offset: offset("update"),
            progress: Progress { run, record, ..Progress::default() },
            best: None,
        }
    }

    /// Continues from a checkpoint of the same run.
    pub fn resume(&mut self, checkpoint: Checkpoint) {
        self.progress = checkpoint.progress;
        self.state = checkpoint.state;
        self.best = checkpoint.best;
    }

    /// The number of floats in the state, and so in a checkpoint.
    pub fn floats(&self) -> usize {
        self.state.len()
    }

    /// Runs to the end. An interrupted run writes a checkpoint before it returns.
    ///
    /// # Errors
    /// Samples that cannot be read, a loss that is not finite, files that cannot be written, and an interruption; the last
    /// checkpoint stays.
    pub fn run(
        mut self,
        train: &mut DataSplit<'_>,
        mut validation: Option<&mut DataSplit<'_>>,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<TrainingResult, LoopError> {
        let (mut written, mut recorded) = (Instant::now(), Instant::now());
        while self.progress.record.stopped.is_none() {
            let epoch = self.progress.record.epochs.len() + 1;
            if epoch > self.config.epochs {
                self.progress.record.stopped = Some(format!("all {} epochs are done", self.config.epochs));
                break;
            }
            self.save_best();
            let began = Instant::now();
            let ended = match self.epoch(epoch, train, validation.as_deref_mut(), interrupted, observer) {
                Ok(ended) => Epoch { seconds: ended.seconds + began.elapsed().as_secs_f64(), ..ended },
                Err(LoopError::BatchSource(BatchSourceError::Interrupted)) => {
                    return Err(self.pause(epoch, train, began.elapsed()));
                }
                Err(error) => return Err(error),
            };
            observer.epoch(&ended, self.config.epochs);
            self.finish_epoch(ended);
            let last = self.progress.record.stopped.is_some() || epoch == self.config.epochs;
            if last || epoch.is_multiple_of(self.config.checkpoint) {
                let durable = last || written.elapsed() > SYNC_INTERVAL;
                self.write_checkpoint(durable)?;
                if durable {
                    written = Instant::now();
                }
            }
            // It lists all epochs: writing it after each of thousands of epochs would take longer than they do.
            if last || recorded.elapsed() > RECORD_INTERVAL {
                self.progress.record.write(&self.config.folder)?;
                recorded = Instant::now();
            }
        }
        if let Some(best) = self.best.take() {
            self.state = best;
        }
        let Progress { mut record, .. } = self.progress;
        // If no epoch could be ranked because no loss is finite.
        record.best = record.best.or(record.epochs.last().map(|epoch| epoch.epoch));
        Ok(TrainingResult { record, state: self.state })
    }

    /// Copies the state of the last epoch before the next one changes it, if it is the best so far.
    fn save_best(&mut self) {
        let Progress { record, partial, .. } = &self.progress;
        let done = record.epochs.last().map(|epoch| epoch.epoch);
        if partial.is_none() && self.config.keep != KeepPolicy::Last && done.is_some() && record.best == done {
            self.best = Some(self.state.clone());
        }
    }

    fn write_checkpoint(&self, durable: bool) -> Result<(), CheckpointError> {
        checkpoint::write(&self.config.folder, &self.progress, &self.state, self.best.as_deref(), durable)
    }

    /// Writes a checkpoint within an epoch; returns the interruption, or why the checkpoint cannot be written.
    fn pause(&mut self, epoch: usize, train: &DataSplit<'_>, elapsed: Duration) -> LoopError {
        let samples = self.progress.partial.as_mut().map_or(0, |partial| {
            partial.seconds += elapsed.as_secs_f64();
            partial.samples
        });
        let record = || self.progress.record.write(&self.config.folder).map_err(LoopError::from);
        match self.write_checkpoint(true).map_err(LoopError::from).and_then(|()| record()) {
            Ok(()) => LoopError::Interrupted { epoch, samples, total: train.targets.len() },
            Err(error) => error,
        }
    }

    fn outputs(&self) -> usize {
        self.trainable.step.manifest.plan.outputs[1].len()
    }

    /// Runs an epoch, or the remainder of an interrupted one: trains on the training data, then scores the validation data.
    fn epoch(
        &mut self,
        epoch: usize,
        train: &mut DataSplit<'_>,
        validation: Option<&mut DataSplit<'_>>,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Epoch, LoopError> {
        self.train_epoch(epoch, train, interrupted, observer)?;
        let validated = validation.map(|split| {
            evaluate_state(&mut self.evaluation, &mut self.state, split, self.config, interrupted, &mut |_, _| {})
        });
        let validated = validated.transpose()?;
        let Some(partial) = self.progress.partial.take() else { return Ok(Epoch::default()) };
        let count = partial.samples.max(1) as f64;
        Ok(Epoch {
            epoch: epoch as u32,
            seconds: partial.seconds,
            loss: partial.losses / partial.weight.max(f64::MIN_POSITIVE),
            penalty: partial.penalties / count,
            metrics: self.metrics(&partial.accumulator),
            validation_loss: validated.as_ref().and_then(|validated| validated.loss),
            validation: validated.map(|validated| self.metrics(&validated.accumulator)).unwrap_or_default(),
            step: partial.rate,
        })
    }

    /// Trains on the samples of an epoch; of an interrupted one, on the remaining samples.
    fn train_epoch(
        &mut self,
        epoch: usize,
        split: &mut DataSplit<'_>,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<(), LoopError> {
        let (config, outputs) = (self.config, self.outputs());
        let samples = split.targets.len();
        let mut order: Vec<usize> = (0..samples).collect();
        if config.shuffle {
            SeededRng::new([config.seed, epoch as u64, 0, 0]).shuffle(&mut order);
        }
        let total = (config.epochs * samples.div_ceil(config.batch)) as u64;
        let mut targets = vec![0.0; config.batch * outputs];
        let width = config.task.coding.width.max(1);
        let positions = outputs / width;
        let mut weights = match &split.weights {
            SampleWeights::Equal => Vec::new(),
            SampleWeights::PerSample(_) => vec![1.0; config.batch],
            SampleWeights::PerPosition(_) => vec![1.0; config.batch * positions],
        };
        let mut prediction = vec![0.0; config.batch * outputs];
        let DataSplit { source, targets: all_targets, weights: all_weights } = split;
        let (step, state) = (&mut self.step, &mut self.state);
        let pool = Arc::clone(step.pool());
        let Progress { updates, reductions, partial, .. } = &mut self.progress;
        let partial =
            partial.get_or_insert_with(|| EpochProgress::new(config.task.accumulator(config.labels.as_deref())));
        let (rate_offset, update_offset) = (self.rate_offset, self.update_offset);
        let penalized = self.trainable.penalized;
        let left = order.get(partial.samples..).unwrap_or_default();
        let traversal = Traversal {
            order: left,
            batch: config.batch,
            epoch: epoch as u64,
            pool: &pool,
            interrupted: Some(interrupted),
        };
        source.for_each_batch::<LoopError>(traversal, |range, inputs| {
            let images = range.len();
            let chosen = &left[range];
            for (to, &sample) in targets.chunks_exact_mut(outputs.max(1)).zip(chosen) {
                all_targets.row(sample, config.task.coding, to).map_err(BatchSourceError::Rows)?;
            }
            partial.rate = config.schedule.rate(config.learning_rate, *updates, total, *reductions);
            state[rate_offset] = partial.rate as f32;
            state[update_offset] = f32::from_bits(*updates as u32);
            let mut step_inputs: Vec<&[f32]> = inputs.to_vec();
            step_inputs.push(&targets[..images * outputs]);
            let mut weight = images as f64;
            match all_weights {
                SampleWeights::Equal => {}
                SampleWeights::PerSample(all) => {
                    weights.iter_mut().zip(chosen).for_each(|(to, &sample)| *to = all[sample]);
                    step_inputs.push(&weights[..images]);
                }
                SampleWeights::PerPosition(by_class) => {
                    let weights = &mut weights[..images * positions];
                    weight = position_weights(&targets[..images * outputs], width, by_class.as_deref(), weights) as f64
                        / positions as f64;
                    step_inputs.push(weights);
                }
            }
            let (mut loss, mut penalty) = ([0.0], [0.0]);
            let predicted = &mut prediction[..images * outputs];
            let mut step_outputs: Vec<&mut [f32]> = vec![&mut loss, predicted];
            if penalized {
                step_outputs.push(&mut penalty);
            }
            step.run_with(images, &step_inputs, &mut step_outputs, state)?;
            // The loss clips its inputs, so that only the predictions show parameters that are not finite.
            let is_finite = prediction[..images * outputs].iter().all(|value| value.is_finite());
            if !is_finite || !loss[0].is_finite() || !penalty[0].is_finite() {
                if let Some(&sample) = first_non_finite(inputs, images).and_then(|index| chosen.get(index)) {
                    return Err(LoopError::NonFiniteInput { sample });
                }
                let loss = if is_finite { loss } else { [f32::NAN] };
                return Err(LoopError::Diverged { epoch, update: *updates, loss: loss[0] });
            }
            *updates += 1;
            partial.samples += images;
            partial.weight += weight;
            partial.losses += f64::from(loss[0]) * weight;
            partial.penalties += f64::from(penalty[0]) * images as f64;
            let added = partial.accumulator.add(&prediction[..images * outputs], &targets[..images * outputs]);
            added.map_err(|_| LoopError::NonFiniteOutput { sample: chosen[0], origin: None })?;
            observer.samples(epoch, partial.samples, samples, partial.losses / partial.weight.max(f64::MIN_POSITIVE));
            Ok(())
        })
    }

    fn metrics(&self, accumulator: &MetricAccumulator) -> BTreeMap<String, f64> {
        let each = self.config.metrics.iter();
        each.filter_map(|&metric| Some((metric.name().to_string(), accumulator.value(metric)?))).collect()
    }

    /// Records an epoch, and applies the policies that depend on its loss: keep, reduce on plateau, early stopping.
    fn finish_epoch(&mut self, ended: Epoch) {
        let loss = ended.validation_loss.unwrap_or(ended.loss);
        let number = ended.epoch;
        let progress = &mut self.progress;
        let rank = rank(self.config.keep, &ended);
        if rank.is_some() && (progress.rank.is_none() || rank < progress.rank) {
            progress.rank = rank;
            progress.record.best = Some(number);
            // Its state is the current one.
            self.best = None;
        }
        progress.record.epochs.push(ended);
        let is_better = |least: Option<f64>, min_delta: f64| least.is_none_or(|least| loss < least - min_delta);
        if let Some((patience, min_delta)) = self.config.schedule.plateau() {
            if is_better(progress.least_for_plateau, min_delta) {
                (progress.least_for_plateau, progress.since_reduction) = (Some(loss), 0);
            } else {
                progress.since_reduction += 1;
                if progress.since_reduction >= patience {
                    (progress.reductions, progress.since_reduction) = (progress.reductions + 1, 0);
                }
            }
        }
        if self.config.keep == KeepPolicy::Last {
            progress.record.best = Some(number);
        }
        let Some(stop) = self.config.stop else { return };
        if is_better(progress.least, stop.min_delta) {
            (progress.least, progress.since_best) = (Some(loss), 0);
            return;
        }
        progress.since_best += 1;
        if progress.since_best >= stop.patience {
            let epochs = stop.patience;
            progress.record.stopped = Some(format!("the loss has not improved for {epochs} epochs"));
        }
    }
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

/// Scores the parameters of a state on a dataset; `on_batch` as in [`score`].
///
/// # Errors
/// Samples that cannot be read, values that are not finite, and an interruption.
pub fn evaluate_state(
    session: &mut Session,
    state: &mut [f32],
    split: &mut DataSplit<'_>,
    config: &TrainConfig,
    interrupted: &AtomicBool,
    on_batch: &mut dyn FnMut(usize, &[f32]),
) -> Result<EvalResult, LoopError> {
    let mut model = StateModel { session, state };
    Ok(score(&mut model, split, &config.score_settings(interrupted), on_batch)?)
}
