//! Vectors of the instruction sets, and the choice among them at run time.
//!
//! A kernel is written once over [`vector::Vector`] as a [`vector::SimdOp`], whose body is inlined into one function per
//! instruction set ([`isa::Isa::dispatch`]), each compiled with that set's instructions.
//!
//! The tests run on each set that the machine has: AVX-512's ran on a Zen 5 in November 2026, NEON's are run by
//! `.ci/emulated` under QEMU. Only AVX2 has loops and tiles in assembly; AVX-512 runs the same code over vectors.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod isa;
pub(crate) mod multiversion;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
pub(crate) mod scalar_math;
#[cfg(target_arch = "x86_64")]
mod sse2;
pub(crate) mod tile;
pub mod vector;
pub(crate) mod vector_math;
