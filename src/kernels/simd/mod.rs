//! SIMD vectors of each instruction set, and run-time dispatch among the sets.
//!
//! A kernel is written once, generic over [`vector::Vector`], as a [`vector::SimdOp`]; its body is inlined into one function
//! per instruction set ([`isa::Isa::dispatch`]), each compiled with that set's target features.
//!
//! Tests run on every set that the machine supports: AVX-512 natively on a Zen 5 in November 2026, NEON under QEMU
//! (`.ci/emulated`). Only AVX2 has micro-kernels in assembly; `docs/assembly.md` says what they do and why.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) mod avx512;
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
