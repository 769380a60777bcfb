//! AVX2's complete GEMM micro-kernels in assembly, inner loop, epilogue and store: at a small K the compiler's code around
//! the loop costs as much as the loop. The rows of C and of the residual are prefetched before the loop.

use super::inner_loop::{add_total, k_step, store_total, unrolled};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::tile::{RowTile, UNROLL};
use crate::kernels::simd::vector::prefetch;
use std::arch::asm;

/// Applies `$instruction` to every accumulator, with one operand for each row's first vector and one for its second.
macro_rules! for_each_acc {
    ($instruction:literal $operand0:literal $operand1:literal $($row:ident $acc0:ident $acc1:ident)*) => {
        concat!($(
            $instruction, " {", stringify!($acc0), "}, {", $operand0, "}, {", stringify!($acc0), "}\n",
            $instruction, " {", stringify!($acc1), "}, {", $operand1, "}, {", stringify!($acc1), "}\n",
        )*)
    };
}

/// Adds a matrix tile in memory to the accumulators: the first row is at `{k}`, rows are `{$ld}` bytes apart.
macro_rules! add_tile {
    ($ld:literal) => { "" };
    ($ld:literal $row:ident $acc0:ident $acc1:ident $($others:tt)*) => {
        concat!(
            "vaddps {", stringify!($acc0), "}, {", stringify!($acc0), "}, [{k}]\n",
            "vaddps {", stringify!($acc1), "}, {", stringify!($acc1), "}, [{k} + 32]\n",
            "add {k}, {", $ld, "}\n",
            add_tile!($ld $($others)*)
        )
    };
}

/// Stores the accumulators to C, the first row at `{c}`.
macro_rules! store_tile {
    () => { "" };
    ($row:ident $acc0:ident $acc1:ident $($others:tt)*) => {
        concat!(
            "vmovups [{c}], {", stringify!($acc0), "}\n",
            "vmovups [{c} + 32], {", stringify!($acc1), "}\n",
            "add {c}, {ldc}\n",
            store_tile!($($others)*)
        )
    };
}

/// Operands of the loops and the epilogue that the assembly addresses through one register.
#[repr(C)]
struct Params {
    bias: *const f32,
    low: f32,
    high: f32,
    /// 0 without a clip, 1 for a lower bound only, 2 for both bounds.
    clips: u32,
    /// Whether to add the previous value of C.
    accumulate: u32,
    /// Added after the bias, or null.
    residual: *const f32,
    /// Bytes from one row of the residual to the next.
    residual_ld: usize,
    /// Bytes from one tap's first address to the next tap's.
    tap_stride: usize,
    /// Bytes of a row that the unrolled loop covers.
    unrolled: usize,
    /// Bytes of a row.
    depth: usize,
    /// Bytes that the prefetch stream advances per unrolled iteration.
    fetch_step: usize,
    /// The bits of a byte offset that are zero at the end of a summation block.
    block_mask: usize,
}

/// The assembly addresses the fields by these offsets.
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Params, bias) == 0 && offset_of!(Params, low) == 8 && offset_of!(Params, high) == 12);
    assert!(offset_of!(Params, clips) == 16 && offset_of!(Params, accumulate) == 20);
    assert!(offset_of!(Params, residual) == 24 && offset_of!(Params, residual_ld) == 32);
    assert!(
        offset_of!(Params, tap_stride) == 40 && offset_of!(Params, unrolled) == 48 && offset_of!(Params, depth) == 56
    );
    assert!(offset_of!(Params, fetch_step) == 64 && offset_of!(Params, block_mask) == 72);
};

/// The epilogue: adds C, bias and residual to the accumulators, clips and stores them. `{k}` and `{panel}` are free after the
/// loop and hold addresses here.
macro_rules! epilogue {
    ($($row:ident $acc0:ident $acc1:ident)*) => {
        concat!(
            "cmp dword ptr [{params} + 20], 0\n",
            "je 5f\n",
            "mov {k}, {c}\n",
            add_tile!("ldc" $($row $acc0 $acc1)*),
            "5:\n",
            "mov {panel}, [{params}]\n",
            "vmovups {b0}, [{panel}]\n",
            "vmovups {b1}, [{panel} + 32]\n",
            for_each_acc!("vaddps" "b0" "b1" $($row $acc0 $acc1)*),
            "mov {k}, [{params} + 24]\n",
            "test {k}, {k}\n",
            "jz 6f\n",
            "mov {panel}, [{params} + 32]\n",
            add_tile!("panel" $($row $acc0 $acc1)*),
            "6:\n",
            "cmp dword ptr [{params} + 16], 1\n",
            "jb 7f\n",
            "vbroadcastss {a}, [{params} + 8]\n",
            for_each_acc!("vmaxps" "a" "a" $($row $acc0 $acc1)*),
            "je 7f\n",
            "vbroadcastss {a}, [{params} + 12]\n",
            for_each_acc!("vminps" "a" "a" $($row $acc0 $acc1)*),
            "7:\n",
            store_tile!($($row $acc0 $acc1)*),
        )
    };
}

/// Emits a loop followed by [`epilogue!`], on the variables of these names.
macro_rules! loop_and_epilogue {
    (
        [$($loop:expr),* $(,)?] [$($operands:tt)*]
        ($panel:ident $k:ident $fetch:ident $params:ident $c:ident $ldc:ident) $($row:ident $acc0:ident $acc1:ident)*
    ) => {
        asm!(
            $($loop,)*
            epilogue!($($row $acc0 $acc1)*),
            panel = inout(reg) $panel => _,
            k = inout(reg) $k => _,
            fetch = inout(reg) $fetch => _,
            params = in(reg) &raw const $params,
            c = inout(reg) $c => _,
            ldc = in(reg) $ldc,
            b0 = out(ymm_reg) _,
            b1 = out(ymm_reg) _,
            a = out(ymm_reg) _,
            $($operands)*
            $($row = inout(reg) $row => _, $acc0 = out(ymm_reg) _, $acc1 = out(ymm_reg) _,)*
            options(nostack),
        )
    };
}

/// The micro-kernel of [`RowTile`] for `$rows` rows, with one of three loops: blocked summation, one tap without a
/// remainder, or the general loop over taps and remainders. Each row has the byte offset of its address in a tap's list and
/// those of its totals.
macro_rules! row_tile {
    ($name:ident, $rows:literal, $($row:ident $at:literal $acc0:ident $at0:literal $acc1:ident $at1:literal)*) => {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $name(tile: &RowTile) {
            let RowTile { rows, taps, depth, panels, ldc, residual, residual_ld, low, high, .. } = *tile;
            let bytes = |floats: usize| floats * size_of::<f32>();
            let mut params = Params {
                bias: tile.bias,
                low,
                high,
                clips: if high < f32::INFINITY { 2 } else { u32::from(low > f32::NEG_INFINITY) },
                accumulate: tile.accumulate.into(),
                residual,
                residual_ld: bytes(residual_ld),
                tap_stride: tile.tap_stride * size_of::<*const f32>(),
                unrolled: bytes(depth / UNROLL * UNROLL),
                depth: bytes(depth),
                fetch_step: bytes(tile.fetch.step * UNROLL),
                block_mask: bytes(tile.sum_block).wrapping_sub(1),
            };
            let (mut panel, mut fetch, mut c) = (tile.panel, tile.fetch.from, tile.c);
            // SAFETY: the caller's promise; prefetches never fault.
            unsafe {
                let [$($row),*] = rows.cast::<[*const f32; $rows]>().read().map(|row| row.wrapping_add(depth));
                let ldc_bytes = bytes(ldc);
                for _ in 0..panels {
                    if !residual.is_null() {
                        (0..$rows).for_each(|row| prefetch(params.residual.wrapping_add(row * residual_ld)));
                    }
                    for row in 0..$rows {
                        asm!("prefetchw [{}]", in(reg) c.wrapping_add(row * ldc), options(nostack, readonly));
                    }
                    let k = bytes(depth).wrapping_neg();
                    if tile.sum_block > 0 {
                        let mut totals = [[0.0f32; PANEL]; $rows];
                        loop_and_epilogue!(
                            [
                                "2:",
                                unrolled!("vmulps" "" "prefetcht0 [{fetch}]\nadd {fetch}, [{params} + 64]\n" $($row $acc0 $acc1)*),
                                "test {k}, [{params} + 72]",
                                "jz 4f",
                                "3:",
                                unrolled!("vfmadd231ps" "" "prefetcht0 [{fetch}]\nadd {fetch}, [{params} + 64]\n" $($row $acc0 $acc1)*),
                                "test {k}, [{params} + 72]",
                                "jnz 3b",
                                "4:",
                                $(add_total!($acc0 $at0), add_total!($acc1 $at1),)*
                                "test {k}, {k}",
                                "jz 8f",
                                $(store_total!($acc0 $at0), store_total!($acc1 $at1),)*
                                "jmp 2b",
                                "8:",
                            ]
                            [totals = in(reg) totals.as_mut_ptr(),]
                            (panel k fetch params c ldc_bytes) $($row $acc0 $acc1)*
                        );
                    } else if taps == 1 && depth.is_multiple_of(UNROLL) {
                        loop_and_epilogue!(
                            [
                                unrolled!("vmulps" "" $($row $acc0 $acc1)*),
                                "jz 3f",
                                "2:",
                                unrolled!("vfmadd231ps" "" $($row $acc0 $acc1)*),
                                "jnz 2b",
                                "3:",
                            ]
                            [step = in(reg) params.fetch_step,]
                            (panel k fetch params c ldc_bytes) $($row $acc0 $acc1)*
                        );
                    } else {
                        loop_and_epilogue!(
                            [
                                $(
                                    concat!("vxorps {", stringify!($acc0), "}, {", stringify!($acc0), "}, {", stringify!($acc0), "}"),
                                    concat!("vxorps {", stringify!($acc1), "}, {", stringify!($acc1), "}, {", stringify!($acc1), "}"),
                                )*
                                "2:",
                                $(concat!("mov {", stringify!($row), "}, [{addresses} + ", $at, "]"),)*
                                "add {addresses}, [{params} + 40]",
                                "xor {k:e}, {k:e}",
                                "cmp {k}, [{params} + 48]",
                                "jae 4f",
                                "3:",
                                unrolled!("vfmadd231ps" "" "prefetcht0 [{fetch}]\nadd {fetch}, [{params} + 64]\n" $($row $acc0 $acc1)*),
                                "cmp {k}, [{params} + 48]",
                                "jb 3b",
                                "4:",
                                "cmp {k}, [{params} + 56]",
                                "jae 8f",
                                k_step!("vfmadd231ps" ["0" "0" "32"] "" $($row $acc0 $acc1)*),
                                "add {panel}, 64",
                                "add {k}, 4",
                                "jmp 4b",
                                "8:",
                                "dec {taps}",
                                "jnz 2b",
                            ]
                            [addresses = inout(reg) rows => _, taps = inout(reg) taps => _,]
                            (panel k fetch params c ldc_bytes) $($row $acc0 $acc1)*
                        );
                    }
                    panel = panel.wrapping_add(tile.panel_stride);
                    fetch = fetch.wrapping_add(tile.panel_stride);
                    c = c.wrapping_add(PANEL);
                    if !residual.is_null() {
                        params.residual = params.residual.wrapping_add(PANEL);
                    }
                    params.bias = params.bias.wrapping_add(tile.bias_stride);
                }
            }
        }
    };
}

row_tile!(row_tile_4, 4, row0 "0" acc00 "0" acc01 "32" row1 "8" acc10 "64" acc11 "96" row2 "16" acc20 "128" acc21 "160" row3 "24" acc30 "192" acc31 "224");
row_tile!(row_tile_5, 5, row0 "0" acc00 "0" acc01 "32" row1 "8" acc10 "64" acc11 "96" row2 "16" acc20 "128" acc21 "160" row3 "24" acc30 "192" acc31 "224" row4 "32" acc40 "256" acc41 "288");
row_tile!(row_tile_6, 6, row0 "0" acc00 "0" acc01 "32" row1 "8" acc10 "64" acc11 "96" row2 "16" acc20 "128" acc21 "160" row3 "24" acc30 "192" acc31 "224" row4 "32" acc40 "256" acc41 "288" row5 "40" acc50 "320" acc51 "352");

/// [`Vector::has_row_tile`](crate::kernels::simd::vector::Vector::has_row_tile).
#[inline(always)]
pub(crate) fn has_row_tile(rows: usize) -> bool {
    (4..=6).contains(&rows)
}

/// [`Vector::run_row_tile`](crate::kernels::simd::vector::Vector::run_row_tile).
///
/// # Safety
/// As of the trait's method.
#[inline(always)]
pub(crate) unsafe fn run_row_tile(rows: usize, tile: &RowTile) {
    // SAFETY: the caller's promise.
    unsafe {
        match rows {
            4 => row_tile_4(tile),
            5 => row_tile_5(tile),
            _ => row_tile_6(tile),
        }
    }
}
