//! Sixteen lanes of each instruction set: the columns of a panel of weights, or sixteen channels.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod interface;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod ymm;

pub(super) use interface::array_of;
pub use interface::{GROUP, LANES, Lanes, LanesOp, QUAD, STEP};

use crate::kernels::simd::isa::ByteDot;

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
