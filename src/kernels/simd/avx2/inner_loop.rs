//! The inner K loops of AVX2's GEMM micro-kernels (4, 5 or 6 rows by 2 vectors), in assembly.
//!
//! With two hardware threads on a core, each gets half of the front end's issue slots, and the loop with the fewest
//! instructions wins. Beside the FMAs and their loads, these loops have five instructions per four K steps: a sixth fewer
//! in all than the compiler emits. A thread that has the core to itself is equally fast with either.

use crate::kernels::simd::tile::{KSlice, PANEL, Prefetch, UNROLL};
use std::arch::x86_64::__m256;

/// One K step: loads a row of the panel (two vectors), broadcasts each row's element of A and multiplies it with both,
/// by `$multiply` (`vfmadd231ps`, or `vmulps` to start a sum). The literals are byte offsets.
macro_rules! k_step {
    ($multiply:literal [$a:literal $b0:literal $b1:literal] $fetch:literal $($row:ident $acc0:ident $acc1:ident)*) => {
        concat!(
            "vmovups {b0}, [{panel} + ", $b0, "]\n",
            "vmovups {b1}, [{panel} + ", $b1, "]\n",
            $(
                "vbroadcastss {a}, [{", stringify!($row), "} + {k} + ", $a, "]\n",
                $multiply, " {", stringify!($acc0), "}, {a}, {b0}\n",
                $multiply, " {", stringify!($acc1), "}, {a}, {b1}\n",
            )*
            $fetch
        )
    };
}

/// [`UNROLL`] K steps. `$first` is the multiply instruction of the first step; `$fetch` is the prefetch after each of the
/// first three steps, `$last` the one after the fourth.
macro_rules! unrolled {
    ($first:literal $fetch:literal $($tile:ident)*) => {
        unrolled!($first $fetch "prefetcht0 [{fetch}]\nadd {fetch}, {step}\n" $($tile)*)
    };
    ($first:literal $fetch:literal $last:literal $($tile:ident)*) => {
        concat!(
            k_step!($first ["0" "0" "32"] $fetch $($tile)*),
            k_step!("vfmadd231ps" ["4" "64" "96"] $fetch $($tile)*),
            k_step!("vfmadd231ps" ["8" "128" "160"] $fetch $($tile)*),
            k_step!("vfmadd231ps" ["12" "192" "224"] $last $($tile)*),
            "add {panel}, 256\n",
            "add {k}, 16\n",
        )
    };
}

/// Adds the running total in memory to an accumulator, which holds a partial sum.
macro_rules! add_total {
    ($acc:ident $at:literal) => {
        concat!("vaddps {", stringify!($acc), "}, {", stringify!($acc), "}, [{totals} + ", $at, "]\n")
    };
}

/// Stores an accumulator as the new running total.
macro_rules! store_total {
    ($acc:ident $at:literal) => {
        concat!("vmovups [{totals} + ", $at, "], {", stringify!($acc), "}\n")
    };
}

pub(crate) use {add_total, k_step, store_total, unrolled};

/// The loops of tiles of `$rows` rows, with the prefetch `$fetch` after each K step but the last of an unrolled iteration,
/// which always has one.
macro_rules! tile {
    ($name:ident, $rows:literal, $fetch:literal, $($row:ident $acc0:ident $acc1:ident $at0:literal $at1:literal)*) => {
        mod $name {
            use std::arch::asm;
            use std::arch::x86_64::__m256;

            /// Accumulates `depth` K steps, a multiple of the unroll factor, into the tile.
            ///
            /// # Safety
            /// The machine must support AVX2 and FMA; each row of A and the panel must have `depth` steps.
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            pub unsafe fn sequential(
                acc: &mut [[__m256; 2]; $rows],
                rows: [*const f32; $rows],
                panel: *const f32,
                depth: usize,
                (fetch, step): (*const f32, usize),
            ) {
                // `k` is a byte offset that counts up to 0, so the rows are addressed from their ends.
                let [$($row),*] = rows.map(|row| row.wrapping_add(depth));
                let [$([mut $acc0, mut $acc1]),*] = *acc;
                // SAFETY: only the rows and the panel are read, by the caller's promise; prefetches never fault.
                unsafe {
                    asm!(
                        "2:",
                        unrolled!("vfmadd231ps" $fetch $($row $acc0 $acc1)*),
                        "jnz 2b",
                        panel = inout(reg) panel => _,
                        k = inout(reg) (depth * size_of::<f32>()).wrapping_neg() => _,
                        fetch = inout(reg) fetch => _,
                        step = in(reg) step,
                        b0 = out(ymm_reg) _,
                        b1 = out(ymm_reg) _,
                        a = out(ymm_reg) _,
                        $($row = in(reg) $row, $acc0 = inout(ymm_reg) $acc0, $acc1 = inout(ymm_reg) $acc1,)*
                        options(nostack, readonly),
                    );
                }
                *acc = [$([$acc0, $acc1]),*];
            }

            /// The same with a partial sum per `sum_block` steps, a power of two; the first block takes the remainder.
            ///
            /// # Safety
            /// As of [`sequential`].
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            pub unsafe fn blocked(
                totals: &mut [[__m256; 2]; $rows],
                rows: [*const f32; $rows],
                panel: *const f32,
                (depth, sum_block): (usize, usize),
                (fetch, step): (*const f32, usize),
            ) {
                let [$($row),*] = rows.map(|row| row.wrapping_add(depth));
                // A block ends where the offset's bits below the block size (`block_mask`) are all zero.
                // SAFETY: as above; the totals are written.
                unsafe {
                    asm!(
                        "2:",
                        unrolled!("vmulps" $fetch $($row $acc0 $acc1)*),
                        "test {k}, {block_mask}",
                        "jz 4f",
                        "3:",
                        unrolled!("vfmadd231ps" $fetch $($row $acc0 $acc1)*),
                        "test {k}, {block_mask}",
                        "jnz 3b",
                        "4:",
                        $(add_total!($acc0 $at0), store_total!($acc0 $at0), add_total!($acc1 $at1), store_total!($acc1 $at1),)*
                        "test {k}, {k}",
                        "jnz 2b",
                        panel = inout(reg) panel => _,
                        k = inout(reg) (depth * size_of::<f32>()).wrapping_neg() => _,
                        block_mask = in(reg) sum_block * size_of::<f32>() - 1,
                        totals = in(reg) totals.as_mut_ptr(),
                        fetch = inout(reg) fetch => _,
                        step = in(reg) step,
                        b0 = out(ymm_reg) _,
                        b1 = out(ymm_reg) _,
                        a = out(ymm_reg) _,
                        $($row = in(reg) $row, $acc0 = out(ymm_reg) _, $acc1 = out(ymm_reg) _,)*
                        options(nostack),
                    );
                }
            }
        }
    };
    ($per_iteration:ident, $per_step:ident, $rows:literal, $($tile:tt)*) => {
        tile!($per_iteration, $rows, "", $($tile)*);
        tile!($per_step, $rows, "prefetcht0 [{fetch}]\nadd {fetch}, {step}\n", $($tile)*);
    };
}

tile!(rows4_fetch_per_iteration, rows4_fetch_per_step, 4, row0 acc00 acc01 "0" "32" row1 acc10 acc11 "64" "96" row2 acc20 acc21 "128" "160" row3 acc30 acc31 "192" "224");
tile!(rows5_fetch_per_iteration, rows5_fetch_per_step, 5, row0 acc00 acc01 "0" "32" row1 acc10 acc11 "64" "96" row2 acc20 acc21 "128" "160" row3 acc30 acc31 "192" "224" row4 acc40 acc41 "256" "288");
tile!(rows6_fetch_per_iteration, rows6_fetch_per_step, 6, row0 acc00 acc01 "0" "32" row1 acc10 acc11 "64" "96" row2 acc20 acc21 "128" "160" row3 acc30 acc31 "192" "224" row4 acc40 acc41 "256" "288" row5 acc50 acc51 "320" "352");

/// Runs the loop `$function` for the tile's shape and evaluates to the K steps done: 0 if there is none for the shape.
macro_rules! run_loop {
    ($function:ident, $acc:ident, $slice:ident, |$depth:ident| $extent:expr, $fetch:ident) => {{
        let $depth = $slice.depth / UNROLL * UNROLL;
        let (acc, remainder) = $acc.as_flattened_mut().as_chunks_mut::<2>();
        // One cache line per unrolled iteration is enough if the stream advances no further than a line in it.
        let per_iteration = $fetch.step * UNROLL <= PANEL;
        let fetch = ($fetch.from, if per_iteration { UNROLL } else { 1 } * $fetch.step * size_of::<f32>());
        macro_rules! height {
            ($per_iteration:ident $per_step:ident) => {
                match (acc.try_into(), $slice.rows.as_slice().try_into()) {
                    (Ok(acc), Ok(&rows)) if per_iteration => {
                        $per_iteration::$function(acc, rows, $slice.panel, $extent, fetch)
                    }
                    (Ok(acc), Ok(&rows)) => $per_step::$function(acc, rows, $slice.panel, $extent, fetch),
                    _ => {}
                }
            };
        }
        match R {
            _ if N != 2 || !remainder.is_empty() || $depth == 0 => 0,
            4..=6 => {
                match R {
                    4 => height!(rows4_fetch_per_iteration rows4_fetch_per_step),
                    5 => height!(rows5_fetch_per_iteration rows5_fetch_per_step),
                    _ => height!(rows6_fetch_per_iteration rows6_fetch_per_step),
                }
                $depth
            }
            _ => 0,
        }
    }};
}

/// [`Vector::accumulate_k`](crate::kernels::simd::vector::Vector::accumulate_k) for tiles of four to six rows by two vectors.
///
/// # Safety
/// As of the trait's method.
#[inline(always)]
pub(crate) unsafe fn accumulate_k<const R: usize, const N: usize>(
    acc: &mut [[__m256; N]; R],
    slice: &KSlice<R>,
    fetch: Prefetch,
) -> usize {
    // SAFETY: the unrolled steps are within the depth, for which the caller promises rows, panel and instruction set.
    unsafe { run_loop!(sequential, acc, slice, |depth| depth, fetch) }
}

/// [`Vector::accumulate_k_blocked`](crate::kernels::simd::vector::Vector::accumulate_k_blocked) for the same tiles.
///
/// # Safety
/// As of the trait's method.
#[inline(always)]
pub(crate) unsafe fn accumulate_k_blocked<const R: usize, const N: usize>(
    acc: &mut [[__m256; N]; R],
    slice: &KSlice<R>,
    sum_block: usize,
    fetch: Prefetch,
) -> usize {
    // Only this copy's address escapes to the assembly, so that the caller's accumulators may stay in registers.
    let mut copy = *acc;
    let totals = &mut copy;
    // SAFETY: as above.
    let done = unsafe { run_loop!(blocked, totals, slice, |depth| (depth, sum_block), fetch) };
    if done > 0 {
        *acc = copy;
    }
    done
}
