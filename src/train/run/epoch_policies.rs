//! What the loss of an epoch decides: which epoch is kept, whether the learning rate is reduced, and whether the run stops.

use super::record::Epoch;
use super::record::checkpoint::Progress;
use super::record::epoch_rank::rank;
use super::train_config::{OutputConfig, TrainConfig};
use crate::diagnostics::counted;
use crate::train::recipe::values::keep_policy::{Criterion, KeepPolicy};

/// Records an epoch, and applies the policies that depend on its loss: keep, reduce on plateau, early stopping. Returns whether it
/// is the best so far.
pub(super) fn finish_epoch(progress: &mut Progress, config: &TrainConfig, ended: Epoch) -> bool {
    let loss = ended.validation_loss.unwrap_or(ended.loss);
    let number = ended.epoch;
    let name = |criterion: &Criterion| {
        let is_meant = |output: &&OutputConfig| match (&criterion.output, criterion.metric) {
            (Some(name), _) => output.name == *name,
            (None, Some(metric)) => output.metrics.contains(&metric),
            (None, None) => false,
        };
        let output = config.outputs.iter().find(is_meant)?;
        match criterion.metric {
            Some(metric) => Some(config.name_of(output, metric.name())),
            None => (config.outputs.len() > 1).then(|| output.name.clone()),
        }
    };
    let rank = rank(&config.keep, &ended, &name);
    let is_best = rank.is_some() && (progress.rank.is_none() || rank < progress.rank);
    if is_best {
        progress.rank = rank;
        progress.record.best = Some(number);
    }
    progress.record.epochs.push(ended);
    let is_better = |least: Option<f64>, min_delta: f64| least.is_none_or(|least| loss < least - min_delta);
    if let Some((patience, min_delta)) = config.schedule.plateau() {
        if is_better(progress.least_for_plateau, min_delta) {
            (progress.least_for_plateau, progress.since_reduction) = (Some(loss), 0);
        } else {
            progress.since_reduction += 1;
            if progress.since_reduction >= patience {
                (progress.reductions, progress.since_reduction) = (progress.reductions + 1, 0);
            }
        }
    }
    if config.keep == KeepPolicy::Last {
        progress.record.best = Some(number);
    }
    let Some(stop) = config.stop else { return is_best };
    if is_better(progress.least, stop.min_delta) {
        (progress.least, progress.since_best) = (Some(loss), 0);
        return is_best;
    }
    progress.since_best += 1;
    if progress.since_best >= stop.patience {
        let epochs = counted(stop.patience, "epoch");
        progress.record.stopped = Some(format!("the loss has not improved for {epochs}"));
    }
    is_best
}
