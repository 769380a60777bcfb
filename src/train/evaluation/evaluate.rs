//! Evaluates an artifact on a dataset: what `netc eval` prints.

use super::class_weights::SampleWeights;
use super::dataset_match::{check_samples, label_indices};
use super::learned::TargetKind;
use super::metric_accumulator::{MetricAccumulator, MetricsReport};
use super::misclassified::{Misclassification, most_confident};
use super::output_loss::default_loss;
use super::score::{ArtifactModel, DataSplit, OutputScoring, ScoreError, ScoreSettings, SplitTargets, score};
use super::task::LearningTask;
use crate::artifact::Artifact;
use crate::data::{Dataset, Policy, Samples, Targets};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, counted, suggest};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::runtime::Session;
use crate::runtime::non_finite::Origin;
use crate::train::batches::batch_source::{BatchSource, BatchSourceError, UnreadablePhoto};
use crate::train::batches::net_inputs::NetInputs;
use crate::train::batches::unreadable_photos::remove_unreadable;
use std::fmt::Display;
use std::sync::Arc;

/// The maximum of classes for which ROC curves are computed.
const MAX_CURVES: usize = 20;

/// How an artifact is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateOptions {
    /// Samples in a batch.
    pub batch: usize,
    pub threads: usize,
    /// What happens with photos that cannot be read.
    pub policy: Policy,
}

/// The predictions of one output, compared with its targets.
#[derive(Debug)]
pub struct OutputEvaluation {
    pub name: String,
    /// The mean loss; none where the artifact does not say which loss the net was trained by, and no loss fits its output.
    pub loss: Option<f64>,
    pub accumulator: MetricAccumulator,
    /// The names of the classes; none for numbers, and for classes without names.
    pub labels: Option<Vec<String>>,
    /// The number of classes; 0 for numbers.
    pub classes: usize,
}

impl OutputEvaluation {
    /// All metrics; none where no sample has a target.
    pub fn report(&self) -> Option<MetricsReport> {
        self.accumulator.report(self.loss)
    }
}

/// The predictions of an artifact on a dataset, compared with the targets.
#[derive(Debug)]
pub struct Evaluation {
    /// Of the outputs that the data has targets for, at least one.
    pub outputs: Vec<OutputEvaluation>,
    /// The number of samples, without the photos that were skipped.
    pub samples: usize,
    /// The misclassified photos with the highest probabilities, by the first output; none for arrays.
    pub misclassified: Vec<Misclassification>,
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

/// An output with its targets prepared.
struct PreparedOutput {
    name: String,
    task: LearningTask,
    labels: Option<Vec<String>>,
    loss: Option<Loss>,
}

impl PreparedOutput {
    fn scoring(&self) -> OutputScoring<'_> {
        let PreparedOutput { task, labels, .. } = self;
        // The order of all predictions is kept for it, for each class: much for many classes.
        let with_auc = task.kind == TargetKind::Binary || task.class_count() <= MAX_CURVES;
        OutputScoring { task, labels: labels.as_deref(), with_auc }
    }
}

/// Evaluates an artifact on a dataset, which has targets for its first outputs. Afterwards `data` holds the samples that were
/// used, with the targets as the losses take them; `on_progress` gets the number of samples done and of all.
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
    let (found, ports) = (1 + data.further.len(), manifest.plan.outputs.len());
    if found > ports {
        let message = format!("the data has targets for {found} outputs, and the net has {}", counted(ports, "output"));
        return Err(Diagnostics::from(Diagnostic::new(Code::Dataset, message)).into());
    }
    let mut prepared = vec![prepare(artifact, 0, &mut data.targets, &data.classes)?];
    for (index, output) in data.further.iter_mut().enumerate() {
        prepared.push(prepare(artifact, index + 1, &mut output.targets, &output.classes)?);
    }
    let source = match &data.samples {
        Samples::Photos(_) => {
            let decoding = NetInputs::of_artifact(manifest).photo_decoding()?;
            remove_unreadable(data, options.policy, &decoding, options.threads, None)
                .map_err(|cause| error(Code::Dataset, &cause))?;
            BatchSource::of_samples(&data.samples, Some(&decoding))
        }
        Samples::Arrays(_) => {
            check_samples(&NetInputs::of_artifact(manifest), data)?;
            BatchSource::of_samples(&data.samples, None)
        }
    };
    let losses = prepared.iter().map(|output| output.loss).collect();
    let mut model = ArtifactModel { session: Session::new(Arc::clone(artifact), options.threads), losses };
    let first = &prepared[0].task;
    // Only photos are shown; their predictions are kept.
    let shown = match (&data.samples, data.targets.classes()) {
        (Samples::Photos(photos), Some(classes)) if first.is_labelled() => Some((photos, classes)),
        _ => None,
    };
    let mut predictions = Vec::new();
    let samples = data.len();
    let outputs = data.all_targets().map(|targets| {
        let weights = if targets.ignores() { SampleWeights::PerPosition(None) } else { SampleWeights::Equal };
        SplitTargets { targets, weights }
    });
    let mut split = DataSplit { source, outputs: outputs.collect() };
    let outputs = prepared.iter().map(PreparedOutput::scoring).collect();
    let settings = ScoreSettings { outputs, batch: options.batch, interrupted: None };
    let results = score(&mut model, &mut split, &settings, &mut |done, batch| {
        if shown.is_some() {
            predictions.extend_from_slice(batch);
        }
        on_progress(done, samples);
    });
    let results = results.map_err(of_score)?;
    let misclassified = shown.map_or_else(Vec::new, |(photos, classes)| {
        let len = manifest.plan.outputs[0].len();
        most_confident(&predictions, len, first.output_kind, &classes, photos)
    });
    let outputs = results.into_iter().zip(&prepared).map(|(result, output)| OutputEvaluation {
        name: output.name.clone(),
        loss: result.loss,
        accumulator: result.accumulator,
        labels: output.labels.clone(),
        classes: if output.task.is_labelled() { output.task.class_count() } else { 0 },
    });
    Ok(Evaluation { outputs: outputs.collect(), samples, misclassified })
}

/// Prepares the targets of an output, whose classes may have names.
fn prepare(
    artifact: &Artifact,
    index: usize,
    targets: &mut Targets,
    classes: &Option<Vec<String>>,
) -> Result<PreparedOutput> {
    let manifest = &artifact.manifest;
    let (port, output_kind) = (&manifest.plan.outputs[index], manifest.ending(index));
    let recorded = manifest.losses.get(index).copied();
    let fitting = recorded.unwrap_or_else(|| default_loss(output_kind));
    // The labels are those of the first output.
    let labels = manifest.labels.clone().filter(|_| index == 0);
    let has_names = classes.is_some() || labels.is_some();
    let task = LearningTask::of(&port.sizes, output_kind, fitting, has_names, targets)
        .map_err(|cause| error(Code::Dataset, &cause))?;
    if port.sizes.len() > 1 {
        targets.check(&port.sizes).map_err(|cause| error(Code::Dataset, &cause))?;
    }
    let values = port.sizes.last().copied().unwrap_or(1).max(2);
    let labels = match_labels(labels, values, targets, classes)?;
    let given = std::mem::replace(targets, Targets::Classes(Vec::new()));
    *targets = task.prepare_targets(given, None)?;
    let loss = known_loss(recorded, fitting, output_kind, &task);
    Ok(PreparedOutput { name: port.name.clone(), task, labels, loss })
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

/// The labels of the net, or without labels the classes of the data. The data's class indices become those of the labels;
/// `values` is the number of the output's values.
fn match_labels(
    labels: Option<Vec<String>>,
    values: usize,
    targets: &mut Targets,
    classes: &Option<Vec<String>>,
) -> Result<Option<Vec<String>>> {
    let Some(classes) = classes else { return Ok(labels) };
    let Some(labels) = labels else {
        if classes.len() != values {
            let message =
                format!("the data has {} classes, and the net has {values} outputs and no labels", classes.len());
            return Err(Diagnostic::new(Code::Dataset, message).help("give the net `labels` in its spec").into());
        }
        return Ok(Some(classes.clone()));
    };
    let indices = label_indices(classes, &labels).map_err(|name| {
        Diagnostic::new(Code::Dataset, format!("the data's class `{name}` is not among the net's labels"))
            .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
            .help("the classes (of a folder: its subfolders) must be named like the labels; `netc inspect` shows them")
    })?;
    if let Targets::Classes(list) = targets {
        list.iter_mut().for_each(|class| *class = indices[*class]);
    }
    Ok(Some(labels))
}
