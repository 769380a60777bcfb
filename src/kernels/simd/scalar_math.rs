//! Branch-free polynomial approximations of exp, ln, sigmoid, the normal distribution and sin/cos, which auto-vectorise.
//!
//! Relative errors against f64 are below 3e-7 (tested), except for denormal results.

use std::f32::consts::{LOG2_E, SQRT_2};

/// 1.5 * 2^23: adding it to a small float rounds that to an integer, which the low mantissa bits then hold.
pub(super) const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts (Cody-Waite reduction): integer multiples of the high part are exact (Cephes' expf).
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Clamps to the bounds; NaN is passed through.
#[inline(always)]
pub(crate) fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// x as (n, r) with x = n ln 2 + r, |r| <= ln(2)/2.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let integer = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    (integer, (x - n * LN_2_HIGH) - n * LN_2_LOW)
}

/// e^r - 1 for |r| <= ln(2)/2 (Cephes' polynomial).
#[inline(always)]
fn small_expm1(r: f32) -> f32 {
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    p * r * r + r
}

/// 2^n for -127 < n < 128.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x; overflows to infinity and underflows gradually through denormals to 0.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // The comparisons pass NaN through.
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let (n, r) = reduce(x);
    // Scaled in two steps: 2^n may be out of range although the result is not.
    let half = n >> 1;
    (small_expm1(r) + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Phi(x), the cumulative distribution function of the standard normal: erfc(-x / sqrt 2) / 2 with the Chebyshev fit of
/// Numerical Recipes' `erfcc`, whose relative error is bounded in the tail too.
#[inline(always)]
pub(crate) fn normal_below(x: f32) -> f32 {
    let z = x.abs() / SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let p = 0.170_872_77;
    let p = p * t - 0.822_152_23;
    let p = p * t + 1.488_515_9;
    let p = p * t - 1.135_204;
    let p = p * t + 0.278_868_07;
    let p = p * t - 0.186_288_06;
    let p = p * t + 0.096_784_18;
    let p = p * t + 0.374_091_96;
    let p = p * t + 1.000_023_7;
    let p = p * t - 1.265_512_2;
    // e^(-x^2/2) with x split, as exp would amplify the rounding error of x^2: high^2 is exact with 12 bits.
    let high = f32::from_bits(x.abs().to_bits() & 0xffff_f000);
    let low = (x.abs() - high) * (x.abs() + high);
    let tail = 0.5 * t * exp(p - 0.5 * low) * exp(-0.5 * high * high);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The density of the standard normal distribution.
#[inline(always)]
pub(crate) fn normal_density(x: f32) -> f32 {
    const FACTOR: f32 = 0.398_942_3;
    FACTOR * exp(-0.5 * x * x)
}

/// ln x for normal x above 0 (Cephes' logf).
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    // x = 2^n m with m from sqrt(1/2) to sqrt 2.
    const HALF_ROOT: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(HALF_ROOT);
    let n = (shifted as i32 >> 23) as f32;
    let r = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(HALF_ROOT)) - 1.0;
    let p = 7.037_683_6e-2;
    let p = p * r - 1.151_461e-1;
    let p = p * r + 1.167_699_9e-1;
    let p = p * r - 1.242_014_1e-1;
    let p = p * r + 1.424_932_3e-1;
    let p = p * r - 1.666_805_7e-1;
    let p = p * r + 2.000_071_5e-1;
    let p = p * r - 2.499_999_4e-1;
    let p = p * r + 3.333_333e-1;
    let square = r * r;
    let low = square * r * p + n * LN_2_LOW - 0.5 * square;
    r + low + n * LN_2_HIGH
}

/// ln x of any x: minus infinity for 0, NaN below.
#[inline(always)]
pub(crate) fn any_ln(x: f32) -> f32 {
    // Denormal numbers are scaled by 2^23.
    const LN_SCALE: f32 = 15.942_385;
    let is_small = x < f32::MIN_POSITIVE;
    let y = ln(if is_small { x * 8_388_608.0 } else { x });
    let y = if is_small { y - LN_SCALE } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

/// The sine and cosine of 2 pi `turns`, for `turns` from 0 to 1 (Cephes' sinf and cosf).
#[inline(always)]
pub(crate) fn sin_cos_turns(turns: f32) -> (f32, f32) {
    // The nearest quadrant and the reduced argument, both exact.
    let shifted = turns * 4.0 + ROUND;
    let quarter = shifted.to_bits();
    let x = (turns - (shifted - ROUND) * 0.25) * std::f32::consts::TAU;
    let square = x * x;
    let p = -1.951_529_6e-4;
    let p = p * square + 8.332_161e-3;
    let p = p * square - 1.666_665_5e-1;
    let sine = p * square * x + x;
    let p = 2.443_315_7e-5;
    let p = p * square - 1.388_731_6e-3;
    let p = p * square + 4.166_664_6e-2;
    let cosine = p * square * square - 0.5 * square + 1.0;
    let is_odd = quarter & 1 == 1;
    let (sine, cosine) = if is_odd { (cosine, sine) } else { (sine, cosine) };
    // The sine is negative in the second half, the cosine in the middle quarters.
    let sign = |value: f32, negative: u32| f32::from_bits(value.to_bits() ^ (negative << 31));
    (sign(sine, quarter >> 1 & 1), sign(cosine, (quarter.wrapping_add(1)) >> 1 & 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The maximum relative error over a uniform grid.
    fn max_error(from: f32, to: f32, ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let error = |i: i32| {
            let x = from + (to - from) * i as f32 / 20_000.0;
            let exact = exact(f64::from(x));
            (f64::from(ours(x)) - exact).abs() / exact.abs().max(f64::MIN_POSITIVE)
        };
        (0..=20_000).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exponentials_are_accurate() {
        assert!(max_error(-87.0, 88.5, exp, f64::exp) < 1.5e-7);
        assert!(max_error(-80.0, 40.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 3e-7);
        assert!(max_error(-6.0, 6.0, normal_density, |x| (-x * x / 2.0).exp() * 0.398_942_280_401_432_7) < 3e-6);
    }

    #[test]
    fn logarithms_and_sines_are_accurate() {
        assert!(max_error(6e-8, 1.0, ln, f64::ln) < 2e-7);
        assert!(max_error(1.0, 1e4, ln, f64::ln) < 2e-7);
        assert_eq!(ln(1.0), 0.0);
        for i in 0..=10_000 {
            let turns = i as f32 / 10_000.0;
            let (sine, cosine) = sin_cos_turns(turns);
            let exact = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            let error = (f64::from(sine) - exact.0).abs().max((f64::from(cosine) - exact.1).abs());
            assert!(error < 2e-7, "{turns}: {sine} {cosine}");
        }
    }

    #[test]
    fn the_normal_cdf_equals_the_integral_of_its_density() {
        // Simpson's rule from -12; the tolerance is relative, in the tail too.
        let density = |x: f64| (-x * x / 2.0).exp() * 0.398_942_280_401_432_7;
        let steps = 4000;
        for x in [-5.0, -3.3, -2.0, -0.7, 0.0, 0.4, 1.5, 4.0] {
            let h = (x + 12.0) / f64::from(steps);
            let weight = |i: i32| if i == 0 || i == steps { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            let exact: f64 = (0..=steps).map(|i| weight(i) * density(-12.0 + h * f64::from(i))).sum::<f64>() * h / 3.0;
            let found = f64::from(normal_below(x as f32));
            // The tolerance covers the rounding of x to f32.
            assert!((found - exact).abs() <= 1e-6 * exact, "{x}: {found} instead of {exact}");
        }
    }

    #[test]
    fn exp_at_the_limits_of_its_range() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(-100.0) > 0.0 && exp(-104.0) == 0.0);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!((sigmoid(100.0), sigmoid(-100.0)), (1.0, 0.0));
    }
}
