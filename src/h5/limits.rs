//! What a file may declare. The sizes are in bytes.

/// The maximum number of links in a file.
pub const MAX_LINKS: usize = 100_000;
/// The maximum nesting depth of groups.
pub const MAX_DEPTH: usize = 32;
/// The maximum size of a decompressed chunk.
pub const MAX_CHUNK_BYTES: u64 = 256 << 20;
/// The maximum size of a dataset, in the file or as f32 in memory.
pub const MAX_DATASET_BYTES: u64 = 1 << 40;
/// The maximum size of text in an attribute: layer names, model configurations.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;
