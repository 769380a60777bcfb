//! A state of training, tried on data.

use super::class_weights::{Weights, weigh};
use super::metric_accumulator::Tally;
use crate::runtime::Session;
use crate::train::run::batch_source::{FeedError, Pass};
use crate::train::run::training_loop::{Course, FitError, Set};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A set that was tried.
#[derive(Debug)]
pub struct Tried {
    pub loss: f64,
    pub tally: Tally,
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
    set: &mut Set<'_>,
    course: &Course,
    interrupted: &AtomicBool,
    seen: &mut dyn FnMut(&[f32]),
) -> Result<Tried, FitError> {
    let outputs = evaluation.artifact().manifest.plan.outputs[1].len();
    let samples = set.targets.len();
    let order: Vec<usize> = (0..samples).collect();
    let team = Arc::clone(evaluation.team());
    let (mut predictions, mut rows) = (vec![0.0; course.batch * outputs], vec![0.0; course.batch * outputs]);
    let mut tally = course.task.tally(course.labels.as_deref());
    let (mut losses, mut weight) = (0.0, 0.0);
    let width = course.task.coding.width.max(1);
    let pixels = outputs / width;
    let Set { feed, targets, weights } = set;
    let mut room = if let Weights::Places(_) = weights { vec![0.0; course.batch * pixels] } else { Vec::new() };
    let pass = Pass { order: &order, batch: course.batch, epoch: 0, team: &team, interrupted: Some(interrupted) };
    feed.each::<FitError>(pass, |places, inputs| {
        let floats = places.len() * outputs;
        let (rows, predictions) = (&mut rows[..floats], &mut predictions[..floats]);
        for (to, sample) in rows.chunks_exact_mut(outputs.max(1)).zip(places.clone()) {
            targets.row(sample, course.task.coding, to).map_err(FeedError::Rows)?;
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
        if tally.add(predictions, rows).is_err() {
            let place = predictions.iter().position(|value| !value.is_finite()).unwrap_or(0) / outputs.max(1);
            return Err(match odd(inputs, places.len()) {
                Some(place) => FitError::Input { sample: places.start + place },
                None => FitError::NoNumber { sample: places.start + place },
            });
        }
        seen(predictions);
        Ok(())
    })?;
    Ok(Tried { loss: losses / weight.max(f64::MIN_POSITIVE), tally })
}
