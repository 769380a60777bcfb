//! HDF5 files to write: what NeuPy's and Keras' layouts and files of arrays need.

use super::error::Hdf5Error;

/// The value of an attribute to write.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Text in UTF-8.
    Text(&'a str),
    /// Text that h5py 2 gives as bytes, as Keras' older versions want it.
    Ascii(&'a str),
    /// An array of texts: ASCII where all of them are, else UTF-8.
    Texts(&'a [&'a str]),
    /// As h5py writes it: an enumeration of FALSE and TRUE.
    Bool(bool),
}

/// A new HDF5 file. Paths go from the root; groups on the way to a dataset are made. No times are written: the same
/// content gives the same bytes.
pub trait Writer {
    /// Makes a group; nothing happens if it is there.
    ///
    /// # Errors
    /// Where a dataset has this path.
    fn group(&mut self, path: &str) -> Result<(), Hdf5Error>;

    /// Writes a contiguous dataset of little-endian f32: `values`, row-major, of this shape (none for a scalar).
    ///
    /// # Errors
    /// Where something has this path.
    fn dataset(&mut self, path: &str, shape: &[usize], values: &[f32]) -> Result<(), Hdf5Error>;

    /// Gives a group or dataset that was made (`/` is the root) an attribute.
    ///
    /// # Errors
    /// Text that is not ASCII where ASCII is wanted, or that is too long.
    fn attribute(&mut self, path: &str, name: &str, value: Value<'_>) -> Result<(), Hdf5Error>;

    /// Brings all of it into the file; without this the file is not whole.
    ///
    /// # Errors
    /// Of the file system.
    fn finish(self: Box<Self>) -> Result<(), Hdf5Error>;
}
