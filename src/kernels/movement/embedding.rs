//! Embedding lookup: rows of a table, selected by indices.

use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// `y[n, i] = table[indices[n, i]]`: `indices` is `(n, pixels)` with stride `indices.ld` between indices, the table
/// `(rows, channels)` row-major, y `(n, pixels, channels)`.
///
/// Indices are floats and truncated towards zero, as TensorFlow casts them.
///
/// # Errors
/// The position of the first index (counted over the batch) that is out of range; y is unchanged then.
pub fn embedding(
    indices: View<'_>,
    y: ViewMut<'_>,
    size: Images,
    table: &[f32],
    threads: &ThreadPool,
) -> Result<(), usize> {
    let Images { n, pixels, channels } = size;
    check_indices(indices, n, pixels, table.len() / channels.max(1))?;
    let ld = y.ld;
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        for (i, y) in out.chunks_mut(ld).enumerate() {
            let index = indices.data[band.image * indices.image + (band.first + i) * indices.ld] as usize;
            y[..channels].copy_from_slice(&table[index * channels..][..channels]);
        }
    });
    Ok(())
}

/// Checks that all indices are in range for a table of `rows` rows.
///
/// # Errors
/// The position of the first index that is out of range.
pub(crate) fn check_indices(indices: View<'_>, n: usize, pixels: usize, rows: usize) -> Result<(), usize> {
    for image in 0..n {
        for i in 0..pixels {
            let index = indices.data[image * indices.image + i * indices.ld];
            // NaN fails both comparisons; -0.5 truncates to 0.
            if !(index > -1.0 && index < rows as f32) {
                return Err(image * pixels + i);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn looks_up_rows_of_a_table() {
        let mut random = Random(18);
        for (n, pixels, rows, channels) in [(1, 1, 1, 1), (3, 4, 7, 3), (2, 40, 50, 17), (2, 100, 9, 300)] {
            let table = random.floats(rows * channels);
            let indices = Tensor::new(n, pixels, 1, 1);
            let row_indices: Vec<usize> = (0..n * pixels).map(|_| random.below(rows)).collect();
            let indices = Tensor::of(&indices, |n, p, _| row_indices[n * pixels + p] as f64 + 0.25);
            let y = Tensor::new(n, pixels, channels, 2);
            let y = y.filled(|y, t| embedding(indices.view(), y, Images { n, pixels, channels }, &table, t).unwrap());
            y.check(0.0, |n, p, c| f64::from(table[row_indices[n * pixels + p] * channels + c]));
        }
    }

    #[test]
    fn an_index_out_of_range_is_reported_by_its_position() {
        let size = Images { n: 2, pixels: 3, channels: 2 };
        let table = [0.5; 8];
        for invalid in [4.0, -1.0, f32::NAN, f32::INFINITY, 1e20] {
            let indices = [0.0, 3.9, -0.5, 1.0, invalid, -7.0];
            let mut y = [9.0; 12];
            let view = View { data: &indices, ld: 1, image: 3 };
            let out = ViewMut { data: &mut y, ld: 2, image: 6 };
            assert_eq!(embedding(view, out, size, &table, &ThreadPool::new(2)), Err(4));
            assert_eq!(y, [9.0; 12]);
        }
    }
}
