//! A training run: data, the features of the frozen front, the compiled step, the training loop, and the files it writes.

pub mod checkpoint;
pub mod digest;
pub mod epoch_rank;
pub mod error;
pub mod frozen_features;
pub mod prepare;
pub mod record;
pub mod run_folder;
pub mod samples;
pub mod save;
pub mod training_loop;

use super::autodiff::Settings;
use super::autodiff::training_plans::{Trainable, compile};
use super::batches::batch_source::{BatchSource, BatchSourceError, with_augmentation};
use super::batches::unreadable_photos::remove_unreadable;
use super::evaluation::metric_accumulator::MetricsReport;
use super::evaluation::misclassified::{Misclassification, most_confident};
use super::evaluation::score::DataSplit;
use super::evaluation::task::TargetKind;
use super::recipe::Metric;
use super::recipe::keep_policy::KeepPolicy;
use super::recipe::sources::Validation;
use crate::artifact::Artifact;
use crate::compile::{self as pipeline, Values};
use crate::data::features::feature_cache::{CacheNote, FeatureCache};
use crate::data::{Dataset, Samples};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::runtime::Session;
use error::{TrainError, no_checkpoint, resume_error, unwritable};
use frozen_features::{FeatureCounts, FrozenFront};
use prepare::PreparedRun;
use record::{DataCounts, FrontRecord, Machine, RunRecord};
use run_folder::Lock;
use samples::PreparedData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use training_loop::{Observer, TrainConfig, TrainingLoop, TrainingResult, evaluate_state};

/// A trained net, and what was written.
#[derive(Debug)]
pub struct Trained {
    pub record: RunRecord,
    /// The metrics on the validation data, or without validation on the training data.
    pub report: Option<MetricsReport>,
    pub misclassified: Vec<Misclassification>,
    pub labels: Option<Vec<String>>,
    /// The file of the trained weights.
    pub weights: PathBuf,
    /// The folder of the run.
    pub folder: PathBuf,
    /// Keeps other processes from training the net.
    pub lock: Lock,
}

/// The batch of a frozen front.
const FRONT_BATCH: usize = 8;

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

    fn outputs(&self) -> usize {
        self.net.node(self.net.outputs[0]).output.len().unwrap_or(0)
    }

    /// The number of layers in the frozen front, if there is one.
    pub fn front_layers(&self) -> Option<usize> {
        self.split.front.as_ref().map(|front| front.nodes.len())
    }

    fn keep_policy(&self) -> KeepPolicy {
        self.recipe.keep.unwrap_or_else(|| KeepPolicy::default_for(self.data.validation.is_some(), self.recipe.stop))
    }

    fn config(&self, folder: &Path) -> TrainConfig {
        let recipe = &self.recipe;
        let mut metrics = recipe.metrics.clone().unwrap_or_else(|| match self.data.task.kind {
            TargetKind::Classes | TargetKind::Binary => vec![Metric::Accuracy],
            TargetKind::Numbers => vec![Metric::Rmse],
        });
        let keep = self.keep_policy();
        let criterion = keep.metric().filter(|metric| !metrics.contains(metric));
        metrics.extend(criterion);
        TrainConfig {
            epochs: recipe.epochs,
            batch: recipe.batch.min(self.data.train.len()),
            seed: recipe.seed,
            shuffle: recipe.shuffle,
            learning_rate: recipe.optimizer.step,
            schedule: recipe.schedule.clone(),
            stop: recipe.stop,
            keep,
            checkpoint: recipe.checkpoint,
            metrics,
            task: self.data.task.clone(),
            labels: self.data.labels.clone(),
            threads: self.options.threads,
            folder: folder.to_path_buf(),
        }
    }

    /// Trains. When another thread sets `interrupted`, the run ends after the current batch and writes a checkpoint.
    ///
    /// # Errors
    /// Anything that ends the run early; files that were written before stay.
    pub fn train(mut self, interrupted: &AtomicBool, listener: &mut dyn Listener) -> Result<Trained, TrainError> {
        let folder = self.options.folder.join(format!("{}.run", self.net.name));
        if self.options.resume && !folder.join(checkpoint::FILE).exists() {
            return Err(no_checkpoint(&folder).into());
        }
        let lock = run_folder::lock(&folder, &self.net.name)?;
        let config = self.config(&folder);
        let (front, digest) = match &self.split.front {
            Some(front) => {
                let artifact = pipeline::in_memory(front, &self.values())?;
                let digest = digest::of_front(&artifact, self.data.decoding.as_ref());
                (Some(artifact), digest)
            }
            None => (None, String::new()),
        };
        let run = digest::of_run(&self.net, &self.recipe, &self.data, &digest)
            .map_err(|error| TrainError::of(BatchSourceError::from(error).into(), &self.recipe, &self.bindings))?;
        let mut record = self.record();
        let (train, validation) = self.batch_sources(front.as_ref(), &digest, &mut record, interrupted, listener)?;
        let weights = samples::weights(&self.recipe, &self.data)?;
        let settings = Settings {
            loss: self.loss,
            rule: self.recipe.optimizer.rule,
            penalty: self.recipe.regularizer.clone(),
            clip: self.recipe.optimizer.clip_value,
            norm: self.recipe.optimizer.clip_norm,
            weighted: weights.is_weighted(),
            evaluation_weighted: samples::evaluation_weights(&self.data).is_weighted(),
            seed: self.recipe.seed,
        };
        drop(front);
        let trainable = compile(&self.split.trained, &settings, config.batch, &self.values())?;
        let mut train = DataSplit { source: train, targets: &self.data.train.targets, weights };
        let mut validation = match (&self.data.validation, validation) {
            (Some(data), Some(source)) => {
                let weights = samples::evaluation_weights(&self.data);
                Some(DataSplit { source, targets: &data.targets, weights })
            }
            _ => None,
        };
        let mut training = TrainingLoop::new(&trainable, &config, record, run.clone());
        if self.options.resume {
            let checkpoint =
                checkpoint::read(&folder, training.floats()).map_err(|error| resume_error(&error.to_string()))?;
            let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(&folder))?;
            if checkpoint.progress.run != run {
                return Err(resume_error(&format!(
                    "the checkpoint in {} belongs to another net, recipe or data",
                    folder.display()
                ))
                .into());
            }
            let samples = checkpoint.progress.partial.as_ref().map_or(0, |partial| partial.samples);
            let (done, wanted) = (checkpoint.progress.record.epochs.len(), config.epochs);
            if done > wanted {
                return Err(resume_error(&format!(
                    "the checkpoint in {} was written after epoch {done}, but the recipe has {wanted} epochs",
                    folder.display()
                ))
                .into());
            }
            listener.resumed(done, samples);
            training.resume(checkpoint);
        } else {
            let archive = run_folder::archive_previous_run(&folder, &self.weights_path())
                .map_err(|error| unwritable(&folder, &error))?;
            archive.iter().for_each(|archive| listener.archived(archive));
        }
        let result = training
            .run(&mut train, validation.as_mut(), interrupted, listener)
            .map_err(|error| TrainError::of(error, &self.recipe, &self.bindings))?;
        self.finish(result, &trainable, &config, train, validation, interrupted, lock)
    }

    /// The file of the trained weights.
    fn weights_path(&self) -> PathBuf {
        self.options.folder.join(format!("{}.h5", self.net.name))
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
                train.weights = samples::evaluation_weights(&self.data);
                train.source.disable_augmentation();
                (train, &self.data.train)
            }
        };
        let mut session = Session::new(Arc::clone(&trainable.evaluation), config.threads);
        // Only photos are shown; their predictions are kept.
        let shown = match (&data.samples, data.targets.classes()) {
            (Samples::Photos(photos), Some(classes)) if config.task.is_labelled() => Some((photos, classes)),
            _ => None,
        };
        let mut predictions = Vec::new();
        let mut on_batch = |_, batch: &[f32]| shown.iter().for_each(|_| predictions.extend_from_slice(batch));
        let evaluated = evaluate_state(&mut session, &mut state, &mut split, config, interrupted, &mut on_batch)
            .map_err(|error| TrainError::of(error, &self.recipe, &self.bindings))?;
        let report = evaluated.accumulator.report(evaluated.loss);
        record.metrics = evaluated.accumulator.values(evaluated.loss);
        let misclassified = shown.map_or_else(Vec::new, |(photos, classes)| {
            most_confident(&predictions, self.outputs(), config.task.output_kind, &classes, photos)
        });
        let weights = self.weights_path();
        save::save(&weights, &self.net, &self.values(), &trainable.layout, &state, self.options.layout)
            .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))?;
        if let Some(labels) = &self.data.labels {
            let text: String = labels.iter().map(|label| format!("{label}\n")).collect();
            let path = folder.join(pipeline::TRAINED_LABELS);
            crate::file::replace(&path, |file| file.write_all(text.as_bytes()))
                .map_err(|error| unwritable(&path, &error))?;
        }
        record.write(folder).map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))?;
        let labels = self.data.labels.clone();
        Ok(Trained { record, report, misclassified, labels, weights, folder: folder.clone(), lock })
    }

    fn counts(&self) -> DataCounts {
        let PreparedData { train, validation, labels, .. } = &self.data;
        let validation = validation.as_ref();
        DataCounts {
            training: train.len() as u64,
            validation: validation.map_or(0, |data| data.len() as u64),
            classes: labels.as_ref().map_or(0, |labels| labels.len() as u64),
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
            unit: (self.data.task.kind != TargetKind::Numbers).then(|| self.data.task.unit()),
            ..RunRecord::default()
        }
    }

    /// The inputs of the trained part for training and validation data. Computes the features of the frozen front.
    fn batch_sources(
        &mut self,
        front: Option<&Arc<Artifact>>,
        digest: &str,
        record: &mut RunRecord,
        interrupted: &AtomicBool,
        listener: &mut dyn Listener,
    ) -> Result<(BatchSource, Option<BatchSource>), TrainError> {
        let augment = self.recipe.augment;
        let threads = self.options.threads;
        let train_policy = (self.recipe.data.policy(), self.recipe.data.span());
        let validation_policy = match &self.recipe.validation {
            Validation::Data(data) => (data.policy(), data.span()),
            _ => train_policy,
        };
        // Photos that each epoch decodes are checked before the first one, if unreadable ones are to be skipped.
        if let Some(decoding) = &self.data.decoding {
            let validation =
                self.data.validation.as_mut().filter(|_| front.is_none()).map(|data| (data, validation_policy));
            let train = (front.is_none() || augment.is_some()).then_some((&mut self.data.train, train_policy));
            for (data, (policy, span)) in train.into_iter().chain(validation) {
                remove_unreadable(data, policy, decoding, threads, Some(interrupted))
                    .map_err(|error| TrainError::of_samples(&error, span))?;
            }
            record.data = self.counts();
        }
        let decoding = self.data.decoding.clone();
        let Some(front) = front else {
            let augmented = match (&decoding, augment) {
                (Some(decoding), Some(augment)) => Some(with_augmentation(decoding, augment, self.recipe.seed)),
                _ => decoding.clone(),
            };
            let validation =
                self.data.validation.as_ref().map(|data| BatchSource::of_samples(&data.samples, decoding.as_ref()));
            return Ok((BatchSource::of_samples(&self.data.train.samples, augmented.as_ref()), validation));
        };
        let floats = front.manifest.plan.outputs.iter().map(|port| port.len()).sum::<usize>();
        let open = |folder: &PathBuf| {
            FeatureCache::open(folder, digest, floats)
                .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))
        };
        let mut cache = self.options.cache.as_ref().map(open).transpose()?;
        let began = Instant::now();
        let mut counts = FeatureCounts::default();
        type Source = Result<BatchSource, TrainError>;
        let mut features = |data: &mut Dataset, (policy, span), listener: &mut dyn Listener| -> Source {
            let mut on_progress = |done, total| listener.features(done, total);
            let front = FrozenFront {
                artifact: front,
                decoding: decoding.as_ref(),
                batch: FRONT_BATCH,
                threads,
                interrupted: Some(interrupted),
            };
            let features = frozen_features::features(front, data, policy, cache.as_mut(), &mut on_progress);
            let (rows, computed) = features.map_err(|error| TrainError::of_samples(&error, span))?;
            counts.cached += computed.cached;
            counts.computed += computed.computed;
            Ok(BatchSource::Rows(rows))
        };
        // With augmentation, the front sees other photos in each epoch.
        let train = match (augment, &self.data.train.samples, &self.data.decoding) {
            (Some(augment), Samples::Photos(photos), Some(decoding)) => BatchSource::Photos {
                photos: photos.clone().into(),
                decoding: with_augmentation(decoding, augment, self.recipe.seed),
                front: Some(Box::new(Session::new(Arc::clone(front), threads))),
            },
            _ => features(&mut self.data.train, train_policy, listener)?,
        };
        let validation = match &mut self.data.validation {
            Some(data) => Some(features(data, validation_policy, listener)?),
            None => None,
        };
        let seconds = began.elapsed().as_secs_f64();
        listener.features_done(counts, seconds, floats, cache.as_ref());
        cache.iter().flat_map(FeatureCache::notes).for_each(|note| listener.note(note));
        record.front = Some(FrontRecord {
            layers: self.split.front.as_ref().map_or(0, |front| front.nodes.len() as u64),
            features: floats as u64,
            cached: counts.cached as u64,
            seconds,
        });
        record.data = self.counts();
        Ok((train, validation))
    }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_string(), |name| name.to_string_lossy().into_owned())
}
