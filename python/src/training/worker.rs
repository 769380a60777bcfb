//! The thread that trains. Everything of a run stays in it: graphs are not shared between threads.

use crate::arguments::SpecArgument;
use crate::errors::Located;
use netc::compile::BuildOptions;
use netc::data::CacheNote;
use netc::data::features::feature_cache::FeatureCache;
use netc::diagnostics::Diagnostics;
use netc::elaborate::Spec;
use netc::train::run::Listener;
use netc::train::run::error::{Interruption, TrainError};
use netc::train::run::frozen_features::FeatureCounts;
use netc::train::run::prepare::{PreparedRun, RunOptions, prepare_run};
use netc::train::run::record::Epoch;
use netc::train::run::training_loop::Observer;
use netc::view;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

/// What the thread reports.
pub enum Event {
    /// The run is ready, with its warnings.
    Prepared(Facts, Located),
    /// An epoch has ended; the next one begins when it is asked for.
    Epoch(Box<Epoch>),
    /// All files are written.
    Finished(Box<Finished>),
    Interrupted(Interruption),
    Failed(Located),
}

/// What is known of a run before it begins.
pub struct Facts {
    pub net: String,
    pub epochs: usize,
    pub samples: usize,
    pub validation_samples: usize,
    pub labels: Option<Vec<String>>,
    pub skipped: Vec<(PathBuf, String)>,
}

/// The files and metrics of a run that is over.
#[derive(Clone)]
pub struct Finished {
    pub weights: PathBuf,
    pub artifact: PathBuf,
    pub folder: PathBuf,
    /// The number of the epoch whose parameters were kept.
    pub best: Option<u32>,
    pub metrics: BTreeMap<String, f64>,
    /// Why the run ended.
    pub stopped: Option<String>,
}

/// A run, and how it is asked for epochs.
pub struct Job {
    pub spec: SpecArgument,
    /// Entries of the recipe: `epochs=3`.
    pub settings: Vec<String>,
    /// The folder is that of the spec.
    pub options: RunOptions,
    pub interrupted: Arc<AtomicBool>,
    /// A message for each epoch; its end stops the run.
    pub wanted: Receiver<()>,
    pub events: Sender<Event>,
}

impl Job {
    /// Trains; the last event says how it ended.
    pub fn run(mut self) {
        let last = match self.train() {
            Ok(finished) => Event::Finished(Box::new(finished)),
            Err(Ended::Interrupted(at)) => Event::Interrupted(at),
            Err(Ended::Failed(errors)) => Event::Failed(errors),
        };
        // Nobody waits for it if the caller has gone.
        let _ = self.events.send(last);
    }

    fn train(&mut self) -> Result<Finished, Ended> {
        let mut spec = self.spec.load()?;
        for setting in &self.settings {
            let set = spec.set(setting);
            set.map_err(|errors| Located::new(errors, &spec.sources))?;
        }
        self.options.folder = spec.sources.resolve(spec.root(), "");
        let located = |errors: Diagnostics| Located::new(errors, &spec.sources);
        let prepared = prepare_run(&spec, &self.options).map_err(located)?;
        prepared.check_writable().map_err(Located::from)?;
        let warnings = located(prepared.warnings.clone());
        let _ = self.events.send(Event::Prepared(facts(&prepared), warnings));
        if self.wanted.recv().is_err() {
            return Err(Ended::Interrupted(Interruption::Front));
        }
        self.trained(prepared, &spec)
    }

    fn trained(&mut self, prepared: PreparedRun, spec: &Spec) -> Result<Finished, Ended> {
        let located = |errors: Diagnostics| Located::new(errors, &spec.sources);
        let mut steps = Steps { wanted: &self.wanted, events: &self.events, interrupted: &self.interrupted };
        let trained = prepared.train(&self.interrupted, &mut steps).map_err(|error| match error {
            TrainError::Interrupted(at) => Ended::Interrupted(at),
            TrainError::Errors(errors) => Ended::Failed(located(errors)),
        })?;
        view::html::write_run_report(&trained).map_err(Located::from)?;
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Ended::Interrupted(Interruption::End));
        }
        let weights = self.options.weights.clone();
        trained.write_artifact(spec, BuildOptions { weights, ..BuildOptions::default() }).map_err(located)?;
        Ok(Finished {
            weights: trained.weights,
            artifact: trained.artifact,
            folder: trained.folder,
            best: trained.record.best,
            metrics: trained.record.metrics,
            stopped: trained.record.stopped,
        })
    }
}

/// A run that has ended early.
enum Ended {
    Interrupted(Interruption),
    Failed(Located),
}

impl From<Located> for Ended {
    fn from(errors: Located) -> Self {
        Ended::Failed(errors)
    }
}

fn facts(run: &PreparedRun) -> Facts {
    let data = &run.data;
    let validation = data.validation.as_ref();
    let skipped = data.train.skipped.iter().chain(validation.iter().flat_map(|data| &data.skipped));
    Facts {
        net: run.net.name.clone(),
        epochs: run.recipe.epochs,
        samples: data.train.len(),
        validation_samples: validation.map_or(0, |data| data.len()),
        labels: data.labels().cloned(),
        skipped: skipped.map(|photo| (photo.path.clone(), photo.reason.to_string())).collect(),
    }
}

/// Passes each epoch on, and waits until the next one is asked for.
struct Steps<'a> {
    wanted: &'a Receiver<()>,
    events: &'a Sender<Event>,
    interrupted: &'a AtomicBool,
}

impl Observer for Steps<'_> {
    fn samples(&mut self, _epoch: usize, _done: usize, _total: usize, _loss: f64) {}

    fn epoch(&mut self, epoch: &Epoch, _epochs: usize) {
        let _ = self.events.send(Event::Epoch(Box::new(epoch.clone())));
        if self.wanted.recv().is_err() {
            self.interrupted.store(true, Ordering::Relaxed);
        }
    }
}

impl Listener for Steps<'_> {
    fn features(&mut self, _done: usize, _total: usize) {}
    fn features_done(&mut self, _: FeatureCounts, _seconds: f64, _floats: usize, _: Option<&FeatureCache>) {}
    fn note(&mut self, _note: &CacheNote) {}
    fn archived(&mut self, _folder: &Path) {}
    fn resumed(&mut self, _epochs: usize, _samples: usize) {}
}
