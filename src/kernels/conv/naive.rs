//! The reference convolution of tests: naive loops in f64.

use super::algorithm::{ConvAlgorithm, ConvCall};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::{EpilogueArgs, Pool};
use crate::kernels::guarded::{Floats, Side};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::tensor_view::{Convolution, View, ViewMut, Window};
use crate::kernels::testing::noise;

/// A convolution of a `height` by `width` image, with the same kernel, stride, dilation and padding on both axes.
pub fn convolution(
    (height, width): (usize, usize),
    (in_c, out_c, groups): (usize, usize, usize),
    (kernel, stride, dilation): (usize, usize, usize),
    (before, after): (usize, usize),
) -> Convolution {
    let out = |size: usize| (size + before + after - (kernel - 1) * dilation - 1) / stride + 1;
    let window = Window {
        in_h: height,
        in_w: width,
        out_h: out(height),
        out_w: out(width),
        kernel_h: kernel,
        kernel_w: kernel,
        stride_h: stride,
        stride_w: stride,
        dilation_h: dilation,
        dilation_w: dilation,
        pad_top: before,
        pad_left: before,
    };
    Convolution { window, in_c, out_c, groups }
}

/// A test case: all that varies besides the convolution's geometry.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub batch: usize,
    /// Floats between pixels that the kernel must not write.
    pub gap: usize,
    pub bias: bool,
    pub residual: bool,
    pub activation: Activation,
    pub pool: bool,
}

impl Case {
    fn pool(&self) -> Option<Pool> {
        self.pool.then_some(Pool::Max2x2)
    }
}

/// The cases that every convolution is tested with.
pub const CASES: [Case; 5] = [
    Case { batch: 1, gap: 0, bias: true, residual: false, activation: Activation::Relu { alpha: 0.0 }, pool: false },
    Case { batch: 2, gap: 5, bias: true, residual: true, activation: Activation::Relu6, pool: false },
    Case { batch: 3, gap: 1, bias: false, residual: false, activation: Activation::Linear, pool: true },
    Case { batch: 1, gap: 3, bias: false, residual: true, activation: Activation::Swish, pool: true },
    Case { batch: 2, gap: 0, bias: true, residual: false, activation: Activation::Tanh, pool: false },
];

/// Compares an algorithm, given by the batch, with the naive loops: for each case that it supports, each instruction set of
/// the machine, and one and two threads. Guard pages begin where the operands end, and with two threads end where they begin.
pub fn check<A: ConvAlgorithm>(conv: &Convolution, tolerance: f64, algorithm: impl Fn(usize) -> A) {
    check_operands(conv, tolerance, None, algorithm);
}

/// As [`check`], for an algorithm that rounds the weights to bf16, and the input if `rounds_input` says so of a set.
pub fn check_rounded<A: ConvAlgorithm>(
    conv: &Convolution,
    tolerance: f64,
    rounds_input: fn(Isa) -> bool,
    algorithm: impl Fn(usize) -> A,
) {
    check_operands(conv, tolerance, Some(rounds_input), algorithm);
}

fn check_operands<A: ConvAlgorithm>(
    conv: &Convolution,
    tolerance: f64,
    rounds_input: Option<fn(Isa) -> bool>,
    algorithm: impl Fn(usize) -> A,
) {
    let weights = &noise(conv.weights(), 7);
    let round = |value: &f32| half::bf16::from_f32(*value).to_f32();
    let rounded = |values: &[f32], rounds: bool| -> Vec<f32> {
        if rounds { values.iter().map(round).collect() } else { values.to_vec() }
    };
    let packed = Floats::from(algorithm(1).packed(conv, weights));
    let cases = CASES.into_iter().filter(|case| algorithm(case.batch).supports(conv, case.pool()));
    assert!(cases.clone().count() > 0, "{conv:?}");
    let window = &conv.window;
    for case in cases {
        let (in_pixels, out_pixels) = (window.in_h * window.in_w, window.out_h * window.out_w);
        let pool = case.pool();
        let stored = pool.map_or(out_pixels, |pool| pool.reduced(window.out_h) * pool.reduced(window.out_w));
        let (in_ld, out_ld) = (conv.in_c + case.gap, conv.out_c + case.gap);
        let (in_image, out_image) = (in_pixels * in_ld + case.gap, stored * out_ld + case.gap);
        let residual_image = out_pixels * out_ld;
        // The last pixels end where their channels end.
        let input = noise(case.batch * in_image - 2 * case.gap, 1);
        let bias = noise(conv.out_c, 2);
        let residual = noise(case.batch * residual_image - case.gap, 3);
        let input = View { data: &input, ld: in_ld, image: in_image };
        let residual = View { data: &residual, ld: out_ld, image: residual_image };
        let epilogue = EpilogueArgs {
            bias: case.bias.then_some(&bias[..]),
            residual: case.residual.then_some(residual),
            activation: case.activation,
            pool,
        };
        let right = |rounds: bool| {
            let input = View { data: &rounded(input.data, rounds), ..input };
            expected(conv, case.batch, &input, &rounded(weights, rounds_input.is_some()), &epilogue)
        };
        let mut expected = [None, None];
        for isa in Isa::available() {
            let rounds = rounds_input.is_some_and(|rounds| rounds(isa));
            let expected = expected[usize::from(rounds)].get_or_insert_with(|| right(rounds));
            let mut results = Vec::new();
            for (count, side) in [(1, Side::End), (2, Side::Start)] {
                const UNTOUCHED: f32 = 12345.0;
                let output = Floats::filled(UNTOUCHED, (case.batch * out_image).saturating_sub(2 * case.gap));
                let mut output = Floats::copy(&output, side);
                let floats = Floats::copy(input.data, side);
                let input = View { data: &floats, ..input };
                let threads = ThreadPool::with_isa(count, isa);
                let to = ViewMut { data: &mut output, ld: out_ld, image: out_image };
                let algorithm = algorithm(case.batch);
                let mut scratch = Floats::filled(0.0, algorithm.scratch_len(conv, case.batch, pool, count));
                algorithm.run(ConvCall {
                    threads: &threads,
                    conv,
                    batch: case.batch,
                    input,
                    weights: &packed,
                    epilogue: &epilogue,
                    scratch: &mut scratch,
                    output: to,
                });
                for (index, &value) in output.iter().enumerate() {
                    let (image, within) = (index / out_image, index % out_image);
                    let (pixel, channel) = (within / out_ld, within % out_ld);
                    if pixel >= stored || channel >= conv.out_c {
                        assert_eq!(value, UNTOUCHED, "{conv:?} {case:?} {isa:?}: wrote between pixels");
                        continue;
                    }
                    let right = expected[(image * stored + pixel) * conv.out_c + channel];
                    let error = (f64::from(value) - right).abs();
                    assert!(
                        error <= tolerance * right.abs().max(1.0),
                        "{conv:?} {case:?} {isa:?}: {value} for {right} at image {image}, pixel {pixel}, channel {channel}"
                    );
                }
                results.push(output);
            }
            assert!(results[0] == results[1], "{conv:?} {case:?} {isa:?}: threads change the result");
        }
    }
}

/// The result by naive loops: `(batch, pixels, out_c)`.
fn expected(conv: &Convolution, batch: usize, input: &View, weights: &[f32], epilogue: &EpilogueArgs) -> Vec<f64> {
    let window = &conv.window;
    let (in_c, out_c) = (conv.in_c / conv.groups, conv.out_c / conv.groups);
    let mut result = vec![0.0; batch * window.out_h * window.out_w * conv.out_c];
    let at = |image: usize, y: usize, x: usize| (image * window.out_h + y) * window.out_w + x;
    for image in 0..batch {
        for y in 0..window.out_h {
            for x in 0..window.out_w {
                let sums = &mut result[at(image, y, x) * conv.out_c..][..conv.out_c];
                for tap in 0..window.kernel_h * window.kernel_w {
                    let (i, j) = (tap / window.kernel_w, tap % window.kernel_w);
                    let in_y = (y * window.stride_h + i * window.dilation_h).wrapping_sub(window.pad_top);
                    let in_x = (x * window.stride_w + j * window.dilation_w).wrapping_sub(window.pad_left);
                    if in_y >= window.in_h || in_x >= window.in_w {
                        continue;
                    }
                    let pixel = &input.data[image * input.image + (in_y * window.in_w + in_x) * input.ld..];
                    for (c, sum) in sums.iter_mut().enumerate() {
                        for k in 0..in_c {
                            let weight = weights[(tap * in_c + k) * conv.out_c + c];
                            *sum += f64::from(pixel[c / out_c * in_c + k]) * f64::from(weight);
                        }
                    }
                }
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum += epilogue.bias.map_or(0.0, |bias| f64::from(bias[c]));
                    if let Some(residual) = &epilogue.residual {
                        let pixel = image * residual.image + (y * window.out_w + x) * residual.ld;
                        *sum += f64::from(residual.data[pixel + c]);
                    }
                    *sum = epilogue.activation.exact(*sum);
                }
            }
        }
    }
    if epilogue.pool.is_none() {
        return result;
    }
    let mut pooled = Vec::new();
    for image in 0..batch {
        for y in 0..window.out_h / 2 {
            for x in 0..window.out_w / 2 {
                for c in 0..conv.out_c {
                    let value = |i: usize, j: usize| result[at(image, 2 * y + i, 2 * x + j) * conv.out_c + c];
                    pooled.push(value(0, 0).max(value(0, 1)).max(value(1, 0)).max(value(1, 1)));
                }
            }
        }
    }
    pooled
}
