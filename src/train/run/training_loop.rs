//! The loop of training: epochs of batches through the compiled step, each epoch tried on the validation data, a
//! checkpoint behind it. Everything that is random depends on the seed and the epoch only, so that a run that goes on
//! from a checkpoint ends as one that never stopped.

use super::batch_source::{BatchSource, BatchSourceError, Pass};
use super::checkpoint;
use super::checkpoint::{Checkpoint, CheckpointError, EpochProgress, Progress};
use super::keep_best::KeepPolicy;
use super::record::{Epoch, RecordError, RunRecord};
use crate::data::{SeededRng, Targets};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::{RunError, Session};
use crate::train::autodiff::OPTIMIZER;
use crate::train::autodiff::training_plans::Trainable;
use crate::train::evaluation::class_weights::{Weights, weigh};
use crate::train::evaluation::metric_accumulator::MetricAccumulator;
use crate::train::evaluation::task::LearningTask;
use crate::train::evaluation::try_state::{odd, try_state};
use crate::train::recipe::schedule::Schedule;
use crate::train::recipe::{EarlyStopping, Metric};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Samples and what the net is to say of them.
#[derive(Debug)]
pub struct DataSplit<'d> {
    pub feed: BatchSource,
    /// They fit the net's outputs.
    pub targets: &'d Targets,
    /// How much samples or their places count in the loss.
    pub weights: Weights,
}

/// How a run goes.
#[derive(Clone, Debug)]
pub struct TrainConfig {
    pub epochs: usize,
    pub batch: usize,
    pub seed: u64,
    pub shuffle: bool,
    /// The learning rate before any schedule.
    pub step: f64,
    pub schedule: Schedule,
    pub stop: Option<EarlyStopping>,
    pub keep: KeepPolicy,
    /// A checkpoint after every so many epochs.
    pub checkpoint: usize,
    pub metrics: Vec<Metric>,
    pub task: LearningTask,
    /// The classes' names; none where numbers are learnt.
    pub labels: Option<Vec<String>>,
    pub threads: usize,
    /// Where checkpoints and the record go.
    pub folder: PathBuf,
}

/// What a run tells while it lasts.
pub trait Observer {
    /// So many of the epoch's samples are done; the mean loss so far.
    fn samples(&mut self, epoch: usize, done: usize, total: usize, loss: f64);
    /// An epoch is over.
    fn epoch(&mut self, epoch: &Epoch, epochs: usize);
}

/// Why a run ended before its end.
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
    #[error("the net's prediction for sample {sample} is no number")]
    NoNumber { sample: usize },
    #[error("sample {sample} holds values that are infinite or no numbers")]
    Input { sample: usize },
    #[error("the loss of update {update} in epoch {epoch} is {loss}")]
    Diverged { epoch: usize, update: u64, loss: f32 },
    /// A checkpoint holds the state behind so many of the epoch's samples.
    #[error("interrupted in epoch {epoch}")]
    Interrupted { epoch: usize, samples: usize, total: usize },
}

/// A run that ended.
#[derive(Debug)]
pub struct TrainingResult {
    pub record: RunRecord,
    /// The state whose parameters are kept.
    pub state: Vec<f32>,
}

/// So long at most a power cut may take back; waiting for the disk after each epoch would cost short ones more than they take.
const DURABLE: Duration = Duration::from_secs(5);
/// The record of a run that goes on is this old at the most, or an epoch.
const TOLD: Duration = Duration::from_secs(1);

/// A run.
pub struct TrainingLoop<'a> {
    trainable: &'a Trainable,
    config: &'a TrainConfig,
    step: Session,
    evaluation: Session,
    state: Vec<f32>,
    rate_at: usize,
    update_at: usize,
    progress: Progress,
    /// The state of the epoch that is kept, where training has gone on from it.
    best: Option<Vec<f32>>,
}

impl std::fmt::Debug for TrainingLoop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {}", self.progress.record.epochs.len())
    }
}

impl<'a> TrainingLoop<'a> {
    /// A run from the beginning; `record` says what it is, and `run` is its digest.
    pub fn new(trainable: &'a Trainable, config: &'a TrainConfig, record: RunRecord, run: String) -> Self {
        let place =
            |role: &str| trainable.layout.find(&format!("{OPTIMIZER}/{role}")).map_or(0, |tensor| tensor.offset);
        let pool = Arc::new(ThreadPool::new(config.threads));
        TrainingLoop {
            trainable,
            config,
            step: Session::with_pool(Arc::clone(&trainable.step), Arc::clone(&pool)),
            evaluation: Session::with_pool(Arc::clone(&trainable.evaluation), pool),
            state: trainable.start.floats().to_vec(),
            rate_at: place("rate"),
            update_at: place("update"),
            progress: Progress { run, record, ..Progress::default() },
            best: None,
        }
    }

    /// Goes on from a checkpoint of the same run.
    pub fn resume(&mut self, checkpoint: Checkpoint) {
        self.progress = checkpoint.progress;
        self.state = checkpoint.state;
        self.best = checkpoint.best;
    }

    /// Floats of the state: what a checkpoint must have.
    pub fn floats(&self) -> usize {
        self.state.len()
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// Data that cannot be used, a loss that is no number, files that cannot be written; what the last checkpoint holds
    /// stays. Where it is interrupted, a checkpoint of what was done is written before.
    pub fn run(
        mut self,
        train: &mut DataSplit<'_>,
        mut validation: Option<&mut DataSplit<'_>>,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<TrainingResult, LoopError> {
        let (mut written, mut told_at) = (Instant::now(), Instant::now());
        while self.progress.record.stopped.is_none() {
            let epoch = self.progress.record.epochs.len() + 1;
            if epoch > self.config.epochs {
                self.progress.record.stopped = Some(format!("all {} epochs are done", self.config.epochs));
                break;
            }
            self.leave_behind();
            let began = Instant::now();
            let told = match self.epoch(epoch, train, validation.as_deref_mut(), interrupted, observer) {
                Ok(told) => Epoch { seconds: told.seconds + began.elapsed().as_secs_f64(), ..told },
                Err(LoopError::BatchSource(BatchSourceError::Interrupted)) => {
                    return Err(self.pause(epoch, train, began.elapsed()));
                }
                Err(error) => return Err(error),
            };
            observer.epoch(&told, self.config.epochs);
            self.judge(told);
            let last = self.progress.record.stopped.is_some() || epoch == self.config.epochs;
            if last || epoch.is_multiple_of(self.config.checkpoint) {
                let durable = last || written.elapsed() > DURABLE;
                self.keep(durable)?;
                if durable {
                    written = Instant::now();
                }
            }
            // It tells of all epochs: written behind each of thousands it would take longer than they do.
            if last || told_at.elapsed() > TOLD {
                self.progress.record.write(&self.config.folder)?;
                told_at = Instant::now();
            }
        }
        if let Some(best) = self.best.take() {
            self.state = best;
        }
        let Progress { mut record, .. } = self.progress;
        // Where no epoch could be ranked, as where each loss is no number.
        record.best = record.best.or(record.epochs.last().map(|epoch| epoch.epoch));
        Ok(TrainingResult { record, state: self.state })
    }

    /// Copies the state of the last epoch before the next one changes it, where it is the one that is kept so far.
    fn leave_behind(&mut self) {
        let Progress { record, begun, .. } = &self.progress;
        let done = record.epochs.last().map(|epoch| epoch.epoch);
        if begun.is_none() && self.config.keep != KeepPolicy::Last && done.is_some() && record.best == done {
            self.best = Some(self.state.clone());
        }
    }

    fn keep(&self, durable: bool) -> Result<(), CheckpointError> {
        checkpoint::write(&self.config.folder, &self.progress, &self.state, self.best.as_deref(), durable)
    }

    /// Keeps what was done of an epoch; says where the run stands, or why that cannot be kept.
    fn pause(&mut self, epoch: usize, train: &DataSplit<'_>, elapsed: Duration) -> LoopError {
        let samples = self.progress.begun.as_mut().map_or(0, |begun| {
            begun.seconds += elapsed.as_secs_f64();
            begun.samples
        });
        let record = || self.progress.record.write(&self.config.folder).map_err(LoopError::from);
        match self.keep(true).map_err(LoopError::from).and_then(|()| record()) {
            Ok(()) => LoopError::Interrupted { epoch, samples, total: train.targets.len() },
            Err(error) => error,
        }
    }

    fn outputs(&self) -> usize {
        self.trainable.step.manifest.plan.outputs[1].len()
    }

    /// An epoch, or the rest of one that was begun: a pass over the training data, then a trial on the other.
    fn epoch(
        &mut self,
        epoch: usize,
        train: &mut DataSplit<'_>,
        validation: Option<&mut DataSplit<'_>>,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Epoch, LoopError> {
        self.pass(epoch, train, interrupted, observer)?;
        let tried = validation
            .map(|set| try_state(&mut self.evaluation, &mut self.state, set, self.config, interrupted, &mut |_| {}));
        let tried = tried.transpose()?;
        let Some(begun) = self.progress.begun.take() else { return Ok(Epoch::default()) };
        let count = begun.samples.max(1) as f64;
        Ok(Epoch {
            epoch: epoch as u32,
            seconds: begun.seconds,
            loss: begun.losses / begun.weight.max(f64::MIN_POSITIVE),
            penalty: begun.penalties / count,
            metrics: self.measures(&begun.accumulator),
            validation_loss: tried.as_ref().map(|tried| tried.loss),
            validation: tried.map(|tried| self.measures(&tried.accumulator)).unwrap_or_default(),
            step: begun.rate,
        })
    }

    /// One pass over the training data, from where it was begun.
    fn pass(
        &mut self,
        epoch: usize,
        set: &mut DataSplit<'_>,
        interrupted: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<(), LoopError> {
        let (config, outputs) = (self.config, self.outputs());
        let samples = set.targets.len();
        let mut order: Vec<usize> = (0..samples).collect();
        if config.shuffle {
            SeededRng::new([config.seed, epoch as u64, 0, 0]).shuffle(&mut order);
        }
        let total = (config.epochs * samples.div_ceil(config.batch)) as u64;
        let mut targets = vec![0.0; config.batch * outputs];
        let width = config.task.coding.width.max(1);
        let pixels = outputs / width;
        let mut weights = match &set.weights {
            Weights::Equal => Vec::new(),
            Weights::Samples(_) => vec![1.0; config.batch],
            Weights::Places(_) => vec![1.0; config.batch * pixels],
        };
        let mut prediction = vec![0.0; config.batch * outputs];
        let DataSplit { feed, targets: all, weights: all_weights } = set;
        let (step, state) = (&mut self.step, &mut self.state);
        let pool = Arc::clone(step.pool());
        let Progress { updates, reductions, begun, .. } = &mut self.progress;
        let begun = begun.get_or_insert_with(|| EpochProgress::new(config.task.accumulator(config.labels.as_deref())));
        let (rate_at, update_at, penalized) = (self.rate_at, self.update_at, self.trainable.penalized);
        let left = order.get(begun.samples..).unwrap_or_default();
        let pass =
            Pass { order: left, batch: config.batch, epoch: epoch as u64, pool: &pool, interrupted: Some(interrupted) };
        feed.each::<LoopError>(pass, |places, inputs| {
            let images = places.len();
            let chosen = &left[places];
            for (to, &sample) in targets.chunks_exact_mut(outputs.max(1)).zip(chosen) {
                all.row(sample, config.task.coding, to).map_err(BatchSourceError::Rows)?;
            }
            begun.rate = config.schedule.rate(config.step, *updates, total, *reductions);
            state[rate_at] = begun.rate as f32;
            state[update_at] = f32::from_bits(*updates as u32);
            let mut given: Vec<&[f32]> = inputs.to_vec();
            given.push(&targets[..images * outputs]);
            let mut share = images as f64;
            match all_weights {
                Weights::Equal => {}
                Weights::Samples(all) => {
                    weights.iter_mut().zip(chosen).for_each(|(to, &sample)| *to = all[sample]);
                    given.push(&weights[..images]);
                }
                Weights::Places(by_class) => {
                    let weights = &mut weights[..images * pixels];
                    share =
                        weigh(&targets[..images * outputs], width, by_class.as_deref(), weights) as f64 / pixels as f64;
                    given.push(weights);
                }
            }
            let (mut loss, mut penalty) = ([0.0], [0.0]);
            let predicted = &mut prediction[..images * outputs];
            let mut room: Vec<&mut [f32]> = vec![&mut loss, predicted];
            if penalized {
                room.push(&mut penalty);
            }
            step.run_with(images, &given, &mut room, state)?;
            // A loss clips what it is computed from: predictions tell of parameters that are no numbers.
            let numbers = prediction[..images * outputs].iter().all(|value| value.is_finite());
            if !numbers || !loss[0].is_finite() || !penalty[0].is_finite() {
                if let Some(&sample) = odd(inputs, images).and_then(|place| chosen.get(place)) {
                    return Err(LoopError::Input { sample });
                }
                let loss = if numbers { loss } else { [f32::NAN] };
                return Err(LoopError::Diverged { epoch, update: *updates, loss: loss[0] });
            }
            *updates += 1;
            begun.samples += images;
            begun.weight += share;
            begun.losses += f64::from(loss[0]) * share;
            begun.penalties += f64::from(penalty[0]) * images as f64;
            let counted = begun.accumulator.add(&prediction[..images * outputs], &targets[..images * outputs]);
            counted.map_err(|_| LoopError::NoNumber { sample: chosen[0] })?;
            observer.samples(epoch, begun.samples, samples, begun.losses / begun.weight.max(f64::MIN_POSITIVE));
            Ok(())
        })
    }

    fn measures(&self, accumulator: &MetricAccumulator) -> BTreeMap<String, f64> {
        let each = self.config.metrics.iter();
        each.filter_map(|&metric| Some((metric.name().to_string(), accumulator.value(metric)?))).collect()
    }

    /// Whether the epoch was better than those before, and what follows of it.
    fn judge(&mut self, told: Epoch) {
        let loss = told.validation_loss.unwrap_or(told.loss);
        let number = told.epoch;
        let progress = &mut self.progress;
        let rank = self.config.keep.rank(&told);
        if rank.is_some() && (progress.rank.is_none() || rank < progress.rank) {
            progress.rank = rank;
            progress.record.best = Some(number);
            // Its state is the one that stands now.
            self.best = None;
        }
        progress.record.epochs.push(told);
        let better = |least: Option<f64>, by: f64| least.is_none_or(|least| loss < least - by);
        if let Some((patience, improvement)) = self.config.schedule.plateau() {
            if better(progress.least_for_plateau, improvement) {
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
        if better(progress.least, stop.improvement) {
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
