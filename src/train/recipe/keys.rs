//! The entries of a recipe: one row for each key, from which parsing, completion and help come.

use super::augmentations::{AUGMENTATIONS, combine};
use super::choice::{self, Choice, called, likely, unquoted, wrong};
use super::class_weighting::{self, BALANCED};
use super::definition::Recipe;
use super::early_stopping::STOPS;
use super::keep_policy::KEEP_POLICIES;
use super::metric::Metric;
use super::optimizers::{OPTIMIZERS, REGULARIZERS};
use super::schedule::{self, SCHEDULES};
use super::sources::{self, ARRAYS, CSV, IMAGES, SPLIT, Validation};
use crate::data::photos::augment::Augmentation;
use crate::diagnostics::{Diagnostics, Result, suggest};
use crate::elaborate::Spec;
use crate::elaborate::requests::RECIPE_KEYS;
use crate::graph::{Argument, Value, ValueKind};
use crate::kernels::training::loss::Loss;
use crate::source::FileId;

/// An entry of a recipe: `name = value`.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    /// What it sets, in one line.
    pub summary: &'static str,
    /// What a recipe without it does.
    pub default: &'static str,
    /// The names that its value may have; none where it takes numbers.
    pub choices: fn() -> Vec<NamedChoice>,
    pub(super) read: Read,
}

/// A function that reads the value of an entry into the recipe.
pub(super) type Read = fn(Entry<'_>, &mut Recipe) -> Result<()>;

/// The value of an entry, and where it was written.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub key: &'static str,
    pub value: &'a Value,
    pub spec: &'a Spec,
    pub file: FileId,
}

/// A name that an entry takes.
#[derive(Clone, Copy, Debug)]
pub struct NamedChoice {
    pub name: &'static str,
    /// What it does, in one line; empty where its name says it.
    pub summary: &'static str,
    pub arguments: &'static [Argument],
}

/// Every key.
pub static KEYS: [Key; 16] = [
    Key {
        name: "data",
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
    Key {
        name: "validation",
        summary: "the samples that each epoch is evaluated on: a share of `data`, or other data",
        default: "no validation",
        choices: || vec![named(&SPLIT), named(&IMAGES), named(&CSV), named(&ARRAYS)],
        read: |entry, recipe| {
            recipe.validation = validation(entry)?;
            Ok(())
        },
    },
    Key {
        name: "optimizer",
        summary: "the rule by which gradients change the parameters, with the learning rate (`step`)",
        default: "Momentum(step=0.1, momentum=0.9)",
        choices: || OPTIMIZERS.iter().map(named).collect(),
        read: |entry, recipe| set(&mut recipe.optimizer, choice::read(entry.key, OPTIMIZERS, entry.value)),
    },
    Key {
        name: "loss",
        summary: "the function that training minimises",
        default: "the loss that fits the net's output",
        choices: || Loss::ALL.iter().map(|(name, loss)| word(name, loss.doc())).collect(),
        read: |entry, recipe| set(&mut recipe.loss, one_of(entry, entry.value, &Loss::ALL).map(Some)),
    },
    Key {
        name: "epochs",
        summary: "passes over the data",
        default: "100",
        choices: Vec::new,
        read: |entry, recipe| set(&mut recipe.epochs, count(entry)),
    },
    Key {
        name: "batch",
        summary: "samples in a batch",
        default: "128",
        choices: Vec::new,
        read: |entry, recipe| set(&mut recipe.batch, count(entry)),
    },
    Key {
        name: "seed",
        summary: "the seed of initial weights, shuffling, splits, dropout and augmentation",
        default: "0",
        choices: Vec::new,
        read: |entry, recipe| {
            let seed = match entry.value.kind {
                ValueKind::Int(seed) if seed >= 0 => Ok(seed as u64),
                _ => Err(wrong(entry.key, entry.value, "an integer from 0").into()),
            };
            set(&mut recipe.seed, seed)
        },
    },
    Key {
        name: "shuffle",
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
    Key {
        name: "metrics",
        summary: "what is measured in each epoch besides the loss; one name or a list",
        default: "accuracy for classes, rmse for numbers",
        choices: || Metric::ALL.iter().map(|(name, metric)| word(name, metric.doc())).collect(),
        read: |entry, recipe| {
            let metrics = collect(items(entry.value), |value| one_of(entry, value, &Metric::ALL))?;
            recipe.metrics = Some(metrics);
            Ok(())
        },
    },
    Key {
        name: "regularizer",
        summary: "a penalty on the size of the parameters that is added to the loss",
        default: "no penalty",
        choices: || REGULARIZERS.iter().map(named).collect(),
        read: |entry, recipe| {
            set(&mut recipe.regularizer, choice::read(entry.key, REGULARIZERS, entry.value).map(Some))
        },
    },
    Key {
        name: "schedule",
        summary: "how the learning rate changes over the updates; a list multiplies",
        default: "a constant learning rate",
        choices: || SCHEDULES.iter().map(named).collect(),
        read: |entry, recipe| set(&mut recipe.schedule, schedule::of(entry.value)),
    },
    Key {
        name: "stop",
        summary: "when training ends before the last epoch",
        default: "all epochs are run",
        choices: || STOPS.iter().map(named).collect(),
        read: |entry, recipe| set(&mut recipe.stop, choice::read(entry.key, STOPS, entry.value).map(Some)),
    },
    Key {
        name: "keep",
        summary: "the epoch whose parameters are written",
        default: "best with validation data or `restore`, else last",
        choices: || KEEP_POLICIES.iter().map(named).collect(),
        read: |entry, recipe| set(&mut recipe.keep, choice::read(entry.key, KEEP_POLICIES, entry.value).map(Some)),
    },
    Key {
        name: "augment",
        summary: "random changes of the photos, anew in each epoch; one or a list",
        default: "no augmentation",
        choices: || AUGMENTATIONS.iter().map(named).collect(),
        read: |entry, recipe| {
            let list = collect(items(entry.value), |value| choice::read(entry.key, AUGMENTATIONS, value))?;
            let augmentation = list.into_iter().fold(Augmentation::default(), combine);
            recipe.augment = Some(augmentation).filter(|augmentation| !augmentation.is_identity());
            Ok(())
        },
    },
    Key {
        name: "checkpoint",
        summary: "epochs from one checkpoint to the next",
        default: "1",
        choices: Vec::new,
        read: |entry, recipe| set(&mut recipe.checkpoint, count(entry)),
    },
    Key {
        name: "class_weights",
        summary: "how much the samples of each class count in the loss: `balanced`, a list, or a map by name",
        default: "equal weights",
        choices: || vec![word(BALANCED, "in inverse proportion to the samples of each class")],
        read: |entry, recipe| set(&mut recipe.class_weights, class_weighting::read(entry.key, entry.value)),
    },
];

// The elaborator refuses unknown keys before recipes are read, and may not import this table: both lists are compared here.
const _: () = {
    assert!(KEYS.len() == RECIPE_KEYS.len());
    let mut key = 0;
    while key < KEYS.len() {
        let (a, b) = (KEYS[key].name.as_bytes(), RECIPE_KEYS[key].as_bytes());
        assert!(a.len() == b.len());
        let mut index = 0;
        while index < a.len() {
            assert!(a[index] == b[index]);
            index += 1;
        }
        key += 1;
    }
};

/// The key of a name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
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
