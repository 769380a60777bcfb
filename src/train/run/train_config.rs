//! What the training loop does: hyperparameters, and what is measured of each output.

use crate::train::evaluation::metric_accumulator::MetricAccumulator;
use crate::train::evaluation::score::{OutputResult, OutputScoring, ScoreSettings};
use crate::train::evaluation::task::LearningTask;
use crate::train::recipe::values::keep_policy::KeepPolicy;
use crate::train::recipe::values::schedule::Schedule;
use crate::train::recipe::{EarlyStopping, Metric};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

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
    /// In the order of the net's outputs.
    pub outputs: Vec<OutputConfig>,
    /// Batches that make an update.
    pub accumulate: usize,
    /// See [`Recipe`](crate::train::recipe::Recipe).
    pub label_smoothing: f32,
    pub mixup: f64,
    pub threads: usize,
    /// Where checkpoints and the record are written.
    pub folder: PathBuf,
}

/// What is measured of an output.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    pub name: String,
    pub task: LearningTask,
    /// The names of the classes; none for numbers.
    pub labels: Option<Vec<String>>,
    pub metrics: Vec<Metric>,
    /// The factor of the loss in the sum over the outputs.
    pub factor: f32,
}

impl OutputConfig {
    pub fn with_auc(&self) -> bool {
        self.metrics.contains(&Metric::Auc)
    }

    /// An empty accumulator for the predictions.
    pub fn accumulator(&self) -> MetricAccumulator {
        self.task.accumulator(self.labels.as_deref(), self.with_auc())
    }
}

impl TrainConfig {
    /// How the run's datasets are scored.
    pub fn score_settings<'a>(&'a self, interrupted: &'a AtomicBool) -> ScoreSettings<'a> {
        let output = |output: &'a OutputConfig| OutputScoring {
            task: &output.task,
            labels: output.labels.as_deref(),
            with_auc: output.with_auc(),
        };
        let outputs = self.outputs.iter().map(output).collect();
        ScoreSettings { outputs, batch: self.batch, interrupted: Some(interrupted) }
    }

    /// The name of a value of an output in the record: with several outputs, `species/accuracy`.
    pub fn name_of(&self, output: &OutputConfig, name: &str) -> String {
        if self.outputs.len() > 1 { format!("{}/{name}", output.name) } else { name.to_string() }
    }

    /// The sum of the outputs' losses with their factors.
    pub fn total(&self, losses: impl Iterator<Item = f64>) -> f64 {
        self.outputs.iter().zip(losses).map(|(output, loss)| f64::from(output.factor) * loss).sum()
    }

    /// With several outputs, the loss of each by its name.
    pub fn by_output(&self, losses: impl Iterator<Item = f64>) -> BTreeMap<String, f64> {
        let names = self.outputs.iter().map(|output| output.name.clone());
        if self.outputs.len() > 1 { names.zip(losses).collect() } else { BTreeMap::new() }
    }

    /// The loss of an evaluation, the sum over the outputs.
    pub fn loss_of(&self, results: &[OutputResult]) -> Option<f64> {
        let losses: Option<Vec<f64>> = results.iter().map(|result| result.loss).collect();
        losses.map(|losses| self.total(losses.into_iter()))
    }

    /// The metrics of each output by their names in the record.
    pub fn metrics<'m>(&self, accumulators: impl Iterator<Item = &'m MetricAccumulator>) -> BTreeMap<String, f64> {
        let each = self.outputs.iter().zip(accumulators).flat_map(|(output, accumulator)| {
            let value = |&metric: &Metric| Some((self.name_of(output, metric.name()), accumulator.value(metric)?));
            output.metrics.iter().filter_map(value).collect::<Vec<_>>()
        });
        each.collect()
    }
}
