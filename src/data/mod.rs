//! Photos to tensors, folders to lists, arrays from and to files.
//!
//! Everything here reads what others wrote: each reader answers any bytes with a value or a typed error that names the
//! file, and checks sizes before it allocates.

mod array_fault;
pub mod array_file;
mod array_write;
pub mod augment;
pub mod batches;
pub mod chance;
mod csv_list;
pub mod dataset;
#[cfg(test)]
mod dataset_tests;
mod decode;
mod element;
mod exif;
pub mod feature_cache;
#[cfg(test)]
mod feature_cache_tests;
mod feature_file;
pub mod folder;
mod h5;
mod jpeg;
pub mod labels;
mod npy;
mod npz;
pub mod photo;
mod photo_fault;
mod picture;
mod resample;
mod sniff;
pub mod split;
pub mod table;
pub mod targets;
pub mod thumbnail;

pub use array_fault::{ArrayError, ArrayFault, ArrayInfo};
pub use augment::{Augmentation, AugmentationError, Draw};
pub use batches::{Augmented, BatchError, Decoding, PhotoBatch, PhotoLoader};
pub use chance::Chance;
pub use dataset::{ArraySource, Dataset, DatasetError, Policy, RowFault, Samples};
pub use feature_cache::{CacheInfo, CacheNote, FeatureCache, FeatureCacheError, Position};
pub use folder::{FolderError, ImageFolder, Input, InputKind, Inputs, Sample, Skipped, Walk};
pub use labels::LabelsError;
pub use photo_fault::{PhotoError, PhotoFault};
pub use split::split;
pub use table::{Table, TableError};
pub use targets::{Coding, Targets, TargetsError};
pub use thumbnail::thumbnail;
