//! The gradient of an embedding by its table.

use super::embedding::check;
use crate::kernels::parallel::disjoint::{Grid, Scratch, share};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::View;

/// Tasks that share the table; each looks at all indices.
const TASKS: usize = 8;

/// Each row of dtable is the sum of the dy of all places with its index: `indices` is `(n, pixels)` with places
/// `indices.ld` apart, dy `(n, pixels, channels)`, the table `(rows, channels)`. Rows that no index names become 0.
///
/// # Errors
/// The place of the first index that is not a row of the table, as for [`embedding`](super::embedding::embedding).
pub fn embedding_gradient(
    indices: View<'_>,
    dy: View<'_>,
    dtable: &mut [f32],
    size: Images,
    threads: &ThreadPool,
) -> Result<(), usize> {
    let Images { n, pixels, channels } = size;
    let rows = dtable.len() / channels.max(1);
    check(indices, n, pixels, rows)?;
    let each = rows.div_ceil(TASKS).max(1);
    let grid = Grid::chunks(rows * channels, each * channels);
    share(threads, dtable, grid, Scratch::none(), &|piece, out, _| {
        out.fill(0.0);
        let first = piece.inner * each;
        let own = first..first + out.len() / channels;
        for image in 0..n {
            for i in 0..pixels {
                let index = indices.data[image * indices.image + i * indices.ld] as usize;
                if own.contains(&index) {
                    let dy = &dy.data[image * dy.image + i * dy.ld..][..channels];
                    let row = &mut out[(index - first) * channels..][..channels];
                    row.iter_mut().zip(dy).for_each(|(v, dy)| *v += dy);
                }
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::tensor_view::ViewMut;
    use crate::kernels::testing::{Random, Tensor, check_slice};

    #[test]
    fn sums_by_rows() {
        let mut random = Random(62);
        for (n, pixels, rows, channels) in [(1, 1, 1, 1), (3, 9, 7, 3), (2, 40, 50, 17)] {
            let numbers: Vec<usize> = (0..n * pixels).map(|_| random.below(rows)).collect();
            let indices = Tensor::of(&Tensor::new(n, pixels, 1, 1), |n, p, _| numbers[n * pixels + p] as f64);
            let dy = Tensor::random(&mut random, n, pixels, channels, 2);
            let dtable = Tensor::new(1, rows, channels, 0).filled(|table: ViewMut<'_>, threads| {
                embedding_gradient(indices.view(), dy.view(), table.data, dy.size, threads).unwrap();
            });
            check_slice(&dtable.data, 1e-6, |i| {
                let places = (0..n * pixels).filter(|p| numbers[*p] == i / channels);
                places.map(|p| dy.at(p / pixels, p % pixels, i % channels)).sum()
            });
            let wrong = [rows as f32];
            let wrong = View { data: &wrong, ld: 1, image: 1 };
            let one = Images { n: 1, pixels: 1, channels };
            let mut table = Floats::filled(0.0, rows * channels);
            assert_eq!(embedding_gradient(wrong, dy.view(), &mut table, one, &ThreadPool::new(1)), Err(0));
        }
    }
}
