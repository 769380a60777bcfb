//! What a net is to answer: classes or numbers.

use super::table::{Table, TableError};
use crate::diagnostics::counted;
use ndarray::{ArrayD, IxDyn};
use thiserror::Error;

/// Whole numbers from here on are values, never classes: no net has that many outputs.
pub const MAX_CLASSES: usize = 1 << 20;

/// What the net is to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The index of each sample's class.
    Classes(Vec<usize>),
    /// Numbers, (n, k) or (n, height, width, k), or the index of the class of each pixel, (n, height, width); rows that are
    /// one-hot stay as they were written (see [`Targets::classes`]).
    Values(Table),
}

/// Targets that do not fit a net's outputs.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TargetsError {
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
    #[error("the targets have a class for each sample, but the net says one for each of {pixels} pixels")]
    NoPixels { pixels: usize },
    #[error("`ignore` leaves out pixels, and these targets have no class for each of several places")]
    NothingToIgnore,
    #[error("the targets have the shape {}, but the net gives {}", shape(found), shape(outputs))]
    Shape { found: Vec<usize>, outputs: Vec<usize> },
    #[error(
        "the target {value} of pixel {pixel} of sample {sample} is no class: the net tells {classes} apart, so they are whole \
         numbers from 0 to {}",
        .classes.saturating_sub(1)
    )]
    PixelClass { sample: usize, pixel: usize, value: f32, classes: usize },
}

/// "(n, 32, 32)"
fn shape(sizes: &[usize]) -> String {
    let sizes: String = sizes.iter().map(|size| format!(", {size}")).collect();
    format!("(n{sizes})")
}

/// How targets become the values that a loss holds against a net's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    /// Values of each place of an output: the channels of a pixel, or all of an output that is no image.
    pub width: usize,
    /// What 0 becomes, and what stands for the classes that a place is not of: -1 where the sign tells them apart.
    pub no: f32,
}

impl Coding {
    /// Of an output of these sizes, targets as they were written.
    pub fn of(sizes: &[usize]) -> Coding {
        Coding { width: sizes.last().copied().unwrap_or(1), no: 0.0 }
    }
}

impl Targets {
    /// How many samples they are of.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.len(),
        }
    }

    /// The targets of the samples at these indices, in this order.
    ///
    /// # Panics
    /// An index that is not below [`Targets::len`].
    pub fn take(&self, indices: &[usize]) -> Targets {
        match self {
            Targets::Classes(classes) => Targets::Classes(indices.iter().map(|&index| classes[index]).collect()),
            Targets::Values(values) => Targets::Values(values.take(indices)),
        }
    }

    /// Whether they are of no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One column of small whole numbers as classes, anything else as it is.
    ///
    /// # Errors
    /// Values that cannot be read.
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

    /// The same targets, of which a value stands for no class.
    ///
    /// # Errors
    /// Targets with one class for each sample.
    pub fn ignoring(self, value: f32) -> Result<Self, TargetsError> {
        match self {
            Targets::Values(values) => Ok(Targets::Values(values.ignoring(value))),
            Targets::Classes(_) => Err(TargetsError::NothingToIgnore),
        }
    }

    /// Whether some of their places may say nothing: these are no numbers (NaN).
    pub fn ignores(&self) -> bool {
        matches!(self, Targets::Values(values) if values.ignored().is_some())
    }

    /// A number for each sample.
    pub fn column(values: Vec<f32>) -> Targets {
        let array = ArrayD::from_shape_vec(IxDyn(&[values.len(), 1]), values);
        Targets::Values(Table::of_array(array.unwrap_or_else(|_| ArrayD::zeros(IxDyn(&[0, 1])))))
    }

    /// Calls `look` with each row of values, until it says that it has seen enough; nothing for classes.
    ///
    /// # Errors
    /// Values that cannot be read.
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

    /// The class of each sample: as it is given, or from rows of two or more values that are one-hot. `None` for
    /// anything else.
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

    /// The targets as numbers: classes become one-hot rows, or for one output the index itself.
    ///
    /// # Errors
    /// Classes that are not among so many outputs.
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

    /// Whether they have the sizes of a net's output, or those of its pixels, with a class for each.
    ///
    /// # Errors
    /// The first sample whose target does not fit.
    pub fn check(&self, sizes: &[usize]) -> Result<(), TargetsError> {
        let outputs = sizes.iter().product();
        match (self, sizes) {
            (Targets::Classes(_), [1]) => Ok(()),
            (Targets::Classes(classes), [_]) => match classes.iter().position(|&class| class >= outputs) {
                Some(sample) => Err(TargetsError::ClassRange { sample, class: classes[sample], outputs }),
                None => Ok(()),
            },
            (Targets::Classes(_), [pixels @ .., _]) => Err(TargetsError::NoPixels { pixels: pixels.iter().product() }),
            (Targets::Values(values), _) if same(values.sizes(), sizes) => Ok(()),
            (Targets::Values(values), [pixels @ .., channels]) if !pixels.is_empty() => {
                if *channels > 1 && same(values.sizes(), pixels) {
                    return Ok(());
                }
                Err(TargetsError::Shape { found: values.sizes().to_vec(), outputs: sizes.to_vec() })
            }
            (Targets::Values(values), _) => match values.sizes() {
                [1] => {
                    let mut error = TargetsError::Width { found: 1, outputs };
                    // A row that cannot be read is told where it is used.
                    let _ = self.each_row(|sample, row| {
                        let (value, is_class) = (row[0], row[0] >= 0.0 && row[0].fract() == 0.0);
                        if !is_class {
                            error = TargetsError::NoClass { sample, value, outputs };
                        }
                        is_class
                    });
                    Err(error)
                }
                &[found] => Err(TargetsError::Width { found, outputs }),
                found => Err(TargetsError::Shape { found: found.to_vec(), outputs: sizes.to_vec() }),
            },
            (Targets::Classes(_), []) => Ok(()),
        }
    }

    /// Whether each pixel of a net with such an output has the index of its class as its target.
    pub fn has_pixel_classes(&self, sizes: &[usize]) -> bool {
        match (self, sizes) {
            (Targets::Values(values), [pixels @ .., channels]) => {
                !pixels.is_empty() && *channels > 1 && !same(values.sizes(), sizes) && same(values.sizes(), pixels)
            }
            _ => false,
        }
    }

    /// Writes the target of one sample to where there is room for the net's output; what is ignored is no number there.
    ///
    /// # Errors
    /// A row that cannot be read.
    ///
    /// # Panics
    /// A sample that is not there, and outputs that [`Targets::check`] refuses.
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
            // Indices of pixels, spread from the last on, so that none is written over before it is read.
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

/// Whether sizes are the same but for a last one of 1 that one of them leaves out.
fn same(a: &[usize], b: &[usize]) -> bool {
    a == b || a == [b, &[1]].concat() || b == [a, &[1]].concat()
}

/// The place of the one in a row that is 0 elsewhere.
pub fn hot(row: &[f32]) -> Option<usize> {
    let hot = row.iter().position(|&value| value == 1.0)?;
    row.iter().enumerate().all(|(at, &value)| at == hot || value == 0.0).then_some(hot)
}
