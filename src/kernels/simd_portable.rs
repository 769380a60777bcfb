//! Vectors as plain arrays, which the compiler maps to whatever the target always has.

use super::simd::Vector;

macro_rules! array_vector {
    ($name:ident, $lanes:literal, $rows:literal, $panels:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        #[repr(align(16))]
        pub struct $name([f32; $lanes]);

        impl $name {
            #[inline(always)]
            fn map2(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
                let mut lanes = self.0;
                for lane in 0..$lanes {
                    lanes[lane] = function(lanes[lane], other.0[lane]);
                }
                Self(lanes)
            }
        }

        impl Vector for $name {
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;
            const TILE_PANELS: usize = $panels;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self([value; $lanes])
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller promises that the floats are readable.
                Self(unsafe { from.cast::<[f32; $lanes]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller promises that the floats are writable.
                unsafe { to.cast::<[f32; $lanes]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.map2(other, |a, b| a + b)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.map2(other, |a, b| a - b)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.map2(other, |a, b| a * b)
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self.map2(other, |a, b| a / b)
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, summand: Self) -> Self {
                self.mul(factor).add(summand)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                self.map2(other, |a, b| if b > a { b } else { a })
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                self.map2(other, |a, b| if b < a { b } else { a })
            }
            #[inline(always)]
            fn round(self) -> Self {
                // Adding 1.5 * 2^23 leaves no bits for the fraction.
                const SHIFT: f32 = 12_582_912.0;
                Self(self.0.map(|a| (a + SHIFT) - SHIFT))
            }
            #[inline(always)]
            fn exp2_whole(self) -> Self {
                Self(self.0.map(|a| f32::from_bits((((a as i32) + 127) as u32) << 23)))
            }
            #[inline(always)]
            fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self {
                let mut lanes = no.0;
                for lane in 0..$lanes {
                    if self.0[lane] > bound.0[lane] {
                        lanes[lane] = yes.0[lane];
                    }
                }
                Self(lanes)
            }
        }
    };
}

array_vector!(F32x4, 4, 3, 1, "Four floats.");
#[cfg(test)]
array_vector!(F32x16, 16, 12, 2, "Sixteen floats.");
