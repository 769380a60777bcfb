//! What a recipe means for the training loop and the compiled step.

use super::prepare::PreparedRun;
use super::prepare::samples::OutputTask;
use super::train_config::{OutputConfig, TrainConfig};
use crate::kernels::training::loss::Loss;
use crate::train::autodiff::Settings;
use crate::train::autodiff::metric_fit::applies;
use crate::train::autodiff::unfreezing::Stage;
use crate::train::evaluation::class_weights::SampleWeights;
use crate::train::evaluation::learned::TargetKind;
use crate::train::recipe::Metric;
use crate::train::recipe::values::keep_policy::KeepPolicy;
use crate::train::recipe::values::losses::OutputLoss;
use std::path::Path;

impl PreparedRun {
    /// The epoch whose parameters are kept.
    pub(super) fn keep_policy(&self) -> KeepPolicy {
        let default = || KeepPolicy::default_for(self.data.validation.is_some(), self.recipe.stop);
        self.recipe.keep.clone().unwrap_or_else(default)
    }

    /// What the training loop does.
    pub(super) fn config(&self, folder: &Path) -> TrainConfig {
        let recipe = &self.recipe;
        let keep = self.keep_policy();
        let output = |(output, loss): (&OutputTask, &OutputLoss)| {
            let OutputTask { name, task, labels } = output.clone();
            let asked = recipe.metrics.clone().unwrap_or_else(|| match task.kind {
                TargetKind::Classes | TargetKind::Binary => vec![Metric::Accuracy],
                // The distances of a triplet have no targets.
                TargetKind::Numbers if matches!(task.loss, Loss::Triplet { .. }) => Vec::new(),
                TargetKind::Numbers => vec![Metric::Rmse],
            });
            let mut metrics: Vec<Metric> = Vec::with_capacity(asked.len() + 1);
            let criterion = keep.criterion().filter(|one| one.output.as_ref().is_none_or(|output| *output == name));
            for metric in asked.into_iter().chain(criterion.and_then(|one| one.metric)) {
                if applies(metric, task.kind, task.coding.width) && !metrics.contains(&metric) {
                    metrics.push(metric);
                }
            }
            OutputConfig { name, task, labels, metrics, factor: loss.factor }
        };
        let outputs = self.data.outputs.iter().zip(&self.losses).map(output).collect();
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
            outputs,
            accumulate: recipe.accumulate,
            label_smoothing: recipe.label_smoothing,
            mixup: recipe.mixup,
            threads: self.options.threads,
            folder: folder.to_path_buf(),
        }
    }

    /// The number of updates before the first one of each parameter that an epoch unfreezes.
    pub(super) fn begun(&self, stages: &[Stage], config: &TrainConfig) -> Vec<(String, u64)> {
        let updates = self.data.train.len().div_ceil(config.batch * config.accumulate) as u64;
        let mut begun = Vec::new();
        for pair in stages.windows(2) {
            let parameters = pair[0].net.parameters.iter().zip(&pair[1].net.parameters);
            let unfrozen = parameters.filter(|(before, now)| before.frozen && !now.frozen);
            let count = (pair[1].first_epoch - 1) as u64 * updates;
            begun.extend(unfrozen.map(|(_, parameter)| (parameter.path(), count)));
        }
        begun
    }

    /// The settings of the training step; `weights` and `evaluation_weights` are those of each output.
    pub(super) fn settings(
        &self,
        weights: &[SampleWeights],
        evaluation_weights: &[SampleWeights],
        begun: &[(String, u64)],
    ) -> Settings {
        let mut settings = Settings { begun: begun.to_vec(), ..Settings::of(&self.recipe, &self.losses) };
        for (output, (weights, evaluation)) in settings.outputs.iter_mut().zip(weights.iter().zip(evaluation_weights)) {
            output.weighted = weights.is_weighted();
            output.evaluation_weighted = evaluation.is_weighted();
        }
        settings
    }
}
