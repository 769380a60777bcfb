//! The inner loops of AVX2's register tiles, in assembly.
//!
//! A core that shares its front end with another thread starts half as many operations in a cycle, and then a tile is as
//! fast as its loop is short. These loops hold the multiplications, their loads, and five operations for each four
//! places: a sixth fewer than the compiler makes of Rust. A thread alone on its core is as fast with either.

use super::simd::Ahead;
use super::simd_panel::PANEL;
use super::simd_x86::F32x8;
use std::arch::asm;

/// The places of the depth that a turn of a loop does.
const TURN: usize = 4;

/// One place: two vectors of the panel, and each row's factor times both.
macro_rules! place {
    ([$factor:literal $low:literal $high:literal] $fetch:literal $($row:ident $left:ident $right:ident)*) => {
        concat!(
            "vmovups {low}, [{panel} + ", $low, "]\n",
            "vmovups {high}, [{panel} + ", $high, "]\n",
            $(
                "vbroadcastss {factor}, [{", stringify!($row), "} + {place} + ", $factor, "]\n",
                "vfmadd231ps {", stringify!($left), "}, {factor}, {low}\n",
                "vfmadd231ps {", stringify!($right), "}, {factor}, {high}\n",
            )*
            $fetch
        )
    };
}

/// A function that adds `turns` times four places to the sums of some rows.
macro_rules! tile {
    ($name:ident, $rows:literal, $each:literal, $last:literal, $($row:ident $left:ident $right:ident)*) => {
        /// # Safety
        /// The machine must have AVX2 and FMA, and there must be four floats of each row and four rows of the panel for
        /// each turn.
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $name(
            sums: &mut [[F32x8; 2]; $rows],
            rows: [*const f32; $rows],
            panel: *const f32,
            turns: usize,
            fetch: *const f32,
            step: usize,
        ) {
            // Places are counted in bytes up to the rows' ends.
            let end = turns * TURN;
            let [$($row),*] = rows.map(|row| row.wrapping_add(end));
            let [$([mut $left, mut $right]),*] = *sums;
            // SAFETY: only the rows and the panel are read, by the caller's promise; fetching ahead never faults.
            unsafe {
                asm!(
                    "2:",
                    place!(["0" "0" "32"] $each $($row $left $right)*),
                    place!(["4" "64" "96"] $each $($row $left $right)*),
                    place!(["8" "128" "160"] $each $($row $left $right)*),
                    place!(["12" "192" "224"] $last $($row $left $right)*),
                    "add {panel}, 256",
                    "add {place}, 16",
                    "jnz 2b",
                    panel = inout(reg) panel => _,
                    place = inout(reg) (end * size_of::<f32>()).wrapping_neg() => _,
                    fetch = inout(reg) fetch => _,
                    step = in(reg) step,
                    low = out(ymm_reg) _,
                    high = out(ymm_reg) _,
                    factor = out(ymm_reg) _,
                    $($row = in(reg) $row, $left = inout(ymm_reg) $left.0, $right = inout(ymm_reg) $right.0,)*
                    options(nostack, readonly),
                );
            }
            *sums = [$([$left, $right]),*];
        }
    };
    ($once:ident, $always:ident, $rows:literal, $($names:ident)*) => {
        tile!($once, $rows, "", "prefetcht0 [{fetch}]\nadd {fetch}, {step}", $($names)*);
        tile!($always, $rows, "prefetcht0 [{fetch}]\nadd {fetch}, {step}\n", "prefetcht0 [{fetch}]\nadd {fetch}, {step}", $($names)*);
    };
}

tile!(four_once, four_always, 4, row0 left0 right0 row1 left1 right1 row2 left2 right2 row3 left3 right3);
tile!(five_once, five_always, 5, row0 left0 right0 row1 left1 right1 row2 left2 right2 row3 left3 right3 row4 left4 right4);
tile!(six_once, six_always, 6, row0 left0 right0 row1 left1 right1 row2 left2 right2 row3 left3 right3 row4 left4 right4 row5 left5 right5);

/// [`Vector::multiply_places`](super::simd::Vector::multiply_places) for tiles of four to six rows by two vectors.
///
/// # Safety
/// As of that.
#[inline(always)]
pub(super) unsafe fn multiply_places<const R: usize, const N: usize>(
    sums: &mut [[F32x8; N]; R],
    rows: &[*const f32; R],
    panel: *const f32,
    depth: usize,
    ahead: Ahead,
) -> usize {
    let turns = depth / TURN;
    let (sums, rest) = sums.as_flattened_mut().as_chunks_mut::<2>();
    if turns == 0 || N != 2 || !rest.is_empty() {
        return 0;
    }
    // One line a turn is enough where the places' steps are short.
    let once = ahead.step * TURN <= PANEL;
    let step = if once { TURN } else { 1 } * ahead.step * size_of::<f32>();
    // SAFETY: whole turns are within the depth, for which the caller promises rows, panel and instruction set.
    unsafe {
        macro_rules! run {
            ($once:ident, $always:ident) => {
                if let (Ok(sums), Ok(&rows)) = (sums.try_into(), rows.as_slice().try_into()) {
                    match once {
                        true => $once(sums, rows, panel, turns, ahead.from, step),
                        false => $always(sums, rows, panel, turns, ahead.from, step),
                    }
                }
            };
        }
        match R {
            4 => run!(four_once, four_always),
            5 => run!(five_once, five_always),
            6 => run!(six_once, six_always),
            _ => return 0,
        }
    }
    turns * TURN
}
