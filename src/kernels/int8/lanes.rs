//! Sixteen lanes of each instruction set: the columns of a panel of weights, or sixteen channels.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use crate::kernels::simd::isa::ByteDot;

/// Lanes of a panel.
pub const LANES: usize = 16;
/// Bytes whose products with the weights are added at once.
pub const GROUP: usize = 4;
/// Bytes of a panel's weights for a group of inputs.
pub const STEP: usize = LANES * GROUP;

/// Sixteen lanes. All operations have the same results on every instruction set.
///
/// # Safety
/// Callers of all functions promise that the machine supports the instruction set, and that pointers are valid for what is read or
/// written.
pub trait Lanes {
    /// The maximum number of rows times panels of a register tile.
    const TILE: usize;
    /// Sixteen integers of 32 bits.
    type Sums: Copy;
    /// Four signed bytes for each lane.
    type Weights: Copy;
    /// The same four unsigned bytes for all lanes.
    type Inputs: Copy;
    /// Four unsigned bytes for each lane.
    type Each: Copy;
    /// Sixteen f32.
    type Floats: Copy;
    /// The lowest and highest byte to store, from 0 to 255.
    type Bounds: Copy;

    /// Zeros.
    unsafe fn zero() -> Self::Sums;
    /// [`STEP`] bytes: four for each lane.
    unsafe fn weights(from: *const i8) -> Self::Weights;
    /// Four bytes, for all lanes.
    unsafe fn inputs(from: *const u8) -> Self::Inputs;
    /// Sixteen bytes from each of four addresses: a lane gets its byte of each.
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each;
    /// Adds the four products of each lane.
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums;
    /// As [`Lanes::dot`], with inputs of each lane's own.
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums;
    /// The sums as f32, rounded to nearest even.
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats;
    /// Sixteen bytes as f32.
    unsafe fn bytes(from: *const u8) -> Self::Floats;
    /// Sixteen f32.
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// One f32 for all lanes.
    unsafe fn splat(value: f32) -> Self::Floats;
    /// a b + c with one rounding.
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The number nearest to each value from `low` to `high`; `low` for NaN.
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats;
    /// Bounds to store by.
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds;
    /// Rounds to the nearest integers (ties to even), which must be within 32 bits, clamps and stores sixteen bytes.
    unsafe fn store_bytes(values: Self::Floats, bounds: Self::Bounds, to: *mut u8);
    /// Stores sixteen f32.
    unsafe fn store(values: Self::Floats, to: *mut f32);
}

/// A kernel that is compiled for every instruction set.
pub trait LanesOp {
    /// Runs it. Implementations must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine must support the instruction set of `L`, and the kernel's own preconditions must be met.
    unsafe fn run<L: Lanes>(self);
}

/// Runs a kernel with the instructions of `dot`.
///
/// # Safety
/// The machine must have them, and the kernel's own preconditions must be met.
pub unsafe fn dispatch<K: LanesOp>(dot: ByteDot, kernel: K) {
    // SAFETY: the caller promises that the machine has the instructions.
    unsafe {
        match dot {
            ByteDot::Portable => kernel.run::<portable::Portable>(),
            #[cfg(target_arch = "x86_64")]
            ByteDot::Avx2 => avx2::run(kernel),
            #[cfg(target_arch = "x86_64")]
            ByteDot::AvxVnni => avx_vnni::run(kernel),
            #[cfg(target_arch = "x86_64")]
            ByteDot::Avx512Vnni => avx512_vnni::run(kernel),
            #[cfg(target_arch = "aarch64")]
            ByteDot::Neon => kernel.run::<neon::Neon>(),
        }
    }
}
