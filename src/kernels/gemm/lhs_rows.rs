//! The rows of a product's left operand, found through addresses.

/// Where the left operand's rows begin.
#[derive(Clone, Copy)]
pub(crate) enum Rows {
    /// Rows `ld` floats apart; the same rows at the next tap are `tap` floats further.
    Strided { data: *const f32, ld: usize, tap: usize },
    /// Rows listed one by one: `rows` addresses for each tap.
    Listed { addresses: *const *const f32, rows: usize },
}

impl Rows {
    /// The rows from a place of the depth on.
    ///
    /// # Panics
    /// If that is not the first and they are listed one by one.
    #[inline(always)]
    pub fn at_place(self, place: usize) -> Self {
        match self {
            Self::Strided { data, ld, tap } => Self::Strided { data: data.wrapping_add(place), ld, tap },
            listed => {
                assert_eq!(place, 0, "rows of a list have their own places");
                listed
            }
        }
    }

    /// The addresses of `R` rows from `row` on, at a tap.
    ///
    /// # Safety
    /// Tap and rows must be within what the maker made.
    #[inline(always)]
    pub unsafe fn addresses<const R: usize>(self, tap: usize, row: usize) -> [*const f32; R] {
        let mut addresses = [std::ptr::null(); R];
        match self {
            Self::Strided { data, ld, tap: step } => {
                for (index, address) in addresses.iter_mut().enumerate() {
                    *address = data.wrapping_add(tap * step + (row + index) * ld);
                }
            }
            Self::Listed { addresses: list, rows } => {
                for (index, address) in addresses.iter_mut().enumerate() {
                    // SAFETY: within the list by the caller's promise.
                    *address = unsafe { *list.add(tap * rows + row + index) };
                }
            }
        }
        addresses
    }
}
