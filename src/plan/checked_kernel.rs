//! What the kernels of an artifact say of descriptions that somebody else wrote: before one runs, every number of it is one
//! that the kernel can work with, and the work for an image is known.

use super::kernel_step::KernelStep;

/// A kernel that an artifact may hold. Its descriptions are read from files, so none of their numbers can be trusted.
///
/// That all tensors have values and no more than [`MAX_TENSOR_VALUES`](crate::size::MAX_TENSOR_VALUES), and that operands and
/// constants have the lengths that the description needs, is checked for all kernels alike.
pub trait CheckedKernel: KernelStep {
    /// Whether every other number of the description is one that the kernel can work with. It is asked first: nothing else of
    /// the trait or of [`KernelStep`] needs to bear what this refuses, but [`KernelStep::sizes`].
    ///
    /// # Errors
    /// What is wrong, behind "its".
    fn check(&self) -> Result<(), &'static str>;

    /// Whether it can write over its first input.
    fn works_in_place(&self) -> bool {
        false
    }

    /// Values that it multiplies, adds or copies for an image at the most, besides reading and writing its tensors once.
    fn work(&self) -> usize {
        usize::try_from(self.executed_macs()).unwrap_or(crate::size::BEYOND)
    }
}

/// `what` where a condition does not hold.
pub(super) fn ensure(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
