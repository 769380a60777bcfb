//! Validation of kernel descriptions that come from untrusted files: every value is checked, and the work per image bounded,
//! before a kernel runs.

use super::kernel_step::KernelStep;

/// A kernel that an artifact may contain. Its description is read from a file, so no value of it is trusted.
///
/// For all kernels alike, the plan's verification checks that tensors are not empty and no larger than
/// [`MAX_TENSOR_VALUES`](crate::size::MAX_TENSOR_VALUES), and that operands and constants have the required lengths.
pub trait CheckedKernel: KernelStep {
    /// Checks every other value of the description. It is called first: no other method of this trait or of [`KernelStep`],
    /// except [`KernelStep::sizes`], has to cope with a description that it rejects.
    ///
    /// # Errors
    /// What is invalid.
    fn check(&self) -> Result<(), &'static str>;

    /// Whether the kernel can overwrite its first input.
    fn works_in_place(&self) -> bool {
        false
    }

    /// Upper bound of the values that it multiplies, adds or copies per image, besides reading and writing its tensors once.
    fn work(&self) -> usize {
        usize::try_from(self.executed_macs()).unwrap_or(crate::size::BEYOND)
    }
}

/// `Err(what)` unless `condition` is true.
pub(super) fn ensure(condition: bool, what: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(what) }
}
