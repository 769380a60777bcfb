//! A state of training, tried on data.

use super::class_weights::{Weights, weigh};
use super::metric_accumulator::MetricAccumulator;
use crate::runtime::Session;
use crate::train::run::batch_source::{BatchSourceError, Pass};
use crate::train::run::training_loop::{DataSplit, LoopError, TrainConfig};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A set that was tried.
#[derive(Debug)]
pub struct EvalResult {
    pub loss: f64,
    pub accumulator: MetricAccumulator,
}

/// The first of some images that is given with a value which is infinite or no number.
pub(crate) fn odd(inputs: &[&[f32]], images: usize) -> Option<usize> {
    let first = |values: &&[f32]| {
        let each = (values.len() / images.max(1)).max(1);
        values.iter().position(|value| !value.is_finite()).map(|place| place / each)
    };
    inputs.iter().filter_map(first).min()
}

/// Tries a state on a set, in batches; `seen` hears the predictions of each.
///
/// # Errors
/// Data that cannot be used, and an interruption.
pub fn try_state(
    evaluation: &mut Session,
    state: &mut [f32],
    set: &mut DataSplit<'_>,
    config: &TrainConfig,
    interrupted: &AtomicBool,
    seen: &mut dyn FnMut(&[f32]),
) -> Result<EvalResult, LoopError> {
    let outputs = evaluation.artifact().manifest.plan.outputs[1].len();
    let samples = set.targets.len();
    let order: Vec<usize> = (0..samples).collect();
    let pool = Arc::clone(evaluation.pool());
    let (mut predictions, mut rows) = (vec![0.0; config.batch * outputs], vec![0.0; config.batch * outputs]);
    let mut accumulator = config.task.accumulator(config.labels.as_deref());
    let (mut losses, mut weight) = (0.0, 0.0);
    let width = config.task.coding.width.max(1);
    let pixels = outputs / width;
    let DataSplit { feed, targets, weights } = set;
    let mut room = if let Weights::Places(_) = weights { vec![0.0; config.batch * pixels] } else { Vec::new() };
    let pass = Pass { order: &order, batch: config.batch, epoch: 0, pool: &pool, interrupted: Some(interrupted) };
    feed.each::<LoopError>(pass, |places, inputs| {
        let floats = places.len() * outputs;
        let (rows, predictions) = (&mut rows[..floats], &mut predictions[..floats]);
        for (to, sample) in rows.chunks_exact_mut(outputs.max(1)).zip(places.clone()) {
            targets.row(sample, config.task.coding, to).map_err(BatchSourceError::Rows)?;
        }
        let mut given: Vec<&[f32]> = inputs.to_vec();
        given.push(rows);
        let mut share = places.len() as f64;
        if let Weights::Places(_) = weights {
            // Classes count equally here: what a net is worth does not depend on how it was trained.
            let room = &mut room[..places.len() * pixels];
            share = weigh(rows, width, None, room) as f64 / pixels as f64;
            given.push(room);
        }
        let mut loss = [0.0];
        evaluation.run_with(places.len(), &given, &mut [&mut loss, &mut *predictions], state)?;
        losses += f64::from(loss[0]) * share;
        weight += share;
        if accumulator.add(predictions, rows).is_err() {
            let place = predictions.iter().position(|value| !value.is_finite()).unwrap_or(0) / outputs.max(1);
            return Err(match odd(inputs, places.len()) {
                Some(place) => LoopError::Input { sample: places.start + place },
                None => LoopError::NoNumber { sample: places.start + place },
            });
        }
        seen(predictions);
        Ok(())
    })?;
    Ok(EvalResult { loss: losses / weight.max(f64::MIN_POSITIVE), accumulator })
}
