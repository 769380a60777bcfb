//! Writing HDF5 files, as far as the layouts of NeuPy and Keras and array files need it.

use super::error::Hdf5Error;

/// The value of an attribute to write.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Text in UTF-8.
    Text(&'a str),
    /// Text that h5py 2 returns as bytes, which older versions of Keras expect.
    Ascii(&'a str),
    /// An array of texts: ASCII if all of them are, else UTF-8.
    Texts(&'a [&'a str]),
    /// An enumeration of FALSE and TRUE, as in h5py.
    Bool(bool),
}

/// A new HDF5 file. Paths start at the root; parent groups are created. No timestamps are written: the same content results in
/// the same bytes.
pub trait Writer {
    /// Creates a group unless it exists.
    ///
    /// # Errors
    /// If a dataset has this path.
    fn group(&mut self, path: &str) -> Result<(), Hdf5Error>;

    /// Writes a contiguous dataset of little-endian f32 of this shape (empty for a scalar); `values` are row-major.
    ///
    /// # Errors
    /// If the path is taken.
    fn dataset(&mut self, path: &str, shape: &[usize], values: &[f32]) -> Result<(), Hdf5Error>;

    /// Adds an attribute to an existing group (`/` is the root) or dataset.
    ///
    /// # Errors
    /// If the text is too long, or not ASCII for [`Value::Ascii`].
    fn attribute(&mut self, path: &str, name: &str, value: Value<'_>) -> Result<(), Hdf5Error>;

    /// Completes the file; without this call it is incomplete.
    ///
    /// # Errors
    /// I/O errors.
    fn finish(self: Box<Self>) -> Result<(), Hdf5Error>;
}
