//! Vectors as plain arrays, for targets without intrinsics here and as AVX-512's stand-in in tests.
#![cfg(any(test, not(target_arch = "x86_64")))]

use super::scalar_math::ROUND;
use super::vector::Vector;

/// Four floats; with `FUSED`, [`Vector::mul_add`] rounds once, as FMA instructions do.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub struct Lanes<const FUSED: bool>([f32; 4]);

/// Four floats, without FMA.
pub type F32x4 = Lanes<false>;

impl<const FUSED: bool> Lanes<FUSED> {
    #[inline(always)]
    fn map2(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| function(self.0[lane], other.0[lane])))
    }
}

impl<const FUSED: bool> Vector for Lanes<FUSED> {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 3;
    const TILE_PANELS: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises that the floats are readable.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises that the floats are writable.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
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
        if FUSED {
            return Self(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], summand.0[lane])));
        }
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
        Self(self.0.map(|a| (a + ROUND) - ROUND))
    }
    #[inline(always)]
    fn exp2_integral(self) -> Self {
        Self(self.0.map(|a| f32::from_bits((((a as i32) + 127) as u32) << 23)))
    }
    #[inline(always)]
    fn lower_bf16(self) -> Self {
        Self(self.0.map(|a| f32::from_bits(a.to_bits() << 16)))
    }
    #[inline(always)]
    fn upper_bf16(self) -> Self {
        Self(self.0.map(|a| f32::from_bits(a.to_bits() & 0xffff_0000)))
    }
    #[inline(always)]
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|lane| if self.0[lane] > bound.0[lane] { yes.0[lane] } else { no.0[lane] }))
    }
}

/// Two vectors as one of twice the width.
#[cfg(test)]
#[derive(Clone, Copy)]
pub struct Pair<V>(V, V);

/// Sixteen lanes with fused multiply-adds, as AVX-512 has.
#[cfg(test)]
pub type Wide = Pair<Pair<Lanes<true>>>;

#[cfg(test)]
impl<V: Vector> Vector for Pair<V> {
    const LANES: usize = 2 * V::LANES;
    const TILE_ROWS: usize = 3;
    const TILE_PANELS: usize = 2;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller's promise applies to both halves, here and in all blocks below.
        unsafe { Self(V::splat(value), V::splat(value)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { Self(V::load(from), V::load(from.add(V::LANES))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe {
            self.0.store(to);
            self.1.store(to.add(V::LANES));
        }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.add(other.0), self.1.add(other.1))
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0.sub(other.0), self.1.sub(other.1))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.0.mul(other.0), self.1.mul(other.1))
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(self.0.div(other.0), self.1.div(other.1))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        Self(self.0.mul_add(factor.0, summand.0), self.1.mul_add(factor.1, summand.1))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.min(other.1))
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.round(), self.1.round())
    }
    #[inline(always)]
    fn exp2_integral(self) -> Self {
        Self(self.0.exp2_integral(), self.1.exp2_integral())
    }
    #[inline(always)]
    fn lower_bf16(self) -> Self {
        Self(self.0.lower_bf16(), self.1.lower_bf16())
    }
    #[inline(always)]
    fn upper_bf16(self) -> Self {
        Self(self.0.upper_bf16(), self.1.upper_bf16())
    }
    #[inline(always)]
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self {
        Self(self.0.select_greater(bound.0, yes.0, no.0), self.1.select_greater(bound.1, yes.1, no.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::elementwise::activation::Activation;
    use crate::kernels::simd::vector_math::activate_row;

    #[test]
    fn arrays_agree_with_simd_vectors() {
        for activation in [Activation::Tanh, Activation::Elu, Activation::Relu6, Activation::Gelu] {
            let values: [f32; 7] = [-9.0, -1.5, -0.25, 0.0, 0.5, 2.0, 30.0];
            let mut arrays = values;
            // SAFETY: arrays need no instruction set, and the length is the array's.
            unsafe { activate_row::<F32x4>(activation, arrays.as_mut_ptr(), arrays.len()) }
            for (&x, &y) in values.iter().zip(&arrays) {
                assert!((activation.of(x) - y).abs() < 1e-6, "{activation:?}({x}) = {y}");
            }
        }
        // SAFETY: as above.
        unsafe {
            let nan = F32x4::splat(f32::NAN);
            let [zero, two] = [0.0, 2.0].map(|value| F32x4::splat(value));
            assert!(nan.max(zero).min(two).0.iter().all(|value| value.is_nan()));
            assert_eq!(two.div(two.mul(two)).sub(two).add(zero).0, [-1.5; 4]);
        }
    }
}
