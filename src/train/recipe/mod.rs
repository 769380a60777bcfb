//! A recipe, read from a spec: `train NAME { key = value … }`.

pub mod augmentations;
pub mod completions;
pub mod keyword_tables;
pub mod optimizers;
pub mod schedule;
pub mod sources;

use super::run::keep_best::{KEEPS, KeepPolicy};
use crate::data::Policy;
use crate::data::photos::augment::Augmentation;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::elaborate::Spec;
use crate::graph::signature::definition::Default;
use crate::graph::{Value, ValueKind};
use crate::kernels::training::loss::Loss;
use crate::kernels::training::optimizer::UpdateRule;
use crate::source::{FileId, Span};
use augmentations::{AUGMENTATIONS, together};
use keyword_tables::{Choice, argument, called, likely, unquoted, wrong};
use optimizers::{OPTIMIZERS, Optimizer, REGULARIZERS, ScopedRegularizer};
use schedule::Schedule;
use sources::{Data, SOURCES, Validation};
use std::path::PathBuf;

/// How a net is trained, and by what.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub data: Data,
    pub validation: Validation,
    pub optimizer: Optimizer,
    /// The one that fits the net's end, where none is named.
    pub loss: Option<Loss>,
    pub epochs: usize,
    pub batch: usize,
    pub seed: u64,
    pub shuffle: bool,
    /// What is shown of each epoch besides the loss; `None` for what fits the loss.
    pub metrics: Option<Vec<Metric>>,
    pub regularizer: Option<ScopedRegularizer>,
    pub schedule: Schedule,
    pub stop: Option<EarlyStopping>,
    /// The one that fits validation and stop, where none is named.
    pub keep: Option<KeepPolicy>,
    pub augment: Option<Augmentation>,
    /// A checkpoint after every so many epochs.
    pub checkpoint: usize,
    pub class_weights: ClassWeights,
    /// The entries as they were written.
    pub entries: Vec<(String, String)>,
    /// Where the recipe stands.
    pub span: Span,
}

/// Training ends when the loss does not get better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Epochs to wait.
    pub patience: usize,
    /// A loss less better than this is none.
    pub improvement: f64,
    /// Whether the parameters of the best epoch are kept.
    pub restore: bool,
}

/// What is measured of a net besides its loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Accuracy,
    Top5,
    Mae,
    Rmse,
    R2,
}

impl Metric {
    /// Every metric and its name.
    pub const ALL: [(&'static str, Metric); 5] = [
        ("accuracy", Metric::Accuracy),
        ("top5", Metric::Top5),
        ("mae", Metric::Mae),
        ("rmse", Metric::Rmse),
        ("r2", Metric::R2),
    ];

    /// Whether more of it is better.
    pub fn is_better_larger(self) -> bool {
        matches!(self, Metric::Accuracy | Metric::Top5 | Metric::R2)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }
}

/// How much the images of each class count.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    Equal,
    /// In inverse proportion to how many images a class has: samples / (classes * samples of the class).
    Balanced,
    List(Vec<f32>),
    /// By the classes' names; 1 for others.
    Named(Vec<(String, f32)>, Span),
}

static STOPS: &[Choice<EarlyStopping>] = &[Choice {
    name: "early_stopping",
    summary: "ends when the loss (of validation, where there is any) has not improved for some epochs",
    arguments: &[
        argument("patience", "number of epochs", Default::Int(10), "epochs to wait for a better loss"),
        argument("min_delta", "number", Default::Float(0.0), "a loss less better than this is none"),
        argument("restore", "true or false", Default::Bool(true), "keeps the parameters of the best epoch"),
    ],
    build: |arguments| {
        Ok(EarlyStopping {
            patience: arguments.integer("patience", 1)?,
            improvement: arguments.number_within("min_delta", 0.0, 1e9)?,
            restore: arguments.boolean("restore")?,
        })
    },
}];

/// What is to be known of a name that recipes use: what `netc help` prints.
pub fn documentation(name: &str) -> Option<String> {
    fn of<T>(table: &[Choice<T>], name: &str) -> Option<String> {
        table.iter().find(|choice| choice.name == name).map(Choice::documentation)
    }
    let data = SOURCES.into_iter().find(|choice| choice.name == name);
    of(OPTIMIZERS, name)
        .or_else(|| of(REGULARIZERS, name))
        .or_else(|| of(schedule::SCHEDULES, name))
        .or_else(|| of(STOPS, name))
        .or_else(|| of(KEEPS, name))
        .or_else(|| of(AUGMENTATIONS, name))
        .or_else(|| data.map(Choice::documentation))
}

/// The names that [`documentation`] knows.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = OPTIMIZERS.iter().map(|choice| choice.name).collect();
    names.extend(REGULARIZERS.iter().map(|choice| choice.name));
    names.extend(schedule::SCHEDULES.iter().map(|choice| choice.name));
    names.extend(STOPS.iter().map(|choice| choice.name));
    names.extend(KEEPS.iter().map(|choice| choice.name));
    names.extend(AUGMENTATIONS.iter().map(|choice| choice.name));
    names.extend(SOURCES.iter().map(|choice| choice.name));
    names
}

/// Checks all recipes of a spec.
pub fn check(spec: &Spec) -> Diagnostics {
    let mut errors = Diagnostics::default();
    for net in spec.project.recipes.keys() {
        if let Err(more) = of(spec, net) {
            errors.extend(more);
        }
    }
    errors
}

/// The recipe of a net.
///
/// # Errors
/// None is there, or something in it means nothing.
pub fn of(spec: &Spec, net: &str) -> Result<Recipe> {
    let Some((item, file)) = spec.project.recipes.get(net) else {
        return Err(Diagnostic::new(Code::Recipe, format!("there is no recipe for `{net}`"))
            .help(format!("add one: `train {net} {{ data = images(\"folder\") }}`"))
            .into());
    };
    let mut reader = Reader { spec, file: *file, errors: Diagnostics::default() };
    let mut recipe = Recipe {
        // An item without data is told by the check of its keys.
        data: Data::Images { folder: PathBuf::new(), policy: Policy::Refuse, span: item.net.span },
        validation: Validation::None,
        optimizer: Optimizer {
            rule: UpdateRule::Momentum { momentum: 0.9, nesterov: false },
            step: 0.1,
            schedule: None,
            clip_value: None,
            clip_norm: None,
        },
        loss: None,
        epochs: 100,
        batch: 128,
        seed: 0,
        shuffle: true,
        metrics: None,
        regularizer: None,
        schedule: Schedule(Vec::new()),
        stop: None,
        keep: None,
        augment: None,
        checkpoint: 1,
        class_weights: ClassWeights::Equal,
        entries: Vec::new(),
        span: item.net.span,
    };
    for entry in &item.entries {
        let written = spec.sources.text(entry.value.span).split_whitespace().collect::<Vec<_>>().join(" ");
        recipe.entries.push((entry.key.text.clone(), written));
        match spec.value(&entry.value, *file) {
            Ok(value) => reader.entry(&mut recipe, &entry.key.text, &value),
            Err(more) => reader.errors.extend(more),
        }
    }
    if let Some(schedule) = recipe.optimizer.schedule.take() {
        recipe.schedule.0.extend(schedule.0);
    }
    reader.errors.or_errors(recipe).map(|(recipe, _)| recipe)
}

struct Reader<'s> {
    spec: &'s Spec,
    file: FileId,
    errors: Diagnostics,
}

impl Reader<'_> {
    fn entry(&mut self, recipe: &mut Recipe, key: &str, value: &Value) {
        match key {
            "data" => {
                if let Some(data) = self.source(key, value, false).and_then(Validation::data) {
                    recipe.data = data;
                }
            }
            "validation" => {
                if let Some(validation) = self.source(key, value, true) {
                    recipe.validation = validation;
                }
            }
            "optimizer" => self.put(&mut recipe.optimizer, keyword_tables::read(key, OPTIMIZERS, value)),
            "loss" => recipe.loss = self.named(key, value, &Loss::ALL),
            "epochs" => self.count(&mut recipe.epochs, key, value),
            "batch" => self.count(&mut recipe.batch, key, value),
            "checkpoint" => self.count(&mut recipe.checkpoint, key, value),
            "seed" => match value.kind {
                ValueKind::Int(seed) if seed >= 0 => recipe.seed = seed as u64,
                _ => self.wrong(key, value, "an integer from 0"),
            },
            "shuffle" => match value.kind {
                ValueKind::Bool(shuffle) => recipe.shuffle = shuffle,
                _ => self.wrong(key, value, "`true` or `false`"),
            },
            "metrics" => {
                let list = list_of(value);
                recipe.metrics = Some(list.iter().filter_map(|one| self.named(key, one, &Metric::ALL)).collect());
            }
            "regularizer" => match keyword_tables::read(key, REGULARIZERS, value) {
                Ok(regularizer) => recipe.regularizer = Some(regularizer),
                Err(more) => self.errors.extend(more),
            },
            "schedule" => self.put(&mut recipe.schedule, schedule::of(value)),
            "stop" => match keyword_tables::read(key, STOPS, value) {
                Ok(stop) => recipe.stop = Some(stop),
                Err(more) => self.errors.extend(more),
            },
            "keep" => match keyword_tables::read(key, KEEPS, value) {
                Ok(keep) => recipe.keep = Some(keep),
                Err(more) => self.errors.extend(more),
            },
            "augment" => {
                let mut sum = Augmentation::default();
                for one in list_of(value) {
                    match keyword_tables::read(key, AUGMENTATIONS, one) {
                        Ok(one) => sum = together(sum, one),
                        Err(more) => self.errors.extend(more),
                    }
                }
                recipe.augment = Some(sum).filter(|sum| !sum.is_identity());
            }
            "class_weights" => self.class_weights(recipe, value),
            // Told by the check of keys.
            _ => {}
        }
    }

    fn put<T>(&mut self, place: &mut T, read: Result<T>) {
        match read {
            Ok(value) => *place = value,
            Err(more) => self.errors.extend(more),
        }
    }

    fn wrong(&mut self, key: &str, value: &Value, takes: &str) {
        self.errors.push(wrong(key, value, takes));
    }

    fn source(&mut self, key: &str, value: &Value, may_split: bool) -> Option<Validation> {
        match sources::read(self.spec, self.file, key, value, may_split) {
            Ok(source) => Some(source),
            Err(more) => {
                self.errors.extend(more);
                None
            }
        }
    }

    fn count(&mut self, place: &mut usize, key: &str, value: &Value) {
        match value.kind {
            ValueKind::Int(count @ 1..=1_000_000_000) => *place = count as usize,
            _ => self.wrong(key, value, "a positive integer"),
        }
    }

    /// One of some words.
    fn named<T: Copy>(&mut self, key: &str, value: &Value, table: &[(&'static str, T)]) -> Option<T> {
        let names = || table.iter().map(|(name, _)| *name);
        let word = called(value).filter(|(_, given)| given.is_empty()).map(|(word, _)| word);
        let found = table.iter().find(|(name, _)| Some(*name) == word).map(|(_, found)| *found);
        if found.is_none() {
            let error = wrong(key, value, &suggest::one_of(names()));
            self.errors.push(match word {
                Some(word) => error.suggest_name(value.span.head(word.len()), word, likely(word, names())),
                None => unquoted(error, value, names()),
            });
        }
        found
    }

    fn class_weights(&mut self, recipe: &mut Recipe, value: &Value) {
        let positive = |value: &Value| value.number().filter(|number| *number >= 0.0).map(|number| number as f32);
        let weights = match &value.kind {
            ValueKind::Word(word) if word == "balanced" => Some(ClassWeights::Balanced),
            ValueKind::List(list) => list.iter().map(positive).collect::<Option<_>>().map(ClassWeights::List),
            ValueKind::Map(entries) => {
                let entry = |(key, weight): &(Value, Value)| match &key.kind {
                    ValueKind::Text(name) => positive(weight).map(|weight| (name.clone(), weight)),
                    _ => None,
                };
                entries.iter().map(entry).collect::<Option<_>>().map(|list| ClassWeights::Named(list, value.span))
            }
            _ => None,
        };
        let none = match &weights {
            Some(ClassWeights::List(list)) => list.iter().all(|weight| *weight == 0.0),
            _ => false,
        };
        match weights {
            // Nothing would count, and nothing be learnt.
            Some(_) if none => self.wrong("class_weights", value, "a number above 0 for one class at least"),
            Some(weights) => recipe.class_weights = weights,
            None => {
                let takes = "`balanced`, a list with a number for each class, or a map `{ \"class\" = 2.0 }`";
                let error = wrong("class_weights", value, takes);
                let meant = |word: &str| suggest::nearest(word, ["balanced"]);
                self.errors.push(match &value.kind {
                    ValueKind::Word(word) => error.suggest_name(value.span, word, meant(word)),
                    _ => unquoted(error, value, ["balanced"].into_iter()),
                });
            }
        }
    }
}

/// The values of a list, or the one value.
fn list_of(value: &Value) -> &[Value] {
    match &value.kind {
        ValueKind::List(list) => list,
        _ => std::slice::from_ref(value),
    }
}
