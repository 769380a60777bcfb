//! Prepares the data of a recipe for a net: classes in the order of its labels, targets in the form that the loss takes.

use crate::data::photos::prefetch::Decoding;
use crate::data::{Dataset, DatasetError, Samples, Targets, split};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::graph::Graph;
use crate::ops::output_kind::OutputKind;
use crate::source::Span;
use crate::train::autodiff::data_files::{other_classes, other_input};
use crate::train::autodiff::data_fit::{photo_decoding, targets_of};
use crate::train::autodiff::metric_fit::{
    Learned, check_class_weights, check_metrics, class_numbers, names_classes, no_single_class,
};
use crate::train::evaluation::class_weights::SampleWeights;
use crate::train::evaluation::dataset_match::{InputMismatch, input_mismatch, label_indices};
use crate::train::evaluation::task;
use crate::train::evaluation::task::LearningTask;
use crate::train::recipe::values::losses::OutputLoss;
use crate::train::recipe::values::sources::{Data, Validation};
use crate::train::recipe::{ClassWeights, Recipe};

/// The data of a run.
#[derive(Debug)]
pub struct PreparedData {
    /// With the targets of each output, in order.
    pub train: Dataset,
    pub validation: Option<Dataset>,
    /// Of each output.
    pub outputs: Vec<OutputTask>,
    /// How photos become the net's input; none for arrays.
    pub decoding: Option<Decoding>,
    pub warnings: Diagnostics,
}

/// What an output learns.
#[derive(Clone, Debug)]
pub struct OutputTask {
    /// As [`Graph::output_names`] has it.
    pub name: String,
    pub task: LearningTask,
    /// The names of the classes; none for numbers.
    pub labels: Option<Vec<String>>,
}

impl PreparedData {
    /// The names of the first output's classes, which an artifact stores; none for numbers.
    pub fn labels(&self) -> Option<&Vec<String>> {
        self.outputs.first().and_then(|output| output.labels.as_ref())
    }

    /// What each output learns.
    fn learned(&self) -> Vec<Learned> {
        let output = |OutputTask { name, task, labels }: &OutputTask| Learned {
            name: name.clone(),
            output_kind: task.output_kind,
            forms: Vec::new(),
            has_names: labels.is_some(),
            kinds: vec![task.kind],
            loss: task.loss,
            sizes: task.sizes.clone(),
            labels: labels.clone(),
        };
        self.outputs.iter().map(output).collect()
    }
}

fn data_error(message: impl Into<String>, span: Span) -> Diagnostic {
    task::data_error(message, Some(span))
}

fn dataset_error(error: &DatasetError, span: Span) -> Diagnostic {
    let diagnostic = data_error(error.to_string(), span);
    match error {
        DatasetError::Unusable { .. } => {
            diagnostic.help("remove them, or write `unreadable=skip` in the data to skip them with a message")
        }
        _ => diagnostic,
    }
}

/// Reads a recipe's data for a net, whose outputs have these losses; `labels` are those of the spec.
///
/// # Errors
/// Files that cannot be read, or data that does not match the net.
pub fn prepare(
    net: &Graph,
    recipe: &Recipe,
    losses: &[OutputLoss],
    labels: Option<Vec<String>>,
) -> Result<PreparedData> {
    let span = recipe.data.span();
    let read = |data: &Data| -> Result<Dataset> {
        let dataset =
            data.read().map_err(|error| dataset_error(&error, data.span()).maybe_help(data.did_you_mean()))?;
        Ok(dataset.with_targets_in_order(&targets_of(data, net)?))
    };
    let train = read(&recipe.data)?;
    let mut warnings = Diagnostics::default();
    let mut outputs = Vec::with_capacity(losses.len());
    let given = all_outputs(&train);
    let named = net.outputs.iter().zip(net.output_names());
    for (index, (((&output, name), loss), (targets, classes))) in named.zip(losses).zip(given).enumerate() {
        let node = net.node(output);
        let sizes = node.output.known().unwrap_or_default();
        let output_kind = OutputKind::of(net, output);
        // Labels are those of the first output.
        let labels = labels.clone().filter(|_| index == 0);
        let has_names = classes.is_some() || names_classes(labels.as_deref(), &sizes);
        let task = LearningTask::of(&sizes, output_kind, loss.loss, has_names, targets)
            .map_err(|error| dataset_error(&error.into(), span))?;
        let labels = match task.is_labelled() {
            false => None,
            true => Some(class_names(labels, classes, &task, span)?),
        };
        warnings.extend(task.lint_targets(targets, span).map(Diagnostics::from).unwrap_or_default());
        outputs.push(OutputTask { name, task, labels });
    }
    // Validation data may use the class names of the training data.
    let known: Vec<Vec<String>> = all_outputs(&train).map(|(_, classes)| classes.clone().unwrap_or_default()).collect();
    let none = vec![Vec::new(); outputs.len()];
    let mut prepare = |mut data: Dataset, span: Span, known: &[Vec<String>]| -> Result<Dataset> {
        let further = data.further.iter_mut().map(|output| (&mut output.targets, &mut output.classes));
        let all = std::iter::once((&mut data.targets, &mut data.classes)).chain(further);
        for ((output, known), (targets, classes)) in outputs.iter().zip(known).zip(all) {
            if let Some(labels) = &output.labels {
                order_classes(targets, classes, labels, known, span, &mut warnings)?;
            }
            // Reports the sample whose target does not fit, before anything is computed.
            let given = std::mem::replace(targets, Targets::Classes(Vec::new()));
            *targets = output.task.prepare_targets(given, Some(span))?;
        }
        check_samples(&data, net, span)?;
        Ok(data)
    };
    // Before the split, so that errors number samples as their file does.
    let train = prepare(train, span, &none)?;
    let (train, validation) = match &recipe.validation {
        Validation::None => (train, None),
        Validation::Split(share) => {
            let (train, validation) =
                split(&train, *share, recipe.seed).map_err(|error| dataset_error(&error, span))?;
            (train, Some(validation))
        }
        Validation::Data(data) => (train, Some(prepare(read(data)?, data.span(), &known)?)),
    };
    let decoding = match train.samples {
        Samples::Photos(_) => Some(photo_decoding(net, span)?),
        Samples::Arrays(_) => None,
    };
    let data = PreparedData { train, validation, outputs, decoding, warnings };
    check_metrics(recipe, &net.name, &data.learned())?;
    weights(recipe, &data)?;
    Ok(data)
}

/// The targets of each output, and the names of their classes.
fn all_outputs(data: &Dataset) -> impl Iterator<Item = (&Targets, &Option<Vec<String>>)> {
    let further = data.further.iter().map(|output| (&output.targets, &output.classes));
    std::iter::once((&data.targets, &data.classes)).chain(further)
}

/// The names of the classes in the order of the outputs.
fn class_names(
    given: Option<Vec<String>>,
    found: &Option<Vec<String>>,
    task: &LearningTask,
    span: Span,
) -> Result<Vec<String>> {
    let classes = task.class_count();
    match (given, found) {
        (Some(labels), _) => Ok(labels),
        (None, Some(found)) if found.len() == classes => Ok(found.clone()),
        (None, Some(found)) => Err(other_classes(found, classes, span).into()),
        (None, None) => Ok(class_numbers(classes)),
    }
}

fn shortened(names: &[String]) -> String {
    crate::weights::bind::report::shortened(names)
}

/// Replaces the class indices by those of the labels, matched by name; `known` are the class names of the training data. If
/// there are as many classes as labels and no name matches, they are matched by order, with a warning.
fn order_classes(
    targets: &mut Targets,
    classes: &mut Option<Vec<String>>,
    labels: &[String],
    known: &[String],
    span: Span,
    warnings: &mut Diagnostics,
) -> Result<()> {
    let Some(found) = classes.clone() else { return Ok(()) };
    let is_unknown = |name: &&String| !labels.contains(name) && !known.contains(name);
    let indices = label_indices(&found, labels).or_else(|name| label_indices(&found, known).map_err(|_| name));
    let indices: Vec<usize> = match indices {
        Ok(indices) => indices,
        Err(_) if found.len() == labels.len() && found.iter().all(|name| is_unknown(&name)) => {
            warnings.push(
                Diagnostic::new(Code::LabelsOrder, "the data's classes have other names than the labels")
                    .at(span, format!("its classes are {}", shortened(&found)))
                    .note(format!("they are matched by order: {}", shortened(labels))),
            );
            (0..found.len()).collect()
        }
        Err(name) => {
            let name = found.iter().find(is_unknown).map_or(name, String::as_str);
            return Err(data_error(format!("the class `{name}` is not among the labels"), span)
                .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
                .note(format!("the labels are {}", shortened(labels)))
                .into());
        }
    };
    if let Targets::Classes(list) = targets {
        list.iter_mut().for_each(|class| *class = indices[*class]);
    }
    *classes = Some(labels.to_vec());
    Ok(())
}

/// Checks that arrays match the net's inputs.
fn check_samples(data: &Dataset, net: &Graph, span: Span) -> Result<()> {
    let inputs = net.inputs();
    let sizes: Vec<Vec<usize>> = inputs.iter().map(|&id| net.node(id).output.known().unwrap_or_default()).collect();
    let Some(InputMismatch { message, input }) = input_mismatch(data, &sizes) else { return Ok(()) };
    Err(match (input, &data.samples) {
        (Some(input), Samples::Arrays(arrays)) => other_input(net, input, arrays[input].sizes(), span),
        _ => data_error(message, span),
    }
    .into())
}

/// The weights of samples or pixels in the training loss of each output, from `class_weights`.
///
/// # Errors
/// Samples without classes, several outputs, or weights that do not match the classes.
pub fn weights(recipe: &Recipe, data: &PreparedData) -> Result<Vec<SampleWeights>> {
    if recipe.class_weights == ClassWeights::Equal {
        return Ok(evaluation_weights(data));
    }
    check_class_weights(recipe, &data.learned())?;
    let no_single_class = || Diagnostics::from(no_single_class(recipe));
    let OutputTask { task, labels, .. } = data.outputs.first().ok_or_else(no_single_class)?;
    let counts =
        task.class_counts(&data.train.targets).map_err(|error| dataset_error(&error.into(), recipe.data.span()))?;
    let (Some(labels), Some(counts)) = (labels, counts) else { return Err(no_single_class()) };
    let by_class: Vec<f32> = match &recipe.class_weights {
        ClassWeights::Equal => Vec::new(),
        ClassWeights::Balanced => {
            let share = counts.iter().sum::<usize>() as f32 / labels.len() as f32;
            counts.into_iter().map(|count| if count == 0 { 0.0 } else { share / count as f32 }).collect()
        }
        ClassWeights::List(list) => list.clone(),
        ClassWeights::Named(named, _) => {
            let weight = |label: &String| named.iter().rev().find(|(name, _)| name == label).map(|(_, weight)| *weight);
            labels.iter().map(|label| weight(label).unwrap_or(1.0)).collect()
        }
    };
    Ok(vec![match data.train.targets.classes() {
        Some(classes) => SampleWeights::PerSample(classes.into_iter().map(|class| by_class[class]).collect()),
        None => SampleWeights::PerPosition(Some(by_class)),
    }])
}

/// The weights of each output in evaluation: all equal, except positions without a target.
pub fn evaluation_weights(data: &PreparedData) -> Vec<SampleWeights> {
    let ignores = |output: usize| {
        let all = std::iter::once(&data.train).chain(&data.validation);
        all.filter_map(|data| data.all_targets().nth(output)).any(Targets::ignores)
    };
    let weights = |output| if ignores(output) { SampleWeights::PerPosition(None) } else { SampleWeights::Equal };
    (0..data.outputs.len()).map(weights).collect()
}
