//! The target of the cost model: one core of a server with 256-bit vectors, as measured on a Zen 3. It is fixed, so that a
//! spec compiles to the same plan on every machine.

/// Peak multiply-adds per nanosecond.
pub const MACS_PER_NS: f64 = 51.0;
/// Memory read bandwidth, bytes per nanosecond.
pub const MEMORY_BYTES_PER_NS: f64 = 18.0;
/// A core's share of it while all cores read.
pub const SHARED_MEMORY_BYTES_PER_NS: f64 = 12.0;
/// Read bandwidth of the last-level cache, bytes per nanosecond.
pub const LAST_CACHE_BYTES_PER_NS: f64 = 36.0;
/// Bandwidth of activations that are streamed (read and written in order), bytes per nanosecond.
pub const STREAM_BYTES_PER_NS: f64 = 10.0;
/// Capacity of the last-level cache: the weights of larger nets are read from memory for each image or micro-batch.
pub const LAST_CACHE_BYTES: f64 = 16e6;
/// Capacity of a core's L2 cache.
pub const L2_BYTES: usize = 512 << 10;
