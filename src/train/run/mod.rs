//! From a recipe to a trained net: data, the frozen front's features, the compiled step, the loop, and what is kept of it.

pub mod batch_source;
pub mod checkpoint;
pub mod digest;
pub mod error;
pub mod frozen_features;
pub mod keep_best;
pub mod prepare;
pub mod record;
pub mod run_folder;
pub mod samples;
pub mod save;
pub mod training_loop;

use super::autodiff::Settings;
use super::autodiff::training_plans::{Trainable, compile};
use super::evaluation::metric_accumulator::Outcome;
use super::evaluation::misclassified::{Misclassification, worst};
use super::evaluation::task::TargetKind;
use super::evaluation::try_state::try_state;
use super::recipe::Metric;
use super::recipe::sources::Validation;
use crate::artifact::Artifact;
use crate::compile::{self as road, Values};
use crate::data::features::feature_cache::{CacheNote, FeatureCache};
use crate::data::{Dataset, Samples};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::runtime::Session;
use batch_source::{BatchSource, BatchSourceError, augmented};
use error::{TrainError, no_checkpoint, resume_error, unwritable};
use frozen_features::Computed;
use keep_best::KeepPolicy;
use prepare::Prepare;
use record::{DataCounts, Front, Machine, RunRecord};
use run_folder::Lock;
use samples::Prepared;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use training_loop::{DataSplit, Observer, TrainConfig, TrainingLoop, TrainingResult};

/// A net that was trained.
#[derive(Debug)]
pub struct Trained {
    pub record: RunRecord,
    pub outcome: Option<Outcome>,
    pub mistakes: Vec<Misclassification>,
    pub labels: Option<Vec<String>>,
    /// The weights that were written.
    pub weights: PathBuf,
    /// The folder of the run.
    pub folder: PathBuf,
    /// No other training of the net goes on while this is held.
    pub lock: Lock,
}

/// Images of a frozen front at a time.
const FRONT_BATCH: usize = 8;

/// What a run tells while it lasts.
pub trait Listener: Observer {
    /// The front's features of so many samples are there.
    fn features(&mut self, done: usize, total: usize);
    /// All of them are, so many floats each; without a cache they are in memory only.
    fn cached(&mut self, computed: Computed, seconds: f64, floats: usize, cache: Option<&FeatureCache>);
    /// What the cache could not do.
    fn note(&mut self, note: &CacheNote);
    /// The files of the run before stand here now.
    fn put_aside(&mut self, folder: &Path);
    /// The run goes on behind so many epochs, and so many samples of the next.
    fn resumed(&mut self, epochs: usize, samples: usize);
}

impl Prepare {
    fn values(&self) -> Values<'_> {
        Values { graph: &self.net, bindings: &self.bindings }
    }

    fn outputs(&self) -> usize {
        self.net.node(self.net.outputs[0]).output.len().unwrap_or(0)
    }

    /// The layers of the frozen front, where there is one.
    pub fn front_layers(&self) -> Option<usize> {
        self.split.front.as_ref().map(|front| front.nodes.len())
    }

    /// Which epoch's parameters are kept.
    fn kept(&self) -> KeepPolicy {
        self.recipe.keep.unwrap_or_else(|| KeepPolicy::fitting(self.data.validation.is_some(), self.recipe.stop))
    }

    fn config(&self, folder: &Path) -> TrainConfig {
        let recipe = &self.recipe;
        let mut metrics = recipe.metrics.clone().unwrap_or_else(|| match self.data.task.says {
            TargetKind::Classes | TargetKind::Either => vec![Metric::Accuracy],
            TargetKind::Numbers => vec![Metric::Rmse],
        });
        let keep = self.kept();
        let judged = keep.metric().filter(|metric| !metrics.contains(metric));
        metrics.extend(judged);
        TrainConfig {
            epochs: recipe.epochs,
            batch: recipe.batch.min(self.data.train.len()),
            seed: recipe.seed,
            shuffle: recipe.shuffle,
            step: recipe.optimizer.step,
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

    /// Trains.
    ///
    /// Where `interrupted` is set, the run ends behind the batch that it is at, and keeps what is done.
    ///
    /// # Errors
    /// Whatever ends a run before its end; what was written before stays.
    pub fn train(mut self, interrupted: &AtomicBool, listener: &mut dyn Listener) -> Result<Trained, TrainError> {
        let folder = self.options.folder.join(format!("{}.run", self.net.name));
        if self.options.resume && !folder.join(checkpoint::FILE).exists() {
            return Err(no_checkpoint(&folder).into());
        }
        let lock = run_folder::lock(&folder, &self.net.name)?;
        let config = self.config(&folder);
        let (front, digest) = match &self.split.front {
            Some(front) => {
                let artifact = road::in_memory(front, &self.values())?;
                let digest = digest::of_front(&artifact, self.data.decoding.as_ref());
                (Some(artifact), digest)
            }
            None => (None, String::new()),
        };
        let run = digest::of_run(&self.net, &self.recipe, &self.data, &digest)
            .map_err(|error| TrainError::of(BatchSourceError::from(error).into(), &self.recipe, &self.bindings))?;
        let mut record = self.record();
        let (train, validation) = self.feeds(front.as_ref(), &digest, &mut record, interrupted, listener)?;
        let weights = samples::weights(&self.recipe, &self.data)?;
        let settings = Settings {
            loss: self.loss,
            rule: self.recipe.optimizer.rule,
            penalty: self.recipe.regularizer.clone(),
            clip: self.recipe.optimizer.clip_value,
            norm: self.recipe.optimizer.clip_norm,
            weighted: weights.is_given(),
            tried_weighted: samples::tried_weights(&self.data).is_given(),
            seed: self.recipe.seed,
        };
        drop(front);
        let trainable = compile(&self.split.rest, &settings, config.batch, &self.values())?;
        let mut train = samples::set(&self.data.train, train, weights);
        let mut validation = match (&self.data.validation, validation) {
            (Some(data), Some(feed)) => Some(samples::set(data, feed, samples::tried_weights(&self.data))),
            _ => None,
        };
        let mut fit = TrainingLoop::new(&trainable, &config, record, run.clone());
        if self.options.resume {
            let checkpoint =
                checkpoint::read(&folder, fit.floats()).map_err(|error| resume_error(&error.to_string()))?;
            let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(&folder))?;
            if checkpoint.progress.run != run {
                return Err(resume_error(&format!(
                    "the checkpoint in {} is of another net, recipe or data",
                    folder.display()
                ))
                .into());
            }
            let begun = checkpoint.progress.begun.as_ref().map_or(0, |begun| begun.samples);
            let (done, wanted) = (checkpoint.progress.record.epochs.len(), config.epochs);
            if done > wanted {
                return Err(resume_error(&format!(
                    "the checkpoint in {} is behind epoch {done}, and the recipe ends at {wanted}",
                    folder.display()
                ))
                .into());
            }
            listener.resumed(done, begun);
            fit.resume(checkpoint);
        } else {
            let aside = run_folder::put_aside(&folder, &self.weights()).map_err(|error| unwritable(&folder, &error))?;
            aside.iter().for_each(|aside| listener.put_aside(aside));
        }
        let fitted = fit
            .run(&mut train, validation.as_mut(), interrupted, listener)
            .map_err(|error| TrainError::of(error, &self.recipe, &self.bindings))?;
        self.keep(fitted, &trainable, &config, train, validation, interrupted, lock)
    }

    /// Where the trained weights go.
    fn weights(&self) -> PathBuf {
        self.options.folder.join(format!("{}.h5", self.net.name))
    }

    /// Writes what is kept, and measures it.
    #[allow(clippy::too_many_arguments)] // All that a run ends with.
    fn keep(
        &self,
        fitted: TrainingResult,
        trainable: &Trainable,
        config: &TrainConfig,
        mut train: DataSplit<'_>,
        validation: Option<DataSplit<'_>>,
        interrupted: &AtomicBool,
        lock: Lock,
    ) -> Result<Trained, TrainError> {
        let folder = &config.folder;
        let TrainingResult { mut record, mut state } = fitted;
        let tried_on = if validation.is_some() { self.data.validation.as_ref() } else { Some(&self.data.train) };
        let (mut set, data) = match (validation, tried_on) {
            (Some(set), Some(data)) => (set, data),
            _ => {
                // As a prediction will see them: each counts once, and photos are as they are.
                train.weights = samples::tried_weights(&self.data);
                train.feed.unchange();
                (train, &self.data.train)
            }
        };
        let mut session = Session::new(Arc::clone(&trainable.evaluation), config.threads);
        // Mistakes are shown as pictures; of arrays there are none.
        let shown = match (&data.samples, data.targets.classes()) {
            (Samples::Photos(photos), Some(classes)) if config.task.is_labelled() => Some((photos, classes)),
            _ => None,
        };
        let mut all = Vec::new();
        let mut seen = |predictions: &[f32]| shown.iter().for_each(|_| all.extend_from_slice(predictions));
        let tried = try_state(&mut session, &mut state, &mut set, config, interrupted, &mut seen)
            .map_err(|error| TrainError::of(error, &self.recipe, &self.bindings))?;
        let outcome = tried.accumulator.outcome(Some(tried.loss));
        record.outcome = tried.accumulator.measures(Some(tried.loss));
        let mistakes = shown.map_or_else(Vec::new, |(photos, classes)| {
            worst(&all, self.outputs(), config.task.ending, &classes, photos)
        });
        let weights = self.weights();
        save::save(&weights, &self.net, &self.values(), &trainable.layout, &state, self.options.layout)
            .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))?;
        if let Some(labels) = &self.data.labels {
            let text: String = labels.iter().map(|label| format!("{label}\n")).collect();
            let path = folder.join(road::TRAINED_LABELS);
            crate::file::replace(&path, |file| file.write_all(text.as_bytes()))
                .map_err(|error| unwritable(&path, &error))?;
        }
        record.write(folder).map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))?;
        let labels = self.data.labels.clone();
        Ok(Trained { record, outcome, mistakes, labels, weights, folder: folder.clone(), lock })
    }

    fn counts(&self) -> DataCounts {
        let Prepared { train, validation, labels, .. } = &self.data;
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
                .map(|file| (name_of(&file.file), digest::of_file(&file.file)))
                .collect(),
            data: self.counts(),
            machine: Machine::this(self.options.threads),
            keep: self.kept().in_words(self.data.validation.is_some()),
            counted: (self.data.task.says != TargetKind::Numbers).then(|| self.data.task.counted()),
            ..RunRecord::default()
        }
    }

    /// Where the inputs of the trained part come from, for both datasets.
    fn feeds(
        &mut self,
        front: Option<&Arc<Artifact>>,
        digest: &str,
        record: &mut RunRecord,
        interrupted: &AtomicBool,
        listener: &mut dyn Listener,
    ) -> Result<(BatchSource, Option<BatchSource>), TrainError> {
        let augment = self.recipe.augment;
        let threads = self.options.threads;
        let own = (self.recipe.data.policy(), self.recipe.data.span());
        let other = match &self.recipe.validation {
            Validation::Data(data) => (data.policy(), data.span()),
            _ => own,
        };
        // Photos that each epoch decodes are looked at before the first, where bad ones are to be skipped.
        if let Some(decoding) = &self.data.decoding {
            let validation = self.data.validation.as_mut().filter(|_| front.is_none()).map(|data| (data, other));
            let train = (front.is_none() || augment.is_some()).then_some((&mut self.data.train, own));
            for (data, (policy, span)) in train.into_iter().chain(validation) {
                let sifted = frozen_features::sift(data, policy, decoding, threads, Some(interrupted));
                sifted.map_err(|error| TrainError::of_features(&error, span))?;
            }
            record.data = self.counts();
        }
        let Some(front) = front else {
            let feed = |data: &Dataset, decoding: Option<&crate::data::Decoding>| match (&data.samples, decoding) {
                (Samples::Photos(photos), Some(decoding)) => {
                    BatchSource::Photos { photos: photos.clone().into(), decoding: decoding.clone(), front: None }
                }
                (Samples::Arrays(arrays), _) => BatchSource::Rows(arrays.clone()),
                (Samples::Photos(_), None) => BatchSource::Rows(Vec::new()),
            };
            let plain = self.data.decoding.clone();
            let changed = match (&plain, augment) {
                (Some(decoding), Some(augment)) => Some(augmented(decoding, augment, self.recipe.seed)),
                _ => plain.clone(),
            };
            let validation = self.data.validation.as_ref().map(|data| feed(data, plain.as_ref()));
            return Ok((feed(&self.data.train, changed.as_ref()), validation));
        };
        let floats = front.manifest.plan.outputs.iter().map(|port| port.len()).sum::<usize>();
        let open = |folder: &PathBuf| {
            FeatureCache::open(folder, digest, floats)
                .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))
        };
        let mut cache = self.options.cache.as_ref().map(open).transpose()?;
        let began = Instant::now();
        let mut all = Computed::default();
        let decoding = self.data.decoding.clone();
        type Found = Result<BatchSource, TrainError>;
        let mut features = |data: &mut Dataset, (policy, span), listener: &mut dyn Listener| -> Found {
            let mut told = |done, total| listener.features(done, total);
            let front = frozen_features::Front {
                artifact: front,
                decoding: decoding.as_ref(),
                batch: FRONT_BATCH,
                threads,
                interrupted: Some(interrupted),
            };
            let found = frozen_features::features(front, data, policy, cache.as_mut(), &mut told);
            let (rows, computed) = found.map_err(|error| TrainError::of_features(&error, span))?;
            all.cached += computed.cached;
            all.computed += computed.computed;
            Ok(BatchSource::Rows(rows))
        };
        // With changes by chance the front sees another photo in each epoch.
        let train = match (augment, &self.data.train.samples, &self.data.decoding) {
            (Some(augment), Samples::Photos(photos), Some(decoding)) => BatchSource::Photos {
                photos: photos.clone().into(),
                decoding: augmented(decoding, augment, self.recipe.seed),
                front: Some(Box::new(Session::new(Arc::clone(front), threads))),
            },
            _ => features(&mut self.data.train, own, listener)?,
        };
        let validation = match &mut self.data.validation {
            Some(data) => Some(features(data, other, listener)?),
            None => None,
        };
        let seconds = began.elapsed().as_secs_f64();
        listener.cached(all, seconds, floats, cache.as_ref());
        cache.iter().flat_map(FeatureCache::notes).for_each(|note| listener.note(note));
        record.front = Some(Front {
            layers: self.split.front.as_ref().map_or(0, |front| front.nodes.len() as u64),
            features: floats as u64,
            cached: all.cached as u64,
            seconds,
        });
        record.data = self.counts();
        Ok((train, validation))
    }
}

fn name_of(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_string(), |name| name.to_string_lossy().into_owned())
}
