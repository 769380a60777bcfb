//! Reading and writing array files.

pub(crate) mod array_error;
pub mod array_file;
mod array_write;
mod hdf5_arrays;
mod npy;
mod npz;
mod numpy_types;
