//! Transposition of matrix blocks, for packing.

/// Rows and columns of a square that is transposed in registers.
const SQUARE: usize = 8;

/// `to[c * to_ld + r] = from[r * ld + c]` for all r < `rows` and c < `columns`.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn transpose(from: &[f32], ld: usize, rows: usize, columns: usize, to: &mut [f32], to_ld: usize) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(from.len() > (rows - 1) * ld + columns - 1 && to.len() > (columns - 1) * to_ld + rows - 1, "a block");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: the machine supports AVX, and the block is within both slices.
        return unsafe { avx(from, ld, rows, columns, to, to_ld) };
    }
    for row in (0..rows).step_by(SQUARE) {
        for column in (0..columns).step_by(SQUARE) {
            let (height, width) = (SQUARE.min(rows - row), SQUARE.min(columns - column));
            remainder(from, ld, (row, column), (height, width), to, to_ld);
        }
    }
}

/// Transposes a part of the block element by element.
#[inline(always)]
fn remainder(
    from: &[f32],
    ld: usize,
    (row, column): (usize, usize),
    (height, width): (usize, usize),
    to: &mut [f32],
    to_ld: usize,
) {
    for c in column..column + width {
        for r in row..row + height {
            to[c * to_ld + r] = from[r * ld + c];
        }
    }
}

/// # Safety
/// The machine must support AVX, and the block must be within both slices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn avx(from: &[f32], ld: usize, rows: usize, columns: usize, to: &mut [f32], to_ld: usize) {
    use std::arch::x86_64::*;
    let (full_rows, full_columns) = (rows / SQUARE * SQUARE, columns / SQUARE * SQUARE);
    for row in (0..full_rows).step_by(SQUARE) {
        for column in (0..full_columns).step_by(SQUARE) {
            // SAFETY: the square is within the block.
            unsafe {
                let from = from.as_ptr().add(row * ld + column);
                let to = to.as_mut_ptr().add(column * to_ld + row);
                // Halves of rows r and r + 4 in one register: only shuffles within 128-bit lanes remain.
                let pair = |r: usize, half: usize| {
                    let low = _mm_loadu_ps(from.add(r * ld + half));
                    _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), _mm_loadu_ps(from.add((r + 4) * ld + half)))
                };
                for half in [0, 4] {
                    let (a, b, c, d) = (pair(0, half), pair(1, half), pair(2, half), pair(3, half));
                    let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                    let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                    let store = |column: usize, line| _mm256_storeu_ps(to.add((half + column) * to_ld), line);
                    store(0, _mm256_shuffle_ps::<0x44>(ab_low, cd_low));
                    store(1, _mm256_shuffle_ps::<0xee>(ab_low, cd_low));
                    store(2, _mm256_shuffle_ps::<0x44>(ab_high, cd_high));
                    store(3, _mm256_shuffle_ps::<0xee>(ab_high, cd_high));
                }
            }
        }
    }
    remainder(from, ld, (0, full_columns), (full_rows, columns - full_columns), to, to_ld);
    remainder(from, ld, (full_rows, 0), (rows - full_rows, columns), to, to_ld);
}

#[cfg(test)]
mod tests {
    use super::super::super::guarded::Floats;
    use super::*;

    #[test]
    fn every_element_is_transposed_and_gaps_are_untouched() {
        for (rows, columns, gap) in [(1, 1, 0), (8, 8, 0), (16, 24, 3), (17, 9, 1), (7, 40, 0), (33, 5, 2)] {
            let (ld, to_ld) = (columns + gap, rows + gap);
            let from: Floats = (0..rows * ld - gap).map(|i| i as f32).collect();
            let mut to = Floats::filled(-1.0, columns * to_ld);
            transpose(&from, ld, rows, columns, &mut to, to_ld);
            for (index, value) in to.iter().enumerate() {
                let (column, row) = (index / to_ld, index % to_ld);
                let expected = if row < rows { from[row * ld + column] } else { -1.0 };
                assert_eq!(*value, expected, "{rows}x{columns} at {index}");
            }
        }
    }
}
