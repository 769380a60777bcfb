//! NEON: bytes are widened to 16 bits, whose products are added in pairs of 32 bits.

use super::interface::{GROUP, LANES, Lanes, array_of};
use std::arch::aarch64::*;

pub struct Neon;

// SAFETY of the blocks below: NEON is part of the target; callers promise that pointers are valid.

impl Lanes for Neon {
    const TILE: usize = 2;
    /// Two lanes in each: two sums of two products for every lane.
    type Sums = [int32x4_t; 8];
    type Weights = [int16x8_t; 8];
    type Inputs = int16x8_t;
    type Each = [int16x8_t; 8];
    type Floats = [float32x4_t; 4];
    type Bounds = (uint8x16_t, uint8x16_t);

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: see above.
        unsafe { [vdupq_n_s32(0); 8] }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 8, 16, 24, 32, 40, 48, 56] => vmovl_s8(vld1_s8(from.add(at)))) }
    }
    #[inline(always)]
    unsafe fn inputs(from: *const u8) -> Self::Inputs {
        // SAFETY: see above.
        unsafe { widened(vreinterpret_u8_u32(vdup_n_u32(from.cast::<u32>().read_unaligned()))) }
    }
    #[inline(always)]
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each {
        // SAFETY: see above.
        unsafe {
            let [a, b, c, d] = array_of!(at in [0, 1, 2, 3] => vld1q_u8(from[at]));
            let (ab, cd) = (vzipq_u8(a, b), vzipq_u8(c, d));
            let quads = |ab: uint8x16_t, cd: uint8x16_t| {
                let zipped = vzipq_u16(vreinterpretq_u16_u8(ab), vreinterpretq_u16_u8(cd));
                [vreinterpretq_u8_u16(zipped.0), vreinterpretq_u8_u16(zipped.1)]
            };
            let ([first, second], [third, fourth]) = (quads(ab.0, cd.0), quads(ab.1, cd.1));
            [
                widened(vget_low_u8(first)),
                widened(vget_high_u8(first)),
                widened(vget_low_u8(second)),
                widened(vget_high_u8(second)),
                widened(vget_low_u8(third)),
                widened(vget_high_u8(third)),
                widened(vget_low_u8(fourth)),
                widened(vget_high_u8(fourth)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { Self::dot_each(sums, [inputs; 8], weights) }
    }
    #[inline(always)]
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe {
            array_of!(at in [0, 1, 2, 3, 4, 5, 6, 7] => {
                let low = vmull_s16(vget_low_s16(inputs[at]), vget_low_s16(weights[at]));
                let high = vmull_high_s16(inputs[at], weights[at]);
                vaddq_s32(sums[at], vpaddq_s32(low, high))
            })
        }
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 2, 4, 6] => vcvtq_f32_s32(vpaddq_s32(sums[at], sums[at + 1]))) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Floats {
        // SAFETY: see above.
        unsafe {
            let bytes = vld1q_u8(from);
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            [
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_high_u16(low)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_high_u16(high)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 4, 8, 12] => vld1q_f32(from.add(at))) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { [vdupq_n_f32(value); 4] }
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 1, 2, 3] => vfmaq_f32(c[at], a[at], b[at])) }
    }
    #[inline(always)]
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats {
        // The instructions with `nm` return the number if one of two is NaN.
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 1, 2, 3] => vminnmq_f32(vmaxnmq_f32(values[at], low[at]), high[at])) }
    }
    #[inline(always)]
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds {
        // SAFETY: see above.
        unsafe { (vdupq_n_u8(low), vdupq_n_u8(high)) }
    }
    #[inline(always)]
    unsafe fn store_bytes(values: Self::Floats, (low, high): Self::Bounds, to: *mut u8) {
        // SAFETY: see above. Narrowing saturates, which clamps to 0 and 255.
        unsafe {
            let [a, b, c, d] = array_of!(at in [0, 1, 2, 3] => vqmovn_s32(vcvtnq_s32_f32(values[at])));
            let (first, second) = (vqmovun_s16(vcombine_s16(a, b)), vqmovun_s16(vcombine_s16(c, d)));
            vst1q_u8(to, vminq_u8(vmaxq_u8(vcombine_u8(first, second), low), high));
        }
    }
    #[inline(always)]
    unsafe fn store(values: Self::Floats, to: *mut f32) {
        for (at, values) in values.into_iter().enumerate() {
            // SAFETY: see above.
            unsafe { vst1q_f32(to.add(at * LANES / 4), values) };
        }
    }
}

/// Eight bytes as integers of 16 bits.
///
/// # Safety
/// None besides NEON, which is part of the target.
#[inline(always)]
unsafe fn widened(bytes: uint8x8_t) -> int16x8_t {
    // SAFETY: as above.
    unsafe { vreinterpretq_s16_u16(vmovl_u8(bytes)) }
}
