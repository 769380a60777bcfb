//! AVX2's register tiles in assembly.

#[cfg(target_arch = "x86_64")]
pub(crate) mod inner_loop;
#[cfg(target_arch = "x86_64")]
pub(crate) mod row_tile_avx2;
