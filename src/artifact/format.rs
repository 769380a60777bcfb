//! The numbers of the format.

/// The first bytes of every artifact.
pub(super) const MAGIC: [u8; 8] = crate::content::ARTIFACT;
/// The version of the format.
pub const VERSION: u32 = 9;
pub(super) const HEADER: usize = 64;
/// The alignment of the constants: a multiple of the pages of x86 and 64-bit ARM.
pub(super) const PAGE: usize = 1 << 14;
/// Constants are checked in blocks of this many bytes, each before its first use.
pub(super) const BLOCK: usize = 1 << 22;
/// Bytes that are written at once. Page caches with large folios make them as large as the writes, so that a mapped artifact
/// has a tenth of the page faults and fewer TLB misses.
pub(super) const AT_ONCE: usize = 8 << 20;
/// The maximum size of a manifest.
pub(super) const MAX_MANIFEST_BYTES: u64 = 1 << 28;
