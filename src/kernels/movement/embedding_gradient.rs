//! The gradient of an embedding's table.

use super::embedding::check_indices;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::View;

/// Tasks that the rows of the table are split among; every task scans all indices.
const TASKS: usize = 8;

/// Scatter-add: row r of dtable is the sum of the dy whose index is r. `indices` is `(n, pixels)` with stride `indices.ld`
/// between indices, dy `(n, pixels, channels)`, the table `(rows, channels)`. Rows without an index become 0.
///
/// # Errors
/// The position of the first index that is out of range, as for [`embedding`](super::embedding::embedding).
pub fn embedding_gradient(
    indices: View<'_>,
    dy: View<'_>,
    dtable: &mut [f32],
    size: Images,
    threads: &ThreadPool,
) -> Result<(), usize> {
    let Images { n, pixels, channels } = size;
    let rows = dtable.len() / channels.max(1);
    check_indices(indices, n, pixels, rows)?;
    let task_rows = rows.div_ceil(TASKS).max(1);
    let partition = Partition::chunks(rows * channels, task_rows * channels);
    share(threads, dtable, partition, Scratch::none(), &|chunk, out, _| {
        out.fill(0.0);
        let first = chunk.inner * task_rows;
        let range = first..first + out.len() / channels;
        for image in 0..n {
            for i in 0..pixels {
                let index = indices.data[image * indices.image + i * indices.ld] as usize;
                if range.contains(&index) {
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
    fn gradients_are_added_to_the_indexed_rows() {
        let mut random = Random(62);
        for (n, pixels, rows, channels) in [(1, 1, 1, 1), (3, 9, 7, 3), (2, 40, 50, 17)] {
            let row_indices: Vec<usize> = (0..n * pixels).map(|_| random.below(rows)).collect();
            let indices = Tensor::of(&Tensor::new(n, pixels, 1, 1), |n, p, _| row_indices[n * pixels + p] as f64);
            let dy = Tensor::random(&mut random, n, pixels, channels, 2);
            let dtable = Tensor::new(1, rows, channels, 0).filled(|table: ViewMut<'_>, threads| {
                embedding_gradient(indices.view(), dy.view(), table.data, dy.size, threads).unwrap();
            });
            check_slice(&dtable.data, 1e-6, |i| {
                let positions = (0..n * pixels).filter(|p| row_indices[*p] == i / channels);
                positions.map(|p| dy.at(p / pixels, p % pixels, i % channels)).sum()
            });
            let out_of_range = [rows as f32];
            let out_of_range = View { data: &out_of_range, ld: 1, image: 1 };
            let size = Images { n: 1, pixels: 1, channels };
            let mut table = Floats::filled(0.0, rows * channels);
            assert_eq!(embedding_gradient(out_of_range, dy.view(), &mut table, size, &ThreadPool::new(1)), Err(0));
        }
    }
}
