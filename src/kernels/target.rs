//! The machine that plans are made for: costs depend on sizes and on this one fixed target alone, so that the same spec
//! gives the same plan on every machine. One core of a server with 256-bit vectors, as measured on a Zen 3.

/// Multiply-adds per nanosecond.
pub const MACS_PER_NS: f64 = 51.0;
/// Bytes per nanosecond from memory.
pub const MEMORY_BYTES_PER_NS: f64 = 18.0;
/// Bytes per nanosecond of activations that are read and written in order.
pub const STREAM_BYTES_PER_NS: f64 = 10.0;
/// Packed weights beyond this do not stay in the last-level cache between images.
pub const LAST_CACHE_BYTES: f64 = 16e6;
/// Bytes of a core's second-level cache.
pub const L2_BYTES: usize = 512 << 10;
