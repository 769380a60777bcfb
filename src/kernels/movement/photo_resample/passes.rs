//! What an instruction set computes.

use super::filter::PRECISION;

/// Half a level, which rounds a sum.
pub(super) const HALF: i32 = 1 << (PRECISION - 1);
/// Values of a row that are summed along the columns at once.
pub(super) const LANES: usize = 32;

/// The two passes on an instruction set.
pub(super) trait Passes {
    /// Resamples the rows from `first` along their length into `block`, one for each `stride` values
    /// of it. Values beyond a row's length are arbitrary.
    fn along_rows(&mut self, first: usize, stride: usize, block: &mut [u8]);

    /// As `along_columns` of the plain code.
    fn along_columns(&self, weights: &[i32], rows: &[u8], sums: &mut [i32], begins: bool, out: Option<&mut [u8]>);
}
