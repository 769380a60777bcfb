//! What a net is trained on or measured with: samples, their targets, and the names of the classes.

use super::array_file::{self, ArrayError};
use super::folder::{self, FolderError, Skipped};
use crate::diagnostics::counted;
use ndarray::{ArrayD, Axis, IxDyn};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Whole numbers from here on are values, never classes: no net has that many outputs.
pub const MAX_CLASSES: usize = 1 << 20;

/// What the net is fed, in the order of the targets.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// One photo file each.
    Photos(Vec<PathBuf>),
    /// For each input of the net an array (n, …): sample i is row i of all of them.
    Arrays(Vec<ArrayD<f32>>),
}

/// What the net is to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The index of each sample's class.
    Classes(Vec<usize>),
    /// Numbers, (n, k); rows that are one-hot stay as they were written (see [`Targets::classes`]).
    Values(ArrayD<f32>),
}

/// What to do with samples that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// An error that lists them.
    #[default]
    Refuse,
    /// They are left out and listed in [`Dataset::skipped`].
    Skip,
}

/// An array in a file; without a name, the only one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySource {
    pub path: PathBuf,
    pub name: Option<String>,
}

/// Samples with their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub samples: Samples,
    pub targets: Targets,
    /// The names of the classes in the order of their indices, where the data has names.
    pub classes: Option<Vec<String>>,
    /// The files that were left out.
    pub skipped: Vec<Skipped>,
}

/// Why data cannot be used; each message names the file and, where it has lines, the line.
#[derive(Debug, Error)]
pub enum DatasetError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Array(#[from] ArrayError),
    #[error("{} cannot be read: {}", path.display(), crate::source::plain(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {fault}", path.display())]
    List { path: PathBuf, fault: String },
    #[error("{}", listed_rows(path, rows))]
    Rows { path: PathBuf, rows: Vec<RowFault> },
    #[error("{}", listed(files))]
    Unusable { files: Vec<Skipped> },
    #[error("nothing is left: none of the samples can be used")]
    Nothing,
    #[error("{}: an array of samples has the samples as its first dimension; this one is a single number", path.display())]
    Scalar { path: PathBuf },
    #[error("{} holds no samples: its shape is {shape:?}", path.display())]
    NoRows { path: PathBuf, shape: Vec<usize> },
    #[error(
        "{} has {rows} rows, but {} has {wanted}; row i of both is to be sample i",
        path.display(), first.display()
    )]
    Lengths { path: PathBuf, rows: usize, first: PathBuf, wanted: usize },
    #[error(
        "{}: targets have the shape (n,), (n, 1) or (n, k), one row for each sample; this is {shape:?}",
        path.display()
    )]
    TargetShape { path: PathBuf, shape: Vec<usize> },
    #[error("{}: row {row} holds a value that is not finite; nothing can be learnt from it", path.display())]
    NotFinite { path: PathBuf, row: usize },
    #[error("the share for validation is {0}; it is to lie between 0 and 1, like `split(0.1)`")]
    Share(f64),
    #[error(
        "a share of {share} of {samples} samples in {classes} classes leaves none for validation, as each class keeps \
         one for training; take a larger share or more samples"
    )]
    NoValidation { share: f64, samples: usize, classes: usize },
    #[error("sample {sample} is of class {class}, but the net has {outputs} outputs, so classes go from 0 to {}", .outputs.saturating_sub(1))]
    ClassRange { sample: usize, class: usize, outputs: usize },
    #[error("the targets have {} for each sample, but the net has {}", counted(*found, "value"), counted(*outputs, "output"))]
    Width { found: usize, outputs: usize },
    #[error(
        "the target {value} of sample {sample} is no class: classes are whole numbers from 0, and numbers to learn are {} \
         for each sample",
        counted(*outputs, "value")
    )]
    NoClass { sample: usize, value: f32, outputs: usize },
}

/// A row that cannot be used. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    pub line: u64,
    /// What is wrong, and what would be right.
    pub fault: String,
}

/// "list.csv:3: …", a row a line.
fn listed_rows(path: &Path, rows: &[RowFault]) -> String {
    const SHOWN: usize = 20;
    let mut lines: Vec<String> =
        rows.iter().take(SHOWN).map(|row| format!("{}:{}: {}", path.display(), row.line, row.fault)).collect();
    if rows.len() > SHOWN {
        lines.push(format!("and {} more rows", rows.len() - SHOWN));
    }
    lines.join("\n")
}

/// "2 files cannot be used: …" with a file a line.
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
    /// The photos below `folder`, one folder for each class, classes sorted by name; see [`folder::images`].
    ///
    /// Files that call themselves pictures and cannot be used fall under `policy`; other files (a licence, notes) are
    /// only listed in `skipped`. A photo is told by its first bytes here; what is damaged further on shows when it is
    /// decoded (see [`Dataset::without`]).
    pub fn images(folder: &Path, policy: Policy) -> Result<Dataset, DatasetError> {
        let found = folder::images(folder)?;
        if policy == Policy::Refuse {
            let files: Vec<Skipped> =
                found.skipped.iter().filter(|file| claims_a_picture(&file.path)).cloned().collect();
            if !files.is_empty() {
                return Err(DatasetError::Unusable { files });
            }
        }
        let (paths, classes) = found.samples.into_iter().map(|sample| (sample.path, sample.class)).unzip();
        Ok(Dataset {
            samples: Samples::Photos(paths),
            targets: Targets::Classes(classes),
            classes: Some(found.classes),
            skipped: found.skipped,
        })
    }

    /// Arrays from files: one for each input of the net, all (n, …), and the targets, (n,), (n, 1) or (n, k).
    ///
    /// One column of whole numbers below [`MAX_CLASSES`] is taken for classes; [`Dataset::with_values`] takes that back.
    pub fn arrays(inputs: &[ArraySource], targets: &ArraySource) -> Result<Dataset, DatasetError> {
        let read = |source: &ArraySource| array_file::read(&source.path, source.name.as_deref());
        let values = target_rows(&targets.path, read(targets)?)?;
        let wanted = values.shape()[0];
        let mut arrays = Vec::with_capacity(inputs.len());
        for source in inputs {
            let (array, path) = (read(source)?, source.path.clone());
            let Some(&rows) = array.shape().first() else { return Err(DatasetError::Scalar { path }) };
            if rows == 0 {
                return Err(DatasetError::NoRows { path, shape: array.shape().to_vec() });
            }
            if rows != wanted {
                return Err(DatasetError::Lengths {
                    path: targets.path.clone(),
                    rows: wanted,
                    first: path,
                    wanted: rows,
                });
            }
            if let Some(row) = array.outer_iter().position(|row| row.iter().any(|value| !value.is_finite())) {
                return Err(DatasetError::NotFinite { path, row });
            }
            arrays.push(array);
        }
        let (samples, targets) = (Samples::Arrays(arrays), Targets::of(values));
        Ok(Dataset { samples, targets, classes: None, skipped: Vec::new() })
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.shape().first().copied().unwrap_or(0),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at these indices, in this order.
    ///
    /// # Panics
    /// An index that is not below [`Dataset::len`].
    pub fn take(&self, indices: &[usize]) -> Dataset {
        let samples = match &self.samples {
            Samples::Photos(paths) => Samples::Photos(indices.iter().map(|&index| paths[index].clone()).collect()),
            Samples::Arrays(arrays) => {
                Samples::Arrays(arrays.iter().map(|array| array.select(Axis(0), indices)).collect())
            }
        };
        let targets = match &self.targets {
            Targets::Classes(classes) => Targets::Classes(indices.iter().map(|&index| classes[index]).collect()),
            Targets::Values(values) => Targets::Values(values.select(Axis(0), indices)),
        };
        Dataset { samples, targets, classes: self.classes.clone(), skipped: self.skipped.clone() }
    }

    /// How many samples each class has, also classes that have none; `None` where the targets are no classes.
    pub fn class_counts(&self) -> Option<Vec<usize>> {
        let classes = self.targets.classes()?;
        let named = self.classes.as_ref().map_or(0, Vec::len);
        let width = match &self.targets {
            Targets::Classes(_) => 0,
            Targets::Values(values) => values.shape()[1],
        };
        let highest = classes.iter().max().map_or(0, |highest| highest + 1);
        let mut counts = vec![0; highest.max(named).max(width)];
        classes.iter().for_each(|&class| counts[class] += 1);
        Some(counts)
    }

    /// The BLAKE3 digest of a sample: of the file's bytes for a photo, else of its values (f32, little endian) in all
    /// inputs. Computed when it is asked for.
    ///
    /// # Errors
    /// A photo that cannot be read.
    ///
    /// # Panics
    /// An index that is not below [`Dataset::len`].
    pub fn digest(&self, index: usize) -> Result<[u8; 32], DatasetError> {
        let mut hasher = blake3::Hasher::new();
        match &self.samples {
            Samples::Photos(paths) => {
                let path = &paths[index];
                let io = |source| DatasetError::Io { path: path.clone(), source };
                hasher.update_reader(File::open(path).map_err(io)?).map_err(io)?;
            }
            Samples::Arrays(arrays) => {
                let mut bytes = Vec::new();
                for array in arrays {
                    bytes.clear();
                    bytes.extend(array.index_axis(Axis(0), index).iter().flat_map(|value| value.to_le_bytes()));
                    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
                }
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// The dataset without samples that showed to be unusable, each given by its index and why; under
    /// [`Policy::Refuse`] an error that lists them, if there are any.
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

    /// The dataset with targets as numbers, (n, outputs), as a loss of `outputs` values for each sample takes them.
    pub fn with_values(mut self, outputs: usize) -> Result<Dataset, DatasetError> {
        self.targets = Targets::Values(self.targets.values(outputs)?);
        Ok(self)
    }
}

impl Targets {
    /// One column of small whole numbers as classes, anything else as it is. `values` is (n, k).
    pub(super) fn of(values: ArrayD<f32>) -> Self {
        let index = |&value: &f32| {
            (value >= 0.0 && value.fract() == 0.0 && value < MAX_CLASSES as f32).then_some(value as usize)
        };
        let one_column = values.shape().get(1) == Some(&1);
        match values.iter().map(index).collect::<Option<Vec<usize>>>().filter(|_| one_column) {
            Some(classes) => Targets::Classes(classes),
            None => Targets::Values(values),
        }
    }

    /// The class of each sample: as it is given, or from rows of two or more values that are one-hot. `None` for
    /// anything else.
    pub fn classes(&self) -> Option<Vec<usize>> {
        match self {
            Targets::Classes(classes) => Some(classes.clone()),
            Targets::Values(values) if values.shape().get(1).is_some_and(|&width| width > 1) => {
                let hot = |row: ndarray::ArrayViewD<f32>| {
                    let hot = row.iter().position(|&value| value == 1.0)?;
                    row.iter().enumerate().all(|(i, &value)| i == hot || value == 0.0).then_some(hot)
                };
                values.outer_iter().map(hot).collect()
            }
            Targets::Values(_) => None,
        }
    }

    /// The targets as an array (n, outputs): classes become one-hot rows, or for a net with one output the index itself;
    /// values are checked to be as wide.
    pub fn values(&self, outputs: usize) -> Result<ArrayD<f32>, DatasetError> {
        match self {
            Targets::Classes(classes) => {
                let mut values = ArrayD::zeros(IxDyn(&[classes.len(), outputs]));
                for (sample, &class) in classes.iter().enumerate() {
                    if outputs == 1 {
                        values[[sample, 0]] = class as f32;
                    } else if class < outputs {
                        values[[sample, class]] = 1.0;
                    } else {
                        return Err(DatasetError::ClassRange { sample, class, outputs });
                    }
                }
                Ok(values)
            }
            Targets::Values(values) => match values.shape()[1] {
                found if found == outputs => Ok(values.clone()),
                1 => match values.iter().position(|value| *value < 0.0 || value.fract() != 0.0) {
                    Some(sample) => {
                        let value = values.iter().nth(sample).copied().unwrap_or(0.0);
                        Err(DatasetError::NoClass { sample, value, outputs })
                    }
                    None => Err(DatasetError::Width { found: 1, outputs }),
                },
                found => Err(DatasetError::Width { found, outputs }),
            },
        }
    }
}

/// Targets as rows, (n, k), all finite.
fn target_rows(path: &Path, array: ArrayD<f32>) -> Result<ArrayD<f32>, DatasetError> {
    let (path, shape) = (path.to_owned(), array.shape().to_vec());
    let rows = match shape[..] {
        [rows] => (rows, 1),
        [rows, width] if width > 0 => (rows, width),
        _ => return Err(DatasetError::TargetShape { path, shape }),
    };
    if rows.0 == 0 {
        return Err(DatasetError::NoRows { path, shape });
    }
    if let Some(at) = array.iter().position(|value| !value.is_finite()) {
        return Err(DatasetError::NotFinite { path, row: at / rows.1 });
    }
    let reshaped = array.into_shape_with_order(IxDyn(&[rows.0, rows.1]));
    reshaped.map_err(|_| DatasetError::TargetShape { path, shape })
}

/// Whether a file's name says that it is a picture.
fn claims_a_picture(path: &Path) -> bool {
    const ENDINGS: [&str; 14] =
        ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "tif", "tiff", "webp", "heic", "heif", "avif", "jxl"];
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}
