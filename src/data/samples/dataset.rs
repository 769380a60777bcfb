//! The data for training and evaluation: samples, targets, and the names of the classes.

use super::photo_paths;
use super::photo_paths::{FolderError, Skipped};
use super::table::{KEPT, Table, TableError};
use super::targets::{Targets, TargetsError};
use crate::data::arrays::array_error::ArrayError;
use crate::data::arrays::array_file;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The inputs of the net, in the order of the targets.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// One photo file each.
    Photos(Vec<PathBuf>),
    /// An array (n, …) for each input of the net; row i of each belongs to sample i.
    Arrays(Vec<Table>),
}

/// What to do with samples that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// An error that lists them.
    #[default]
    Refuse,
    /// They are skipped and listed in [`Dataset::skipped`].
    Skip,
}

/// An array in a file; without a name, the only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySource {
    pub path: PathBuf,
    pub name: Option<String>,
}

impl ArraySource {
    /// The number of rows, and the sizes of each, by the head of the file.
    ///
    /// # Errors
    /// A file that is no array or does not have this one, a scalar, and an array without values.
    pub fn shape(&self) -> Result<(usize, Vec<usize>), DatasetError> {
        let path = || self.path.clone();
        let shape = array_file::shape(&self.path, self.name.as_deref())?;
        match &shape[..] {
            [] => Err(DatasetError::Scalar { path: path() }),
            sizes if sizes.contains(&0) => Err(DatasetError::NoRows { path: path(), shape }),
            [rows, sizes @ ..] => Ok((*rows, sizes.to_vec())),
        }
    }
}

/// The targets of one output of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTargets {
    pub targets: Targets,
    /// The names of the classes in the order of their indices, where the data has names.
    pub classes: Option<Vec<String>>,
}

/// Samples with their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub samples: Samples,
    pub targets: Targets,
    /// The names of the classes by index, if the data has names.
    pub classes: Option<Vec<String>>,
    /// The targets of further outputs, for nets with several.
    pub further: Vec<OutputTargets>,
    /// The files that were skipped.
    pub skipped: Vec<Skipped>,
}

/// Why data cannot be used. Each message names the file, and the line in a text file.
#[derive(Debug, Error)]
pub enum DatasetError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Array(#[from] ArrayError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("{} cannot be read: {}", path.display(), crate::source::plain(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {error}", path.display())]
    List { path: PathBuf, error: String },
    #[error("{}", listed_rows(path, rows))]
    Rows { path: PathBuf, rows: Vec<RowError> },
    #[error("{}", listed(files))]
    Unusable { files: Vec<Skipped> },
    #[error("{}: the class `{}` has a control character in its name", folder.display(), crate::source::shown(class))]
    ClassName { folder: PathBuf, class: String },
    #[error("none of the samples can be used")]
    Nothing,
    #[error("{}: the first dimension of an array must be the samples; this one is a scalar", path.display())]
    Scalar { path: PathBuf },
    #[error("{} has {rows} rows for {samples} samples; row i must be the target of sample i", path.display())]
    Targets { path: PathBuf, rows: usize, samples: usize },
    #[error("{} contains no samples: its shape is {shape:?}", path.display())]
    NoRows { path: PathBuf, shape: Vec<usize> },
    #[error(
        "{} has {rows} rows, but {} has {expected}; row i of both must be sample i",
        path.display(), first.display()
    )]
    Lengths { path: PathBuf, rows: usize, first: PathBuf, expected: usize },
    #[error("{}: row {row} contains a value that is not finite", path.display())]
    NotFinite { path: PathBuf, row: usize },
    #[error("the validation split is {0}; it must be between 0 and 1, as in `split(0.1)`")]
    Share(f64),
    #[error(
        "a split of {share} of {samples} samples in {classes} classes leaves none for validation, as each class keeps \
         one for training; use a larger split or more samples"
    )]
    NoValidation { share: f64, samples: usize, classes: usize },
    #[error(transparent)]
    Misfit(#[from] TargetsError),
}

/// A row that cannot be used. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    pub line: u64,
    /// What is wrong, and what is expected.
    pub error: String,
}

/// "list.csv:3: …", one line per row.
fn listed_rows(path: &Path, rows: &[RowError]) -> String {
    const SHOWN: usize = 20;
    let mut lines: Vec<String> =
        rows.iter().take(SHOWN).map(|row| format!("{}:{}: {}", path.display(), row.line, row.error)).collect();
    if rows.len() > SHOWN {
        lines.push(format!("and {} more rows", rows.len() - SHOWN));
    }
    lines.join("\n")
}

/// "2 files cannot be used: …", one line per file.
fn listed(files: &[Skipped]) -> String {
    const SHOWN: usize = 20;
    let mut text = match files.len() {
        1 => "a file cannot be used:".to_owned(),
        count => format!("{count} files cannot be used:"),
    };
    for file in files.iter().take(SHOWN) {
        text.push_str(&format!("\n  {}: {}", file.path.display(), file.reason));
    }
    if files.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", files.len() - SHOWN));
    }
    text
}

impl Dataset {
    /// The photos in `folder`, with a subfolder for each class, classes sorted by name; see [`photo_paths::images`].
    ///
    /// `policy` applies to unusable files with the extension of a picture; other files (a licence, notes) are only listed in
    /// `skipped`. Photos are identified by their first bytes; other damage is detected when they are decoded (see
    /// [`Dataset::without`]).
    ///
    /// # Errors
    /// As [`photo_paths::images`], and a class whose name has a control character; under [`Policy::Refuse`] also
    /// unusable files.
    pub fn images(folder: &Path, policy: Policy) -> Result<Dataset, DatasetError> {
        let found = photo_paths::images(folder)?;
        if policy == Policy::Refuse {
            let files: Vec<Skipped> =
                found.skipped.iter().filter(|file| claims_a_picture(&file.path)).cloned().collect();
            if !files.is_empty() {
                return Err(DatasetError::Unusable { files });
            }
        }
        if let Some(class) = found.classes.iter().find(|class| class.contains(char::is_control)) {
            return Err(DatasetError::ClassName { folder: folder.to_owned(), class: class.clone() });
        }
        let (paths, classes) = found.samples.into_iter().map(|sample| (sample.path, sample.class)).unzip();
        Ok(Dataset {
            samples: Samples::Photos(paths),
            targets: Targets::Classes(classes),
            classes: Some(found.classes),
            further: Vec::new(),
            skipped: found.skipped,
        })
    }

    /// Arrays from files: one (n, …) for each input of the net, and the targets, (n,) or (n, …).
    ///
    /// One column of integers below [`MAX_CLASSES`](super::targets::MAX_CLASSES) is interpreted as classes; [`Dataset::with_values`] undoes that.
    ///
    /// # Errors
    /// Arrays that cannot be read, have different numbers of rows or none, or contain values that are not finite.
    pub fn arrays(inputs: &[ArraySource], targets: &ArraySource) -> Result<Dataset, DatasetError> {
        let values = finite(targets)?;
        let expected = values.len();
        let mut arrays = Vec::with_capacity(inputs.len());
        for source in inputs {
            let table = finite(source)?;
            if table.len() != expected {
                return Err(DatasetError::Lengths {
                    path: targets.path.clone(),
                    rows: expected,
                    first: source.path.clone(),
                    expected: table.len(),
                });
            }
            arrays.push(table);
        }
        let (samples, targets) = (Samples::Arrays(arrays), Targets::of(values)?);
        Ok(Dataset { samples, targets, classes: None, further: Vec::new(), skipped: Vec::new() })
    }

    /// The targets of an array with one value for each sample.
    ///
    /// # Errors
    /// As [`Dataset::arrays`].
    pub(crate) fn column(source: &ArraySource) -> Result<Targets, DatasetError> {
        Ok(Targets::of(finite(source)?)?)
    }

    /// Arrays without targets, for losses that take none: the class 0 stands for each.
    ///
    /// # Errors
    /// As [`Dataset::arrays`].
    pub fn without_targets(inputs: &[ArraySource]) -> Result<Dataset, DatasetError> {
        let [first, ..] = inputs else { return Err(DatasetError::Nothing) };
        let mut dataset = Dataset::arrays(inputs, first)?;
        dataset.targets = Targets::Classes(vec![0; dataset.len()]);
        Ok(dataset)
    }

    /// The same data, with a target value that is ignored.
    ///
    /// # Errors
    /// If the targets have one class per sample.
    pub fn ignoring(mut self, value: Option<f32>) -> Result<Dataset, DatasetError> {
        if let Some(value) = value {
            self.targets = self.targets.ignoring(value)?;
        }
        Ok(self)
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The samples at these indices, in this order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn take(&self, indices: &[usize]) -> Dataset {
        let samples = match &self.samples {
            Samples::Photos(paths) => Samples::Photos(indices.iter().map(|&index| paths[index].clone()).collect()),
            Samples::Arrays(arrays) => Samples::Arrays(arrays.iter().map(|table| table.take(indices)).collect()),
        };
        let further = self
            .further
            .iter()
            .map(|output| OutputTargets { targets: output.targets.take(indices), classes: output.classes.clone() });
        Dataset {
            samples,
            targets: self.targets.take(indices),
            classes: self.classes.clone(),
            further: further.collect(),
            skipped: self.skipped.clone(),
        }
    }

    /// Adds the targets of further outputs, from arrays with a row for each sample.
    ///
    /// # Errors
    /// As [`Dataset::arrays`].
    pub fn with_further(mut self, sources: &[ArraySource]) -> Result<Dataset, DatasetError> {
        for source in sources {
            let values = finite(source)?;
            if values.len() != self.len() {
                return Err(DatasetError::Targets {
                    path: source.path.clone(),
                    rows: values.len(),
                    samples: self.len(),
                });
            }
            self.further.push(OutputTargets { targets: Targets::of(values)?, classes: None });
        }
        Ok(self)
    }

    /// The same data with the targets in another order: `order` gives for each output the index among the targets so far.
    ///
    /// # Panics
    /// An index that is not below their number.
    pub fn with_targets_in_order(self, order: &[usize]) -> Dataset {
        let Dataset { samples, targets, classes, further, skipped } = self;
        let all: Vec<OutputTargets> = std::iter::once(OutputTargets { targets, classes }).chain(further).collect();
        let mut ordered = order.iter().map(|&index| all[index].clone());
        let first = ordered.next().unwrap_or(OutputTargets { targets: Targets::Classes(Vec::new()), classes: None });
        Dataset { samples, targets: first.targets, classes: first.classes, further: ordered.collect(), skipped }
    }

    /// The targets of each output.
    pub fn all_targets(&self) -> impl Iterator<Item = &Targets> {
        std::iter::once(&self.targets).chain(self.further.iter().map(|output| &output.targets))
    }

    /// The number of samples of each class, including classes with none; `None` if the targets are not classes.
    pub fn class_counts(&self) -> Option<Vec<usize>> {
        let classes = self.targets.classes()?;
        let named = self.classes.as_ref().map_or(0, Vec::len);
        let width = match &self.targets {
            Targets::Classes(_) => 0,
            Targets::Values(values) => values.floats(),
        };
        let highest = classes.iter().max().map_or(0, |highest| highest + 1);
        let mut counts = vec![0; highest.max(named).max(width)];
        classes.iter().for_each(|&class| counts[class] += 1);
        Some(counts)
    }

    /// The BLAKE3 digest of a sample, computed on demand: of the bytes of the file for a photo, else of its values (f32,
    /// little-endian) in all inputs.
    ///
    /// # Errors
    /// If the photo or a row cannot be read.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn digest(&self, index: usize) -> Result<[u8; 32], DatasetError> {
        let mut hasher = blake3::Hasher::new();
        match &self.samples {
            Samples::Photos(paths) => {
                let path = &paths[index];
                let io = |source| DatasetError::Io { path: path.clone(), source };
                hasher.update_reader(crate::file::open_regular(path).map_err(io)?.0).map_err(io)?;
            }
            Samples::Arrays(arrays) => {
                for table in arrays {
                    let mut values = vec![0.0; table.floats()];
                    table.read(index, &mut values)?;
                    values.iter_mut().for_each(|value| *value = f32::from_bits(value.to_bits().to_le()));
                    hasher.update(&(values.len() as u64 * 4).to_le_bytes()).update(bytemuck::cast_slice(&values));
                }
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// The dataset without unusable samples, given by index and reason.
    ///
    /// # Errors
    /// If no sample is left; under [`Policy::Refuse`], if there are unusable samples.
    pub fn without(mut self, unusable: &[(usize, String)], policy: Policy) -> Result<Dataset, DatasetError> {
        if unusable.is_empty() {
            return Ok(self);
        }
        let path = |index: usize| match &self.samples {
            Samples::Photos(paths) => paths.get(index).cloned().unwrap_or_default(),
            Samples::Arrays(_) => PathBuf::from(format!("row {index}")),
        };
        let files: Vec<Skipped> =
            unusable.iter().map(|(index, reason)| Skipped { path: path(*index), reason: reason.clone() }).collect();
        if policy == Policy::Refuse {
            return Err(DatasetError::Unusable { files });
        }
        let gone: std::collections::HashSet<usize> = unusable.iter().map(|(index, _)| *index).collect();
        let rest: Vec<usize> = (0..self.len()).filter(|index| !gone.contains(index)).collect();
        if rest.is_empty() {
            return Err(DatasetError::Nothing);
        }
        self.skipped.extend(files);
        Ok(self.take(&rest))
    }

    /// The dataset with numeric targets, for a loss of `outputs` values per sample.
    ///
    /// # Errors
    /// If a class is out of range.
    pub fn with_values(mut self, outputs: usize) -> Result<Dataset, DatasetError> {
        self.targets = self.targets.into_numbers(outputs)?;
        Ok(self)
    }
}

/// An array of samples or targets, with one row each, which must be finite.
fn finite(source: &ArraySource) -> Result<Table, DatasetError> {
    let path = source.path.clone();
    let table = array_file::table(&path, source.name.as_deref(), KEPT)?;
    let Some(table) = table else { return Err(DatasetError::Scalar { path }) };
    if table.is_empty() || table.floats() == 0 {
        return Err(DatasetError::NoRows { path, shape: [&[table.len()], table.sizes()].concat() });
    }
    let mut values = vec![0.0; table.floats()];
    for row in 0..table.len() {
        table.read(row, &mut values)?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(DatasetError::NotFinite { path, row });
        }
    }
    Ok(table)
}

/// Whether a file has the extension of a picture.
fn claims_a_picture(path: &Path) -> bool {
    const ENDINGS: [&str; 14] =
        ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "tif", "tiff", "webp", "heic", "heif", "avif", "jxl"];
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}
