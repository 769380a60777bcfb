//! Micro-kernel tests: results are bit-identical for every tile height and epilogue, and blocked summation rounds less.

use super::micro_kernel::{LhsRows, PackedProduct, SUM_BLOCK};
use super::panel::{pack, packed_len};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::{EpilogueArgs, EpiloguePtrs};
use crate::kernels::guarded::{Floats, Side};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::View;
use crate::kernels::testing::noise;
use std::ops::Range;

/// `(rows, depth)` times `(depth, columns)` by `run`, which must write all of the result.
pub(super) fn plain_product(
    (rows, depth, columns): (usize, usize, usize),
    left: &[f32],
    right: &[f32],
    run: &dyn Fn(PackedProduct),
) -> Floats {
    let mut packed = Floats::filled(0.0, packed_len(depth, columns));
    pack(&ThreadPool::new(1), depth, columns, right, columns, &mut packed);
    let mut result = Floats::filled(f32::NAN, rows * columns);
    assert_eq!(left.len(), rows * depth);
    let left = Floats::copy(left, Side::End);
    run(PackedProduct {
        a: LhsRows::Strided { data: left.as_ptr(), ld: depth, tap_stride: 0 },
        rows,
        taps: 1,
        depth,
        row_len: depth,
        b: packed.as_ptr(),
        panel_stride: depth * PANEL,
        next_panel: std::ptr::null(),
        columns,
        c: result.as_mut_ptr(),
        ldc: columns,
        accumulate: false,
        epilogue: None,
        residual: std::ptr::null(),
        first_column: 0,
    });
    result
}

/// The same, with blocked summation if there is a block.
fn product(isa: Isa, sum_block: Option<usize>, sizes: (usize, usize, usize), left: &[f32], right: &[f32]) -> Floats {
    // SAFETY: the operands have the product's sizes.
    plain_product(sizes, left, right, &|product| unsafe {
        match sum_block {
            Some(sum_block) => product.run_with_blocked_sums(isa, sum_block),
            None => isa.dispatch(product),
        }
    })
}

#[test]
fn a_row_is_bit_identical_in_tiles_of_any_height() {
    for isa in Isa::available() {
        for (depth, columns) in [(16, 16), (35, 20), (36, 64), (71, 33), (128, 40), (133, 100), (300, 70)] {
            let right = noise(depth * columns, 1);
            let left = noise(31 * depth, 2);
            for sum_block in [None, Some(4), Some(16), Some(SUM_BLOCK), Some(64)] {
                let one = |row: &[f32]| product(isa, sum_block, (1, depth, columns), row, &right);
                let rows: Vec<f32> = left.chunks_exact(depth).flat_map(one).collect();
                for height in (2..=13).chain(19..=31) {
                    let tile = product(isa, sum_block, (height, depth, columns), &left[..height * depth], &right);
                    assert!(*tile == rows[..height * columns], "{isa:?} {height} {depth} {columns} {sum_block:?}");
                }
            }
        }
    }
}

/// A range of rows of a product with indirect rows, several taps and an epilogue.
fn with_epilogue(
    isa: Isa,
    rows: Range<usize>,
    taps: usize,
    depth: usize,
    columns: usize,
    accumulate: bool,
) -> Vec<f32> {
    let all = 25;
    let (left, right) = (noise(all * taps * depth, 1), noise(taps * depth * columns, 2));
    let (bias, residual) = (noise(columns, 3), noise(all * columns, 4));
    let mut packed = Floats::filled(0.0, packed_len(taps * depth, columns));
    pack(&ThreadPool::new(1), taps * depth, columns, &right, columns, &mut packed);
    let mut result = noise(all * columns, 5)[rows.start * columns..rows.end * columns].to_vec();
    let address = |row: usize, kernel_tap: usize| left[(row * taps + kernel_tap) * depth..].as_ptr();
    let list: Vec<_> = (0..taps).flat_map(|kernel_tap| rows.clone().map(move |row| address(row, kernel_tap))).collect();
    let epilogue = EpilogueArgs {
        bias: (columns != 16).then_some(&bias),
        residual: accumulate.then_some(View { data: &residual, ld: columns, image: 0 }),
        activation: [Activation::Relu6, Activation::Relu { alpha: 0.0 }, Activation::Linear][taps % 3],
        pool: None,
    };
    let ptrs = EpiloguePtrs::new(&epilogue, 1, all, columns);
    let product = PackedProduct {
        a: LhsRows::Indirect { addresses: list.as_ptr(), rows: rows.len() },
        rows: rows.len(),
        taps,
        depth,
        row_len: depth,
        b: packed.as_ptr(),
        panel_stride: taps * depth * PANEL,
        next_panel: std::ptr::null(),
        columns,
        c: result.as_mut_ptr(),
        ldc: columns,
        accumulate,
        epilogue: Some(&ptrs),
        // SAFETY: the row is within the residual.
        residual: unsafe { ptrs.residual(0, rows.start) },
        first_column: 0,
    };
    // SAFETY: the operands have the product's sizes.
    unsafe { isa.dispatch(product) };
    result
}

#[test]
fn the_epilogue_is_bit_identical_in_tiles_of_any_height() {
    for isa in Isa::available() {
        for (taps, depth, columns) in
            [(1, 4, 16), (1, 20, 64), (1, 96, 40), (3, 9, 33), (2, 4, 48), (4, 3, 16), (5, 11, 80)]
        {
            for accumulate in [false, true] {
                let one = |row: usize| with_epilogue(isa, row..row + 1, taps, depth, columns, accumulate);
                let rows: Vec<f32> = (0..25).flat_map(one).collect();
                for height in 19..=25 {
                    let tiles = with_epilogue(isa, 25 - height..25, taps, depth, columns, accumulate);
                    let expected = &rows[(25 - height) * columns..];
                    assert!(tiles == expected, "{isa:?} {height} {taps} {depth} {columns} {accumulate}");
                }
            }
        }
    }
}

#[test]
fn blocked_summation_rounds_less() {
    let (rows, depth, columns) = (12, 512, 64);
    let (left, right) = (noise(rows * depth, 3), noise(depth * columns, 4));
    for isa in Isa::available() {
        let error = |sum_block| {
            let result = product(isa, sum_block, (rows, depth, columns), &left, &right);
            let square = |(index, value): (usize, &f32)| {
                let (row, column) = (index / columns, index % columns);
                let term = |k: usize| f64::from(left[row * depth + k]) * f64::from(right[k * columns + column]);
                ((0..depth).map(term).sum::<f64>() - f64::from(*value)).powi(2)
            };
            result.iter().enumerate().map(square).sum::<f64>().sqrt()
        };
        let (sequential, blocked, half_blocks) = (error(None), error(Some(SUM_BLOCK)), error(Some(SUM_BLOCK / 2)));
        assert!(
            blocked < 0.75 * sequential && half_blocks < blocked,
            "{isa:?}: {sequential:e} {blocked:e} {half_blocks:e}"
        );
    }
}
