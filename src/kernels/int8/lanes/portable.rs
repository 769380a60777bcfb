//! Lanes as arrays.

use super::interface::{GROUP, LANES, Lanes, STEP};

pub struct Portable;

// SAFETY of the blocks below: callers promise that pointers are valid.

impl Lanes for Portable {
    const TILE: usize = 2;
    type Sums = [i32; LANES];
    type Weights = [i8; STEP];
    type Inputs = [u8; GROUP];
    type Each = [[u8; LANES]; GROUP];
    type Floats = [f32; LANES];
    type Bounds = (i32, i32);

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        unsafe { from.cast::<Self::Weights>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn inputs(from: *const u8) -> Self::Inputs {
        // SAFETY: see above.
        unsafe { from.cast::<Self::Inputs>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each {
        // SAFETY: see above.
        from.map(|from| unsafe { from.cast::<[u8; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn dot(mut sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        for (lane, sum) in sums.iter_mut().enumerate() {
            for (at, input) in inputs.iter().enumerate() {
                *sum += i32::from(*input) * i32::from(weights[lane * GROUP + at]);
            }
        }
        sums
    }
    #[inline(always)]
    unsafe fn dot_each(mut sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums {
        for (lane, sum) in sums.iter_mut().enumerate() {
            for (at, inputs) in inputs.iter().enumerate() {
                *sum += i32::from(inputs[lane]) * i32::from(weights[lane * GROUP + at]);
            }
        }
        sums
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        sums.map(|sum| sum as f32)
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Floats {
        // SAFETY: see above.
        unsafe { from.cast::<[u8; LANES]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { from.cast::<Self::Floats>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }
    #[inline(always)]
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats {
        let clamped = |lane: usize| {
            let above = if values[lane] > low[lane] { values[lane] } else { low[lane] };
            if above < high[lane] { above } else { high[lane] }
        };
        std::array::from_fn(clamped)
    }
    #[inline(always)]
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds {
        (i32::from(low), i32::from(high))
    }
    #[inline(always)]
    unsafe fn store_bytes(values: Self::Floats, (low, high): Self::Bounds, to: *mut u8) {
        let bytes = values.map(|value| (value.round_ties_even() as i32).max(low).min(high) as u8);
        // SAFETY: see above.
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(bytes) }
    }
    #[inline(always)]
    unsafe fn store(values: Self::Floats, to: *mut f32) {
        // SAFETY: see above.
        unsafe { to.cast::<Self::Floats>().write_unaligned(values) }
    }
}
