//! Saturating arithmetic of sizes. Specs and artifacts are untrusted: a product of sizes that wraps to a small number would let a
//! kernel write outside its buffer.
//!
//! An overflow gives [`BEYOND`], which exceeds every limit, so that one comparison with a limit after all products and sums is
//! enough.

/// The result of an overflow: above every limit.
pub const BEYOND: usize = usize::MAX;

/// The maximum number of values of a tensor per image.
pub const MAX_TENSOR_VALUES: usize = 1 << 33;

/// The maximum ratio of declared to stored bytes of compressed data: deflate, the strongest of the filters, reaches 1032 on zeros.
pub const MAX_EXPANSION: u64 = 1100;

/// The product; [`BEYOND`] on overflow, and 1 without factors.
#[must_use]
pub fn product(factors: impl IntoIterator<Item = usize>) -> usize {
    let (mut product, mut is_zero) = (1usize, false);
    for factor in factors {
        // A factor of 0 gives 0 even after an overflow.
        is_zero |= factor == 0;
        product = product.saturating_mul(factor);
    }
    if is_zero { 0 } else { product }
}

/// The sum; [`BEYOND`] on overflow.
#[must_use]
pub fn sum(terms: impl IntoIterator<Item = usize>) -> usize {
    terms.into_iter().fold(0, usize::saturating_add)
}

/// The next multiple of `unit`, which is at least 1; [`BEYOND`] on overflow.
#[must_use]
pub fn round_up(size: usize, unit: usize) -> usize {
    size.checked_next_multiple_of(unit).unwrap_or(BEYOND)
}

/// The length from the start of the first to the end of the last of `count` pieces of `len` that begin `stride` apart.
#[must_use]
pub fn span(count: usize, stride: usize, len: usize) -> usize {
    match count {
        0 => 0,
        _ => sum([product([count - 1, stride]), len]),
    }
}

/// Whether these are valid sizes of a tensor: none is 0, and it has at most [`MAX_TENSOR_VALUES`] values.
#[must_use]
pub fn is_tensor(sizes: &[usize]) -> bool {
    (1..=MAX_TENSOR_VALUES).contains(&product(sizes.iter().copied()))
}

/// Sizes as they are written: `224x224x3`.
#[must_use]
pub fn sizes_text(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wraps() {
        let huge = 1 << 40;
        assert_eq!(product([huge, huge, 2]), BEYOND);
        assert_eq!(product([0, huge, huge]), 0);
        assert_eq!(product([huge, huge, 0]), 0);
        assert_eq!(product([]), 1);
        assert_eq!(product([3, 4, 5]), 60);
        assert_eq!(sum([BEYOND, 1, 2]), BEYOND);
        assert_eq!(sum([1, 2, 3]), 6);
        assert_eq!((round_up(17, 16), round_up(BEYOND - 1, 16), round_up(0, 16)), (32, BEYOND, 0));
        assert_eq!((span(0, 9, 9), span(1, BEYOND, 5), span(3, 10, 4), span(3, BEYOND, 4)), (0, 5, 24, BEYOND));
        assert!(is_tensor(&[4, 4, 1]) && !is_tensor(&[4, 0]) && !is_tensor(&[huge, huge]));
    }
}
