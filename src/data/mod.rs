//! Reading photos, datasets and arrays, and caching features.
//!
//! All input is untrusted: for any bytes, a reader returns a value or a typed error that names the file, and it checks sizes
//! before it allocates.

pub mod arrays;
pub mod features;
pub mod photos;
pub mod samples;
pub mod seeded_rng;

pub use arrays::array_error::{ArrayError, ArrayErrorKind, ArrayInfo};
pub use features::feature_cache::{CacheInfo, CacheNote, FeatureCache, FeatureCacheError, Position};
pub use photos::augment::{Augmentation, AugmentationError, Draw};
pub use photos::photo_error::{PhotoError, PhotoErrorKind};
pub use photos::prefetch::{Augmented, BatchError, Decoding, PhotoBatch, PhotoLoader};
pub use photos::thumbnail::thumbnail;
pub use samples::dataset::{ArraySource, Dataset, DatasetError, OutputTargets, Policy, RowError, Samples};
pub use samples::labels::LabelsError;
pub use samples::photo_paths::{FolderError, ImageFolder, Input, InputKind, Inputs, Sample, Skipped, Walk};
pub use samples::split::split;
pub use samples::table::{Table, TableError};
pub use samples::targets::{Coding, Targets, TargetsError};
pub use seeded_rng::SeededRng;
