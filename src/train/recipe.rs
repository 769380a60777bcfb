//! A recipe, read from a spec: `train NAME { key = value … }`.

use super::choice::{self, Choice, called};
use super::optimizers::{OPTIMIZERS, Optimizer, REGULARIZERS, Regularizer};
use super::schedule::{self, Schedule};
use crate::data::augment::Augmentation;
use crate::data::dataset::{ArraySource, Dataset, DatasetError, Policy};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::elaborate::Spec;
use crate::graph::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};
use crate::kernels::loss::Loss;
use crate::kernels::optimizer::UpdateRule;
use crate::source::{FileId, Span};
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
    pub regularizer: Option<Regularizer>,
    pub schedule: Schedule,
    pub stop: Option<EarlyStopping>,
    pub augment: Option<Augmentation>,
    /// A checkpoint after every so many epochs.
    pub checkpoint: usize,
    pub class_weights: ClassWeights,
    /// The entries as they were written.
    pub entries: Vec<(String, String)>,
    /// Where the recipe stands.
    pub span: Span,
}

/// Where samples and targets come from; paths are resolved.
#[derive(Clone, Debug)]
pub enum Data {
    Images { folder: PathBuf, policy: Policy, span: Span },
    Csv { path: PathBuf, policy: Policy, span: Span },
    Arrays { inputs: Vec<ArraySource>, targets: ArraySource, span: Span },
}

impl Data {
    /// Reads the lists, and arrays whole.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn read(&self) -> std::result::Result<Dataset, DatasetError> {
        match self {
            Data::Images { folder, policy, .. } => Dataset::images(folder, *policy),
            Data::Csv { path, policy, .. } => Dataset::csv(path, *policy),
            Data::Arrays { inputs, targets, .. } => Dataset::arrays(inputs, targets),
        }
    }

    /// Where it was written.
    pub fn span(&self) -> Span {
        match self {
            Data::Images { span, .. } | Data::Csv { span, .. } | Data::Arrays { span, .. } => *span,
        }
    }

    /// What is done with a photo that cannot be read.
    pub fn policy(&self) -> Policy {
        match self {
            Data::Images { policy, .. } | Data::Csv { policy, .. } => *policy,
            Data::Arrays { .. } => Policy::Refuse,
        }
    }
}

/// What a net is tried on after each epoch.
#[derive(Clone, Debug)]
pub enum Validation {
    None,
    /// A share of the data, the same of each class.
    Split(f64),
    Data(Data),
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

const fn argument(name: &'static str, takes: &'static str, default: Default, doc: &'static str) -> Argument {
    Argument { name, takes, default, doc }
}

/// A source whose paths are not resolved yet.
enum Named {
    Images(String, Policy),
    Csv(String, Policy),
    Arrays { inputs: Vec<(Option<String>, String)>, targets: (Option<String>, String) },
    Split(f64),
}

fn text(arguments: &Arguments, name: &str) -> std::result::Result<String, Diagnostic> {
    match arguments.given(name).map(|value| &value.kind) {
        Some(ValueKind::Text(text)) => Ok(text.clone()),
        _ => Err(arguments.wrong(name, "takes a text")),
    }
}

fn policy(arguments: &Arguments) -> std::result::Result<Policy, Diagnostic> {
    Ok(match arguments.word("unreadable", &["refuse", "skip"])? {
        "skip" => Policy::Skip,
        _ => Policy::Refuse,
    })
}

const UNREADABLE: Argument = argument(
    "unreadable",
    "refuse or skip",
    Default::Word("refuse"),
    "what happens with photos that cannot be read: an error that lists them, or they are left out",
);

static IMAGES: Choice<Named> = Choice {
    name: "images",
    summary: "a folder with one folder of photos for each class; classes are sorted by name",
    arguments: &[argument("folder", "text", Default::Required, "the folder"), UNREADABLE],
    build: |arguments| Ok(Named::Images(text(arguments, "folder")?, policy(arguments)?)),
};

static CSV: Choice<Named> = Choice {
    name: "csv",
    summary: "rows of a photo's path and its label (or numbers to learn); paths start at the file's folder",
    arguments: &[argument("path", "text", Default::Required, "the file"), UNREADABLE],
    build: |arguments| Ok(Named::Csv(text(arguments, "path")?, policy(arguments)?)),
};

static ARRAYS: Choice<Named> = Choice {
    name: "arrays",
    summary: "arrays whose first dimension counts the samples, from .npy, .npz or HDF5; targets are indices of classes, one-hot rows or numbers",
    arguments: &[
        argument("file", "text", Default::Absent("x and y are files themselves"), "the file that holds both"),
        argument("x", "text or list", Default::Required, "the inputs: names in the file, or files"),
        argument("y", "text", Default::Required, "the targets: a name in the file, or a file"),
    ],
    build: |arguments| {
        let file = arguments.given("file").map(|_| text(arguments, "file")).transpose()?;
        let inputs = match arguments.given("x").map(|value| &value.kind) {
            Some(ValueKind::Text(name)) => vec![name.clone()],
            Some(ValueKind::List(list)) => {
                let name = |value: &Value| match &value.kind {
                    ValueKind::Text(name) => Some(name.clone()),
                    _ => None,
                };
                let names: Option<Vec<String>> = list.iter().map(name).collect();
                names.ok_or_else(|| arguments.wrong("x", "takes a text or a list of texts"))?
            }
            _ => return Err(arguments.wrong("x", "takes a text or a list of texts")),
        };
        let targets = (file.clone(), text(arguments, "y")?);
        Ok(Named::Arrays { inputs: inputs.into_iter().map(|name| (file.clone(), name)).collect(), targets })
    },
};

static SPLIT: Choice<Named> = Choice {
    name: "split",
    summary: "a share of the data, the same of each class, chosen by the seed",
    arguments: &[argument("share", "number from 0 to 1", Default::Float(0.1), "how much of the data")],
    build: |arguments| {
        let share = arguments.number_within("share", 0.0, 1.0)?;
        match share > 0.0 && share < 1.0 {
            true => Ok(Named::Split(share)),
            false => Err(arguments.wrong("share", "takes a number above 0 and below 1")),
        }
    },
};

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

/// One change of photos; several add up.
static AUGMENTATIONS: &[Choice<Augmentation>] = &[
    Choice {
        name: "flip",
        summary: "mirrors half of the photos, left to right",
        arguments: &[],
        build: |_| Ok(Augmentation { flip: true, ..Augmentation::default() }),
    },
    Choice {
        name: "crop",
        summary: "takes a random part of the photo, with a ratio from 3/4 to 4/3",
        arguments: &[argument(
            "area",
            "number from 0 to 1",
            Default::Float(0.5),
            "the least share of the photo's area",
        )],
        build: |arguments| {
            let area = arguments.number_within("area", 0.01, 1.0)?;
            Ok(Augmentation { crop: Some(area), ..Augmentation::default() })
        },
    },
    Choice {
        name: "rotate",
        summary: "turns the photo about its centre",
        arguments: &[argument("degrees", "number from 0 to 180", Default::Float(10.0), "at most, either way")],
        build: |arguments| {
            let rotate = arguments.number_within("degrees", 0.0, 180.0)?;
            Ok(Augmentation { rotate, ..Augmentation::default() })
        },
    },
    Choice {
        name: "colour",
        summary: "multiplies brightness, contrast and saturation by factors from 1 - x to 1 + x",
        arguments: &[
            argument("brightness", "number", Default::Float(0.2), "x of the brightness"),
            argument("contrast", "number", Default::Float(0.2), "x of the contrast"),
            argument("saturation", "number", Default::Float(0.2), "x of the saturation"),
        ],
        build: |arguments| {
            let within = |name: &str| arguments.number_within(name, 0.0, 10.0);
            let (brightness, contrast) = (within("brightness")?, within("contrast")?);
            Ok(Augmentation { brightness, contrast, saturation: within("saturation")?, ..Augmentation::default() })
        },
    },
];

/// What is to be known of a name that recipes use: what `netc help` prints.
pub fn documentation(name: &str) -> Option<String> {
    fn of<T>(table: &[Choice<T>], name: &str) -> Option<String> {
        table.iter().find(|choice| choice.name == name).map(Choice::documentation)
    }
    let data = [&IMAGES, &CSV, &ARRAYS, &SPLIT].into_iter().find(|choice| choice.name == name);
    of(OPTIMIZERS, name)
        .or_else(|| of(REGULARIZERS, name))
        .or_else(|| of(schedule::SCHEDULES, name))
        .or_else(|| of(STOPS, name))
        .or_else(|| of(AUGMENTATIONS, name))
        .or_else(|| data.map(Choice::documentation))
}

/// The names that [`documentation`] knows.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = OPTIMIZERS.iter().map(|choice| choice.name).collect();
    names.extend(REGULARIZERS.iter().map(|choice| choice.name));
    names.extend(schedule::SCHEDULES.iter().map(|choice| choice.name));
    names.extend(STOPS.iter().map(|choice| choice.name));
    names.extend(AUGMENTATIONS.iter().map(|choice| choice.name));
    names.extend([IMAGES.name, CSV.name, ARRAYS.name, SPLIT.name]);
    names
}

/// Checks all recipes of a spec.
pub fn check(spec: &Spec) -> Diagnostics {
    let mut faults = Diagnostics::default();
    for net in spec.project.recipes.keys() {
        if let Err(more) = of(spec, net) {
            faults.extend(more);
        }
    }
    faults
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
    let mut reader = Reader { spec, file: *file, faults: Diagnostics::default() };
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
            Err(more) => reader.faults.extend(more),
        }
    }
    if let Some(schedule) = recipe.optimizer.schedule.take() {
        recipe.schedule.0.extend(schedule.0);
    }
    reader.faults.or_errors(recipe).map(|(recipe, _)| recipe)
}

struct Reader<'s> {
    spec: &'s Spec,
    file: FileId,
    faults: Diagnostics,
}

impl Reader<'_> {
    fn entry(&mut self, recipe: &mut Recipe, key: &str, value: &Value) {
        match key {
            "data" => {
                if let Some(data) = self.data(key, value, false).and_then(Validation::data) {
                    recipe.data = data;
                }
            }
            "validation" => {
                if let Some(validation) = self.data(key, value, true) {
                    recipe.validation = validation;
                }
            }
            "optimizer" => self.put(&mut recipe.optimizer, choice::read(key, OPTIMIZERS, value)),
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
            "regularizer" => match choice::read(key, REGULARIZERS, value) {
                Ok(regularizer) => recipe.regularizer = Some(regularizer),
                Err(more) => self.faults.extend(more),
            },
            "schedule" => self.put(&mut recipe.schedule, schedule::of(value)),
            "stop" => match choice::read(key, STOPS, value) {
                Ok(stop) => recipe.stop = Some(stop),
                Err(more) => self.faults.extend(more),
            },
            "augment" => {
                let mut sum = Augmentation::default();
                for one in list_of(value) {
                    match choice::read(key, AUGMENTATIONS, one) {
                        Ok(one) => sum = together(sum, one),
                        Err(more) => self.faults.extend(more),
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
            Err(more) => self.faults.extend(more),
        }
    }

    fn wrong(&mut self, key: &str, value: &Value, takes: &str) {
        self.faults.push(
            Diagnostic::new(Code::RecipeValue, format!("`{key}` takes {takes}"))
                .at(value.span, format!("this is {} `{value}`", value.kind.noun())),
        );
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
            let quoted = match &value.kind {
                ValueKind::Text(text) if names().any(|name| name == text) => Some(text),
                _ => None,
            };
            let near = match quoted {
                Some(text) => Some(format!("write it without quotes: `{text}`")),
                None => word.and_then(|word| suggest::did_you_mean(word, names())),
            };
            self.faults.push(
                Diagnostic::new(Code::RecipeValue, format!("`{key}` takes {}", suggest::one_of(names())))
                    .at(value.span, format!("this is {} `{value}`", value.kind.noun()))
                    .maybe_help(near),
            );
        }
        found
    }

    fn data(&mut self, key: &str, value: &Value, may_split: bool) -> Option<Validation> {
        let read = |choice: &'static Choice<Named>, given| -> Result<Named> {
            let arguments = Arguments::bind(choice.name, choice.arguments, given, value.span)?;
            Ok((choice.build)(&arguments)?)
        };
        let named = match called(value) {
            Some(("images", given)) => read(&IMAGES, given),
            Some(("csv", given)) => read(&CSV, given),
            Some(("arrays", given)) => read(&ARRAYS, given),
            Some(("split", given)) if may_split => read(&SPLIT, given),
            _ => {
                let takes = "`images(\"folder\")`, `csv(\"list.csv\")` or `arrays(\"file.h5\", x=…, y=…)`";
                let split = if may_split { ", or a share of the data: `split(0.1)`" } else { "" };
                self.wrong(key, value, &format!("{takes}{split}"));
                return None;
            }
        };
        let named = match named {
            Ok(named) => named,
            Err(more) => {
                self.faults.extend(more);
                return None;
            }
        };
        let (span, beside) = (value.span, |name: &str| self.spec.sources.beside(self.file, name));
        let source = |(file, name): (Option<String>, String)| match file {
            Some(file) => ArraySource { path: beside(&file), name: Some(name) },
            None => ArraySource { path: beside(&name), name: None },
        };
        Some(match named {
            Named::Images(folder, policy) => Validation::Data(Data::Images { folder: beside(&folder), policy, span }),
            Named::Csv(path, policy) => Validation::Data(Data::Csv { path: beside(&path), policy, span }),
            Named::Arrays { inputs, targets } => {
                let inputs = inputs.into_iter().map(source).collect();
                Validation::Data(Data::Arrays { inputs, targets: source(targets), span })
            }
            Named::Split(share) => Validation::Split(share),
        })
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
            None => self.wrong(
                "class_weights",
                value,
                "`balanced`, a list with a number for each class, or a map `{ \"class\" = 2.0 }`",
            ),
        }
    }
}

impl Validation {
    fn data(self) -> Option<Data> {
        match self {
            Validation::Data(data) => Some(data),
            _ => None,
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

/// Two changes of photos, both done.
fn together(a: Augmentation, b: Augmentation) -> Augmentation {
    Augmentation {
        flip: a.flip || b.flip,
        crop: a.crop.or(b.crop),
        rotate: a.rotate.max(b.rotate),
        brightness: a.brightness.max(b.brightness),
        contrast: a.contrast.max(b.contrast),
        saturation: a.saturation.max(b.saturation),
    }
}
