//! What a library that reads values offers.

use super::dataset::Dataset;
use super::error::Hdf5Error;
use std::fmt;
use std::ops::Range;

/// The values in one open file.
pub(super) trait Values: fmt::Debug + Send + Sync {
    /// Rows of a dataset that the guard has checked, row-major, as f32. The range is within the dataset and not empty.
    fn read(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>, Hdf5Error>;
}

/// Reserves memory for the values of a dataset.
pub(super) fn reserve(values: &mut Vec<f32>, count: usize, dataset: &Dataset) -> Result<(), Hdf5Error> {
    let memory = values.try_reserve_exact(count);
    memory.map_err(|_| Hdf5Error::too_large(dataset.path(), format!("its {count} values do not fit in memory")))
}
