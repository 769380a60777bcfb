//! Gradients of pooling and of nearest-neighbour upscaling.

use super::global_pool::GlobalPool;
use super::{Image, WindowElements};
use crate::kernels::elementwise::column_reduce::tiles;
use crate::kernels::movement::upscale::Upscale;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, bands, image_groups, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut, Window};

/// The gradient of [`max_pool`](super::max_pool): each dy is routed to the first maximum (in row-major order) of its
/// window. x and dx are `(n, in_h, in_w, channels)`, dy `(n, out_h, out_w, channels)`.
pub fn max_pool_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    channels: usize,
    window: &Window,
    threads: &ThreadPool,
) {
    slabs(dy, dx, n, channels, window, threads, &|slab, dx, ld| {
        let image = &x.data[slab.image * x.image + slab.first_row * window.in_w * x.ld..];
        max_slab(Image { data: image, ld: x.ld }, slab.dy, dx, ld, channels, &slab.window);
    });
}

/// The gradient of [`average_pool`](super::average_pool): each dy is distributed evenly over its window. dx is
/// `(n, in_h, in_w, channels)`, dy `(n, out_h, out_w, channels)`.
pub fn average_pool_gradient(
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    channels: usize,
    window: &Window,
    count_padding: bool,
    threads: &ThreadPool,
) {
    slabs(dy, dx, n, channels, window, threads, &|slab, dx, ld| {
        average_slab(slab.dy, dx, ld, channels, &slab.window, count_padding);
    });
}

/// Input rows of an image together with all windows that overlap them: the unit of parallel work.
struct Slab<'a> {
    image: usize,
    /// The first input row.
    first_row: usize,
    /// The window geometry within these rows.
    window: Window,
    dy: Image<'a>,
}

/// Floats of dy per slab.
const TASK_FLOATS: usize = 1 << 14;

fn slabs(
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    channels: usize,
    w: &Window,
    threads: &ThreadPool,
    body: &(dyn Fn(Slab<'_>, &mut [f32], usize) + Sync),
) {
    if n == 0 || channels == 0 || w.in_h * w.in_w == 0 {
        return;
    }
    // An image is split only if its windows do not overlap.
    let is_inside = w.out_h > 0 && (w.out_h - 1) * w.stride_h < w.in_h;
    let is_disjoint = is_inside && w.pad_top == 0 && (w.kernel_h - 1) * w.dilation_h < w.stride_h;
    let rows = if is_disjoint { (TASK_FLOATS / (w.out_w * channels).max(1)).clamp(1, w.out_h) } else { w.out_h.max(1) };
    let count = w.out_h.div_ceil(rows).max(1);
    let in_rows = |slab: usize| if slab + 1 == count { w.in_h - slab * rows * w.stride_h } else { rows * w.stride_h };
    let ld = dx.ld;
    let row_span = |rows: usize| span(rows * w.in_w, ld, channels);
    let partition = Partition {
        outer: n,
        outer_stride: dx.image,
        inner: count,
        inner_stride: rows * w.stride_h * w.in_w * ld,
        len: row_span(in_rows(0)),
        last: row_span(in_rows(count - 1)),
    };
    share(threads, dx.data, partition, Scratch::none(), &|chunk, dx, _| {
        dx.chunks_mut(ld).for_each(|pixel| pixel[..channels].fill(0.0));
        let first = chunk.inner * rows;
        let window = Window { in_h: in_rows(chunk.inner), out_h: rows.min(w.out_h - first), ..*w };
        let dy = Image { data: &dy.data[chunk.outer * dy.image + first * w.out_w * dy.ld..], ld: dy.ld };
        body(Slab { image: chunk.outer, first_row: first * w.stride_h, window, dy }, dx, ld);
    });
}

multiversion! {
    fn max_slab(x: Image<'_>, dy: Image<'_>, dx: &mut [f32], ld: usize, channels: usize, w: &Window) {
        for pixel in 0..w.out_h * w.out_w {
            let (oy, ox) = (pixel / w.out_w, pixel % w.out_w);
            let (from, to) = (WindowElements::of(w, x.ld, oy, ox), WindowElements::of(w, ld, oy, ox));
            let dy = &dy.data[pixel * dy.ld..][..channels];
            match (from.rows, from.columns) {
                (2, 2) => max_pixel::<2, 2>(x.data, from, dx, to, dy),
                (3, 3) => max_pixel::<3, 3>(x.data, from, dx, to, dy),
                _ => max_pixel::<0, 0>(x.data, from, dx, to, dy),
            }
        }
    }
}

/// Routes the dy of a window, all channels. `ROWS` and `COLUMNS` are the size of the window if it is known at compile
/// time, else 0.
#[inline(always)]
fn max_pixel<const ROWS: usize, const COLUMNS: usize>(
    x: &[f32],
    from: WindowElements,
    dx: &mut [f32],
    to: WindowElements,
    dy: &[f32],
) {
    let mut channel = 0;
    while channel < dy.len() {
        if channel + 16 <= dy.len() {
            route::<16, ROWS, COLUMNS>(x, from, dx, to, dy, channel);
            channel += 16;
        } else {
            route::<1, ROWS, COLUMNS>(x, from, dx, to, dy, channel);
            channel += 1;
        }
    }
}

/// Adds `T` channels of a dy to the first maximum of its window.
#[inline(always)]
fn route<const T: usize, const ROWS: usize, const COLUMNS: usize>(
    x: &[f32],
    from: WindowElements,
    dx: &mut [f32],
    to: WindowElements,
    dy: &[f32],
    channel: usize,
) {
    let rows = if ROWS == 0 { from.rows } else { ROWS };
    let columns = if COLUMNS == 0 { from.columns } else { COLUMNS };
    let mut max = [f32::NEG_INFINITY; T];
    // Indices are floats, so that the comparisons and selections stay in the same registers.
    let mut argmax = [0f32; T];
    for row in 0..rows {
        for column in 0..columns {
            let index = (row * columns + column) as f32;
            let element = &x[from.offset + row * from.row_stride + column * from.column_stride + channel..][..T];
            for lane in 0..T {
                argmax[lane] = if element[lane] > max[lane] { index } else { argmax[lane] };
                max[lane] = if element[lane] > max[lane] { element[lane] } else { max[lane] };
            }
        }
    }
    // Local copies, so that the compiler need not reload after stores that might alias.
    let mut gradient = [0.0; T];
    gradient.copy_from_slice(&dy[channel..][..T]);
    for row in 0..rows {
        for column in 0..columns {
            let index = (row * columns + column) as f32;
            let element = &mut dx[to.offset + row * to.row_stride + column * to.column_stride + channel..][..T];
            let mut sums = [0.0; T];
            sums.copy_from_slice(element);
            for lane in 0..T {
                sums[lane] += if argmax[lane] == index { gradient[lane] } else { 0.0 };
            }
            element.copy_from_slice(&sums);
        }
    }
}

multiversion! {
    fn average_slab(dy: Image<'_>, dx: &mut [f32], ld: usize, channels: usize, w: &Window, count_padding: bool) {
        for pixel in 0..w.out_h * w.out_w {
            let to = WindowElements::of(w, ld, pixel / w.out_w, pixel % w.out_w);
            let count = if count_padding { w.kernel_h * w.kernel_w } else { to.rows * to.columns };
            let factor = 1.0 / count.max(1) as f32;
            let dy = &dy.data[pixel * dy.ld..][..channels];
            for row in 0..to.rows {
                for column in 0..to.columns {
                    let element = &mut dx[to.offset + row * to.row_stride + column * to.column_stride..][..channels];
                    element.iter_mut().zip(dy).for_each(|(v, dy)| *v += dy * factor);
                }
            }
        }
    }
}

/// The gradient of [`global_pool`](super::global_pool::global_pool): dy `(n, channels)`, with row stride `dy.image`, is
/// distributed over the pixels of dx `(n, pixels, channels)`; for a maximum it goes to the first one, which needs x.
///
/// # Panics
/// For a maximum without x.
pub fn global_pool_gradient(
    x: Option<View<'_>>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    pool: GlobalPool,
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    let ld = dx.ld;
    let row = |image: usize| &dy.data[image * dy.image..][..channels];
    if pool == GlobalPool::Max {
        let x = x.expect("the gradient of a maximum needs its input");
        let (stride, image_span) = (dx.image, size.span(ld));
        image_groups(threads, dx, n, 1, image_span, Scratch::none(), &|first, dx, _| {
            for (i, dx) in dx.chunks_mut(stride.max(image_span)).enumerate() {
                dx.chunks_mut(ld).for_each(|pixel| pixel[..channels].fill(0.0));
                let image = &x.data[(first + i) * x.image..][..size.span(x.ld)];
                route_maxima(Image { data: image, ld: x.ld }, row(first + i), dx, ld);
            }
        });
        return;
    }
    let factor = if pool == GlobalPool::Average { 1.0 / pixels as f32 } else { 1.0 };
    bands(threads, dx, size, Scratch::none(), &|band, dx, _| {
        let dy = row(band.image);
        for pixel in dx.chunks_mut(ld) {
            pixel.iter_mut().zip(dy).for_each(|(v, dy)| *v = dy * factor);
        }
    });
}

multiversion! {
    fn route_maxima(x: Image<'_>, dy: &[f32], dx: &mut [f32], ld: usize) {
        let dx = std::cell::Cell::from_mut(dx).as_slice_of_cells();
        let scatter = |channel: usize, pixels: &[u32]| {
            for (i, pixel) in pixels.iter().enumerate() {
                dx[*pixel as usize * ld + channel + i].set(dy[channel + i]);
            }
        };
        tiles(
            dy.len(),
            |channel| scatter(channel, &argmax::<32>(x, channel)),
            |channel| scatter(channel, &argmax::<8>(x, channel)),
            |channel| scatter(channel, &argmax::<1>(x, channel)),
        );
    }
}

/// The index of the pixel with the first maximum, for `T` channels from `channel` on.
#[inline(always)]
fn argmax<const T: usize>(x: Image<'_>, channel: usize) -> [u32; T] {
    let mut max = [f32::NEG_INFINITY; T];
    let mut argmax = [0u32; T];
    for (index, pixel) in x.data.chunks(x.ld).enumerate() {
        let pixel = &pixel[channel..][..T];
        for lane in 0..T {
            let is_larger = pixel[lane] > max[lane];
            max[lane] = if is_larger { pixel[lane] } else { max[lane] };
            argmax[lane] = if is_larger { index as u32 } else { argmax[lane] };
        }
    }
    argmax
}

/// The gradient of [`upscale`](crate::kernels::movement::upscale::upscale): each pixel of dx is the sum of the dy of its
/// copies. dy is `(n, in_h * scale_h, in_w * scale_w, channels)`, dx `(n, in_h, in_w, channels)`.
pub fn upscale_gradient(dy: View<'_>, dx: ViewMut<'_>, n: usize, size: &Upscale, threads: &ThreadPool) {
    let Upscale { in_h, in_w, channels, scale_h, scale_w } = *size;
    let ld = dx.ld;
    bands(threads, dx, Images { n, pixels: in_h * in_w, channels }, Scratch::none(), &|band, dx, _| {
        for (i, pixel) in dx.chunks_mut(ld).enumerate() {
            let (row, column) = ((band.first + i) / in_w * scale_h, (band.first + i) % in_w * scale_w);
            let pixel = &mut pixel[..channels];
            pixel.fill(0.0);
            for copy in 0..scale_h * scale_w {
                let dy_pixel = (row + copy / scale_w) * in_w * scale_w + column + copy % scale_w;
                let dy = &dy.data[band.image * dy.image + dy_pixel * dy.ld..][..channels];
                pixel.iter_mut().zip(dy).for_each(|(v, dy)| *v += dy);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, dense, differences, receptive_field, windows};

    #[test]
    fn pool_gradients_match_the_reference() {
        let mut random = Random(31);
        let mut all = windows(&mut random, 30);
        // Windows that do not overlap, as in most networks.
        all.extend((1..4).map(|k| Window {
            in_h: 5 * k + 1,
            in_w: 3 * k,
            out_h: 5,
            out_w: 3,
            kernel_h: k,
            kernel_w: k,
            stride_h: k,
            stride_w: k,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
        }));
        for (i, w) in all.into_iter().enumerate() {
            let (n, channels, gap) = (1 + i % 2, [1, 3, 17][i % 3], i % 2 * 3);
            // Values from a small set, so that ties occur.
            let x = Tensor::random(&mut random, n, w.in_h * w.in_w, channels, gap);
            let x = Tensor::of(&x, |n, p, c| (x.at(n, p, c) * 4.0).round());
            let dy = Tensor::random(&mut random, n, w.out_h * w.out_w, channels, 1);
            let index = |n: usize, p: usize, c: usize| (n * w.in_h * w.in_w + p) * channels + c;
            let mut expected = vec![vec![0.0; n * w.in_h * w.in_w * channels]; 3];
            for n in 0..n {
                for (p, c) in (0..w.out_h * w.out_w).flat_map(|p| (0..channels).map(move |c| (p, c))) {
                    let cells = receptive_field(&w, p);
                    for (cell, ..) in &cells {
                        expected[1][index(n, *cell, c)] += dy.at(n, p, c) / cells.len() as f64;
                        expected[2][index(n, *cell, c)] += dy.at(n, p, c) / (w.kernel_h * w.kernel_w) as f64;
                    }
                    let max = cells.iter().map(|cell| x.at(n, cell.0, c)).fold(f64::NEG_INFINITY, f64::max);
                    if let Some(first) = cells.iter().find(|cell| x.at(n, cell.0, c) == max) {
                        expected[0][index(n, first.0, c)] += dy.at(n, p, c);
                    }
                }
            }
            let dx = Tensor::new(n, w.in_h * w.in_w, channels, gap / 2);
            let max = dx.filled(|dx, t| max_pool_gradient(x.view(), dy.view(), dx, n, channels, &w, t));
            max.check_dense(1e-6, &expected[0]);
            for padded in [false, true] {
                let mean = dx.filled(|dx, t| average_pool_gradient(dy.view(), dx, n, channels, &w, padded, t));
                mean.check_dense(1e-6, &expected[1 + usize::from(padded)]);
            }
        }
    }

    #[test]
    fn large_images_are_split_into_slabs() {
        let mut random = Random(32);
        let w = Window {
            in_h: 81,
            in_w: 64,
            out_h: 40,
            out_w: 32,
            kernel_h: 2,
            kernel_w: 2,
            stride_h: 2,
            stride_w: 2,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
        };
        let x = Tensor::random(&mut random, 2, 81 * 64, 32, 0);
        let dy = Tensor::random(&mut random, 2, 40 * 32, 32, 0);
        let dx = Tensor::new(2, 81 * 64, 32, 0);
        dx.filled(|dx, t| max_pool_gradient(x.view(), dy.view(), dx, 2, 32, &w, t)).check(0.0, |n, p, c| {
            let (oy, ox) = (p / 64 / 2, p % 64 / 2);
            let max = |out| receptive_field(&w, out).iter().map(|cell| x.at(n, cell.0, c)).fold(-9.0, f64::max);
            if oy < 40 && max(oy * 32 + ox) == x.at(n, p, c) { dy.at(n, oy * 32 + ox, c) } else { 0.0 }
        });
    }

    #[test]
    fn global_pool_gradients_match_finite_differences() {
        let mut random = Random(33);
        for (n, pixels, channels, gap) in [(1, 1, 1, 0), (3, 6, 5, 2), (2, 7, 41, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let dy = Tensor::random(&mut random, n, 1, channels, 1);
            for pool in [GlobalPool::Average, GlobalPool::Max, GlobalPool::Sum] {
                let dx = Tensor::new(n, pixels, channels, 2);
                let dx = dx.filled(|dx, t| global_pool_gradient(Some(x.view()), dy.view(), dx, x.size, pool, t));
                let forward = |x: &[f64]| {
                    let value = |i: usize| {
                        let all = (0..pixels).map(|p| x[(i / channels * pixels + p) * channels + i % channels]);
                        match pool {
                            GlobalPool::Max => all.fold(f64::MIN, f64::max),
                            GlobalPool::Sum => all.sum(),
                            GlobalPool::Average => all.sum::<f64>() / pixels as f64,
                        }
                    };
                    (0..n * channels).map(value).collect()
                };
                dx.check_dense(1e-6, &differences(&dense(&x), &dense(&dy), forward));
            }
        }
    }

    #[test]
    fn upscale_gradient_sums_over_copies() {
        let mut random = Random(34);
        for (in_h, in_w, channels, scale_h, scale_w) in [(1, 1, 1, 1, 1), (3, 4, 5, 2, 3), (2, 5, 17, 3, 1)] {
            let size = Upscale { in_h, in_w, channels, scale_h, scale_w };
            let dy = Tensor::random(&mut random, 2, in_h * scale_h * in_w * scale_w, channels, 1);
            let dx = Tensor::new(2, in_h * in_w, channels, 2);
            dx.filled(|dx, t| upscale_gradient(dy.view(), dx, 2, &size, t)).check(1e-6, |n, p, c| {
                let copies = (0..scale_h * scale_w).map(|i| {
                    let row = p / in_w * scale_h + i / scale_w;
                    dy.at(n, row * in_w * scale_w + p % in_w * scale_w + i % scale_w, c)
                });
                copies.sum()
            });
        }
    }
}
