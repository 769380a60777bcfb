//! The data of a recipe made fit for a net: classes in the order of its outputs, targets as numbers, what cannot be used
//! refused with a reason.

use super::batch_source::BatchSource;
use super::training_loop::DataSplit;
use crate::data::photos::prefetch::Decoding;
use crate::data::{Dataset, DatasetError, Samples, Targets, split};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, counted, suggest};
use crate::graph::Graph;
use crate::kernels::training::loss::Loss;
use crate::ops::input::Input;
use crate::ops::output_kind::OutputKind;
use crate::source::Span;
use crate::train::evaluation::class_weights::Weights;
use crate::train::evaluation::task;
use crate::train::evaluation::task::LearningTask;
use crate::train::recipe::sources::{Data, Validation};
use crate::train::recipe::{ClassWeights, Recipe};

/// Data for training, data to try the net on, and the names of the classes.
#[derive(Debug)]
pub struct Prepared {
    pub train: Dataset,
    pub validation: Option<Dataset>,
    /// None where numbers are learnt.
    pub labels: Option<Vec<String>>,
    pub task: LearningTask,
    /// How photos become the net's input; none where arrays are given.
    pub decoding: Option<Decoding>,
    pub told: Diagnostics,
}

fn data_error(message: impl Into<String>, span: Span) -> Diagnostic {
    task::data_error(message, Some(span))
}

fn told(error_of: &DatasetError, span: Span) -> Diagnostic {
    let diagnostic = data_error(error_of.to_string(), span);
    match error_of {
        DatasetError::Unusable { .. } => {
            diagnostic.help("leave them out, or write `unreadable=skip` in the data to have them listed and skipped")
        }
        _ => diagnostic,
    }
}

/// Reads a recipe's data for a net. `labels` are those that the spec gives.
///
/// # Errors
/// Files that cannot be read, and data that does not fit the net.
pub fn prepare(net: &Graph, recipe: &Recipe, loss: Loss, labels: Option<Vec<String>>) -> Result<Prepared> {
    let span = recipe.data.span();
    let read = |data: &Data| data.read().map_err(|error| told(&error, data.span()).maybe_help(data.near()));
    let train = read(&recipe.data)?;
    let sizes = net.node(net.outputs[0]).output.known().unwrap_or_default();
    let (outputs, ending) = (sizes.last().copied().unwrap_or(0), OutputKind::of(net, net.outputs[0]));
    // A number may have a name too.
    let named = train.classes.is_some() || labels.as_ref().is_some_and(|labels| labels.len() == outputs.max(2));
    let task =
        LearningTask::of(&sizes, ending, loss, named, &train.targets).map_err(|error| told(&error.into(), span))?;
    let mut notes = Diagnostics::default();
    let labels = match task.is_labelled() {
        false => None,
        true => Some(names(labels, &train, &task, span)?),
    };
    notes.extend(task.doubt(&train.targets, span).map(Diagnostics::from).unwrap_or_default());
    // What the training data calls the classes; other data may call them so too.
    let known = train.classes.clone().unwrap_or_default();
    let mut fit = |data: Dataset, span: Span, known: &[String]| -> Result<Dataset> {
        let mut data = match &labels {
            Some(labels) => ordered(data, labels, known, span, &mut notes)?,
            None => data,
        };
        // Reports which sample's target does not fit, before anything is computed.
        data.targets = task.fit(data.targets, Some(span))?;
        check_samples(&data, net, span)?;
        Ok(data)
    };
    // All of it, so that samples are numbered as they stand in their file.
    let train = fit(train, span, &[])?;
    let (train, validation) = match &recipe.validation {
        Validation::None => (train, None),
        Validation::Split(share) => {
            let (train, rest) = split(&train, *share, recipe.seed).map_err(|error| told(&error, span))?;
            (train, Some(rest))
        }
        Validation::Data(data) => (train, Some(fit(read(data)?, data.span(), &known)?)),
    };
    let decoding = match train.samples {
        Samples::Photos(_) => Some(decoding(net, span)?),
        Samples::Arrays(_) => None,
    };
    if let (Some(_), Samples::Arrays(_)) = (&recipe.augment, &train.samples) {
        return Err(data_error("`augment` changes photos, and this data has arrays", span).into());
    }
    let data = Prepared { train, validation, labels, task, decoding, told: notes };
    weights(recipe, &data)?;
    Ok(data)
}

/// The names of the classes in the order of the outputs.
fn names(given: Option<Vec<String>>, data: &Dataset, task: &LearningTask, span: Span) -> Result<Vec<String>> {
    let classes = task.names();
    match (given, &data.classes) {
        (Some(labels), _) => Ok(labels),
        (None, Some(found)) if found.len() == classes => Ok(found.clone()),
        (None, Some(found)) => {
            let found_text = if found.len() == 1 { "1 class".into() } else { format!("{} classes", found.len()) };
            let help = match found.len() {
                0 | 1 => {
                    "a net learns to tell two classes apart at least: add a folder of photos of something else".into()
                }
                count if count < classes => {
                    format!("end the net with {count} outputs, or give `labels` for all {classes} classes")
                }
                count => format!("end the net with {count} outputs, or leave classes out"),
            };
            Err(data_error(format!("the data has {found_text}, and the net tells {classes} apart"), span)
                .note(format!("the data's classes: {}", shortened(found)))
                .help(help)
                .into())
        }
        (None, None) => Ok((0..classes).map(|class| class.to_string()).collect()),
    }
}

fn shortened(names: &[String]) -> String {
    crate::weights::bind::report::shortened(names)
}

/// Where each class stands among the labels.
///
/// # Errors
/// The first class that is none of them.
pub fn places<'a>(classes: &'a [String], labels: &[String]) -> std::result::Result<Vec<usize>, &'a str> {
    let place = |name: &'a String| labels.iter().position(|label| label == name).ok_or(name.as_str());
    classes.iter().map(place).collect()
}

/// A dataset whose class indices are those of the labels: by their names, or by the names that the training data `known`
/// has for them. As many classes as labels, and all of other names, are taken in order, which is told.
fn ordered(
    mut data: Dataset,
    labels: &[String],
    known: &[String],
    span: Span,
    notes: &mut Diagnostics,
) -> Result<Dataset> {
    let Some(found) = data.classes.clone() else { return Ok(data) };
    let foreign = |name: &&String| !labels.contains(name) && !known.contains(name);
    let places: Vec<usize> = match places(&found, labels).or_else(|name| places(&found, known).map_err(|_| name)) {
        Ok(places) => places,
        Err(_) if found.len() == labels.len() && found.iter().all(|name| foreign(&name)) => {
            notes.push(
                Diagnostic::new(Code::LabelsOrder, "the data's classes have other names than the labels")
                    .at(span, format!("its classes are {}", shortened(&found)))
                    .note(format!("they are taken in order: {}", shortened(labels))),
            );
            (0..found.len()).collect()
        }
        Err(name) => {
            let name = found.iter().find(foreign).map_or(name, String::as_str);
            return Err(data_error(format!("the class `{name}` is not among the labels"), span)
                .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
                .note(format!("the labels are {}", shortened(labels)))
                .into());
        }
    };
    if let Targets::Classes(classes) = &mut data.targets {
        classes.iter_mut().for_each(|class| *class = places[*class]);
    }
    data.classes = Some(labels.to_vec());
    Ok(data)
}

/// Arrays must be what the net takes.
fn check_samples(data: &Dataset, net: &Graph, span: Span) -> Result<()> {
    let inputs = net.inputs();
    let sizes: Vec<Vec<usize>> = inputs.iter().map(|&id| net.node(id).output.known().unwrap_or_default()).collect();
    let Some((message, input)) = misfit(data, &sizes) else { return Ok(()) };
    let diagnostic = data_error(message, span);
    Err(match input.map(|input| net.node(inputs[input])) {
        Some(node) => diagnostic.and(node.origin.span, format!("takes {}", node.output)),
        None => diagnostic,
    }
    .into())
}

/// Why arrays are not what a net takes, whose inputs have these sizes: and at which input, where it is at one.
pub fn misfit(data: &Dataset, inputs: &[Vec<usize>]) -> Option<(String, Option<usize>)> {
    let Samples::Arrays(arrays) = &data.samples else { return None };
    if arrays.len() != inputs.len() {
        let (inputs, arrays) = (counted(inputs.len(), "input"), counted(arrays.len(), "array"));
        return Some((format!("the net has {inputs}, and the data {arrays}"), None));
    }
    let other = arrays.iter().zip(inputs).position(|(array, sizes)| array.sizes() != sizes)?;
    Some((format!("samples have the shape {:?}", arrays[other].sizes()), Some(other)))
}

/// How photos become the input of a net.
fn decoding(net: &Graph, span: Span) -> Result<Decoding> {
    let inputs = net.inputs();
    let [input] = inputs[..] else {
        return Err(data_error(format!("the net has {} inputs: give it arrays", inputs.len()), span).into());
    };
    let node = net.node(input);
    let image = node.operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.clone());
    let sizes = node.output.known().unwrap_or_default();
    match (image, &sizes[..]) {
        (Some(preprocessing), &[height, width, channels]) => {
            Ok(Decoding { preprocessing, size: (height, width, channels), augmentation: None })
        }
        _ => Err(Diagnostic::new(Code::Preprocessing, "the net does not say how a photo becomes its input")
            .at(node.origin.span, "this input")
            .and(span, "these are photos")
            .help("write `Input(224x224x3, image=Caffe)`, or Torch, Unit, Symmetric, as the weights were trained")
            .into()),
    }
}

/// How much samples or their pixels count in the loss: by their classes where these have weights.
///
/// # Errors
/// Samples that have no class, and weights for other classes than there are.
pub fn weights(recipe: &Recipe, data: &Prepared) -> Result<Weights> {
    if recipe.class_weights == ClassWeights::Equal {
        return Ok(tried_weights(data));
    }
    let span = recipe.data.span();
    let counts = data.task.class_counts(&data.train.targets).map_err(|unread| told(&unread.into(), span))?;
    let (Some(labels), Some(counts)) = (&data.labels, counts) else {
        let message = "`class_weights` weighs samples by their class, and these have none of their own";
        let error = Diagnostic::new(Code::RecipeValue, message).at(recipe.span, "in this recipe");
        return Err(error.and(recipe.data.span(), "this data").help("leave `class_weights` out").into());
    };
    let by_class: Vec<f32> = match &recipe.class_weights {
        ClassWeights::Equal => Vec::new(),
        ClassWeights::Balanced => {
            let share = counts.iter().sum::<usize>() as f32 / labels.len() as f32;
            counts.into_iter().map(|count| if count == 0 { 0.0 } else { share / count as f32 }).collect()
        }
        ClassWeights::List(list) if list.len() == labels.len() => list.clone(),
        ClassWeights::List(list) => {
            let message = format!("{} class weights for {} classes", list.len(), labels.len());
            return Err(Diagnostic::new(Code::RecipeValue, message).at(recipe.span, "in this recipe").into());
        }
        ClassWeights::Named(named, span) => {
            let mut weights = vec![1.0; labels.len()];
            for (name, weight) in named {
                let Some(place) = labels.iter().position(|label| label == name) else {
                    return Err(Diagnostic::new(Code::RecipeValue, format!("there is no class `{name}`"))
                        .at(*span, format!("the classes are {}", shortened(labels)))
                        .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
                        .into());
                };
                weights[place] = *weight;
            }
            weights
        }
    };
    match data.train.targets.classes() {
        Some(classes) => Ok(Weights::Samples(classes.into_iter().map(|class| by_class[class]).collect())),
        None => {
            data.task.check_means("`class_weights` weighs", Some(span))?;
            Ok(Weights::Places(Some(by_class)))
        }
    }
}

/// How much samples count where a net is tried: all the same, but for places that say nothing.
pub fn tried_weights(data: &Prepared) -> Weights {
    let ignores = std::iter::once(&data.train).chain(&data.validation).any(|data| data.targets.ignores());
    if ignores { Weights::Places(None) } else { Weights::Equal }
}

/// A dataset with its feed.
pub fn set(data: &Dataset, feed: BatchSource, weights: Weights) -> DataSplit<'_> {
    DataSplit { feed, targets: &data.targets, weights }
}
