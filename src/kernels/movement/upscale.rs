//! Nearest-neighbour upscaling by integer factors.

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// The geometry of an upscaling: the input size, and the factors by which rows and columns are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upscale {
    pub in_h: usize,
    pub in_w: usize,
    pub channels: usize,
    pub scale_h: usize,
    pub scale_w: usize,
}

/// `y[i, j] = x[i / scale_h, j / scale_w]`: x is `(n, in_h, in_w, channels)`, y is
/// `(n, in_h * scale_h, in_w * scale_w, channels)`.
pub fn upscale(x: View<'_>, y: ViewMut<'_>, n: usize, size: &Upscale, threads: &ThreadPool) {
    let Upscale { in_h, in_w, channels, scale_h, scale_w } = *size;
    let (ld, out_w) = (y.ld, in_w * scale_w);
    let rows = Images { n, pixels: in_h * scale_h, channels: span(out_w, ld, channels) };
    let y = ViewMut { data: y.data, ld: out_w * ld, image: y.image };
    bands(threads, y, rows, Scratch::none(), &|band, out, _| {
        for (i, row) in out.chunks_mut(out_w * ld).enumerate() {
            let from = &x.data[band.image * x.image + (band.first + i) / scale_h * in_w * x.ld..];
            for j in 0..out_w {
                let pixel = &from[j / scale_w * x.ld..][..channels];
                row[j * ld..][..channels].copy_from_slice(pixel);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn pixels_are_repeated() {
        let mut random = Random(13);
        for (i, (in_h, in_w, channels, scale_h, scale_w)) in
            [(1, 1, 1, 1, 1), (3, 4, 5, 2, 2), (2, 7, 17, 3, 1), (5, 3, 8, 1, 4), (30, 30, 32, 2, 2)]
                .into_iter()
                .enumerate()
        {
            let (n, gap) = (1 + i % 3, i % 2 * 3);
            let size = Upscale { in_h, in_w, channels, scale_h, scale_w };
            let x = Tensor::random(&mut random, n, in_h * in_w, channels, gap);
            let width = in_w * scale_w;
            let y = Tensor::new(n, in_h * scale_h * width, channels, 2 - i % 2);
            let y = y.filled(|y, threads| upscale(x.view(), y, n, &size, threads));
            y.check(0.0, |n, p, c| x.at(n, p / width / scale_h * in_w + p % width / scale_w, c));
        }
    }
}
