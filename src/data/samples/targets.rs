//! The targets of a net: classes or numbers.

use super::table::{Table, TableError};
use crate::diagnostics::counted;
use ndarray::{ArrayD, IxDyn};
use thiserror::Error;

/// Integers from here on are numeric targets, not classes: no net has that many outputs.
pub const MAX_CLASSES: usize = 1 << 20;

/// The targets of a net.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The class index of each sample.
    Classes(Vec<usize>),
    /// Numbers, (n, k) or (n, height, width, k), or the class index of each pixel, (n, height, width); one-hot rows are kept as
    /// they are (see [`Targets::classes`]).
    Values(Table),
}

/// Targets that do not fit the outputs of a net.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TargetsError {
    #[error("sample {sample} has class {class}, but the net has {outputs} outputs, so classes are 0 to {}", .outputs.saturating_sub(1))]
    ClassRange { sample: usize, class: usize, outputs: usize },
    #[error("the targets have {} for each sample, but the net has {}", counted(*found, "value"), counted(*outputs, "output"))]
    Width { found: usize, outputs: usize },
    #[error(
        "the target {value} of sample {sample} is not a class: classes are integers from 0, and numeric targets are {} \
         for each sample",
        counted(*outputs, "value")
    )]
    NoClass { sample: usize, value: f32, outputs: usize },
    #[error("the targets have one class per sample, but the net predicts one for each of {pixels} pixels")]
    NoPixels { pixels: usize },
    #[error("`ignore` applies to pixels, but these targets have no classes of pixels")]
    NothingToIgnore,
    #[error("the targets have the shape {}, but the output of the net is {}", shape(found), shape(outputs))]
    Shape { found: Vec<usize>, outputs: Vec<usize> },
    #[error(
        "the target {value} of pixel {pixel} of sample {sample} is not a class: the net has {classes} classes, so they are integers \
         from 0 to {}",
        .classes.saturating_sub(1)
    )]
    PixelClass { sample: usize, pixel: usize, value: f32, classes: usize },
}

/// "(n, 32, 32)"
fn shape(sizes: &[usize]) -> String {
    let sizes: String = sizes.iter().map(|size| format!(", {size}")).collect();
    format!("(n{sizes})")
}

/// How targets are encoded as the values that a loss compares with the output of a net.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    /// The number of values per position of an output: the channels of a pixel, or all values if the output is not an image.
    pub width: usize,
    /// The encoding of 0, and of the classes that do not apply: -1 if the sign decides.
    pub no: f32,
}

impl Coding {
    /// The identity encoding for an output of these sizes.
    pub fn of(sizes: &[usize]) -> Coding {
        Coding { width: sizes.last().copied().unwrap_or(1), no: 0.0 }
    }
}

impl Targets {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.len(),
        }
    }

    /// The targets of the samples at these indices, in this order.
    ///
    /// # Panics
    /// If an index is not below [`Targets::len`].
    pub fn take(&self, indices: &[usize]) -> Targets {
        match self {
            Targets::Classes(classes) => Targets::Classes(indices.iter().map(|&index| classes[index]).collect()),
            Targets::Values(values) => Targets::Values(values.take(indices)),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Classes for a column of small integers, else numbers.
    ///
    /// # Errors
    /// If values cannot be read.
    pub(crate) fn of(values: Table) -> Result<Self, TableError> {
        if !matches!(values.sizes(), [] | [1]) {
            return Ok(Targets::Values(values));
        }
        let index = |&value: &f32| {
            (value >= 0.0 && value.fract() == 0.0 && value < MAX_CLASSES as f32).then_some(value as usize)
        };
        let column = values.into_values()?;
        Ok(match column.iter().map(index).collect::<Option<Vec<usize>>>() {
            Some(classes) => Targets::Classes(classes),
            None => Targets::column(column),
        })
    }

    /// The same targets, with a value that is ignored.
    ///
    /// # Errors
    /// If the targets have one class per sample.
    pub fn ignoring(self, value: f32) -> Result<Self, TargetsError> {
        match self {
            Targets::Values(values) => Ok(Targets::Values(values.ignoring(value))),
            Targets::Classes(_) => Err(TargetsError::NothingToIgnore),
        }
    }

    /// Whether some positions may be ignored: they are NaN.
    pub fn ignores(&self) -> bool {
        matches!(self, Targets::Values(values) if values.ignored().is_some())
    }

    /// One number per sample.
    pub fn column(values: Vec<f32>) -> Targets {
        let array = ArrayD::from_shape_vec(IxDyn(&[values.len(), 1]), values);
        Targets::Values(Table::of_array(array.unwrap_or_else(|_| ArrayD::zeros(IxDyn(&[0, 1])))))
    }

    /// Calls `look` with each row of values until it returns false; does nothing for classes.
    ///
    /// # Errors
    /// If values cannot be read.
    pub fn each_row(&self, mut look: impl FnMut(usize, &[f32]) -> bool) -> Result<(), TableError> {
        let Targets::Values(values) = self else { return Ok(()) };
        let mut row = vec![0.0; values.floats()];
        for sample in 0..values.len() {
            values.read(sample, &mut row)?;
            if !look(sample, &row) {
                break;
            }
        }
        Ok(())
    }

    /// The class of each sample: as given, or decoded from one-hot rows of two or more values. `None` for anything else.
    pub fn classes(&self) -> Option<Vec<usize>> {
        match self {
            Targets::Classes(classes) => Some(classes.clone()),
            Targets::Values(values) if matches!(values.sizes(), [width] if *width > 1) => {
                let mut classes = Vec::with_capacity(values.len());
                let read = self.each_row(|_, row| {
                    classes.extend(hot(row));
                    hot(row).is_some()
                });
                (read.is_ok() && classes.len() == values.len()).then_some(classes)
            }
            Targets::Values(_) => None,
        }
    }

    /// The targets as numbers: classes become one-hot rows or, for a single output, the index itself.
    ///
    /// # Errors
    /// If a class is out of range.
    pub fn into_numbers(self, outputs: usize) -> Result<Targets, TargetsError> {
        let Targets::Classes(classes) = &self else { return Ok(self) };
        self.check(&[outputs])?;
        if outputs == 1 {
            return Ok(Targets::column(classes.iter().map(|&class| class as f32).collect()));
        }
        let mut values = ArrayD::zeros(IxDyn(&[classes.len(), outputs]));
        classes.iter().enumerate().for_each(|(sample, &class)| values[[sample, class].as_slice()] = 1.0);
        Ok(Targets::Values(Table::of_array(values)))
    }

    /// Checks that the targets have the sizes of the output, or of its pixels, with a class for each.
    ///
    /// # Errors
    /// About the first sample whose target does not fit.
    pub fn check(&self, sizes: &[usize]) -> Result<(), TargetsError> {
        let outputs = sizes.iter().product();
        match (self, sizes) {
            (Targets::Classes(_), [1]) => Ok(()),
            (Targets::Classes(classes), [_]) => match classes.iter().position(|&class| class >= outputs) {
                Some(sample) => Err(TargetsError::ClassRange { sample, class: classes[sample], outputs }),
                None => Ok(()),
            },
            (Targets::Classes(_), [pixels @ .., _]) => Err(TargetsError::NoPixels { pixels: pixels.iter().product() }),
            (Targets::Values(values), _) => match (Targets::check_sizes(values.sizes(), sizes), values.sizes()) {
                (Err(mut error @ TargetsError::Width { .. }), [1]) => {
                    // A row that cannot be read is reported when it is used.
                    let _ = self.each_row(|sample, row| {
                        let (value, is_class) = (row[0], row[0] >= 0.0 && row[0].fract() == 0.0);
                        if !is_class {
                            error = TargetsError::NoClass { sample, value, outputs };
                        }
                        is_class
                    });
                    Err(error)
                }
                (result, _) => result,
            },
            (Targets::Classes(_), []) => Ok(()),
        }
    }

    /// Checks that numbers of these sizes fit an output, or that they fit its pixels, with a class for each.
    ///
    /// # Errors
    /// Other sizes.
    pub fn check_sizes(found: &[usize], sizes: &[usize]) -> Result<(), TargetsError> {
        let other = || TargetsError::Shape { found: found.to_vec(), outputs: sizes.to_vec() };
        match (sizes, found) {
            _ if same(found, sizes) => Ok(()),
            ([pixels @ .., channels], _) if !pixels.is_empty() => match *channels > 1 && same(found, pixels) {
                true => Ok(()),
                false => Err(other()),
            },
            (_, &[found]) => Err(TargetsError::Width { found, outputs: sizes.iter().product() }),
            _ => Err(other()),
        }
    }

    /// Whether the target of each pixel of such an output is its class index.
    pub fn has_pixel_classes(&self, sizes: &[usize]) -> bool {
        match (self, sizes) {
            (Targets::Values(values), [pixels @ .., channels]) => {
                !pixels.is_empty() && *channels > 1 && !same(values.sizes(), sizes) && same(values.sizes(), pixels)
            }
            _ => false,
        }
    }

    /// Writes the target of a sample to `to`, which has the size of the output; ignored positions are NaN.
    ///
    /// # Errors
    /// If the row cannot be read.
    ///
    /// # Panics
    /// If the sample is out of range, or [`Targets::check`] refuses the output.
    pub fn row(&self, sample: usize, coding: Coding, to: &mut [f32]) -> Result<(), TableError> {
        match (self, to) {
            (Targets::Classes(classes), [one]) => *one = if classes[sample] == 0 { coding.no } else { 1.0 },
            (Targets::Classes(classes), to) => {
                to.fill(coding.no);
                to[classes[sample]] = 1.0;
            }
            (Targets::Values(values), to) if values.floats() == to.len() => {
                values.read(sample, to)?;
                if coding.no != 0.0 {
                    to.iter_mut().filter(|value| **value == 0.0).for_each(|value| *value = coding.no);
                }
            }
            // Class indices of pixels, expanded in place from the last one, so that none is overwritten before it is read.
            (Targets::Values(values), to) => {
                let pixels = values.floats();
                values.read(sample, &mut to[..pixels])?;
                for pixel in (0..pixels).rev() {
                    let class = to[pixel];
                    let place = &mut to[pixel * coding.width..][..coding.width];
                    match class.is_nan() {
                        true => place.fill(f32::NAN),
                        false => {
                            place.fill(coding.no);
                            place[class as usize] = 1.0;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether sizes are equal, except that one of them may omit a last size of 1.
fn same(a: &[usize], b: &[usize]) -> bool {
    a == b || a == [b, &[1]].concat() || b == [a, &[1]].concat()
}

/// The index of the 1 in a one-hot row.
pub fn hot(row: &[f32]) -> Option<usize> {
    let hot = row.iter().position(|&value| value == 1.0)?;
    row.iter().enumerate().all(|(at, &value)| at == hot || value == 0.0).then_some(hot)
}
