//! Products: the same for tiles of every height, whatever is done with their sums, and in groups nearer to the exact ones.

use super::micro_kernel::{FINE, Product, Rows};
use super::panel::{pack, packed_len};
use crate::kernels::conv::naive::noise;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::{EpilogueArgs, EpiloguePtrs};
use crate::kernels::guarded::{Floats, Side};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::View;
use std::ops::Range;

/// `(rows, depth)` times `(depth, columns)`, in groups where some are asked for.
fn product(isa: Isa, group: Option<usize>, sizes: (usize, usize, usize), left: &[f32], right: &[f32]) -> Floats {
    let (rows, depth, columns) = sizes;
    let mut packed = Floats::filled(0.0, packed_len(depth, columns));
    pack(&ThreadPool::new(1), depth, columns, right, columns, &mut packed);
    let mut result = Floats::filled(f32::NAN, rows * columns);
    assert_eq!(left.len(), rows * depth);
    let left = Floats::copy(left, Side::End);
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
            let left = noise(31 * depth, 2);
            for group in [None, Some(4), Some(16), Some(FINE), Some(64)] {
                let one = |row: &[f32]| product(isa, group, (1, depth, columns), row, &right);
                let rows: Vec<f32> = left.chunks_exact(depth).flat_map(one).collect();
                for height in (2..=13).chain(19..=31) {
                    let tile = product(isa, group, (height, depth, columns), &left[..height * depth], &right);
                    assert!(*tile == rows[..height * columns], "{isa:?} {height} {depth} {columns} {group:?}");
                }
            }
        }
    }
}

/// Some rows of a product of listed rows over several taps, with all that can be done with the sums.
fn finished(isa: Isa, rows: Range<usize>, taps: usize, depth: usize, columns: usize, accumulate: bool) -> Vec<f32> {
    let all = 25;
    let (left, right) = (noise(all * taps * depth, 1), noise(taps * depth * columns, 2));
    let (bias, residual) = (noise(columns, 3), noise(all * columns, 4));
    let mut packed = Floats::filled(0.0, packed_len(taps * depth, columns));
    pack(&ThreadPool::new(1), taps * depth, columns, &right, columns, &mut packed);
    let mut result = noise(all * columns, 5)[rows.start * columns..rows.end * columns].to_vec();
    let row = |tap: usize, row: usize| left[(row * taps + tap) * depth..].as_ptr();
    let list: Vec<_> = (0..taps).flat_map(|tap| rows.clone().map(move |at| row(tap, at))).collect();
    let epilogue = EpilogueArgs {
        bias: (columns != 16).then_some(&bias),
        residual: accumulate.then_some(View { data: &residual, ld: columns, image: 0 }),
        activation: [Activation::Relu6, Activation::Relu { alpha: 0.0 }, Activation::Linear][taps % 3],
        pool: None,
    };
    let finish = EpiloguePtrs::new(&epilogue, 1, all, columns);
    let product = Product {
        a: Rows::Listed { addresses: list.as_ptr(), rows: rows.len() },
        rows: rows.len(),
        taps,
        depth,
        b: packed.as_ptr(),
        panel_stride: taps * depth * PANEL,
        next: std::ptr::null(),
        columns,
        c: result.as_mut_ptr(),
        ldc: columns,
        accumulate,
        finish: Some(&finish),
        // SAFETY: the row is within the residual.
        residual: unsafe { finish.residual(0, rows.start) },
        first_column: 0,
    };
    // SAFETY: the operands have the sizes that the product names.
    unsafe { isa.dispatch(product) };
    result
}

#[test]
fn what_is_done_with_sums_does_not_depend_on_the_height_of_their_tile() {
    for isa in Isa::available() {
        for (taps, depth, columns) in
            [(1, 4, 16), (1, 20, 64), (1, 96, 40), (3, 9, 33), (2, 4, 48), (4, 3, 16), (5, 11, 80)]
        {
            for accumulate in [false, true] {
                let one = |row: usize| finished(isa, row..row + 1, taps, depth, columns, accumulate);
                let rows: Vec<f32> = (0..25).flat_map(one).collect();
                for height in 19..=25 {
                    let tiles = finished(isa, 25 - height..25, taps, depth, columns, accumulate);
                    let expected = &rows[(25 - height) * columns..];
                    assert!(tiles == expected, "{isa:?} {height} {taps} {depth} {columns} {accumulate}");
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
