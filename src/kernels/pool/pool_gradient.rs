//! Gradients of what makes images smaller or larger: pooling and nearest upscaling.

use super::global_pool::GlobalPool;
use super::{Cells, Image};
use crate::kernels::elementwise::column_reduce::tiles;
use crate::kernels::movement::upscale::Upscale;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, bands, image_groups, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut, Window};

/// dx of [`max_pool`](super::max_pool): each dy goes to the first maximum (row by row) of its window, other cells
/// get nothing. x and dx are `(n, in_h, in_w, channels)`, dy `(n, out_h, out_w, channels)`.
pub fn max_pool_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    channels: usize,
    window: &Window,
    threads: &ThreadPool,
) {
    parts(dy, dx, n, channels, window, threads, &|part, dx, ld| {
        let image = &x.data[part.image * x.image + part.first_in * window.in_w * x.ld..];
        max_part(Image { data: image, ld: x.ld }, part.dy, dx, ld, channels, &part.window);
    });
}

/// dx of [`average_pool`](super::average_pool): each dy is spread evenly over the cells of its window. dx is
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
    parts(dy, dx, n, channels, window, threads, &|part, dx, ld| {
        average_part(part.dy, dx, ld, channels, &part.window, count_padding);
    });
}

/// Rows of an image that no window outside of them touches.
struct Part<'a> {
    image: usize,
    /// The first input row.
    first_in: usize,
    /// The window's sizes within these rows.
    window: Window,
    dy: Image<'a>,
}

/// Output floats of a part.
const TASK: usize = 1 << 14;

fn parts(
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    channels: usize,
    w: &Window,
    threads: &ThreadPool,
    work: &(dyn Fn(Part<'_>, &mut [f32], usize) + Sync),
) {
    if n == 0 || channels == 0 || w.in_h * w.in_w == 0 {
        return;
    }
    // Images can be cut between windows only where windows do not overlap.
    let inside = w.out_h > 0 && (w.out_h - 1) * w.stride_h < w.in_h;
    let apart = inside && w.pad_top == 0 && (w.kernel_h - 1) * w.dilation_h < w.stride_h;
    let rows = if apart { (TASK / (w.out_w * channels).max(1)).clamp(1, w.out_h) } else { w.out_h.max(1) };
    let count = w.out_h.div_ceil(rows).max(1);
    let in_rows = |part: usize| if part + 1 == count { w.in_h - part * rows * w.stride_h } else { rows * w.stride_h };
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
    share(threads, dx.data, partition, Scratch::none(), &|piece, dx, _| {
        dx.chunks_mut(ld).for_each(|pixel| pixel[..channels].fill(0.0));
        let first = piece.inner * rows;
        let window = Window { in_h: in_rows(piece.inner), out_h: rows.min(w.out_h - first), ..*w };
        let dy = Image { data: &dy.data[piece.outer * dy.image + first * w.out_w * dy.ld..], ld: dy.ld };
        work(Part { image: piece.outer, first_in: first * w.stride_h, window, dy }, dx, ld);
    });
}

multiversion! {
    fn max_part(x: Image<'_>, dy: Image<'_>, dx: &mut [f32], ld: usize, channels: usize, w: &Window) {
        for pixel in 0..w.out_h * w.out_w {
            let (oy, ox) = (pixel / w.out_w, pixel % w.out_w);
            let (from, to) = (Cells::of(w, x.ld, oy, ox), Cells::of(w, ld, oy, ox));
            let dy = &dy.data[pixel * dy.ld..][..channels];
            match (from.rows, from.columns) {
                (2, 2) => max_pixel::<2, 2>(x.data, from, dx, to, dy),
                (3, 3) => max_pixel::<3, 3>(x.data, from, dx, to, dy),
                _ => max_pixel::<0, 0>(x.data, from, dx, to, dy),
            }
        }
    }
}

/// Adds the dy of a window. `ROWS` and `COLUMNS` are its sizes, or 0 for any.
#[inline(always)]
fn max_pixel<const ROWS: usize, const COLUMNS: usize>(x: &[f32], from: Cells, dx: &mut [f32], to: Cells, dy: &[f32]) {
    let mut at = 0;
    while at < dy.len() {
        if at + 16 <= dy.len() {
            route::<16, ROWS, COLUMNS>(x, from, dx, to, dy, at);
            at += 16;
        } else {
            route::<1, ROWS, COLUMNS>(x, from, dx, to, dy, at);
            at += 1;
        }
    }
}

/// Adds `T` channels of a dy to the first maximum of its window.
#[inline(always)]
fn route<const T: usize, const ROWS: usize, const COLUMNS: usize>(
    x: &[f32],
    from: Cells,
    dx: &mut [f32],
    to: Cells,
    dy: &[f32],
    at: usize,
) {
    let rows = if ROWS == 0 { from.rows } else { ROWS };
    let columns = if COLUMNS == 0 { from.columns } else { COLUMNS };
    let mut most = [f32::NEG_INFINITY; T];
    // Places are counted in floats, so that comparing and choosing stay in the same registers.
    let mut place_of_most = [0f32; T];
    for row in 0..rows {
        for column in 0..columns {
            let place = (row * columns + column) as f32;
            let cell = &x[from.first + row * from.row_step + column * from.column_step + at..][..T];
            for lane in 0..T {
                place_of_most[lane] = if cell[lane] > most[lane] { place } else { place_of_most[lane] };
                most[lane] = if cell[lane] > most[lane] { cell[lane] } else { most[lane] };
            }
        }
    }
    // Copies, so that no store can change what is still to be read.
    let mut own = [0.0; T];
    own.copy_from_slice(&dy[at..][..T]);
    for row in 0..rows {
        for column in 0..columns {
            let place = (row * columns + column) as f32;
            let cell = &mut dx[to.first + row * to.row_step + column * to.column_step + at..][..T];
            let mut sums = [0.0; T];
            sums.copy_from_slice(cell);
            for lane in 0..T {
                sums[lane] += if place_of_most[lane] == place { own[lane] } else { 0.0 };
            }
            cell.copy_from_slice(&sums);
        }
    }
}

multiversion! {
    fn average_part(dy: Image<'_>, dx: &mut [f32], ld: usize, channels: usize, w: &Window, count_padding: bool) {
        for pixel in 0..w.out_h * w.out_w {
            let to = Cells::of(w, ld, pixel / w.out_w, pixel % w.out_w);
            let count = if count_padding { w.kernel_h * w.kernel_w } else { to.rows * to.columns };
            let factor = 1.0 / count.max(1) as f32;
            let dy = &dy.data[pixel * dy.ld..][..channels];
            for row in 0..to.rows {
                for column in 0..to.columns {
                    let cell = &mut dx[to.first + row * to.row_step + column * to.column_step..][..channels];
                    cell.iter_mut().zip(dy).for_each(|(v, dy)| *v += dy * factor);
                }
            }
        }
    }
}

/// dx of [`global_pool`](super::global_pool::global_pool): dy `(n, channels)`, rows `dy.image` apart, is spread over
/// the pixels of dx `(n, pixels, channels)`; a maximum's goes to the first one, for which x is needed.
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
        let put = |at: usize, places: &[u32]| {
            places.iter().enumerate().for_each(|(i, place)| dx[*place as usize * ld + at + i].set(dy[at + i]));
        };
        tiles(
            dy.len(),
            |at| put(at, &first_maxima::<32>(x, at)),
            |at| put(at, &first_maxima::<8>(x, at)),
            |at| put(at, &first_maxima::<1>(x, at)),
        );
    }
}

/// The pixels of the first maxima of `T` channels.
#[inline(always)]
fn first_maxima<const T: usize>(x: Image<'_>, at: usize) -> [u32; T] {
    let mut most = [f32::NEG_INFINITY; T];
    let mut places = [0u32; T];
    for (place, pixel) in x.data.chunks(x.ld).enumerate() {
        let pixel = &pixel[at..][..T];
        for lane in 0..T {
            let larger = pixel[lane] > most[lane];
            most[lane] = if larger { pixel[lane] } else { most[lane] };
            places[lane] = if larger { place as u32 } else { places[lane] };
        }
    }
    places
}

/// dx of [`upscale`](crate::kernels::movement::upscale::upscale): each pixel sums the dy of its copies. dy is
/// `(n, in_h * scale_h, in_w * scale_w, channels)`, dx `(n, in_h, in_w, channels)`.
pub fn upscale_gradient(dy: View<'_>, dx: ViewMut<'_>, n: usize, size: &Upscale, threads: &ThreadPool) {
    let Upscale { in_h, in_w, channels, scale_h, scale_w } = *size;
    let ld = dx.ld;
    bands(threads, dx, Images { n, pixels: in_h * in_w, channels }, Scratch::none(), &|band, dx, _| {
        for (i, pixel) in dx.chunks_mut(ld).enumerate() {
            let (row, column) = ((band.first + i) / in_w * scale_h, (band.first + i) % in_w * scale_w);
            let pixel = &mut pixel[..channels];
            pixel.fill(0.0);
            for copy in 0..scale_h * scale_w {
                let place = (row + copy / scale_w) * in_w * scale_w + column + copy % scale_w;
                let dy = &dy.data[band.image * dy.image + place * dy.ld..][..channels];
                pixel.iter_mut().zip(dy).for_each(|(v, dy)| *v += dy);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, dense, differences, seen, windows};

    #[test]
    fn of_windows() {
        let mut random = Random(31);
        let mut all = windows(&mut random, 30);
        // Windows that do not overlap, as most networks' are.
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
            // The first maximum wins: values from a small set meet often.
            let x = Tensor::random(&mut random, n, w.in_h * w.in_w, channels, gap);
            let x = Tensor::of(&x, |n, p, c| (x.at(n, p, c) * 4.0).round());
            let dy = Tensor::random(&mut random, n, w.out_h * w.out_w, channels, 1);
            let index = |n: usize, p: usize, c: usize| (n * w.in_h * w.in_w + p) * channels + c;
            let mut expected = vec![vec![0.0; n * w.in_h * w.in_w * channels]; 3];
            for n in 0..n {
                for (p, c) in (0..w.out_h * w.out_w).flat_map(|p| (0..channels).map(move |c| (p, c))) {
                    let cells = seen(&w, p);
                    for (cell, ..) in &cells {
                        expected[1][index(n, *cell, c)] += dy.at(n, p, c) / cells.len() as f64;
                        expected[2][index(n, *cell, c)] += dy.at(n, p, c) / (w.kernel_h * w.kernel_w) as f64;
                    }
                    let most = cells.iter().map(|cell| x.at(n, cell.0, c)).fold(f64::NEG_INFINITY, f64::max);
                    if let Some(first) = cells.iter().find(|cell| x.at(n, cell.0, c) == most) {
                        expected[0][index(n, first.0, c)] += dy.at(n, p, c);
                    }
                }
            }
            let dx = Tensor::new(n, w.in_h * w.in_w, channels, gap / 2);
            let most = dx.filled(|dx, t| max_pool_gradient(x.view(), dy.view(), dx, n, channels, &w, t));
            most.check_dense(1e-6, &expected[0]);
            for padded in [false, true] {
                let mean = dx.filled(|dx, t| average_pool_gradient(dy.view(), dx, n, channels, &w, padded, t));
                mean.check_dense(1e-6, &expected[1 + usize::from(padded)]);
            }
        }
    }

    #[test]
    fn large_images_in_parts() {
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
            let most = |out| seen(&w, out).iter().map(|cell| x.at(n, cell.0, c)).fold(-9.0, f64::max);
            if oy < 40 && most(oy * 32 + ox) == x.at(n, p, c) { dy.at(n, oy * 32 + ox, c) } else { 0.0 }
        });
    }

    #[test]
    fn of_all_pixels() {
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
    fn of_copies() {
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
