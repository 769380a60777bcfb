//! What a net is to answer: classes or numbers.

use crate::diagnostics::counted;
use ndarray::{ArrayD, Axis, IxDyn};
use thiserror::Error;

/// Whole numbers from here on are values, never classes: no net has that many outputs.
pub const MAX_CLASSES: usize = 1 << 20;

/// What the net is to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The index of each sample's class.
    Classes(Vec<usize>),
    /// Numbers, (n, k); rows that are one-hot stay as they were written (see [`Targets::classes`]).
    Values(ArrayD<f32>),
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
}

impl Targets {
    /// How many samples they are of.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.shape().first().copied().unwrap_or(0),
        }
    }

    /// Whether they are of no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

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
    pub fn values(&self, outputs: usize) -> Result<ArrayD<f32>, TargetsError> {
        self.check(outputs)?;
        let mut values = ArrayD::zeros(IxDyn(&[self.len(), outputs]));
        for (sample, mut row) in values.outer_iter_mut().enumerate() {
            row.as_slice_mut().into_iter().for_each(|row| self.row(sample, row));
        }
        Ok(values)
    }

    /// Whether they fit a net with so many outputs.
    ///
    /// # Errors
    /// The first sample whose target does not.
    pub fn check(&self, outputs: usize) -> Result<(), TargetsError> {
        match self {
            Targets::Classes(_) if outputs == 1 => Ok(()),
            Targets::Classes(classes) => match classes.iter().position(|&class| class >= outputs) {
                Some(sample) => Err(TargetsError::ClassRange { sample, class: classes[sample], outputs }),
                None => Ok(()),
            },
            Targets::Values(values) => match values.shape()[1] {
                found if found == outputs => Ok(()),
                1 => match values.iter().enumerate().find(|(_, value)| **value < 0.0 || value.fract() != 0.0) {
                    Some((sample, &value)) => Err(TargetsError::NoClass { sample, value, outputs }),
                    None => Err(TargetsError::Width { found: 1, outputs }),
                },
                found => Err(TargetsError::Width { found, outputs }),
            },
        }
    }

    /// Writes the row of one sample, as [`Targets::values`] gives it, to where there is room for the net's outputs.
    ///
    /// # Panics
    /// A sample that is not there, and outputs that [`Targets::check`] refuses.
    pub fn row(&self, sample: usize, to: &mut [f32]) {
        match (self, to) {
            (Targets::Classes(classes), [one]) => *one = classes[sample] as f32,
            (Targets::Classes(classes), to) => {
                to.fill(0.0);
                to[classes[sample]] = 1.0;
            }
            (Targets::Values(values), to) => {
                let row = values.index_axis(Axis(0), sample);
                to.iter_mut().zip(row).for_each(|(to, value)| *to = *value);
            }
        }
    }
}
