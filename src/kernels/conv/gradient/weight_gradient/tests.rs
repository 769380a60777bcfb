//! Weight gradients against naive sums in f64.

use super::*;
use crate::kernels::conv::naive::convolution;
use crate::kernels::guarded::Floats;
use crate::kernels::simd::isa::Isa;
use crate::kernels::testing::{Random, Sum, Tensor, receptive_field, windows};

/// The reference: for each tap, the sum of x times dy over all output pixels of the batch.
fn expected(conv: &Convolution, x: &Tensor, dy: &Tensor) -> Vec<Sum> {
    let window = &conv.window;
    let (in_c, out_c) = (conv.in_c / conv.groups, conv.out_c / conv.groups);
    let mut dw = vec![Sum::default(); window.kernel_h * window.kernel_w * in_c * conv.out_c];
    for n in 0..x.size.n {
        for pixel in 0..window.out_h * window.out_w {
            for (cell, ky, kx) in receptive_field(window, pixel) {
                for i in 0..in_c {
                    for o in 0..conv.out_c {
                        let product = x.at(n, cell, o / out_c * in_c + i) * dy.at(n, pixel, o);
                        dw[((ky * window.kernel_w + kx) * in_c + i) * conv.out_c + o].add(product);
                    }
                }
            }
        }
    }
    dw
}

/// The bound on a method's rounding error.
fn rounding(sum: &Sum, method: Method) -> f64 {
    match method {
        Method::Winograd => as_winograd(sum).rounding(),
        _ => sum.rounding(),
    }
}

/// A sum whose rounding bound models F(3x3, 4x4): a sixteenth of the terms, one per tile, each enlarged by the transforms.
/// With the matrices of Lavin and Gray (2016), a tap along one axis is the sum over six points of a row of B times a column
/// of A times an entry of G: `growth` is its variance for values of variance 1. Each transform itself sums up to twelve
/// values on each side.
fn as_winograd(sum: &Sum) -> Sum {
    let of_b = [42.0, 34.0, 34.0, 10.0, 10.0, 42.0f64];
    let of_a = [1.0, 4.0, 4.0, 85.0, 85.0, 1.0];
    let of_g = [0.0, 1.0 / 36.0, 1.0 / 36.0, 1.0 / 36.0, 1.0 / 36.0, 1.0];
    let growth: f64 = (0..6).map(|point| of_b[point] * of_a[point] * of_g[point]).sum();
    // Squared for the two axes; divided by the 16 terms of the naive sum per tile.
    Sum { value: sum.value, terms: sum.terms.div_ceil(16) + 24, squares: sum.squares * growth * growth / 16.0 }
}

fn check(random: &mut Random, conv: Convolution, batch: usize, gap: usize, method: Method) {
    assert_eq!(Method::of(&conv), method, "{conv:?}");
    let window = &conv.window;
    let x = Tensor::random(random, batch, window.in_h * window.in_w, conv.in_c, gap);
    let dy = Tensor::random(random, batch, window.out_h * window.out_w, conv.out_c, gap / 2);
    let expected = expected(&conv, &x, &dy);
    for isa in Isa::available() {
        let run = |count| {
            let threads = ThreadPool::with_isa(count, isa);
            let mut scratch = Floats::filled(f32::NAN, weight_gradient_scratch_len(&conv, batch, count));
            let mut dw = Floats::filled(f32::NAN, expected.len());
            weight_gradient(&threads, gemm::Backend::Blas, &conv, batch, x.view(), dy.view(), &mut dw, &mut scratch);
            dw
        };
        let dw = run(1);
        for (i, (found, expected)) in dw.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected.value).abs();
            let bound = rounding(expected, method);
            assert!(error <= bound, "{conv:?} {isa:?} at {i}: {found} for {}", expected.value);
        }
        for count in 2..4 {
            let is_same = dw.iter().zip(run(count)).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(is_same, "{conv:?} {isa:?}: {count} threads change the result");
        }
    }
}

#[test]
fn weight_gradient_of_any_window() {
    let mut random = Random(41);
    for (i, window) in windows(&mut random, 40).into_iter().enumerate() {
        let (in_c, out_c, groups) = [(2, 4, 1), (17, 3, 1), (4, 6, 2), (21, 16, 1), (12, 9, 3)][i % 5];
        check(&mut random, Convolution { window, in_c, out_c, groups }, 1 + i % 3, i % 2 * 3, Method::General);
    }
}

#[test]
fn weight_gradient_of_many_pixels_and_deep_windows() {
    let mut random = Random(42);
    let cases = [
        convolution((40, 41), (3, 5, 1), (3, 1, 1), (1, 1)),
        convolution((33, 30), (3, 8, 1), (7, 2, 1), (3, 2)),
        convolution((4, 5), (300, 18, 1), (2, 1, 1), (0, 0)),
        convolution((23, 24), (33, 20, 1), (1, 1, 1), (0, 0)),
        convolution((24, 23), (33, 20, 1), (1, 2, 1), (0, 0)),
        convolution((23, 22), (16, 20, 4), (3, 2, 1), (1, 1)),
        // Too small for tiles.
        convolution((2, 2), (16, 16, 1), (3, 1, 1), (1, 1)),
    ];
    for conv in cases {
        check(&mut random, conv, 3, 0, Method::General);
        check(&mut random, conv, 2, 2, Method::General);
    }
}

#[test]
fn weight_gradient_of_depthwise_convolutions() {
    let mut random = Random(43);
    for (i, window) in windows(&mut random, 20).into_iter().enumerate() {
        let (in_c, multiplier) = [(1, 1), (7, 1), (35, 1), (5, 3), (64, 1)][i % 5];
        let conv = Convolution { window, in_c, out_c: in_c * multiplier, groups: in_c };
        check(&mut random, conv, 1 + i % 3, i % 2 * 3, Method::Depthwise);
    }
}

#[test]
fn weight_gradient_of_3x3_kernels_by_winograd() {
    let mut random = Random(44);
    for (size, (in_c, out_c), padding, batch) in [
        ((8, 8), (16, 16), (1, 1), 1),
        ((11, 13), (19, 35), (1, 1), 2),
        ((14, 15), (33, 17), (0, 0), 3),
        ((13, 12), (16, 40), (2, 0), 2),
        // Two blocks of tiles.
        ((90, 91), (16, 17), (1, 1), 2),
    ] {
        let conv = convolution(size, (in_c, out_c, 1), (3, 1, 1), padding);
        check(&mut random, conv, batch, 3, Method::Winograd);
    }
}

/// On a typical layer, the rounding errors of both methods are within the bounds that the lengths of their sums imply.
#[test]
fn winograd_rounds_within_its_bound() {
    let conv = convolution((28, 28), (64, 64, 1), (3, 1, 1), (1, 1));
    let mut random = Random(45);
    let uniform = |random: &mut Random| Tensor::random(random, 2, 28 * 28, 64, 0);
    // Inputs as after ReLU.
    let x = uniform(&mut random);
    let x = Tensor::of(&x, |n, p, c| x.at(n, p, c).max(0.0));
    let dy = uniform(&mut random);
    let expected = expected(&conv, &x, &dy);
    let threads = ThreadPool::new(2);
    let check = |method: Method| {
        let mut dw = Floats::filled(0.0, expected.len());
        let general = General::new(&conv, 2);
        match method {
            Method::Winograd => {
                let mut scratch = Floats::filled(0.0, weight_gradient_winograd::scratch_len(&conv, 2));
                weight_gradient_winograd::weight_gradient(
                    &threads,
                    gemm::Backend::Blas,
                    &conv,
                    2,
                    x.view(),
                    dy.view(),
                    &mut dw,
                    &mut scratch,
                );
            }
            _ => {
                let mut scratch = Floats::filled(0.0, general.scratch_len(2));
                general.run(&threads, gemm::Backend::Blas, x.view(), dy.view(), &mut dw, &mut scratch);
            }
        }
        for (found, right) in dw.iter().zip(&expected) {
            let (error, bound) = ((f64::from(*found) - right.value).abs(), rounding(right, method));
            assert!(
                error <= bound,
                "{method:?}: {found} for {}, error {error:e} above the bound {bound:e}",
                right.value
            );
        }
    };
    check(Method::Winograd);
    check(Method::General);
}

#[test]
fn weight_gradient_of_no_images() {
    for channels in [3, 16] {
        let conv = convolution((8, 8), (channels, channels, 1), (3, 1, 1), (1, 1));
        let mut scratch = Floats::filled(f32::NAN, weight_gradient_scratch_len(&conv, 0, 2));
        let mut dw = Floats::filled(f32::NAN, 9 * channels * channels);
        let empty = View { data: &[], ld: channels, image: 0 };
        weight_gradient(&ThreadPool::new(2), gemm::Backend::Blas, &conv, 0, empty, empty, &mut dw, &mut scratch);
        assert!(dw.iter().all(|v| *v == 0.0));
    }
}
