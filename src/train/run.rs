//! From a recipe to a trained net: data, the frozen front's features, the compiled step, the loop, and what is kept of it.

use super::checkpoint;
use super::compile::{Trainable, compile};
use super::differentiate::Settings;
use super::end;
use super::feed::{self, Computed, FeaturesError, Feed, FeedError, rows_of};
use super::fit::{Course, Fit, FitError, Fitted, Observer, Outcome, Tally, try_state};
use super::front::{Split, split};
use super::mistakes::{Wrong, worst};
use super::recipe::{self, Metric, Recipe};
use super::record::{DataCounts, Front, Machine, RunRecord};
use super::samples::{self, Prepared, prepare};
use super::save::{self, Layout};
use crate::artifact::Artifact;
use crate::compile::{self as road, Values};
use crate::data::feature_cache::{CacheNote, FeatureCache};
use crate::data::{Dataset, Samples, Targets};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::elaborate::Spec;
use crate::graph::{Graph, number_text};
use crate::kernels::loss::Loss;
use crate::ops::ending::Ending;
use crate::runtime::Session;
use crate::weights::bind::{self, Bindings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What a run is told besides its recipe.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    pub net: Option<String>,
    /// Files of weights that stand in place of those in the spec, by net.
    pub weights: BTreeMap<String, PathBuf>,
    pub threads: usize,
    /// Goes on from the last checkpoint.
    pub resume: bool,
    /// The folder of feature caches; none keeps features in memory.
    pub cache: Option<PathBuf>,
    /// Where the trained weights go, by the net's name; the run's folder stands beside them.
    pub folder: PathBuf,
    pub layout: Layout,
}

/// A run before its first epoch: everything is read, checked, bound and compiled.
#[derive(Debug)]
pub struct Prepare {
    pub net: Graph,
    pub recipe: Recipe,
    pub bindings: Bindings,
    pub data: Prepared,
    pub told: Diagnostics,
    pub loss: Loss,
    split: Split,
    options: RunOptions,
}

/// A net that was trained.
#[derive(Debug)]
pub struct Trained {
    pub record: RunRecord,
    pub outcome: Option<Outcome>,
    pub mistakes: Vec<Wrong>,
    pub labels: Option<Vec<String>>,
    /// The weights that were written.
    pub weights: PathBuf,
    /// The folder of the run.
    pub folder: PathBuf,
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
    /// The run goes on behind an epoch.
    fn resumed(&mut self, epochs: usize);
}

/// Reads, checks, binds and cuts; nothing is computed yet.
///
/// # Errors
/// All that is wrong with spec, weights and data.
pub fn prepare_run(spec: &Spec, options: &RunOptions) -> Result<Prepare> {
    let (net, mut told) = road::graph(spec, options.net.as_deref())?;
    let recipe = recipe::of(spec, &net.name)?;
    check_trainable(&net, &recipe)?;
    told.extend(end::check(spec, &net, &recipe));
    if told.has_errors() {
        return Err(told);
    }
    let requests = spec.weights(&net, &options.weights)?;
    check_outputs(&net, &recipe, options, requests.iter().map(|request| request.path.as_path()))?;
    let (bindings, more) = bind::bind(&net, &requests)?;
    told.extend(more);
    told.extend(spec.lint_graph(&net));
    told.extend(spec.lint_untrained(&net, &bindings.report.untrained_layers));
    let loss = recipe.loss.unwrap_or_else(|| fitting_loss(&net));
    let (labels, _) = road::labels(spec, &net)?;
    let by_classes = matches!(
        loss,
        Loss::CategoricalCrossentropy | Loss::CategoricalHinge | Loss::BinaryCrossentropy | Loss::BinaryHinge
    ) || labels.is_some();
    end::check_metrics(&recipe, by_classes)?;
    let data = prepare(&net, &recipe, labels, by_classes)?;
    told.extend(data.told.clone());
    let split = split(&net);
    Ok(Prepare { net, recipe, bindings, data, told, loss, split, options: options.clone() })
}

fn check_trainable(net: &Graph, recipe: &Recipe) -> Result<()> {
    let fault = |message: String| Diagnostic::new(Code::Untrainable, message).at(recipe.span, "this recipe");
    if net.outputs.len() != 1 {
        let message = format!("`{}` has {} outputs, and a net is trained by one", net.name, net.outputs.len());
        return Err(fault(message).into());
    }
    if let Some(node) = net.nodes.iter().find(|node| node.output.known().is_none()) {
        return Err(Diagnostic::new(
            Code::OpenSize,
            format!("`{}` gives {}: training needs every size", node.name, node.output),
        )
        .at(node.origin.span, "its size is open")
        .help("give the net's `Input` numbers in place of `?`")
        .into());
    }
    if !net.parameters.iter().any(|parameter| parameter.trainable && !parameter.frozen) {
        return Err(fault(format!("nothing of `{}` can be trained: all its parameters are frozen", net.name))
            .help("put a layer behind the frozen part, as `frozen(vgg16[..dropout-2]) >> Softmax(10)`")
            .into());
    }
    Ok(())
}

/// What training will write must not stand where something else does: a file that the run reads, or one that no run wrote.
fn check_outputs<'a>(
    net: &Graph,
    recipe: &'a Recipe,
    options: &RunOptions,
    weights: impl Iterator<Item = &'a Path>,
) -> Result<()> {
    let output = options.folder.join(format!("{}.h5", net.name));
    let Ok(real) = std::fs::canonicalize(&output) else { return Ok(()) };
    let arrays = std::iter::once(&recipe.data).chain(match &recipe.validation {
        recipe::Validation::Data(data) => Some(data),
        _ => None,
    });
    let arrays = arrays.flat_map(|data| match data {
        recipe::Data::Arrays { inputs, targets, .. } => {
            inputs.iter().chain([targets]).map(|one| one.path.as_path()).collect()
        }
        _ => Vec::new(),
    });
    let read = weights.chain(arrays).any(|path| std::fs::canonicalize(path).is_ok_and(|path| path == real));
    let folder = options.folder.join(format!("{}.run", net.name));
    let why = match (read, folder.is_dir()) {
        (true, _) => "the run reads it",
        (false, false) => "no run of this net has written it",
        (false, true) => return Ok(()),
    };
    Err(Diagnostic::new(Code::Output, format!("training would write over {}: {why}", output.display()))
        .at(recipe.span, format!("writes {}.h5", net.name))
        .help("give the net another name, or move the file away")
        .into())
}

/// The loss that fits a net's end: crossentropy behind a softmax or sigmoid, else the mean squared error.
fn fitting_loss(net: &Graph) -> Loss {
    match Ending::of(net, net.outputs[0]) {
        Ending::Classes => Loss::CategoricalCrossentropy,
        Ending::Probabilities => Loss::BinaryCrossentropy,
        Ending::Numbers => Loss::Mse,
    }
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

    fn course(&self, folder: &Path) -> Course {
        let recipe = &self.recipe;
        let metrics = recipe.metrics.clone().unwrap_or_else(|| match self.data.labels {
            Some(_) => vec![Metric::Accuracy],
            None => vec![Metric::Rmse],
        });
        Course {
            epochs: recipe.epochs,
            batch: recipe.batch.min(self.data.train.len()),
            seed: recipe.seed,
            shuffle: recipe.shuffle,
            step: recipe.optimizer.step,
            schedule: recipe.schedule.clone(),
            stop: recipe.stop,
            checkpoint: recipe.checkpoint,
            metrics,
            labels: self.data.labels.clone(),
            threads: self.options.threads,
            folder: folder.to_path_buf(),
        }
    }

    /// Trains.
    ///
    /// # Errors
    /// Whatever ends a run before its end; what was written before stays.
    pub fn train(mut self, interrupted: &AtomicBool, listener: &mut dyn Listener) -> Result<Trained> {
        let folder = self.options.folder.join(format!("{}.run", self.net.name));
        if self.options.resume && !folder.join(checkpoint::FILE).exists() {
            return Err(no_checkpoint(&folder));
        }
        let course = self.course(&folder);
        let (front, digest) = match &self.split.front {
            Some(front) => {
                let artifact = road::in_memory(front, &self.values())?;
                let digest = digest_of(&artifact, self.data.decoding.as_ref());
                (Some(artifact), digest)
            }
            None => (None, String::new()),
        };
        let run = self.digest(&digest);
        let mut record = self.record();
        let (train, validation) = self.feeds(front.as_ref(), &digest, &mut record, listener)?;
        let settings = Settings {
            loss: self.loss,
            rule: self.recipe.optimizer.rule,
            penalty: self.recipe.regularizer.clone(),
            clip: self.recipe.optimizer.clip_value,
            norm: self.recipe.optimizer.clip_norm,
            weighted: self.recipe.class_weights != recipe::ClassWeights::Equal && self.data.labels.is_some(),
            seed: self.recipe.seed,
        };
        drop(front);
        let trainable = compile(&self.split.rest, &settings, course.batch, &self.values())?;
        let span = self.recipe.data.span();
        let outputs = self.outputs();
        let weights = samples::weights(&self.recipe, &self.data.train, self.data.labels.as_deref())?;
        let mut train = samples::set(&self.data.train, train, outputs, weights, span)?;
        let mut validation = match (&self.data.validation, validation) {
            (Some(data), Some(feed)) => Some(samples::set(data, feed, outputs, None, span)?),
            _ => None,
        };
        let mut fit = Fit::new(&trainable, &course, record, run.clone());
        if self.options.resume {
            let checkpoint =
                checkpoint::read(&folder, fit.floats()).map_err(|fault| resume_fault(&fault.to_string()))?;
            let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(&folder))?;
            if checkpoint.progress.run != run {
                return Err(resume_fault(&format!(
                    "the checkpoint in {} is of another net, recipe or data",
                    folder.display()
                )));
            }
            let (done, wanted) = (checkpoint.progress.record.epochs.len(), course.epochs);
            if done > wanted {
                return Err(resume_fault(&format!(
                    "the checkpoint in {} is behind epoch {done}, and the recipe ends at {wanted}",
                    folder.display()
                )));
            }
            listener.resumed(checkpoint.progress.record.epochs.len());
            fit.resume(checkpoint);
        }
        let fitted = fit
            .run(&mut train, validation.as_mut(), interrupted, listener)
            .map_err(|fault| self.told_of(fault, &folder))?;
        self.keep(fitted, &trainable, &course, train, validation, &folder)
    }

    /// Writes what is kept, and measures it.
    fn keep(
        &mut self,
        fitted: Fitted,
        trainable: &Trainable,
        course: &Course,
        mut train: super::fit::Set,
        validation: Option<super::fit::Set>,
        folder: &Path,
    ) -> Result<Trained> {
        let Fitted { mut record, mut state } = fitted;
        let tried_on = if validation.is_some() { self.data.validation.as_ref() } else { Some(&self.data.train) };
        let (mut set, data) = match (validation, tried_on) {
            (Some(set), Some(data)) => (set, data),
            _ => {
                train.weights = None;
                (train, &self.data.train)
            }
        };
        let mut session = Session::new(Arc::clone(&trainable.evaluation), course.threads);
        let tried =
            try_state(&mut session, &mut state, &mut set, course).map_err(|fault| self.told_of(fault, folder))?;
        let outcome = tried.tally.outcome(tried.loss);
        record.outcome = numbers(&tried.tally, tried.loss);
        let mistakes = match (&data.samples, &set.classes, &tried.tally) {
            (Samples::Photos(photos), Some(classes), Tally::Classes(_)) => {
                worst(&tried.predictions, self.outputs(), classes, photos)
            }
            _ => Vec::new(),
        };
        let weights = self.options.folder.join(format!("{}.h5", self.net.name));
        save::save(&weights, &self.net, &self.values(), &trainable.layout, &state, self.options.layout)
            .map_err(|fault| Diagnostics::from(Diagnostic::new(Code::Output, fault.to_string())))?;
        if let Some(labels) = &self.data.labels {
            let text: String = labels.iter().map(|label| format!("{label}\n")).collect();
            let path = folder.join(road::TRAINED_LABELS);
            crate::file::replace(&path, |file| file.write_all(text.as_bytes()))
                .map_err(|fault| unwritable(&path, &fault))?;
        }
        record.write(folder).map_err(|fault| Diagnostics::from(Diagnostic::new(Code::Output, fault.to_string())))?;
        let labels = self.data.labels.clone();
        Ok(Trained { record, outcome, mistakes, labels, weights, folder: folder.to_path_buf() })
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
                .map(|file| (name_of(&file.file), digest_file(&file.file)))
                .collect(),
            data: self.counts(),
            machine: Machine::this(self.options.threads),
            ..RunRecord::default()
        }
    }

    /// What tells this run from others: net, recipe (but for how long it goes), data and front.
    fn digest(&self, front: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.net.to_string().as_bytes());
        let lasting = |key: &str| !["epochs", "checkpoint"].contains(&key);
        for (key, value) in self.recipe.entries.iter().filter(|(key, _)| lasting(key)) {
            hasher.update(format!("{key}={value}\n").as_bytes());
        }
        for data in std::iter::once(&self.data.train).chain(&self.data.validation) {
            match &data.samples {
                Samples::Photos(photos) => {
                    photos.iter().for_each(|path| _ = hasher.update(path.to_string_lossy().as_bytes()));
                }
                Samples::Arrays(arrays) => arrays.iter().for_each(|array| hash_array(&mut hasher, array)),
            }
            hasher.update(format!("{} {:?}", data.len(), data.targets.classes()).as_bytes());
            if let Targets::Values(values) = &data.targets {
                hash_array(&mut hasher, values);
            }
        }
        hasher.update(front.as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// Where the inputs of the trained part come from, for both datasets.
    fn feeds(
        &mut self,
        front: Option<&Arc<Artifact>>,
        digest: &str,
        record: &mut RunRecord,
        listener: &mut dyn Listener,
    ) -> Result<(Feed, Option<Feed>)> {
        let augment = self.recipe.augment;
        let Some(front) = front else {
            let feed = |data: &Dataset, decoding: Option<&crate::data::Decoding>| match (&data.samples, decoding) {
                (Samples::Photos(photos), Some(decoding)) => {
                    Feed::Photos { photos: photos.clone().into(), decoding: decoding.clone(), front: None }
                }
                (Samples::Arrays(arrays), _) => Feed::Rows(rows_of(arrays)),
                (Samples::Photos(_), None) => Feed::Rows(Vec::new()),
            };
            let plain = self.data.decoding.clone();
            let changed = match (&plain, augment) {
                (Some(decoding), Some(augment)) => Some(feed::augmented(decoding, augment, self.recipe.seed)),
                _ => plain.clone(),
            };
            let validation = self.data.validation.as_ref().map(|data| feed(data, plain.as_ref()));
            return Ok((feed(&self.data.train, changed.as_ref()), validation));
        };
        let floats = front.manifest.plan.outputs.iter().map(|port| port.len()).sum::<usize>();
        let open = |folder: &PathBuf| {
            FeatureCache::open(folder, digest, floats)
                .map_err(|fault| Diagnostics::from(Diagnostic::new(Code::Output, fault.to_string())))
        };
        let mut cache = self.options.cache.as_ref().map(open).transpose()?;
        let began = Instant::now();
        let mut all = Computed::default();
        let decoding = self.data.decoding.clone();
        let threads = self.options.threads;
        let own = (self.recipe.data.policy(), self.recipe.data.span());
        let other = match &self.recipe.validation {
            recipe::Validation::Data(data) => (data.policy(), data.span()),
            _ => own,
        };
        let mut features = |data: &mut Dataset, (policy, span), listener: &mut dyn Listener| -> Result<Feed> {
            let mut told = |done, total| listener.features(done, total);
            let front = feed::Front { artifact: front, decoding: decoding.as_ref(), batch: FRONT_BATCH, threads };
            let found = feed::features(front, data, policy, cache.as_mut(), &mut told);
            let (rows, computed) = found.map_err(|fault| {
                let diagnostic = Diagnostic::new(Code::Dataset, fault.to_string()).at(span, "this data");
                Diagnostics::from(match fault {
                    FeaturesError::Data(_) => diagnostic.help("leave them out, or write `unreadable=skip` in the data"),
                    FeaturesError::Run(_) => diagnostic,
                })
            })?;
            all.cached += computed.cached;
            all.computed += computed.computed;
            Ok(Feed::Rows(rows))
        };
        // With changes by chance the front sees another photo in each epoch.
        let train = match (augment, &self.data.train.samples, &self.data.decoding) {
            (Some(augment), Samples::Photos(photos), Some(decoding)) => Feed::Photos {
                photos: photos.clone().into(),
                decoding: feed::augmented(decoding, augment, self.recipe.seed),
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

    fn told_of(&self, fault: FitError, folder: &Path) -> Diagnostics {
        let span = self.recipe.data.span();
        match fault {
            FitError::Diverged { .. } => {
                let mut told = Diagnostics::from(
                    Diagnostic::new(Code::Diverged, format!("training diverged: {fault}"))
                        .at(self.recipe.span, "this recipe")
                        .help(format!(
                            "try a smaller step than {}, a warm-up (`schedule = warm_up(100)`), or `clip_norm=1` in the optimizer",
                            number_text(self.recipe.optimizer.step)
                        )),
                );
                told.extend(self.bindings.lint_values());
                told
            }
            FitError::Feed(FeedError::Photos(broken)) => {
                let photo = |sample: usize| match &self.data.train.samples {
                    Samples::Photos(photos) => photos.get(sample).map(|path| path.display().to_string()),
                    Samples::Arrays(_) => None,
                };
                let lines: Vec<String> = broken
                    .iter()
                    .map(|(sample, reason)| format!("{}: {reason}", photo(*sample).unwrap_or_default()))
                    .collect();
                Diagnostic::new(Code::Dataset, format!("{} photos cannot be used", broken.len()))
                    .at(span, "this data")
                    .note(lines.join("\n"))
                    .into()
            }
            FitError::Interrupted { .. } => Diagnostic::new(Code::Resume, fault.to_string())
                .help(format!("`--resume` goes on from the last epoch that is complete, in {}", folder.display()))
                .into(),
            FitError::Checkpoint(fault) => Diagnostic::new(Code::Output, fault.to_string())
                .help("what was written before stays: `--resume` goes on from there")
                .into(),
            FitError::Record(fault) => Diagnostic::new(Code::Output, fault.to_string()).into(),
            FitError::Run(_) | FitError::Feed(FeedError::Run(_)) => {
                Diagnostic::new(Code::Dataset, fault.to_string()).at(span, "this data").into()
            }
        }
    }
}

fn no_checkpoint(folder: &Path) -> Diagnostics {
    resume_fault(&format!("{} holds no checkpoint", folder.display()))
}

fn resume_fault(message: &str) -> Diagnostics {
    Diagnostic::new(Code::Resume, message).help("leave out `--resume` to begin anew").into()
}

fn unwritable(path: &Path, fault: &std::io::Error) -> Diagnostics {
    Diagnostic::new(Code::Output, format!("{} cannot be written: {fault}", path.display())).into()
}

fn name_of(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_string(), |name| name.to_string_lossy().into_owned())
}

fn digest_file(path: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    match hasher.update_mmap(path) {
        Ok(_) => hasher.finalize().to_hex().to_string(),
        Err(_) => String::new(),
    }
}

/// A digest of a front: its plan, its constants, and how photos become its input.
fn digest_of(front: &Artifact, decoding: Option<&crate::data::Decoding>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(front.manifest.plan.to_string().as_bytes());
    hasher.update(bytemuck::cast_slice(front.constants()));
    if let Some(decoding) = decoding {
        hasher.update(format!("{} {:?}", decoding.preprocessing, decoding.size).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn hash_array(hasher: &mut blake3::Hasher, array: &ndarray::ArrayD<f32>) {
    hasher.update(bytemuck::cast_slice(array.as_standard_layout().as_slice().unwrap_or(&[])));
}

fn numbers(tally: &Tally, loss: f64) -> BTreeMap<String, f64> {
    let each = Metric::ALL.iter().filter_map(|(name, metric)| Some((name.to_string(), tally.value(*metric)?)));
    each.chain([("loss".to_string(), loss)]).collect()
}
