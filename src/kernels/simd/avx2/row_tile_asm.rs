//! AVX2's register tiles from the first multiplication to what is stored, in assembly: between the loops of short products
//! the compiler's code costs as much as the loops. What is added and where results go is asked for before the loop.

use super::inner_loop::{gather, hold, place, turn};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::tile::{RowTile, UNROLL};
use crate::kernels::simd::vector::prefetch;
use std::arch::asm;

/// What an instruction makes of each sum and one operand before it.
macro_rules! each {
    ($instruction:literal $first:literal $second:literal $($row:ident $left:ident $right:ident)*) => {
        concat!($(
            $instruction, " {", stringify!($left), "}, {", $first, "}, {", stringify!($left), "}\n",
            $instruction, " {", stringify!($right), "}, {", $second, "}, {", stringify!($right), "}\n",
        )*)
    };
}

/// Adds to each row's sums what stands in memory: the first of them at `place`, each other `by` further.
macro_rules! add_rows {
    ($by:literal) => { "" };
    ($by:literal $row:ident $left:ident $right:ident $($others:tt)*) => {
        concat!(
            "vaddps {", stringify!($left), "}, {", stringify!($left), "}, [{place}]\n",
            "vaddps {", stringify!($right), "}, {", stringify!($right), "}, [{place} + 32]\n",
            "add {place}, {", $by, "}\n",
            add_rows!($by $($others)*)
        )
    };
}

/// Stores each row's sums, the first of them at `to`.
macro_rules! store {
    () => { "" };
    ($row:ident $left:ident $right:ident $($others:tt)*) => {
        concat!(
            "vmovups [{to}], {", stringify!($left), "}\n",
            "vmovups [{to} + 32], {", stringify!($right), "}\n",
            "add {to}, {ld}\n",
            store!($($others)*)
        )
    };
}

/// What the assembly of [`RowTile`] finds through one register.
#[repr(C)]
struct EpilogueParams {
    bias: *const f32,
    low: f32,
    high: f32,
    /// 0 if nothing is clipped, 1 if below, 2 if above as well.
    clips: u32,
    /// Whether what the result holds is added before.
    accumulate: u32,
    /// What is added behind the bias, or null, and bytes from one row to the next.
    residual: *const f32,
    residual_ld: usize,
    /// Bytes from a tap's first address to the next tap's.
    tap: usize,
    /// Bytes of a row that are whole turns, and all.
    turns: usize,
    depth: usize,
    /// Bytes that are asked for from each turn to the next.
    step: usize,
    /// The bits of a place's offset in bytes that none has where a group ends.
    within: usize,
}

/// The assembly names the fields by these offsets.
const _: () = {
    use std::mem::offset_of;
    assert!(
        offset_of!(EpilogueParams, bias) == 0
            && offset_of!(EpilogueParams, low) == 8
            && offset_of!(EpilogueParams, high) == 12
    );
    assert!(offset_of!(EpilogueParams, clips) == 16 && offset_of!(EpilogueParams, accumulate) == 20);
    assert!(offset_of!(EpilogueParams, residual) == 24 && offset_of!(EpilogueParams, residual_ld) == 32);
    assert!(
        offset_of!(EpilogueParams, tap) == 40
            && offset_of!(EpilogueParams, turns) == 48
            && offset_of!(EpilogueParams, depth) == 56
    );
    assert!(offset_of!(EpilogueParams, step) == 64 && offset_of!(EpilogueParams, within) == 72);
};

/// What becomes of the sums of a tile of [`RowTile`]: added to, clipped, stored.
macro_rules! ending {
    ($($row:ident $left:ident $right:ident)*) => {
        concat!(
            "cmp dword ptr [{ending} + 20], 0\n",
            "je 5f\n",
            "mov {place}, {to}\n",
            add_rows!("ld" $($row $left $right)*),
            "5:\n",
            "mov {panel}, [{ending}]\n",
            "vmovups {low}, [{panel}]\n",
            "vmovups {high}, [{panel} + 32]\n",
            each!("vaddps" "low" "high" $($row $left $right)*),
            "mov {place}, [{ending} + 24]\n",
            "test {place}, {place}\n",
            "jz 6f\n",
            "mov {panel}, [{ending} + 32]\n",
            add_rows!("panel" $($row $left $right)*),
            "6:\n",
            "cmp dword ptr [{ending} + 16], 1\n",
            "jb 7f\n",
            "vbroadcastss {factor}, [{ending} + 8]\n",
            each!("vmaxps" "factor" "factor" $($row $left $right)*),
            "je 7f\n",
            "vbroadcastss {factor}, [{ending} + 12]\n",
            each!("vminps" "factor" "factor" $($row $left $right)*),
            "7:\n",
            store!($($row $left $right)*),
        )
    };
}

/// Runs a loop and then [`ending!`], on the variables of these names.
macro_rules! run {
    (
        [$($loop:expr),* $(,)?] [$($operands:tt)*]
        ($panel:ident $place:ident $fetch:ident $ending:ident $to:ident $ld:ident) $($row:ident $left:ident $right:ident)*
    ) => {
        asm!(
            $($loop,)*
            ending!($($row $left $right)*),
            panel = inout(reg) $panel => _,
            place = inout(reg) $place => _,
            fetch = inout(reg) $fetch => _,
            ending = in(reg) &raw const $ending,
            to = inout(reg) $to => _,
            ld = in(reg) $ld,
            low = out(ymm_reg) _,
            high = out(ymm_reg) _,
            factor = out(ymm_reg) _,
            $($operands)*
            $($row = inout(reg) $row => _, $left = out(ymm_reg) _, $right = out(ymm_reg) _,)*
            options(nostack),
        )
    };
}

/// The tiles of [`RowTile`] of so many rows: by groups of places, over one tap of whole turns, or over any taps.
macro_rules! across {
    ($name:ident, $rows:literal, $($row:ident $at:literal $left:ident $low:literal $right:ident $high:literal)*) => {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $name(across: &RowTile) {
            let RowTile { rows, taps, depth, panels, ldc, residual, residual_ld, low, high, .. } = *across;
            let bytes = |floats: usize| floats * size_of::<f32>();
            let mut ending = EpilogueParams {
                bias: across.bias,
                low,
                high,
                clips: if high < f32::INFINITY { 2 } else { u32::from(low > f32::NEG_INFINITY) },
                accumulate: across.accumulate.into(),
                residual,
                residual_ld: bytes(residual_ld),
                tap: across.tap * size_of::<*const f32>(),
                turns: bytes(depth / UNROLL * UNROLL),
                depth: bytes(depth),
                step: bytes(across.fetch.step * UNROLL),
                within: bytes(across.group).wrapping_sub(1),
            };
            let (mut panel, mut fetch, mut to) = (across.panel, across.fetch.from, across.c);
            // SAFETY: the caller's promise; asking for what comes never errors.
            unsafe {
                let [$($row),*] = rows.cast::<[*const f32; $rows]>().read().map(|row| row.wrapping_add(depth));
                let ld = bytes(ldc);
                for _ in 0..panels {
                    if !residual.is_null() {
                        (0..$rows).for_each(|row| prefetch(ending.residual.wrapping_add(row * residual_ld)));
                    }
                    for row in 0..$rows {
                        asm!("prefetchw [{}]", in(reg) to.wrapping_add(row * ldc), options(nostack, readonly));
                    }
                    let place = bytes(depth).wrapping_neg();
                    if across.group > 0 {
                        let mut held = [[0.0f32; PANEL]; $rows];
                        run!(
                            [
                                "2:",
                                turn!("vmulps" "" "prefetcht0 [{fetch}]\nadd {fetch}, [{ending} + 64]\n" $($row $left $right)*),
                                "test {place}, [{ending} + 72]",
                                "jz 4f",
                                "3:",
                                turn!("vfmadd231ps" "" "prefetcht0 [{fetch}]\nadd {fetch}, [{ending} + 64]\n" $($row $left $right)*),
                                "test {place}, [{ending} + 72]",
                                "jnz 3b",
                                "4:",
                                $(gather!($left $low), gather!($right $high),)*
                                "test {place}, {place}",
                                "jz 8f",
                                $(hold!($left $low), hold!($right $high),)*
                                "jmp 2b",
                                "8:",
                            ]
                            [held = in(reg) held.as_mut_ptr(),]
                            (panel place fetch ending to ld) $($row $left $right)*
                        );
                    } else if taps == 1 && depth.is_multiple_of(UNROLL) {
                        run!(
                            [
                                turn!("vmulps" "" $($row $left $right)*),
                                "jz 3f",
                                "2:",
                                turn!("vfmadd231ps" "" $($row $left $right)*),
                                "jnz 2b",
                                "3:",
                            ]
                            [step = in(reg) ending.step,]
                            (panel place fetch ending to ld) $($row $left $right)*
                        );
                    } else {
                        run!(
                            [
                                $(
                                    concat!("vxorps {", stringify!($left), "}, {", stringify!($left), "}, {", stringify!($left), "}"),
                                    concat!("vxorps {", stringify!($right), "}, {", stringify!($right), "}, {", stringify!($right), "}"),
                                )*
                                "2:",
                                $(concat!("mov {", stringify!($row), "}, [{list} + ", $at, "]"),)*
                                "add {list}, [{ending} + 40]",
                                "xor {place:e}, {place:e}",
                                "cmp {place}, [{ending} + 48]",
                                "jae 4f",
                                "3:",
                                turn!("vfmadd231ps" "" "prefetcht0 [{fetch}]\nadd {fetch}, [{ending} + 64]\n" $($row $left $right)*),
                                "cmp {place}, [{ending} + 48]",
                                "jb 3b",
                                "4:",
                                "cmp {place}, [{ending} + 56]",
                                "jae 8f",
                                place!("vfmadd231ps" ["0" "0" "32"] "" $($row $left $right)*),
                                "add {panel}, 64",
                                "add {place}, 4",
                                "jmp 4b",
                                "8:",
                                "dec {taps}",
                                "jnz 2b",
                            ]
                            [list = inout(reg) rows => _, taps = inout(reg) taps => _,]
                            (panel place fetch ending to ld) $($row $left $right)*
                        );
                    }
                    panel = panel.wrapping_add(across.panel_stride);
                    fetch = fetch.wrapping_add(across.panel_stride);
                    to = to.wrapping_add(PANEL);
                    if !residual.is_null() {
                        ending.residual = ending.residual.wrapping_add(PANEL);
                    }
                    ending.bias = ending.bias.wrapping_add(across.bias_stride);
                }
            }
        }
    };
}

across!(four_across, 4, row0 "0" left0 "0" right0 "32" row1 "8" left1 "64" right1 "96" row2 "16" left2 "128" right2 "160" row3 "24" left3 "192" right3 "224");
across!(five_across, 5, row0 "0" left0 "0" right0 "32" row1 "8" left1 "64" right1 "96" row2 "16" left2 "128" right2 "160" row3 "24" left3 "192" right3 "224" row4 "32" left4 "256" right4 "288");
across!(six_across, 6, row0 "0" left0 "0" right0 "32" row1 "8" left1 "64" right1 "96" row2 "16" left2 "128" right2 "160" row3 "24" left3 "192" right3 "224" row4 "32" left4 "256" right4 "288" row5 "40" left5 "320" right5 "352");

/// [`Vector::has_row_tile`](crate::kernels::simd::vector::Vector::has_row_tile).
#[inline(always)]
pub(crate) fn has_row_tile(rows: usize) -> bool {
    (4..=6).contains(&rows)
}

/// [`Vector::run_row_tile`](crate::kernels::simd::vector::Vector::run_row_tile).
///
/// # Safety
/// As of that.
#[inline(always)]
pub(crate) unsafe fn run_row_tile(rows: usize, across: &RowTile) {
    // SAFETY: the caller's promise.
    unsafe {
        match rows {
            4 => four_across(across),
            5 => five_across(across),
            _ => six_across(across),
        }
    }
}
