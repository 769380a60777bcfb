//! Products in groups: the same for tiles of every height, and nearer to the exact sums.

use super::conv_im2col::reference::noise;
use super::simd::Isa;
use super::simd_panel::{PANEL, pack, packed_len};
use super::simd_tile::{FINE, Product, Rows};
use super::threads::Threads;

/// `(rows, depth)` times `(depth, columns)`, in groups where some are asked for.
fn product(isa: Isa, group: Option<usize>, sizes: (usize, usize, usize), left: &[f32], right: &[f32]) -> Vec<f32> {
    let (rows, depth, columns) = sizes;
    let mut packed = vec![0.0; packed_len(depth, columns)];
    pack(&Threads::new(1), depth, columns, right, columns, &mut packed);
    let mut result = vec![f32::NAN; rows * columns];
    assert_eq!(left.len(), rows * depth);
    let product = Product {
        a: Rows::Strided { data: left.as_ptr(), ld: depth, tap: 0 },
        rows,
        taps: 1,
        depth,
        b: packed.as_ptr(),
        panel_stride: depth * PANEL,
        next: std::ptr::null(),
        columns,
        c: result.as_mut_ptr(),
        ldc: columns,
        accumulate: false,
        finish: None,
        residual: std::ptr::null(),
        first_column: 0,
    };
    // SAFETY: the operands have the sizes that the product names.
    unsafe {
        match group {
            Some(group) => product.run_in_groups(isa, group),
            None => isa.dispatch(product),
        }
    }
    result
}

#[test]
fn a_rows_sum_does_not_depend_on_the_height_of_its_tile() {
    for isa in Isa::available() {
        for (depth, columns) in [(16, 16), (35, 20), (36, 64), (71, 33), (128, 40), (133, 100), (300, 70)] {
            let right = noise(depth * columns, 1);
            let left = noise(13 * depth, 2);
            for group in [None, Some(4), Some(16), Some(FINE), Some(64)] {
                let one = |row: &[f32]| product(isa, group, (1, depth, columns), row, &right);
                let rows: Vec<f32> = left.chunks_exact(depth).flat_map(one).collect();
                for height in 2..=13 {
                    let tile = product(isa, group, (height, depth, columns), &left[..height * depth], &right);
                    assert!(tile == rows[..height * columns], "{isa:?} {height} {depth} {columns} {group:?}");
                }
            }
        }
    }
}

#[test]
fn groups_round_less() {
    let (rows, depth, columns) = (12, 512, 64);
    let (left, right) = (noise(rows * depth, 3), noise(depth * columns, 4));
    for isa in Isa::available() {
        let error = |group| {
            let result = product(isa, group, (rows, depth, columns), &left, &right);
            let square = |(index, value): (usize, &f32)| {
                let (row, column) = (index / columns, index % columns);
                let term = |k: usize| f64::from(left[row * depth + k]) * f64::from(right[k * columns + column]);
                ((0..depth).map(term).sum::<f64>() - f64::from(*value)).powi(2)
            };
            result.iter().enumerate().map(square).sum::<f64>().sqrt()
        };
        let (plain, fine, finer) = (error(None), error(Some(FINE)), error(Some(FINE / 2)));
        assert!(fine < 0.75 * plain && finer < fine, "{isa:?}: {plain:e} {fine:e} {finer:e}");
    }
}
