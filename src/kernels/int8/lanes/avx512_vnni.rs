//! AVX-512 with VNNI: `vpdpbusd` adds the four products of each of sixteen lanes at once.

use super::interface::{GROUP, LANES, Lanes, LanesOp, array_of};
use std::arch::x86_64::*;

/// Four vectors rounded to bytes within the bounds: in each quarter of the register, four of every vector.
///
/// # Safety
/// The machine must support the instructions.
#[inline(always)]
unsafe fn packed([a, b, c, d]: [__m512; 4], (low, high): (__m512i, __m512i)) -> __m512i {
    // SAFETY: as the caller promises. Both packs saturate, which clamps to 0 and 255.
    unsafe {
        let first = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
        let second = _mm512_packs_epi32(_mm512_cvtps_epi32(c), _mm512_cvtps_epi32(d));
        let bytes = _mm512_packus_epi16(first, second);
        _mm512_min_epu8(_mm512_max_epu8(bytes, low), high)
    }
}

/// 256 bytes in four vectors: vector i has bytes 16 i to 16 i + 15 of every 64.
///
/// # Safety
/// The machine must support the instructions, and the bytes must be readable.
#[inline(always)]
unsafe fn quarters(from: *const u8) -> [__m512i; 4] {
    // SAFETY: as the caller promises.
    unsafe {
        array_of!(at in [0, 16, 32, 48] => {
            let from = from.add(at);
            let [a, b, c, d] = array_of!(at in [0, 64, 128, 192] => _mm_loadu_si128(from.add(at).cast()));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(_mm256_set_m128i(b, a)), _mm256_set_m128i(d, c))
        })
    }
}

/// Runs the kernel compiled for AVX-512 VNNI.
///
/// # Safety
/// The machine must support it, and the kernel's own preconditions must be met.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
pub unsafe fn run<K: LanesOp>(kernel: K) {
    // SAFETY: the caller promises the kernel's preconditions.
    unsafe { kernel.run::<Avx512Vnni>() }
}

pub struct Avx512Vnni;

// SAFETY of the blocks below: callers promise that the machine supports the instructions and that pointers are valid.

impl Lanes for Avx512Vnni {
    const TILE: usize = 28;
    type Sums = __m512i;
    type Weights = __m512i;
    type Inputs = __m512i;
    type Each = __m512i;
    type Floats = __m512;
    type Bounds = (__m512i, __m512i);

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn inputs(from: *const u8) -> Self::Inputs {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each {
        // SAFETY: see above.
        unsafe {
            let [a, b, c, d] = array_of!(at in [0, 1, 2, 3] => _mm_loadu_si128(from[at].cast()));
            let (ab_low, ab_high) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
            let (cd_low, cd_high) = (_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d));
            let first = _mm256_set_m128i(_mm_unpackhi_epi16(ab_low, cd_low), _mm_unpacklo_epi16(ab_low, cd_low));
            let second = _mm256_set_m128i(_mm_unpackhi_epi16(ab_high, cd_high), _mm_unpacklo_epi16(ab_high, cd_high));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
        }
    }
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, inputs, weights) }
    }
    #[inline(always)]
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, inputs, weights) }
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats {
        // The instructions return their second operand if either is NaN.
        // SAFETY: see above.
        unsafe { _mm512_min_ps(_mm512_max_ps(values, low), high) }
    }
    #[inline(always)]
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds {
        // SAFETY: see above.
        unsafe { (_mm512_set1_epi8(low as i8), _mm512_set1_epi8(high as i8)) }
    }
    #[inline(always)]
    unsafe fn store_bytes(values: Self::Floats, (low, high): Self::Bounds, to: *mut u8) {
        // SAFETY: see above.
        unsafe {
            // Signed saturation of negative ones to 0 comes first.
            let integers = _mm512_max_epi32(_mm512_cvtps_epi32(values), _mm512_setzero_si512());
            let bytes = _mm512_cvtusepi32_epi8(integers);
            let (low, high) = (_mm512_castsi512_si128(low), _mm512_castsi512_si128(high));
            _mm_storeu_si128(to.cast(), _mm_min_epu8(_mm_max_epu8(bytes, low), high));
        }
    }
    #[inline(always)]
    unsafe fn store(values: Self::Floats, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, values) }
    }
    #[inline(always)]
    unsafe fn store_rows<const PANELS: usize>(values: [Self::Floats; PANELS], bounds: Self::Bounds, to: *mut u8) {
        // SAFETY: see above.
        unsafe {
            match values[..] {
                [a, b, c, d] => {
                    // Packing works within quarters of a register, where each vector has four of its values: a transposition of
                    // words of four bytes restores their order.
                    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                    let bytes = packed([a, b, c, d], bounds);
                    _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi32(order, bytes));
                }
                [a, b] => {
                    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
                    let bytes = _mm512_permutexvar_epi32(order, packed([a, b, a, b], bounds));
                    _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(bytes));
                }
                _ => {
                    for (at, &values) in values.iter().enumerate() {
                        Self::store_bytes(values, bounds, to.add(at * LANES));
                    }
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn quad(from: [*const u8; GROUP]) -> [Self::Each; 4] {
        // Unpacking works within quarters of a register: vector i has channels 4 i to 4 i + 3 of every sixteen.
        // SAFETY: see above.
        unsafe {
            let [a, b, c, d] = array_of!(at in [0, 1, 2, 3] => _mm512_loadu_si512(from[at].cast()));
            let (ab_low, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
            [
                _mm512_unpacklo_epi16(ab_low, cd_low),
                _mm512_unpackhi_epi16(ab_low, cd_low),
                _mm512_unpacklo_epi16(ab_high, cd_high),
                _mm512_unpackhi_epi16(ab_high, cd_high),
            ]
        }
    }
    #[inline(always)]
    unsafe fn quad_weights(from: *const i8) -> [Self::Weights; 4] {
        // SAFETY: see above.
        unsafe { quarters(from.cast()) }
    }
    #[inline(always)]
    unsafe fn quad_floats(from: *const f32) -> [Self::Floats; 4] {
        // SAFETY: see above.
        unsafe {
            let bits = quarters(from.cast());
            array_of!(at in [0, 1, 2, 3] => _mm512_castsi512_ps(bits[at]))
        }
    }
    #[inline(always)]
    unsafe fn store_quad(values: [Self::Floats; 4], bounds: Self::Bounds, to: *mut u8) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(to.cast(), packed(values, bounds)) }
    }
    #[inline(always)]
    unsafe fn store_quad_start(values: [Self::Floats; 4], bounds: Self::Bounds, to: *mut u8, count: usize) {
        let mask = u64::MAX >> (64 - count.clamp(1, 64));
        // SAFETY: see above; masked-off bytes are not written.
        unsafe { _mm512_mask_storeu_epi8(to.cast(), mask, packed(values, bounds)) }
    }
    #[inline(always)]
    unsafe fn store_quad_floats(values: [Self::Floats; 4], to: *mut f32) {
        let mut all = [[0f32; LANES]; 4];
        // SAFETY: see above.
        unsafe {
            for (values, all) in values.into_iter().zip(&mut all) {
                _mm512_storeu_ps(all.as_mut_ptr(), values);
            }
            for quarter in 0..4 {
                for (vector, all) in all.iter().enumerate() {
                    to.add(quarter * LANES + vector * 4).copy_from_nonoverlapping(all.as_ptr().add(quarter * 4), 4);
                }
            }
        }
    }
}
