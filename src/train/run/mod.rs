//! A training run: data, the features of the frozen front, the compiled step, the training loop, and the files it writes.

mod batch_inputs;
mod batch_targets;
mod configuration;
mod epoch_policies;
pub mod error;
pub mod frozen_features;
mod loop_error;
mod outputs;
pub mod prepare;
pub mod record;
pub mod run_folder;
pub mod save;
mod scalars;
pub mod train_config;
pub mod training_loop;

use super::autodiff::frozen_backbone::split;
use super::autodiff::training_plans::{Trainable, compile};
use super::autodiff::unfreezing::stages;
use super::batches::batch_source::{BatchSource, BatchSourceError};
use super::evaluation::class_weights::SampleWeights;
use super::evaluation::learned::TargetKind;
use super::evaluation::metric_accumulator::MetricsReport;
use super::evaluation::misclassified::{Misclassification, most_confident};
use super::evaluation::score::{DataSplit, SplitTargets};
use crate::artifact::Artifact;
use crate::compile::{self as pipeline, Values};
use crate::data::features::feature_cache::{CacheNote, FeatureCache};
use crate::data::{Dataset, Samples};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::outline::Outline;
use crate::lower::State;
use crate::runtime::Session;
use error::{TrainError, no_checkpoint, other_run, resume_error, unwritable};
use frozen_features::FeatureCounts;
use loop_error::LoopError;
use prepare::digest::PhotoDigests;
use prepare::samples::{self, PreparedData};
use prepare::{PreparedRun, digest};
use record::checkpoint::{self, Checkpoint, Progress};
use record::epoch_logs::EpochLogs;
use record::{DataCounts, Machine, RunRecord};
use run_folder::Lock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use train_config::TrainConfig;
use training_loop::{Observer, TrainingLoop, TrainingResult, evaluate_state};

/// A trained net, and what was written.
#[derive(Debug)]
pub struct Trained {
    pub record: RunRecord,
    /// The name and the metrics of each output on the validation data, or without validation on the training data.
    pub reports: Vec<(String, MetricsReport)>,
    /// Of the first output.
    pub misclassified: Vec<Misclassification>,
    /// The classes of the first output.
    pub labels: Option<Vec<String>>,
    /// The file of the trained weights.
    pub weights: PathBuf,
    /// The file of the artifact, which [`Trained::write_artifact`] writes.
    pub artifact: PathBuf,
    /// The folder of the run.
    pub folder: PathBuf,
    /// Keeps other processes from training the net.
    pub lock: Lock,
}

/// Gets the progress of a run.
pub trait Listener: Observer {
    /// The features of `done` of `total` samples are computed or read.
    fn features(&mut self, done: usize, total: usize);
    /// All features are there, `floats` for each sample; without a cache they are in memory only.
    fn features_done(&mut self, counts: FeatureCounts, seconds: f64, floats: usize, cache: Option<&FeatureCache>);
    /// The feature cache could not do something.
    fn note(&mut self, note: &CacheNote);
    /// The files of the previous run were moved to this folder.
    fn archived(&mut self, folder: &Path);
    /// The run continues after this number of epochs, and of samples of the next one.
    fn resumed(&mut self, epochs: usize, samples: usize);
}

impl PreparedRun {
    fn values(&self) -> Values<'_> {
        Values { graph: &self.net, bindings: &self.bindings }
    }

    /// The number of layers in the frozen front, if there is one.
    pub fn front_layers(&self) -> Option<usize> {
        self.split.front.as_ref().map(|front| front.nodes.len())
    }

    /// Trains. When another thread sets `interrupted`, the run ends after the current batch and writes a checkpoint.
    ///
    /// # Errors
    /// Anything that ends the run early; files that were written before stay.
    pub fn train(mut self, interrupted: &AtomicBool, listener: &mut dyn Listener) -> Result<Trained, TrainError> {
        let folder = self.options.folder.join(format!("{}.run", self.net.name));
        let lock = run_folder::lock(&folder, &self.net.name)?;
        let config = self.config(&folder);
        let stages = stages(&self.net, &self.recipe)?;
        let outline = Outline::of(&self.net);
        let begun = self.begun(&stages, &config);
        let mut first_front = Some(self.front()?);
        let digest = first_front.as_ref().map_or("", |(_, digest)| digest);
        let photos = PhotoDigests::of(&self.data);
        let run = digest::of_run(&self.net, &self.recipe, &self.data, &photos, digest).map_err(|error| {
            TrainError::of(BatchSourceError::from(error).into(), &self.recipe, &self.bindings, &folder)
        })?;
        let resumed_in = match self.options.resume {
            true => {
                let progress = checkpoint::progress(&folder).map_err(|error| resume_error(&error.to_string()))?;
                progress.map_or(1, |progress| progress.epoch())
            }
            false => 1,
        };
        let mut carried: Option<(State, Checkpoint)> = None;
        let mut logs: Option<EpochLogs> = None;
        let ends: Vec<usize> = stages.iter().skip(1).map(|stage| stage.first_epoch - 1).chain([usize::MAX]).collect();
        for (stage, last_epoch) in stages.into_iter().zip(ends) {
            if resumed_in > last_epoch {
                continue;
            }
            let (front, digest) = match first_front.take().filter(|_| stage.first_epoch == 1) {
                Some(front) => front,
                None => {
                    self.net = stage.net;
                    self.split = split(&self.net);
                    self.front()?
                }
            };
            let mut record = self.record();
            let (train, validation) =
                self.batch_sources(front.as_ref(), &digest, &mut record, interrupted, listener)?;
            drop(front);
            let weights = samples::weights(&self.recipe, &self.data)?;
            let evaluation_weights = samples::evaluation_weights(&self.data);
            let settings = self.settings(&weights, &evaluation_weights, &begun);
            let trainable = compile(&self.split.trained, &settings, config.batch, &self.values())?;
            let mut train = data_split(train, &self.data.train, weights);
            let mut validation = match (&self.data.validation, validation) {
                (Some(data), Some(source)) => Some(data_split(source, data, evaluation_weights)),
                _ => None,
            };
            let (net, listed) = (Some(outline.clone()), photos.shortened());
            let start = Progress { run: run.clone(), net, photos: listed, record, ..Progress::default() };
            let mut training = TrainingLoop::new(&trainable, &config, start);
            match carried.take() {
                Some((layout, checkpoint)) => training.resume(checkpoint.for_layout(&layout, &trainable)),
                None if self.options.resume => {
                    training.resume(self.checkpoint(&config, training.floats(), &run, &photos, listener)?);
                }
                None => {
                    let archive = run_folder::archive_previous_run(&folder, &self.weights_path())
                        .map_err(|error| unwritable(&folder, &error))?;
                    archive.iter().for_each(|archive| listener.archived(archive));
                }
            }
            let of = |error: LoopError| TrainError::of(error, &self.recipe, &self.bindings, &folder);
            let logs = match &mut logs {
                Some(logs) => logs,
                none => none.insert(EpochLogs::begin(&folder, training.record()).map_err(|error| of(error.into()))?),
            };
            training.run(last_epoch, &mut train, validation.as_mut(), logs, interrupted, listener).map_err(of)?;
            if training.is_over() {
                let result = training.finish();
                return self.finish(result, &trainable, &config, train, validation, interrupted, lock);
            }
            carried = Some((trainable.layout.clone(), training.into_checkpoint()));
        }
        // The last stage ends with the run.
        Err(no_checkpoint(&folder).into())
    }

    /// The compiled frozen front and its digest; none and an empty one without a front.
    fn front(&self) -> Result<(Option<Arc<Artifact>>, String), Diagnostics> {
        let Some(front) = &self.split.front else { return Ok((None, String::new())) };
        let artifact = pipeline::in_memory(front, &self.values())?;
        let digest = digest::of_front(&artifact, self.data.decoding.as_ref());
        Ok((Some(artifact), digest))
    }

    /// The checkpoint that the run continues from.
    fn checkpoint(
        &self,
        config: &TrainConfig,
        floats: usize,
        run: &str,
        photos: &PhotoDigests,
        listener: &mut dyn Listener,
    ) -> Result<Checkpoint, Diagnostics> {
        let folder = &config.folder;
        let checkpoint = checkpoint::read(folder, floats).map_err(|error| resume_error(&error.to_string()))?;
        let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(folder))?;
        if checkpoint.progress.run != run {
            let message = format!("the checkpoint in {} belongs to another net, recipe or data", folder.display());
            let mut notes = checkpoint.progress.record.differences(&self.record());
            notes.extend(self.changed_photos(&photos.changed_since(&checkpoint.progress.photos)));
            if notes.is_empty() {
                notes.push("the values of its data or of its frozen layers differ".to_string());
            }
            return Err(notes.into_iter().fold(other_run(&message), Diagnostic::note).into());
        }
        let samples = checkpoint.progress.partial.as_ref().map_or(0, |partial| partial.samples);
        let (done, wanted) = (checkpoint.progress.record.epochs.len(), config.epochs);
        if done > wanted {
            return Err(resume_error(&format!(
                "the checkpoint in {} was written after epoch {done}, but the recipe has {wanted} epochs",
                folder.display()
            )));
        }
        listener.resumed(done, samples);
        Ok(checkpoint)
    }

    /// What is said of photos that have changed, by their indices among those of training and validation; none without any.
    fn changed_photos(&self, changed: &[usize]) -> Option<String> {
        let parts = std::iter::once(&self.data.train).chain(&self.data.validation);
        let photos = parts.filter_map(|data| match &data.samples {
            Samples::Photos(photos) => Some(photos),
            Samples::Arrays(_) => None,
        });
        let photos: Vec<&PathBuf> = photos.flatten().collect();
        let first = photos.get(*changed.first()?)?.display();
        Some(match changed.len() {
            1 => format!("{first} has other contents"),
            count => format!("{count} of {} photos have other contents, {first} the first", photos.len()),
        })
    }

    /// Evaluates the parameters that are kept, and writes weights, labels and record.
    #[allow(clippy::too_many_arguments)] // The results of all previous stages.
    fn finish(
        &self,
        result: TrainingResult,
        trainable: &Trainable,
        config: &TrainConfig,
        mut train: DataSplit<'_>,
        validation: Option<DataSplit<'_>>,
        interrupted: &AtomicBool,
        lock: Lock,
    ) -> Result<Trained, TrainError> {
        let folder = &config.folder;
        let TrainingResult { mut record, mut state } = result;
        let evaluated = if validation.is_some() { self.data.validation.as_ref() } else { Some(&self.data.train) };
        let (mut split, data) = match (validation, evaluated) {
            (Some(split), Some(data)) => (split, data),
            _ => {
                // Without class weights and augmentation, as in prediction.
                let weights = samples::evaluation_weights(&self.data);
                train.outputs.iter_mut().zip(weights).for_each(|(output, weights)| output.weights = weights);
                train.source.disable_augmentation();
                (train, &self.data.train)
            }
        };
        let mut session = Session::new(Arc::clone(&trainable.evaluation), config.threads);
        // Only photos are shown; their predictions are kept.
        let first = &config.outputs[0];
        let shown = match (&data.samples, data.targets.classes()) {
            (Samples::Photos(photos), Some(classes)) if first.task.is_labelled() => Some((photos, classes)),
            _ => None,
        };
        let mut predictions = Vec::new();
        let mut on_batch = |_, batch: &[f32]| shown.iter().for_each(|_| predictions.extend_from_slice(batch));
        let evaluated = evaluate_state(&mut session, &mut state, &mut split, config, interrupted, &mut on_batch)
            .map_err(|error| TrainError::of(error, &self.recipe, &self.bindings, folder))?;
        let several = config.outputs.len() > 1;
        record.metrics = config.loss_of(&evaluated).map(|loss| ("loss".to_string(), loss)).into_iter().collect();
        let mut reports = Vec::with_capacity(evaluated.len());
        for (output, result) in config.outputs.iter().zip(&evaluated) {
            let loss = result.loss.filter(|_| several);
            let values = result.accumulator.values(loss).into_iter();
            record.metrics.extend(values.map(|(name, value)| (config.name_of(output, &name), value)));
            reports.extend(result.accumulator.report(result.loss).map(|report| (output.name.clone(), report)));
        }
        let misclassified = shown.map_or_else(Vec::new, |(photos, classes)| {
            let len = first.task.sizes.iter().product();
            most_confident(&predictions, len, first.task.output_kind, &classes, photos)
        });
        let weights = self.weights_path();
        save::save(&weights, &self.net, &self.values(), &trainable.layout, &state, self.options.layout)
            .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))?;
        if let Some(labels) = self.data.labels() {
            let text: String = labels.iter().map(|label| format!("{label}\n")).collect();
            let path = folder.join(pipeline::TRAINED_LABELS);
            crate::file::replace(&path, |file| file.write_all(text.as_bytes()))
                .map_err(|error| unwritable(&path, &error))?;
        }
        record.write(folder).map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))?;
        let labels = self.data.labels().cloned();
        let artifact = self.artifact_path();
        Ok(Trained { record, reports, misclassified, labels, weights, artifact, folder: folder.clone(), lock })
    }

    fn counts(&self) -> DataCounts {
        let PreparedData { train, validation, .. } = &self.data;
        let (validation, labels) = (validation.as_ref(), self.data.labels());
        DataCounts {
            training: train.len() as u64,
            validation: validation.map_or(0, |data| data.len() as u64),
            classes: labels.map_or(0, |labels| labels.len() as u64),
            skipped: (train.skipped.len() + validation.map_or(0, |data| data.skipped.len())) as u64,
        }
    }

    fn record(&self) -> RunRecord {
        let recipe = &self.recipe;
        RunRecord {
            net: self.net.name.clone(),
            summary: self.net.summary(),
            netc: env!("CARGO_PKG_VERSION").to_string(),
            recipe: recipe.entries.clone(),
            set: recipe.settings.clone(),
            seed: recipe.seed,
            inputs: self
                .bindings
                .report
                .files
                .iter()
                .map(|file| (file_name(&file.file), digest::of_file(&file.file)))
                .collect(),
            data: self.counts(),
            machine: Machine::current(self.options.threads),
            keep: self.keep_policy().description(self.data.validation.is_some()),
            unit: self
                .data
                .outputs
                .first()
                .map(|output| &output.task)
                .and_then(|task| (task.kind != TargetKind::Numbers).then(|| task.unit())),
            ..RunRecord::default()
        }
    }
}

/// The samples of a dataset with the targets of each output.
fn data_split(source: BatchSource, data: &Dataset, weights: Vec<SampleWeights>) -> DataSplit<'_> {
    let outputs = data.all_targets().zip(weights).map(|(targets, weights)| SplitTargets { targets, weights });
    DataSplit { source, outputs: outputs.collect() }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_string(), |name| name.to_string_lossy().into_owned())
}
