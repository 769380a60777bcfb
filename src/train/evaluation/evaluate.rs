//! Evaluates an artifact on a dataset: what `netc eval` prints.

use super::class_weights::SampleWeights;
use super::dataset_match::{input_mismatch, label_indices};
use super::metric_accumulator::{MetricAccumulator, MetricsReport};
use super::misclassified::{Misclassification, most_confident};
use super::output_loss::default_loss;
use super::score::{ArtifactModel, DataSplit, ScoreError, ScoreSettings, score};
use super::task::{LearningTask, TargetKind};
use crate::artifact::Artifact;
use crate::data::{Dataset, Policy, Samples, Targets};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::runtime::Session;
use crate::runtime::non_finite::Origin;
use crate::train::batches::batch_source::{BatchSource, BatchSourceError, UnreadablePhoto};
use crate::train::batches::photo_input::photo_decoding;
use crate::train::batches::unreadable_photos::remove_unreadable;
use std::fmt::Display;
use std::sync::Arc;

/// How an artifact is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateOptions {
    /// Samples in a batch.
    pub batch: usize,
    pub threads: usize,
    /// What happens with photos that cannot be read.
    pub policy: Policy,
}

/// The predictions of an artifact on a dataset, compared with the targets.
#[derive(Debug)]
pub struct Evaluation {
    /// The mean loss; none where the artifact does not say which loss the net was trained by, and no loss fits its output.
    pub loss: Option<f64>,
    pub accumulator: MetricAccumulator,
    /// The names of the classes; none for numbers, and for classes without names.
    pub labels: Option<Vec<String>>,
    /// The number of samples, without the photos that were skipped.
    pub samples: usize,
    /// The number of classes; 0 for numbers.
    pub classes: usize,
    /// The misclassified photos with the highest probabilities; none for arrays.
    pub misclassified: Vec<Misclassification>,
}

impl Evaluation {
    /// All metrics; none where no sample has a target.
    pub fn report(&self) -> Option<MetricsReport> {
        self.accumulator.report(self.loss)
    }
}

/// A dataset that an artifact cannot be evaluated on.
#[derive(Debug)]
pub enum EvaluationError {
    Errors(Diagnostics),
    /// The prediction for a sample is not finite.
    NonFinite {
        sample: usize,
        origin: Option<Origin>,
    },
}

impl From<Diagnostics> for EvaluationError {
    fn from(errors: Diagnostics) -> Self {
        EvaluationError::Errors(errors)
    }
}

fn error(code: Code, error: &dyn Display) -> Diagnostics {
    Diagnostic::new(code, error.to_string()).into()
}

/// Evaluates an artifact on a dataset. Afterwards `data` holds the samples that were used, with the targets as the loss takes
/// them; `on_progress` gets the number of samples done and of all.
///
/// # Errors
/// Data that does not match the net, samples that cannot be read, and predictions that are not finite.
pub fn evaluate(
    artifact: &Arc<Artifact>,
    data: &mut Dataset,
    options: &EvaluateOptions,
    on_progress: &mut dyn FnMut(usize, usize),
) -> std::result::Result<Evaluation, EvaluationError> {
    let manifest = &artifact.manifest;
    let (port, output_kind) = (&manifest.plan.outputs[0], manifest.ending(0));
    let fitting = manifest.loss.unwrap_or_else(|| default_loss(output_kind));
    let has_names = data.classes.is_some() || manifest.labels.is_some();
    let task = LearningTask::of(&port.sizes, output_kind, fitting, has_names, &data.targets)
        .map_err(|cause| error(Code::Dataset, &cause))?;
    if port.sizes.len() > 1 {
        data.targets.check(&port.sizes).map_err(|cause| error(Code::Dataset, &cause))?;
    }
    let labels = match_labels(artifact, data)?;
    let targets = std::mem::replace(&mut data.targets, Targets::Classes(Vec::new()));
    data.targets = task.prepare_targets(targets, None)?;
    let source = match &data.samples {
        Samples::Photos(_) => {
            let decoding = photo_decoding(manifest)?;
            remove_unreadable(data, options.policy, &decoding, options.threads, None)
                .map_err(|cause| error(Code::Dataset, &cause))?;
            BatchSource::of_samples(&data.samples, Some(&decoding))
        }
        Samples::Arrays(_) => {
            check_inputs(artifact, data)?;
            BatchSource::of_samples(&data.samples, None)
        }
    };
    let mut model = ArtifactModel {
        session: Session::new(Arc::clone(artifact), options.threads),
        loss: known_loss(manifest.loss, fitting, output_kind, &task),
    };
    // Only photos are shown; their predictions are kept.
    let shown = match (&data.samples, data.targets.classes()) {
        (Samples::Photos(photos), Some(classes)) if task.is_labelled() => Some((photos, classes)),
        _ => None,
    };
    let mut predictions = Vec::new();
    let samples = data.len();
    let weights = if data.targets.ignores() { SampleWeights::PerPosition(None) } else { SampleWeights::Equal };
    let mut split = DataSplit { source, targets: &data.targets, weights };
    let settings = ScoreSettings { task: &task, labels: labels.as_deref(), batch: options.batch, interrupted: None };
    let result = score(&mut model, &mut split, &settings, &mut |done, batch| {
        if shown.is_some() {
            predictions.extend_from_slice(batch);
        }
        on_progress(done, samples);
    });
    let result = result.map_err(of_score)?;
    let misclassified = shown.map_or_else(Vec::new, |(photos, classes)| {
        most_confident(&predictions, port.len(), output_kind, &classes, photos)
    });
    Ok(Evaluation {
        loss: result.loss,
        accumulator: result.accumulator,
        labels,
        samples,
        classes: if task.is_labelled() { task.class_count() } else { 0 },
        misclassified,
    })
}

/// The loss that the net was trained by, as far as it is known: two classes that are told apart by the sign of a number
/// may have been trained by several losses.
fn known_loss(recorded: Option<Loss>, fitting: Loss, output_kind: OutputKind, task: &LearningTask) -> Option<Loss> {
    let is_clear = output_kind != OutputKind::Numbers || task.kind == TargetKind::Numbers;
    recorded.or(is_clear.then_some(fitting))
}

fn of_score(cause: ScoreError) -> EvaluationError {
    EvaluationError::Errors(match cause {
        ScoreError::NonFiniteOutput { sample, origin } => return EvaluationError::NonFinite { sample, origin },
        ScoreError::BatchSource(BatchSourceError::Photos(unreadable)) => {
            let lines: Vec<String> = unreadable.iter().map(UnreadablePhoto::to_string).collect();
            error(Code::Photo, &lines.join("\n"))
        }
        other => error(Code::Array, &other),
    })
}

/// The labels of the net, or without labels the classes of the data. The data's class indices become those of the labels.
fn match_labels(artifact: &Artifact, data: &mut Dataset) -> Result<Option<Vec<String>>> {
    let manifest = &artifact.manifest;
    let Some(classes) = data.classes.clone() else { return Ok(manifest.labels.clone()) };
    let outputs = manifest.plan.outputs[0].sizes.last().copied().unwrap_or(1).max(2);
    let Some(labels) = manifest.labels.clone() else {
        if classes.len() != outputs {
            let message =
                format!("the data has {} classes, and the net has {outputs} outputs and no labels", classes.len());
            return Err(Diagnostic::new(Code::Dataset, message).help("give the net `labels` in its spec").into());
        }
        return Ok(Some(classes));
    };
    let indices = label_indices(&classes, &labels).map_err(|name| {
        Diagnostic::new(Code::Dataset, format!("the data's class `{name}` is not among the net's labels"))
            .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
            .help("the classes (of a folder: its subfolders) must be named like the labels; `netc inspect` shows them")
    })?;
    if let Targets::Classes(classes) = &mut data.targets {
        classes.iter_mut().for_each(|class| *class = indices[*class]);
    }
    Ok(Some(labels))
}

/// Checks that arrays match the inputs of the net.
fn check_inputs(artifact: &Artifact, data: &Dataset) -> Result<()> {
    let plan = &artifact.manifest.plan;
    let sizes: Vec<Vec<usize>> = plan.inputs.iter().map(|port| port.sizes.clone()).collect();
    let Some(mismatch) = input_mismatch(data, &sizes) else { return Ok(()) };
    let diagnostic = Diagnostic::new(Code::Dataset, mismatch.message);
    Err(match mismatch.input.map(|input| &plan.inputs[input]) {
        Some(port) => diagnostic.note(format!("`{}` takes {:?}", port.name, port.sizes)),
        None => {
            let names: Vec<&str> = plan.inputs.iter().map(|port| port.name.as_str()).collect();
            diagnostic.help(format!("give an array (`--x`) for each input, in this order: {}", names.join(", ")))
        }
    }
    .into())
}
