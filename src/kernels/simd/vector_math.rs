//! Activation functions over SIMD vectors.

use super::isa::Isa;
use super::scalar_math;
use super::vector::{SimdOp, Vector};
use crate::kernels::elementwise::activation::{Activation, GELU_CUBIC, GELU_FACTOR};

/// The bounds `(low, high)` of an activation that is a plain clip (linear, ReLU, ReLU6, clip), which kernels fuse.
pub fn clip_bounds(activation: Activation) -> Option<(f32, f32)> {
    match activation {
        Activation::Linear => Some((f32::NEG_INFINITY, f32::INFINITY)),
        Activation::Relu { alpha: 0.0 } => Some((0.0, f32::INFINITY)),
        Activation::Relu6 => Some((0.0, 6.0)),
        Activation::Clip { min, max } => Some((min, max)),
        _ => None,
    }
}

impl Activation {
    /// The activation of one float.
    pub fn of(self, x: f32) -> f32 {
        let mut value = [x];
        self.apply(&mut value);
        value[0]
    }

    /// Applies the activation to each float in place, on the best instruction set of the machine.
    pub fn apply(self, values: &mut [f32]) {
        let kernel = Activate { activation: self, values: values.as_mut_ptr(), count: values.len() };
        // SAFETY: the machine supports the set that `detect` returns, and the kernel stays within the slice.
        unsafe { Isa::detect().dispatch(kernel) }
    }
}

/// Applies an activation to `count` floats at `values`, in place.
pub struct Activate {
    pub activation: Activation,
    pub values: *mut f32,
    pub count: usize,
}

impl SimdOp for Activate {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor's promise that `count` floats may be read and written.
        unsafe { activate_row::<V>(self.activation, self.values, self.count) }
    }
}

/// Applies an activation to each float of a row, in place.
///
/// # Safety
/// `count` floats must be readable and writable, and the machine must support the instruction set.
#[inline(always)]
pub unsafe fn activate_row<V: Vector>(activation: Activation, values: *mut f32, count: usize) {
    // SAFETY: every access stays below `count`.
    unsafe {
        let mut at = 0;
        while at < count {
            let lanes = V::LANES.min(count - at);
            let x = if lanes == V::LANES { V::load(values.add(at)) } else { V::load_partial(values.add(at), lanes) };
            let y = activate(activation, x);
            if lanes == V::LANES {
                y.store(values.add(at));
            } else {
                y.store_partial(values.add(at), lanes);
            }
            at += lanes;
        }
    }
}

/// Applies an activation to each lane.
///
/// # Safety
/// The machine must support the instruction set.
#[inline(always)]
pub unsafe fn activate<V: Vector>(activation: Activation, x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let zero = V::splat(0.0);
        let one = V::splat(1.0);
        match activation {
            Activation::Linear => x,
            Activation::Relu { alpha } => {
                if alpha == 0.0 {
                    x.max(zero)
                } else {
                    x.min(zero).mul_add(V::splat(alpha), x.max(zero))
                }
            }
            Activation::Relu6 => x.max(zero).min(V::splat(6.0)),
            Activation::Sigmoid => sigmoid(x),
            Activation::HardSigmoid { alpha, beta } => x.mul_add(V::splat(alpha), V::splat(beta)).max(zero).min(one),
            Activation::Tanh => tanh(x),
            Activation::Elu => x.select_greater(zero, x, exp(x).sub(one)),
            Activation::Softplus => softplus(x),
            Activation::Swish => x.mul(sigmoid(x)),
            Activation::HardSwish => {
                let gate = x.add(V::splat(3.0)).max(zero).min(V::splat(6.0));
                x.mul(gate).mul(V::splat(1.0 / 6.0))
            }
            Activation::Gelu => {
                let argument = x.mul(V::splat(-std::f32::consts::FRAC_1_SQRT_2));
                x.mul(V::splat(0.5)).mul(erfc(argument))
            }
            Activation::GeluTanh => {
                // x / 2 (1 + tanh(u)) = x sigmoid(2 u)
                let cubic = x.mul(x).mul_add(V::splat(GELU_CUBIC), one);
                x.mul(sigmoid(x.mul(cubic).mul(V::splat(2.0 * GELU_FACTOR))))
            }
            Activation::Clip { min, max } => x.max(V::splat(min)).min(V::splat(max)),
            Activation::Exp => whole_exp(x),
            Activation::Log => by_lane(x, scalar_math::any_ln),
            Activation::Sqrt => by_lane(x, f32::sqrt),
            Activation::Square => x.mul(x),
            Activation::Power { exponent } => power(x, exponent),
            Activation::Affine { scale, shift } => x.mul_add(V::splat(scale), V::splat(shift)),
        }
    }
}

/// e^x to about 1 ulp; the argument is clamped to [-87.3, 88].
#[inline(always)]
unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (p, n) = exp_parts(x.max(V::splat(-87.3)).min(V::splat(88.0)));
        p.mul(n.exp2_integral())
    }
}

/// As [`exp`], over the whole range: overflows to infinity, and underflows gradually to 0.
#[inline(always)]
unsafe fn whole_exp<V: Vector>(x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (p, n) = exp_parts(x.max(V::splat(-104.0)).min(V::splat(89.0)));
        // Scaled in two steps: 2^n may be out of range although the result is not.
        let half = n.mul(V::splat(0.5)).round();
        p.mul(half.exp2_integral()).mul(n.sub(half).exp2_integral())
    }
}

/// e^x as (p, n) with e^x = p 2^n and an integral n (Cephes' expf).
#[inline(always)]
unsafe fn exp_parts<V: Vector>(x: V) -> (V, V) {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
        let r = n.mul_add(V::splat(-0.693_359_4), x);
        let r = n.mul_add(V::splat(2.121_944_4e-4), r);
        let mut p = V::splat(1.987_569_1e-4);
        for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
            p = p.mul_add(r, V::splat(coefficient));
        }
        (p.mul_add(r.mul(r), r.add(V::splat(1.0))), n)
    }
}

/// A function of each lane; the loop is vectorised where the function has no branches.
#[inline(always)]
unsafe fn by_lane<V: Vector>(x: V, function: impl Fn(f32) -> f32) -> V {
    let mut lanes = [0.0f32; 16];
    // SAFETY: a vector fits in the array.
    unsafe {
        x.store(lanes.as_mut_ptr());
        lanes[..V::LANES].iter_mut().for_each(|lane| *lane = function(*lane));
        V::load(lanes.as_ptr())
    }
}

/// x^exponent: a few multiplications for small integers, else lane by lane.
#[inline(always)]
unsafe fn power<V: Vector>(x: V, exponent: f32) -> V {
    if exponent.fract() != 0.0 || exponent.abs() > 4.0 {
        // SAFETY: the caller promises the instruction set.
        return unsafe { by_lane(x, |x| x.powf(exponent)) };
    }
    // SAFETY: the caller promises the instruction set.
    let one = unsafe { V::splat(1.0) };
    let (mut product, mut factor, mut bits) = (one, x, exponent.abs() as u32);
    while bits > 0 {
        product = if bits & 1 == 1 { product.mul(factor) } else { product };
        factor = factor.mul(factor);
        bits >>= 1;
    }
    if exponent < 0.0 { one.div(product) } else { product }
}

#[inline(always)]
unsafe fn sigmoid<V: Vector>(x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let one = V::splat(1.0);
        one.div(one.add(exp(V::splat(0.0).sub(x))))
    }
}

/// tanh(x): Cephes' polynomial near zero, where 1 - 2 / (e^2x + 1) would cancel.
#[inline(always)]
unsafe fn tanh<V: Vector>(x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let zero = V::splat(0.0);
        let one = V::splat(1.0);
        let two = V::splat(2.0);
        let size = x.max(zero.sub(x));
        let far = one.sub(two.div(exp(size.mul(two)).add(one)));
        let far = zero.select_greater(x, zero.sub(far), far);
        let square = x.mul(x);
        let mut p = V::splat(-5.704_988_7e-3);
        for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
            p = p.mul_add(square, V::splat(coefficient));
        }
        let near = p.mul(square).mul_add(x, x);
        size.select_greater(V::splat(0.625), far, near)
    }
}

/// The complementary error function, relative error below 1.2e-7 plus rounding (Press et al., Numerical Recipes).
#[inline(always)]
unsafe fn erfc<V: Vector>(x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let zero = V::splat(0.0);
        let one = V::splat(1.0);
        let size = x.max(zero.sub(x));
        let t = one.div(size.mul_add(V::splat(0.5), one));
        let mut p = V::splat(0.170_872_77);
        for coefficient in [
            -0.822_152_23,
            1.488_515_9,
            -1.135_204,
            0.278_868_07,
            -0.186_288_06,
            0.096_784_18,
            0.374_091_96,
            1.000_023_7,
            -1.265_512_2,
        ] {
            p = p.mul_add(t, V::splat(coefficient));
        }
        let tail = t.mul(exp(p.sub(size.mul(size))));
        zero.select_greater(x, V::splat(2.0).sub(tail), tail)
    }
}

/// ln(1 + e^x), lane by lane.
#[inline(always)]
unsafe fn softplus<V: Vector>(x: V) -> V {
    // SAFETY: the caller promises the instruction set.
    unsafe { by_lane(x, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_are_accurate_on_every_instruction_set() {
        let inputs: Vec<f32> =
            (-4003..=4003).map(|step| step as f32 * 0.01).chain([-1e30, 1e30, -100.0, 1e-20]).collect();
        for isa in Isa::available() {
            for activation in Activation::ALL {
                let mut values = inputs.clone();
                let kernel = Activate { activation, values: values.as_mut_ptr(), count: values.len() };
                // SAFETY: the set is available, and the kernel stays within the vector.
                unsafe { isa.dispatch(kernel) };
                for (&x, &y) in inputs.iter().zip(&values) {
                    let right = activation.exact(f64::from(x));
                    if right.is_nan() {
                        assert!(y.is_nan(), "{isa:?} {activation:?}({x}) = {y}");
                    } else if right.is_infinite() {
                        assert!(f64::from(y) == right, "{isa:?} {activation:?}({x}) = {y}, not {right}");
                    // Near the top of f32's range intermediate products overflow.
                    } else if right.abs() < 1e30 {
                        let error = (f64::from(y) - right).abs();
                        assert!(error <= 4e-7 * right.abs().max(1.0), "{isa:?} {activation:?}({x}) = {y}, not {right}");
                    }
                }
            }
        }
    }

    #[test]
    fn exponentials_and_logarithms_cover_the_whole_range() {
        let (zero, infinity) = (0.0, f32::INFINITY);
        let exponentials =
            [(-infinity, zero), (-200.0, zero), (88.7, 88.7f32.exp()), (89.0, infinity), (1e30, infinity)];
        let logarithms = [(zero, -infinity), (infinity, infinity), (1e-40, 1e-40f32.ln()), (f32::MAX, f32::MAX.ln())];
        for isa in Isa::available() {
            for (activation, pairs) in [(Activation::Exp, &exponentials[..]), (Activation::Log, &logarithms)] {
                for &(x, right) in pairs {
                    let mut values = [x; 9];
                    let kernel = Activate { activation, values: values.as_mut_ptr(), count: values.len() };
                    // SAFETY: the set is available, and the kernel stays within the array.
                    unsafe { isa.dispatch(kernel) };
                    let close = |y: f32| y == right || (y - right).abs() <= 3e-7 * right.abs();
                    assert!(values.iter().all(|&y| close(y)), "{isa:?} {activation:?}({x}) = {values:?}, not {right}");
                }
            }
            for activation in [Activation::Exp, Activation::Log, Activation::Sqrt, Activation::Square] {
                assert!(activation.of(f32::NAN).is_nan(), "{activation:?}");
            }
        }
    }

    #[test]
    fn nan_is_passed_through() {
        for isa in Isa::available() {
            for activation in [Activation::Relu { alpha: 0.0 }, Activation::Relu6, Activation::HardSwish] {
                let mut values = [f32::NAN; 9];
                let kernel = Activate { activation, values: values.as_mut_ptr(), count: values.len() };
                // SAFETY: the set is available, and the kernel stays within the array.
                unsafe { isa.dispatch(kernel) };
                assert!(values.iter().all(|value| value.is_nan()), "{isa:?} {activation:?}");
            }
        }
    }
}
