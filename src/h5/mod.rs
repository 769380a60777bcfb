//! HDF5 files, for weights and arrays alike: one reader, one writer, and one guard in front of every file of a stranger.
//!
//! ```text
//!            ┌─ Guard ── groups, links, attributes, declarations: hdf5-reader, pure Rust, always
//! File ──────┤
//!            └─ values ─ of the datasets that the guard let through: Backend::Library (libhdf5) or Backend::Rust
//! Writer ───── groups, datasets, attributes: Backend::Library or Backend::Rust
//! ```
//!
//! The guard alone reads a file's structure, before any other library sees the file, and both backends are asked only for
//! values of datasets that it has checked; so what is refused, and in which words, does not depend on how netc was built.
//! Every error names the dataset, the group or the attribute. What is checked, and where:
//!
//! - **Links** (`guard.rs`): hard links alone are followed. Soft, external and user-defined links lead out of the tree. Each
//!   group is entered once, by the first link to it; a second link to it is refused, so that neither a circle nor groups
//!   that share their members can make a walk longer than the file. At most [`MAX_LINKS`] links, [`MAX_DEPTH`] deep.
//! - **Bytes that are elsewhere** (`dataset.rs`): external storage and virtual datasets.
//! - **Sizes** (`dataset.rs`): contiguous bytes must lie in the file; compressed ones, gzip alone, may become at most
//!   [`MAX_EXPANSION`] times what is stored, in chunks of at most [`MAX_CHUNK_BYTES`]; the datasets that are opened may
//!   declare at most [`MAX_EXPANSION`] times the file's bytes together.
//! - **Heaps** (`attribute.rs`): texts are taken from their heap by their own lengths, which must lie in the file, and are at
//!   most [`MAX_TEXT_BYTES`] in an attribute.
//!
//! Memory: of a file of n bytes the guard reads at most 32 MiB + 16 n for the structure (`storage.rs` counts), holds the
//! names (at most that much) and one object's header (1 MiB) at a time. Reading rows takes the bytes of their values, four
//! more for each value, and for a compressed dataset the chunk that is being read: at most 5 · [`MAX_EXPANSION`] times what
//! the file stores of the dataset, and that only for bytes that gzip packs best.
//! Writing by [`Backend::Rust`] holds the file's values about four times, by the library once.

mod attribute;
mod backend;
mod dataset;
mod error;
mod file;
mod guard;
#[cfg(feature = "hdf5")]
mod library;
mod links;
mod metadata;
mod rust_values;
mod rust_writer;
mod storage;
#[cfg(test)]
mod tests;
mod values;
mod writer;

pub use attribute::Attribute;
pub use backend::{Backend, writer};
pub use dataset::{Dataset, Stored};
pub use error::Hdf5Error;
pub use file::{File, Kind};
pub use writer::{Value, Writer};

/// The most links that a file may have.
pub const MAX_LINKS: usize = 100_000;
/// How deep groups may be nested.
pub const MAX_DEPTH: usize = 32;
/// The most bytes that a dataset may declare for each byte that the file stores of it: zeros reach 1032 by gzip.
pub const MAX_EXPANSION: u64 = 1100;
/// The largest chunk that is decompressed in one piece.
pub const MAX_CHUNK_BYTES: u64 = 256 << 20;
/// The most bytes that one dataset may take, in the file or as f32 in memory.
pub const MAX_DATASET_BYTES: u64 = 1 << 40;
/// The most bytes of text that are read of an attribute: names of layers, a model's description.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;
