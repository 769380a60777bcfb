//! HDF5 files, for weights and arrays: a reader, a writer, and a guard that checks every untrusted file.
//!
//! ```text
//!            ┌─ Guard ── groups, links, attributes, declarations: always hdf5-reader, pure Rust
//! File ──────┤
//!            └─ values ─ of the datasets that the guard has checked: Backend::Library (libhdf5) or Backend::Rust
//! Writer ───── groups, datasets, attributes: Backend::Library or Backend::Rust
//! ```
//!
//! Only the guard reads the structure of a file, before any other library opens it, and the backends read only values of
//! datasets that it has checked; so errors do not depend on how netc was built. Every error names the dataset, group or
//! attribute. What is checked, and where:
//!
//! - **Links** (`guard.rs`): only hard links are followed; soft, external and user-defined links may leave the tree. Each
//!   group is entered once, by the first link to it, and a second link is refused, so that neither cycles nor shared groups
//!   can make the walk longer than the file. At most [`MAX_LINKS`] links, nested up to [`MAX_DEPTH`] deep.
//! - **Data in other files** (`dataset.rs`): external storage and virtual datasets are refused.
//! - **Sizes** (`dataset.rs`): contiguous data must be within the file; compressed data, only gzip, may expand at most
//!   [`MAX_EXPANSION`] times, in chunks of at most [`MAX_CHUNK_BYTES`]; together, the datasets opened may declare at most
//!   [`MAX_EXPANSION`] times the size of the file.
//! - **Heaps** (`attribute.rs`): texts are read from their heap with their own lengths, which must be within the file, at
//!   most [`MAX_TEXT_BYTES`] per attribute.
//!
//! Memory: for a file of n bytes, the guard reads at most 32 MiB + 16 n for the structure (`storage.rs` counts), and keeps the
//! names (at most as much) and one object header (1 MiB) at a time. Reading rows takes their stored size, four more bytes per
//! value, and for a compressed dataset the current chunk: in the worst case, with maximal compression, 5 · [`MAX_EXPANSION`]
//! times the stored size of the dataset.
//! Writing with [`Backend::Rust`] keeps about four copies of the values in memory, with libhdf5 one.

mod attribute;
mod backend;
mod dataset;
mod error;
mod file;
mod guard;
#[cfg(feature = "hdf5")]
mod library;
mod limits;
mod links;
mod metadata;
mod rust_values;
mod rust_writer;
mod storage;
#[cfg(test)]
mod tests;
mod values;
mod writer;

pub use crate::size::MAX_EXPANSION;
pub use attribute::Attribute;
pub use backend::{Backend, writer};
pub use dataset::{Dataset, Stored};
pub use error::Hdf5Error;
pub use file::{File, Kind};
pub use limits::{MAX_CHUNK_BYTES, MAX_DATASET_BYTES, MAX_DEPTH, MAX_LINKS, MAX_TEXT_BYTES};
pub use writer::{Value, Writer};
