//! Learnt values beside those of a sequence.

use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, copy_rows, image_groups, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = the token and then the steps of x; x is `(n, steps, features)`, y `(n, steps + 1, features)`, the token `(features)`.
/// `size` is that of x.
pub fn prepend_token(x: View<'_>, y: ViewMut<'_>, size: Images, token: &[f32], threads: &ThreadPool) {
    let (ld, features) = (y.ld, size.channels);
    let all = Images { pixels: size.pixels + 1, ..size };
    image_groups(threads, y, size.n, 1, all.span(ld), Scratch::none(), &|image, y, _| {
        y[..features].copy_from_slice(token);
        if let Some(steps) = y.get_mut(ld..) {
            copy_rows(&x.data[image * x.image..][..size.span(x.ld)], x.ld, steps, ld, features);
        }
    });
}

/// y = x + values, the same for each image: x and y are `(n, steps, features)`, the values `(steps, features)`. Without an `x`
/// it works in place on `y`.
pub fn add_positions(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, values: &[f32], threads: &ThreadPool) {
    pointwise(threads, x, y, size, &|band, y| add(y, &values[band.first * size.channels..][..y.len()]));
}

multiversion! {
    fn add(y: &mut [f32], values: &[f32]) {
        y.iter_mut().zip(values).for_each(|(y, value)| *y += value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn tokens_and_positions() {
        let mut random = Random(8);
        for (n, steps, features, gap) in [(1, 1, 1, 0), (3, 5, 7, 2), (2, 300, 70, 0), (1, 4, 9, 1)] {
            let x = Tensor::random(&mut random, n, steps, features, gap);
            let (token, values) = (random.floats(features), random.floats(steps * features));
            let y = Tensor::new(n, steps + 1, features, 1);
            y.filled(|y, threads| prepend_token(x.view(), y, x.size, &token, threads)).check(0.0, |n, p, c| match p {
                0 => f64::from(token[c]),
                _ => x.at(n, p - 1, c),
            });
            let sum = |n: usize, p: usize, c: usize| x.at(n, p, c) + f64::from(values[p * features + c]);
            let y = Tensor::new(n, steps, features, 1);
            y.filled(|y, threads| add_positions(Some(x.view()), y, x.size, &values, threads)).check(1e-6, sum);
            x.filled(|y, threads| add_positions(None, y, x.size, &values, threads)).check(1e-6, sum);
        }
    }
}
