//! `data = …` and `validation = …`: folders of photos, lists, arrays, and a validation split.

use super::choice::{Choice, argument, called, likely, wrong};
use crate::data::samples::dataset::{ArraySource, Dataset, DatasetError, Policy};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Diagnostic, Result};
use crate::elaborate::Spec;
use crate::graph::signature::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};
use crate::source::{FileId, Span};
use std::path::PathBuf;

/// Where samples and targets come from, with resolved paths.
#[derive(Clone, Debug)]
pub enum Data {
    Images {
        folder: PathBuf,
        policy: Policy,
        span: Span,
    },
    Csv {
        path: PathBuf,
        /// With several outputs, their names and the columns of each.
        columns: Option<Vec<(String, Vec<String>)>>,
        policy: Policy,
        span: Span,
    },
    /// Targets with the value `ignore` have no class and do not count.
    Arrays {
        inputs: Vec<ArraySource>,
        targets: ArrayTargets,
        ignore: Option<f32>,
        span: Span,
    },
}

/// The arrays of targets.
#[derive(Clone, Debug)]
pub enum ArrayTargets {
    /// None, for a loss that takes none.
    None,
    One(ArraySource),
    /// By the names of the outputs.
    ByOutput(Vec<(String, ArraySource)>),
}

impl ArrayTargets {
    /// All arrays.
    pub fn sources(&self) -> Vec<&ArraySource> {
        match self {
            ArrayTargets::None => Vec::new(),
            ArrayTargets::One(source) => vec![source],
            ArrayTargets::ByOutput(list) => list.iter().map(|(_, source)| source).collect(),
        }
    }
}

impl Data {
    /// Reads folders and lists; arrays that are large stay on disk. The targets of several outputs are in the order of
    /// [`Data::target_names`].
    ///
    /// # Errors
    /// A file that is missing, unreadable or invalid.
    pub fn read(&self) -> std::result::Result<Dataset, DatasetError> {
        match self {
            Data::Images { folder, policy, .. } => Dataset::images(folder, *policy),
            Data::Csv { path, columns: None, policy, .. } => Dataset::csv(path, *policy),
            Data::Csv { path, columns: Some(columns), policy, .. } => {
                let columns: Vec<Vec<String>> = columns.iter().map(|(_, columns)| columns.clone()).collect();
                Dataset::csv_of_outputs(path, *policy, &columns)
            }
            Data::Arrays { inputs, targets, ignore, .. } => {
                let sources: Vec<ArraySource> = targets.sources().into_iter().cloned().collect();
                match &sources[..] {
                    [] => Dataset::without_targets(inputs),
                    [first, further @ ..] => Dataset::arrays(inputs, first)?.ignoring(*ignore)?.with_further(further),
                }
            }
        }
    }

    /// The names of the outputs that it has targets for, if they are named.
    pub fn target_names(&self) -> Option<Vec<String>> {
        match self {
            Data::Csv { columns: Some(columns), .. } => Some(columns.iter().map(|(name, _)| name.clone()).collect()),
            Data::Arrays { targets: ArrayTargets::ByOutput(list), .. } => {
                Some(list.iter().map(|(name, _)| name.clone()).collect())
            }
            _ => None,
        }
    }

    /// Whether it has targets.
    pub fn has_targets(&self) -> bool {
        !matches!(self, Data::Arrays { targets: ArrayTargets::None, .. })
    }

    /// The files and folders that it reads.
    pub fn paths(&self) -> Vec<&PathBuf> {
        match self {
            Data::Images { folder: path, .. } | Data::Csv { path, .. } => vec![path],
            Data::Arrays { inputs, targets, .. } => {
                inputs.iter().chain(targets.sources()).map(|source| &source.path).collect()
            }
        }
    }

    /// A suggestion for the first file or folder that does not exist.
    pub fn did_you_mean(&self) -> Option<String> {
        self.paths().into_iter().find(|path| !path.exists()).and_then(|path| did_you_mean_file(path))
    }

    /// Its position in the spec.
    pub fn span(&self) -> Span {
        match self {
            Data::Images { span, .. } | Data::Csv { span, .. } | Data::Arrays { span, .. } => *span,
        }
    }

    /// What happens with photos that cannot be read.
    pub fn policy(&self) -> Policy {
        match self {
            Data::Images { policy, .. } | Data::Csv { policy, .. } => *policy,
            Data::Arrays { .. } => Policy::Refuse,
        }
    }
}

/// What a net is evaluated on after each epoch.
#[derive(Clone, Debug)]
pub enum Validation {
    None,
    /// A share of the data, the same of each class (stratified).
    Split(f64),
    Data(Data),
}

impl Validation {
    /// The data, if it is not a share of other data.
    pub fn data(self) -> Option<Data> {
        match self {
            Validation::Data(data) => Some(data),
            _ => None,
        }
    }
}

/// A source with the paths as they were written.
pub(crate) enum UnresolvedSource {
    Images(String, Policy),
    Csv(String, Option<Vec<(String, Vec<String>)>>, Policy),
    Arrays { inputs: Vec<(Option<String>, String)>, targets: WrittenTargets, ignore: Option<f32> },
    Split(f64),
}

/// The targets of arrays as they were written, each with the file that holds it.
pub(crate) enum WrittenTargets {
    None,
    One((Option<String>, String)),
    ByOutput(Vec<(String, (Option<String>, String))>),
}

/// The entries of a map from the names of outputs; `takes` says what an argument takes.
fn by_output<T>(
    arguments: &Arguments,
    name: &str,
    takes: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> std::result::Result<Vec<(String, T)>, Diagnostic> {
    let Some(ValueKind::Map(entries)) = arguments.given(name).map(|value| &value.kind) else {
        return Err(arguments.wrong(name, takes));
    };
    let entry = |(key, value): &(Value, Value)| match &key.kind {
        ValueKind::Word(output) | ValueKind::Text(output) => Some((output.clone(), read(value)?)),
        _ => None,
    };
    let list: Option<Vec<(String, T)>> = entries.iter().map(entry).collect();
    list.ok_or_else(|| arguments.wrong(name, takes))
}

fn as_text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn text(arguments: &Arguments, name: &str) -> std::result::Result<String, Diagnostic> {
    match arguments.given(name).map(|value| &value.kind) {
        Some(ValueKind::Text(text)) => Ok(text.clone()),
        Some(ValueKind::Word(word)) => {
            Err(arguments.wrong(name, "takes a string").help(format!("write it in quotes: `\"{word}\"`")))
        }
        _ => Err(arguments.wrong(name, "takes a string")),
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
    "`refuse` or `skip`",
    Default::Word("refuse"),
    "what happens with photos that cannot be read: an error that lists them, or they are skipped",
);

pub(crate) static IMAGES: Choice<UnresolvedSource> = Choice {
    name: "images",
    summary: "a folder with one folder of photos for each class; classes are sorted by name",
    arguments: &[argument("folder", "string", Default::Required, "the folder"), UNREADABLE],
    build: |arguments| Ok(UnresolvedSource::Images(text(arguments, "folder")?, policy(arguments)?)),
};

pub(crate) static CSV: Choice<UnresolvedSource> = Choice {
    name: "csv",
    summary: "rows of a photo's path and its label or numbers; paths are relative to the file's folder",
    arguments: &[
        argument("path", "string", Default::Required, "the file"),
        UNREADABLE,
        argument(
            "y",
            "map",
            Default::Absent("the column after the path, or all of them"),
            "with several outputs, the column or columns of each: `{ species = \"label\", box = [\"x\", \"y\"] }`; the first row names them",
        ),
    ],
    build: |arguments| {
        let columns = |value: &Value| match &value.kind {
            ValueKind::List(list) => list.iter().map(as_text).collect(),
            _ => as_text(value).map(|name| vec![name]),
        };
        let takes = "takes columns by output: `{ species = \"label\", box = [\"x\", \"y\"] }`";
        let outputs = arguments.given("y").map(|_| by_output(arguments, "y", takes, columns)).transpose()?;
        Ok(UnresolvedSource::Csv(text(arguments, "path")?, outputs, policy(arguments)?))
    },
};

pub(crate) static ARRAYS: Choice<UnresolvedSource> = Choice {
    name: "arrays",
    summary: "arrays with the samples along the first dimension, from .npy, .npz or HDF5; targets are class indices, one-hot rows or numbers; an image of them for nets with an image as output",
    arguments: &[
        argument("file", "string", Default::Absent("x and y are files"), "the file that holds both"),
        argument("x", "string or list of strings", Default::Required, "the inputs: names in the file, or files"),
        argument(
            "y",
            "string or map",
            Default::Absent("no targets, for a loss without any"),
            "the targets: a name in the file, or a file; with several outputs one for each: `{ species = \"y\", box = \"b\" }`",
        ),
        argument(
            "ignore",
            "integer",
            Default::Absent("every pixel counts"),
            "the value of pixels without a class, such as 255: they do not count in loss, gradients and metrics",
        ),
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
                names.ok_or_else(|| arguments.wrong("x", "takes a string or a list of strings"))?
            }
            _ => return Err(arguments.wrong("x", "takes a string or a list of strings")),
        };
        let targets = match arguments.given("y").map(|value| &value.kind) {
            None => WrittenTargets::None,
            Some(ValueKind::Map(_)) => {
                let takes = "takes a string, or strings by output: `{ species = \"y\", box = \"b\" }`";
                let named = by_output(arguments, "y", takes, as_text)?;
                WrittenTargets::ByOutput(
                    named.into_iter().map(|(output, name)| (output, (file.clone(), name))).collect(),
                )
            }
            Some(_) => WrittenTargets::One((file.clone(), text(arguments, "y")?)),
        };
        let ignore = match arguments.given("ignore").map(|value| &value.kind) {
            None => None,
            Some(ValueKind::Int(value)) => Some(*value as f32),
            Some(_) => return Err(arguments.wrong("ignore", "takes an integer")),
        };
        Ok(UnresolvedSource::Arrays {
            inputs: inputs.into_iter().map(|name| (file.clone(), name)).collect(),
            targets,
            ignore,
        })
    },
};

pub(crate) static SPLIT: Choice<UnresolvedSource> = Choice {
    name: "split",
    summary: "a random share of the data, the same of each class; depends on the seed",
    arguments: &[argument("share", "number from 0 to 1", Default::Float(0.1), "the share of the data")],
    build: |arguments| {
        let share = arguments.number_within("share", 0.0, 1.0)?;
        match share > 0.0 && share < 1.0 {
            true => Ok(UnresolvedSource::Split(share)),
            false => Err(arguments.wrong("share", "takes a number above 0 and below 1")),
        }
    },
};

/// Every source of data.
pub(crate) static SOURCES: [&Choice<UnresolvedSource>; 4] = [&IMAGES, &CSV, &ARRAYS, &SPLIT];

/// Reads the value of `data`, or with `may_split` of `validation`. Paths are relative to `file`.
///
/// # Errors
/// A value that names no data, or invalid arguments.
pub fn read(spec: &Spec, file: FileId, key: &str, value: &Value, may_split: bool) -> Result<Validation> {
    let build = |choice: &'static Choice<UnresolvedSource>, given| -> Result<UnresolvedSource> {
        let arguments = Arguments::bind(choice.name, choice.arguments, given, value.span)?;
        Ok((choice.build)(&arguments)?)
    };
    let named = match called(value) {
        Some(("images", given)) => build(&IMAGES, given)?,
        Some(("csv", given)) => build(&CSV, given)?,
        Some(("arrays", given)) => build(&ARRAYS, given)?,
        Some(("split", given)) if may_split => build(&SPLIT, given)?,
        _ => {
            let takes = "`images(\"folder\")`, `csv(\"list.csv\")` or `arrays(\"file.h5\", x=…, y=…)`";
            let split = if may_split { ", or a share of the data: `split(0.1)`" } else { "" };
            let error = wrong(key, value, &format!("{takes}{split}"));
            let names = SOURCES.iter().map(|choice| choice.name).filter(|name| may_split || *name != SPLIT.name);
            let word = called(value).map_or("", |(word, _)| word);
            return Err(error.suggest_name(value.span.head(word.len()), word, likely(word, names)).into());
        }
    };
    let (span, resolve) = (value.span, |name: &str| spec.sources.resolve(file, name));
    let source = |(file, name): (Option<String>, String)| match file {
        Some(file) => ArraySource { path: resolve(&file), name: Some(name) },
        None => ArraySource { path: resolve(&name), name: None },
    };
    Ok(match named {
        UnresolvedSource::Images(folder, policy) => {
            Validation::Data(Data::Images { folder: resolve(&folder), policy, span })
        }
        UnresolvedSource::Csv(path, columns, policy) => {
            Validation::Data(Data::Csv { path: resolve(&path), columns, policy, span })
        }
        UnresolvedSource::Arrays { inputs, targets, ignore } => {
            let inputs = inputs.into_iter().map(source).collect();
            let targets = match targets {
                WrittenTargets::None => ArrayTargets::None,
                WrittenTargets::One(one) => ArrayTargets::One(source(one)),
                WrittenTargets::ByOutput(list) => {
                    ArrayTargets::ByOutput(list.into_iter().map(|(output, one)| (output, source(one))).collect())
                }
            };
            Validation::Data(Data::Arrays { inputs, targets, ignore, span })
        }
        UnresolvedSource::Split(share) => Validation::Split(share),
    })
}
