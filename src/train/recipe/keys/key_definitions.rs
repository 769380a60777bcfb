//! What each key of a recipe takes: one arm for each key, from which parsing, completion and help come.

use super::key::{Entry, Key, NamedChoice};
use crate::data::photos::augment::Augmentation;
use crate::diagnostics::{Diagnostics, Result, suggest};
use crate::graph::{Value, ValueKind};
use crate::request::RecipeKey;
use crate::source::Span;
use crate::train::recipe::definition::Unfreezing;
use crate::train::recipe::values::augmentations::{AUGMENTATIONS, combine};
use crate::train::recipe::values::choice;
use crate::train::recipe::values::choice::{Choice, called, likely, unquoted, wrong};
use crate::train::recipe::values::class_weighting;
use crate::train::recipe::values::class_weighting::BALANCED;
use crate::train::recipe::values::early_stopping::STOPS;
use crate::train::recipe::values::keep_policy::KEEP_POLICIES;
use crate::train::recipe::values::losses;
use crate::train::recipe::values::losses::LOSSES;
use crate::train::recipe::values::metric::Metric;
use crate::train::recipe::values::optimizers::{OPTIMIZERS, REGULARIZERS};
use crate::train::recipe::values::schedule;
use crate::train::recipe::values::schedule::SCHEDULES;
use crate::train::recipe::values::sources;
use crate::train::recipe::values::sources::{ARRAYS, CSV, IMAGES, SPLIT, Validation};

/// What a key takes.
pub(super) fn definition(key: RecipeKey) -> Key {
    let name = key.name();
    match key {
        RecipeKey::Data => Key {
            name,
            summary: "the samples that the net is trained on",
            default: "required",
            choices: || vec![named(&IMAGES), named(&CSV), named(&ARRAYS)],
            read: |entry, recipe| {
                if let Some(data) = sources::read(entry.spec, entry.file, entry.key, entry.value, false)?.data() {
                    recipe.data = data;
                }
                Ok(())
            },
        },
        RecipeKey::Validation => Key {
            name,
            summary: "the samples that each epoch is evaluated on: a share of `data`, or other data",
            default: "no validation",
            choices: || vec![named(&SPLIT), named(&IMAGES), named(&CSV), named(&ARRAYS)],
            read: |entry, recipe| {
                recipe.validation = validation(entry)?;
                Ok(())
            },
        },
        RecipeKey::Optimizer => Key {
            name,
            summary: "the rule by which gradients change the parameters, with the learning rate (`step`)",
            default: "Momentum(step=0.1, momentum=0.9)",
            choices: || OPTIMIZERS.iter().map(named).collect(),
            read: |entry, recipe| set(&mut recipe.optimizer, choice::read(entry.key, OPTIMIZERS, entry.value)),
        },
        RecipeKey::Loss => Key {
            name,
            summary: "the function that training minimises; with several outputs one for each by its name, `0.5 * mse` with a factor",
            default: "the loss that fits the net's output",
            choices: || LOSSES.iter().map(named).collect(),
            read: |entry, recipe| set(&mut recipe.loss, losses::read(entry.key, entry.value)),
        },
        RecipeKey::Epochs => Key {
            name,
            summary: "passes over the data",
            default: "100",
            choices: Vec::new,
            read: |entry, recipe| set(&mut recipe.epochs, count(entry)),
        },
        RecipeKey::Batch => Key {
            name,
            summary: "samples in a batch",
            default: "128",
            choices: Vec::new,
            read: |entry, recipe| set(&mut recipe.batch, count(entry)),
        },
        RecipeKey::Seed => Key {
            name,
            summary: "the seed of initial weights, shuffling, splits, dropout and augmentation; a layer draws its initial weights from the seed and its own name, so a layer of another name starts from other weights",
            default: "0",
            choices: Vec::new,
            read: |entry, recipe| {
                let seed = match entry.value.kind {
                    ValueKind::Int(seed) if seed >= 0 => Ok(seed as u64),
                    _ => Err(wrong(entry.key, entry.value, "a non-negative integer").into()),
                };
                set(&mut recipe.seed, seed)
            },
        },
        RecipeKey::Shuffle => Key {
            name,
            summary: "whether each epoch visits the samples in a new random order",
            default: "true",
            choices: || vec![word("true", ""), word("false", "")],
            read: |entry, recipe| {
                let shuffle = match entry.value.kind {
                    ValueKind::Bool(shuffle) => Ok(shuffle),
                    _ => Err(wrong(entry.key, entry.value, "`true` or `false`").into()),
                };
                set(&mut recipe.shuffle, shuffle)
            },
        },
        RecipeKey::Metrics => Key {
            name,
            summary: "what is measured in each epoch besides the loss; one name or a list",
            default: "accuracy for classes, rmse for numbers",
            choices: || Metric::ALL.iter().map(|(name, metric)| word(name, metric.doc())).collect(),
            read: |entry, recipe| {
                let metrics = collect(items(entry.value), |value| one_of(entry, value, &Metric::ALL))?;
                recipe.metrics = Some(metrics);
                Ok(())
            },
        },
        RecipeKey::Regularizer => Key {
            name,
            summary: "a penalty on the size of the parameters that is added to the loss",
            default: "no penalty",
            choices: || REGULARIZERS.iter().map(named).collect(),
            read: |entry, recipe| {
                set(&mut recipe.regularizer, choice::read(entry.key, REGULARIZERS, entry.value).map(Some))
            },
        },
        RecipeKey::Schedule => Key {
            name,
            summary: "how the learning rate changes over the updates; a list multiplies",
            default: "a constant learning rate",
            choices: || SCHEDULES.iter().map(named).collect(),
            read: |entry, recipe| set(&mut recipe.schedule, schedule::of(entry.value)),
        },
        RecipeKey::Stop => Key {
            name,
            summary: "when training ends before the last epoch",
            default: "all epochs are run",
            choices: || STOPS.iter().map(named).collect(),
            read: |entry, recipe| set(&mut recipe.stop, choice::read(entry.key, STOPS, entry.value).map(Some)),
        },
        RecipeKey::Keep => Key {
            name,
            summary: "the epoch whose parameters are written",
            default: "best with validation data or `restore`, else last",
            choices: || KEEP_POLICIES.iter().map(named).collect(),
            read: |entry, recipe| set(&mut recipe.keep, choice::read(entry.key, KEEP_POLICIES, entry.value).map(Some)),
        },
        RecipeKey::Augment => Key {
            name,
            summary: "random changes to the photos, drawn anew in each epoch; one or a list",
            default: "no augmentation",
            choices: || AUGMENTATIONS.iter().map(named).collect(),
            read: |entry, recipe| {
                let list = collect(items(entry.value), |value| choice::read(entry.key, AUGMENTATIONS, value))?;
                let augmentation = list.into_iter().fold(Augmentation::default(), combine);
                recipe.augment = Some(augmentation).filter(|augmentation| !augmentation.is_identity());
                Ok(())
            },
        },
        RecipeKey::Checkpoint => Key {
            name,
            summary: "epochs from one checkpoint to the next",
            default: "1",
            choices: Vec::new,
            read: |entry, recipe| set(&mut recipe.checkpoint, count(entry)),
        },
        RecipeKey::ClassWeights => Key {
            name,
            summary: "how much the samples of each class count in the loss: `balanced`, a list, or a map by name",
            default: "equal weights",
            choices: || vec![word(BALANCED, "weights each class in inverse proportion to its number of samples")],
            read: |entry, recipe| set(&mut recipe.class_weights, class_weighting::read(entry.key, entry.value)),
        },
        RecipeKey::LabelSmoothing => Key {
            name,
            summary: "the share of each target that is spread evenly over the classes in training: t becomes (1 - s) t + s / classes (PyTorch's and Keras' label_smoothing); validation has the targets as they are",
            default: "0",
            choices: Vec::new,
            read: |entry, recipe| {
                set(
                    &mut recipe.label_smoothing,
                    number(entry, |s| (0.0..1.0).contains(&s), "a number of at least 0 and below 1").map(|s| s as f32),
                )
            },
        },
        RecipeKey::Mixup => Key {
            name,
            summary: "mixes each training sample and its targets with those of another one of the batch, in shares from a beta distribution of this alpha (Zhang et al., 2018); after a frozen front its features are mixed",
            default: "samples as they are",
            choices: Vec::new,
            read: |entry, recipe| {
                set(&mut recipe.mixup, number(entry, |alpha| (0.0..=1.0).contains(&alpha), "a number from 0 to 1"))
            },
        },
        RecipeKey::Rates => Key {
            name,
            summary: "factors of the learning rate by layer or scope, as `{ \"conv5_1\" = 0.1 }`; the innermost wins",
            default: "1 for every layer",
            choices: Vec::new,
            read: |entry, recipe| set(&mut recipe.rates, rates(entry)),
        },
        RecipeKey::Unfreeze => Key {
            name,
            summary: "frozen layers that are trained from an epoch on, as `{ 5 = \"conv5_1..\" }`: a layer, a scope or a range of a cut",
            default: "frozen layers stay frozen",
            choices: Vec::new,
            read: |entry, recipe| set(&mut recipe.unfreeze, unfreeze(entry)),
        },
        RecipeKey::Accumulate => Key {
            name,
            summary: "batches whose gradients are averaged, by their samples, for one update: as a larger batch that need not fit in memory",
            default: "1",
            choices: Vec::new,
            read: |entry, recipe| set(&mut recipe.accumulate, count(entry)),
        },
        RecipeKey::Average => Key {
            name,
            summary: "the decay rate of an exponential moving average of the weights, such as 0.999: average = rate average + (1 - rate) w after each update; the average is evaluated and written (PyTorch's AveragedModel)",
            default: "no average",
            choices: Vec::new,
            read: |entry, recipe| {
                set(
                    &mut recipe.average,
                    number(entry, |rate| (0.0..1.0).contains(&rate), "a number of at least 0 and below 1")
                        .map(|rate| Some(rate as f32)),
                )
            },
        },
    }
}

fn named<T>(choice: &Choice<T>) -> NamedChoice {
    NamedChoice { name: choice.name, summary: choice.summary, arguments: choice.arguments }
}

fn word(name: &'static str, summary: &'static str) -> NamedChoice {
    NamedChoice { name, summary, arguments: &[] }
}

fn set<T>(field: &mut T, value: Result<T>) -> Result<()> {
    *field = value?;
    Ok(())
}

fn validation(entry: Entry<'_>) -> Result<Validation> {
    sources::read(entry.spec, entry.file, entry.key, entry.value, true)
}

fn count(entry: Entry<'_>) -> Result<usize> {
    match entry.value.kind {
        ValueKind::Int(count @ 1..=1_000_000_000) => Ok(count as usize),
        _ => Err(wrong(entry.key, entry.value, "a positive integer").into()),
    }
}

fn number(entry: Entry<'_>, fits: impl Fn(f64) -> bool, takes: &str) -> Result<f64> {
    entry.value.number().filter(|&number| fits(number)).ok_or_else(|| wrong(entry.key, entry.value, takes).into())
}

fn rates(entry: Entry<'_>) -> Result<Vec<(String, Span, f32)>> {
    let takes = "a map of layers or scopes to non-negative factors: `{ \"conv5_1\" = 0.1 }`";
    let ValueKind::Map(entries) = &entry.value.kind else { return Err(wrong(entry.key, entry.value, takes).into()) };
    let mut errors = Diagnostics::default();
    let mut rates = Vec::with_capacity(entries.len());
    for (name, rate) in entries {
        match (&name.kind, rate.number().filter(|rate| (0.0..=1e6).contains(rate))) {
            (ValueKind::Text(text) | ValueKind::Word(text), Some(rate)) => {
                rates.push((text.clone(), name.span, rate as f32));
            }
            (ValueKind::Text(_) | ValueKind::Word(_), None) => errors.push(wrong(entry.key, rate, takes)),
            _ => errors.push(wrong(entry.key, name, takes)),
        }
    }
    errors.or_errors(rates).map(|(rates, _)| rates)
}

fn unfreeze(entry: Entry<'_>) -> Result<Vec<Unfreezing>> {
    let takes = "a map of epochs from 2 to layers: `{ 5 = \"conv5_1..\" }`";
    let ValueKind::Map(entries) = &entry.value.kind else { return Err(wrong(entry.key, entry.value, takes).into()) };
    let mut errors = Diagnostics::default();
    let mut list: Vec<Unfreezing> = Vec::with_capacity(entries.len());
    for (epoch, layers) in entries {
        match (&epoch.kind, &layers.kind) {
            (&ValueKind::Int(epoch @ 2..=1_000_000_000), ValueKind::Text(text)) => {
                list.push(Unfreezing { epoch: epoch as usize, layers: text.clone(), span: layers.span });
            }
            (ValueKind::Int(2..=1_000_000_000), _) => errors.push(wrong(entry.key, layers, takes)),
            _ => errors.push(wrong(entry.key, epoch, takes)),
        }
    }
    list.sort_by_key(|unfreezing| unfreezing.epoch);
    errors.or_errors(list).map(|(list, _)| list)
}

/// Reads one of the names of a table that take no arguments.
fn one_of<T: Copy>(entry: Entry<'_>, value: &Value, table: &[(&'static str, T)]) -> Result<T> {
    let names = || table.iter().map(|(name, _)| *name);
    let word = called(value).filter(|(_, arguments)| arguments.is_empty()).map(|(word, _)| word);
    if let Some((_, found)) = table.iter().find(|(name, _)| Some(*name) == word) {
        return Ok(*found);
    }
    let error = wrong(entry.key, value, &suggest::one_of(names()));
    Err(match word {
        Some(word) => error.suggest_name(value.span.head(word.len()), word, likely(word, names())),
        None => unquoted(error, value, names()),
    }
    .into())
}

/// The values of a list, or the one value.
fn items(value: &Value) -> &[Value] {
    match &value.kind {
        ValueKind::List(list) => list,
        _ => std::slice::from_ref(value),
    }
}

/// Reads each value; reports the errors of all.
fn collect<T>(values: &[Value], read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    let mut errors = Diagnostics::default();
    let mut list = Vec::with_capacity(values.len());
    for value in values {
        match read(value) {
            Ok(one) => list.push(one),
            Err(more) => errors.extend(more),
        }
    }
    errors.or_errors(list).map(|(list, _)| list)
}
