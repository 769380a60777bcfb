//! The training loop: each epoch passes batches through the compiled step, is scored on the validation data and writes a
//! checkpoint. Random numbers depend on seed and epoch alone, so that a resumed run ends with the same weights as an
//! uninterrupted one.

use super::batch_targets::{BatchTargets, Mixing};
use super::epoch_policies::finish_epoch;
use super::loop_error::LoopError;
use super::record::checkpoint;
use super::record::checkpoint::{Checkpoint, CheckpointError, EpochProgress, Progress};
use super::record::epoch_logs::EpochLogs;
use super::record::{Epoch, RunRecord};
use super::scalars::{BatchScalars, Scalars};
use super::train_config::{OutputConfig, TrainConfig};
use crate::data::SeededRng;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::Session;
use crate::train::autodiff::training_plans::Trainable;
use crate::train::autodiff::{AVERAGE, OPTIMIZER};
use crate::train::batches::batch_source::{BatchSourceError, Traversal, first_non_finite};
use crate::train::evaluation::score::{DataSplit, OutputResult, StateModel, score};
use crate::train::recipe::values::keep_policy::KeepPolicy;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Gets the progress of the training loop.
pub trait Observer {
    /// `done` of the epoch's `total` samples were trained on, with this mean loss.
    fn samples(&mut self, epoch: usize, done: usize, total: usize, loss: f64);
    /// An epoch has ended, and its checkpoint, if it has one, is written.
    fn epoch(&mut self, epoch: &Epoch, epochs: usize);
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
    scalars: Scalars,
    /// Offsets of each averaged parameter and of its average, and their length.
    averages: Vec<(usize, usize, usize)>,
    progress: Progress,
    /// The state of the best epoch, once the next epoch has changed the current state.
    best: Option<Vec<f32>>,
}

/// The parameters that have a moving average.
fn averages(trainable: &Trainable) -> Vec<(usize, usize, usize)> {
    let tensors = &trainable.layout.tensors;
    let average = |parameter: &crate::plan::Constant| {
        let average = trainable.layout.find(&format!("{OPTIMIZER}/{}/{AVERAGE}", parameter.name))?;
        Some((parameter.offset, average.offset, parameter.len))
    };
    tensors.iter().filter_map(average).collect()
}

impl std::fmt::Debug for TrainingLoop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {}", self.progress.record.epochs.len())
    }
}

impl<'a> TrainingLoop<'a> {
    /// A run from the start: `progress` identifies and describes it.
    pub fn new(trainable: &'a Trainable, config: &'a TrainConfig, progress: Progress) -> Self {
        let pool = Arc::new(ThreadPool::new(config.threads));
        TrainingLoop {
            trainable,
            config,
            step: Session::with_pool(Arc::clone(&trainable.step), Arc::clone(&pool)),
            evaluation: Session::with_pool(Arc::clone(&trainable.evaluation), pool),
            state: trainable.start.floats().to_vec(),
            scalars: Scalars::of(trainable),
            averages: averages(trainable),
            progress,
            best: None,
        }
    }

    /// Continues from a checkpoint of the same run.
    pub fn resume(&mut self, checkpoint: Checkpoint) {
        self.progress = checkpoint.progress;
        self.state = checkpoint.state;
        self.best = checkpoint.best;
    }

    /// The record with the epochs so far.
    pub fn record(&self) -> &RunRecord {
        &self.progress.record
    }

    /// The number of floats in the state, and so in a checkpoint.
    pub fn floats(&self) -> usize {
        self.state.len()
    }

    /// Runs until the epoch `last` has ended, or the run is over. An interrupted run writes a checkpoint before it returns.
    ///
    /// # Errors
    /// Samples that cannot be read, a loss that is not finite, files that cannot be written, and an interruption; the last
    /// checkpoint stays.
    pub fn run(
        &mut self,
        last_epoch: usize,
        train: &mut DataSplit<'_>,
        mut validation: Option<&mut DataSplit<'_>>,
        logs: &mut EpochLogs,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<(), LoopError> {
        let (mut written, mut recorded) = (Instant::now(), Instant::now());
        while self.progress.record.stopped.is_none() {
            let epoch = self.progress.record.epochs.len() + 1;
            if epoch > self.config.epochs {
                self.progress.record.stopped = Some(match self.config.epochs {
                    1 => "its epoch is done".into(),
                    epochs => format!("all {epochs} epochs are done"),
                });
                break;
            }
            if epoch > last_epoch {
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
            logs.add(&ended)?;
            if finish_epoch(&mut self.progress, self.config, ended.clone()) {
                // The state of the best epoch is the current one.
                self.best = None;
            }
            let last = self.progress.record.stopped.is_some() || epoch == self.config.epochs;
            // The next stage has another state, so that its checkpoints do not replace the one of this epoch.
            if last || epoch == last_epoch || epoch.is_multiple_of(self.config.checkpoint) {
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
            observer.epoch(&ended, self.config.epochs);
        }
        Ok(())
    }

    /// The progress and the state, from which the next stage of the run goes on.
    pub fn into_checkpoint(mut self) -> Checkpoint {
        // Otherwise the next stage would save the state of the best epoch only if that is its own.
        self.save_best();
        Checkpoint { progress: self.progress, state: self.state, best: self.best }
    }

    /// The result of a run that is over.
    pub fn finish(mut self) -> TrainingResult {
        if let Some(best) = self.best.take() {
            self.state = best;
        }
        self.state = self.averaged();
        let Progress { mut record, .. } = self.progress;
        // If no epoch could be ranked because no loss is finite.
        record.best = record.best.or(record.epochs.last().map(|epoch| epoch.epoch));
        TrainingResult { record, state: self.state }
    }

    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        self.progress.record.stopped.is_some()
    }

    /// The state with the averages of parameters in their places.
    fn averaged(&self) -> Vec<f32> {
        let mut state = self.state.clone();
        for &(to, from, len) in &self.averages {
            state.copy_within(from..from + len, to);
        }
        state
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
            Ok(()) => LoopError::Interrupted { epoch, samples, total: train.len() },
            Err(error) => error,
        }
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
        let config = self.config;
        let validated = match validation {
            Some(split) => {
                let mut averaged = if self.averages.is_empty() { Vec::new() } else { self.averaged() };
                let state = if self.averages.is_empty() { &mut self.state } else { &mut averaged };
                Some(evaluate_state(&mut self.evaluation, state, split, config, interrupted, &mut |_, _| {})?)
            }
            None => None,
        };
        let Some(partial) = self.progress.partial.take() else { return Ok(Epoch::default()) };
        let count = partial.samples.max(1) as f64;
        let results = validated.as_deref().unwrap_or_default();
        let validation_losses = results.iter().filter_map(|result| result.loss);
        Ok(Epoch {
            epoch: epoch as u32,
            seconds: partial.seconds,
            loss: config.total(partial.mean_losses()),
            losses: config.by_output(partial.mean_losses()),
            penalty: partial.penalties / count,
            metrics: config.metrics(partial.outputs.iter().map(|output| &output.accumulator)),
            validation_loss: validated.as_ref().and_then(|results| config.loss_of(results)),
            validation_losses: config.by_output(validation_losses),
            validation: config.metrics(results.iter().map(|result| &result.accumulator)),
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
        let config = self.config;
        let samples = split.len();
        let mut order: Vec<usize> = (0..samples).collect();
        if config.shuffle {
            SeededRng::new([config.seed, epoch as u64, 0, 0]).shuffle(&mut order);
        }
        let group = config.batch * config.accumulate;
        let total = (config.epochs * samples.div_ceil(group)) as u64;
        let outputs = &self.trainable.step.manifest.plan.outputs;
        let count = config.outputs.len();
        let lens: Vec<usize> = outputs[count..2 * count].iter().map(|port| port.len()).collect();
        let mut targets: Vec<BatchTargets> =
            config.outputs.iter().zip(&lens).map(|(output, &len)| BatchTargets::new(&output.task, len)).collect();
        let mut predictions: Vec<Vec<f32>> = lens.iter().map(|len| vec![0.0; config.batch * len]).collect();
        let mut mixed: Vec<Vec<f32>> = Vec::new();
        let DataSplit { source, outputs: split_outputs } = split;
        let (step, state) = (&mut self.step, &mut self.state);
        let pool = Arc::clone(step.pool());
        let Progress { updates, batches, reductions, partial, .. } = &mut self.progress;
        let partial = partial
            .get_or_insert_with(|| EpochProgress::new(config.outputs.iter().map(OutputConfig::accumulator).collect()));
        let scalars = self.scalars;
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
            for ((targets, split), output) in targets.iter_mut().zip(&*split_outputs).zip(&config.outputs) {
                let loaded = targets.load(split, &output.task, chosen, config.label_smoothing);
                loaded.map_err(BatchSourceError::Rows)?;
            }
            mixed.clear();
            if config.mixup > 0.0 {
                let mixing = Mixing::new(config.mixup, images, config.seed, epoch, partial.samples);
                mixed.extend(inputs.iter().map(|input| input.to_vec()));
                mixed.iter_mut().for_each(|input| mixing.apply(input));
                for targets in &mut targets {
                    mixing.apply(&mut targets.targets);
                    mixing.apply(&mut targets.weights);
                }
            }
            partial.rate = config.schedule.rate(config.learning_rate, *updates, total, *reductions);
            let begin = partial.samples / group * group;
            let end = (begin + group).min(samples);
            let is_last = partial.samples + images == end;
            let batch = BatchScalars {
                rate: partial.rate,
                updates: *updates,
                batches: *batches,
                share: images as f32 / (end - begin) as f32,
                is_first: partial.samples == begin,
                is_last,
            };
            scalars.set(state, batch);
            let mut step_inputs: Vec<&[f32]> = match mixed.is_empty() {
                true => inputs.to_vec(),
                false => mixed.iter().map(Vec::as_slice).collect(),
            };
            for targets in &targets {
                step_inputs.push(&targets.targets);
                step_inputs.extend(targets.weights());
            }
            let (mut losses, mut penalty) = (vec![[0.0]; count], [0.0]);
            let mut predicted: Vec<&mut [f32]> =
                predictions.iter_mut().zip(&lens).map(|(prediction, len)| &mut prediction[..images * len]).collect();
            let mut step_outputs: Vec<&mut [f32]> = losses.iter_mut().map(|loss| &mut loss[..]).collect();
            step_outputs.extend(predicted.iter_mut().map(|prediction| &mut prediction[..]));
            if penalized {
                step_outputs.push(&mut penalty);
            }
            step.run_with(images, &step_inputs, &mut step_outputs, state)?;
            if let Some(loss) = non_finite(&predicted, &losses, penalty[0]) {
                if let Some(&sample) = first_non_finite(inputs, images).and_then(|index| chosen.get(index)) {
                    return Err(LoopError::NonFiniteInput { sample });
                }
                return Err(LoopError::Diverged { epoch, update: *updates, loss });
            }
            *updates += u64::from(is_last);
            *batches += 1;
            partial.samples += images;
            partial.penalties += f64::from(penalty[0]) * images as f64;
            let each = partial.outputs.iter_mut().zip(&targets).zip(losses).zip(&predicted);
            for (((output, targets), [loss]), prediction) in each {
                output.weight += targets.weight;
                output.losses += f64::from(loss) * targets.weight;
                let added = output.accumulator.add(prediction, &targets.targets);
                added.map_err(|_| LoopError::NonFiniteOutput { sample: chosen[0], origin: None })?;
            }
            observer.samples(epoch, partial.samples, samples, config.total(partial.mean_losses()));
            Ok(())
        })
    }
}

/// The loss to report of a step whose results are not all finite. The loss clips its inputs, so that only the predictions show
/// parameters that are not finite.
fn non_finite(predictions: &[&mut [f32]], losses: &[[f32; 1]], penalty: f32) -> Option<f32> {
    if !predictions.iter().all(|prediction| prediction.iter().all(|value| value.is_finite())) {
        return Some(f32::NAN);
    }
    let loss = losses.iter().map(|[loss]| *loss).find(|loss| !loss.is_finite());
    loss.or_else(|| (!penalty.is_finite()).then(|| losses[0][0]))
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
) -> Result<Vec<OutputResult>, LoopError> {
    let mut model = StateModel { session, state };
    Ok(score(&mut model, split, &config.score_settings(interrupted), on_batch)?)
}
