//! The rows of a GEMM's left operand: strided, or through an indirection buffer.

/// The addresses of the rows of A. For a convolution, K has an outer part, the kernel's taps, and an inner one, the channels.
#[derive(Clone, Copy)]
pub(crate) enum LhsRows {
    /// Rows `ld` floats apart; the same rows at the next tap are `tap_stride` floats further.
    Strided { data: *const f32, ld: usize, tap_stride: usize },
    /// An indirection buffer of `rows` addresses per tap (Dukhan, "The indirect convolution algorithm", 2019; as in XNNPACK).
    Indirect { addresses: *const *const f32, rows: usize },
}

impl LhsRows {
    /// The rows from index `k` of a tap on.
    ///
    /// # Panics
    /// If `k` is not 0 and the rows are indirect.
    #[inline(always)]
    pub fn at_k(self, k: usize) -> Self {
        match self {
            Self::Strided { data, ld, tap_stride } => Self::Strided { data: data.wrapping_add(k), ld, tap_stride },
            indirect => {
                assert_eq!(k, 0, "indirect rows cannot be sliced along K");
                indirect
            }
        }
    }

    /// The addresses of `R` rows from `row` on, at a tap.
    ///
    /// # Safety
    /// Tap and rows must be within the operand.
    #[inline(always)]
    pub unsafe fn addresses<const R: usize>(self, tap: usize, row: usize) -> [*const f32; R] {
        let mut addresses = [std::ptr::null(); R];
        match self {
            Self::Strided { data, ld, tap_stride } => {
                for (index, address) in addresses.iter_mut().enumerate() {
                    *address = data.wrapping_add(tap * tap_stride + (row + index) * ld);
                }
            }
            Self::Indirect { addresses: list, rows } => {
                for (index, address) in addresses.iter_mut().enumerate() {
                    // SAFETY: within the indirection buffer by the caller's promise.
                    *address = unsafe { *list.add(tap * rows + row + index) };
                }
            }
        }
        addresses
    }
}
