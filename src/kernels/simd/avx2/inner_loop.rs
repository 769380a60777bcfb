//! The inner loops of AVX2's register tiles, in assembly.
//!
//! A core that shares its front end with another thread starts half as many operations in a cycle, and then a tile is as
//! fast as its loop is short. These loops hold the multiplications, their loads, and five operations for each four
//! places: a sixth fewer than the compiler makes of Rust. A thread alone on its core is as fast with either.

use crate::kernels::simd::tile::{KSlice, PANEL, Prefetch, UNROLL};
use std::arch::asm;
use std::arch::x86_64::__m256;

/// One place: two vectors of the panel, and each row's factor times both, by an instruction.
macro_rules! place {
    ($multiply:literal [$factor:literal $low:literal $high:literal] $fetch:literal $($row:ident $left:ident $right:ident)*) => {
        concat!(
            "vmovups {low}, [{panel} + ", $low, "]\n",
            "vmovups {high}, [{panel} + ", $high, "]\n",
            $(
                "vbroadcastss {factor}, [{", stringify!($row), "} + {place} + ", $factor, "]\n",
                $multiply, " {", stringify!($left), "}, {factor}, {low}\n",
                $multiply, " {", stringify!($right), "}, {factor}, {high}\n",
            )*
            $fetch
        )
    };
}

/// Four places, the first of them by an instruction that adds to the sums or one that begins them, and what is asked for
/// by the first three and by the last.
macro_rules! turn {
    ($first:literal $fetch:literal $($tile:ident)*) => {
        turn!($first $fetch "prefetcht0 [{fetch}]\nadd {fetch}, {step}\n" $($tile)*)
    };
    ($first:literal $fetch:literal $last:literal $($tile:ident)*) => {
        concat!(
            place!($first ["0" "0" "32"] $fetch $($tile)*),
            place!("vfmadd231ps" ["4" "64" "96"] $fetch $($tile)*),
            place!("vfmadd231ps" ["8" "128" "160"] $fetch $($tile)*),
            place!("vfmadd231ps" ["12" "192" "224"] $last $($tile)*),
            "add {panel}, 256\n",
            "add {place}, 16\n",
        )
    };
}

/// Adds to a register what stands in memory, and stores it there.
macro_rules! gather {
    ($sum:ident $at:literal) => {
        concat!("vaddps {", stringify!($sum), "}, {", stringify!($sum), "}, [{held} + ", $at, "]\n")
    };
}

/// See [`gather`].
macro_rules! hold {
    ($sum:ident $at:literal) => {
        concat!("vmovups [{held} + ", $at, "], {", stringify!($sum), "}\n")
    };
}

pub(crate) use {gather, hold, place, turn};

/// The loops of tiles of some rows, which fetch ahead at each place's end or only at a turn's.
macro_rules! tile {
    ($name:ident, $rows:literal, $fetch:literal, $($row:ident $left:ident $right:ident $low:literal $high:literal)*) => {
        mod $name {
            use super::{__m256, asm};

            /// Adds the products of `depth` places, whole turns, to the sums.
            ///
            /// # Safety
            /// The machine must have AVX2 and FMA, and there must be `depth` floats of each row and rows of the panel.
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            pub unsafe fn places(
                sums: &mut [[__m256; 2]; $rows],
                rows: [*const f32; $rows],
                panel: *const f32,
                depth: usize,
                (fetch, step): (*const f32, usize),
            ) {
                // Slices are counted in bytes up to the rows' ends.
                let [$($row),*] = rows.map(|row| row.wrapping_add(depth));
                let [$([mut $left, mut $right]),*] = *sums;
                // SAFETY: only the rows and the panel are read, by the caller's promise; fetching ahead never faults.
                unsafe {
                    asm!(
                        "2:",
                        turn!("vfmadd231ps" $fetch $($row $left $right)*),
                        "jnz 2b",
                        panel = inout(reg) panel => _,
                        place = inout(reg) (depth * size_of::<f32>()).wrapping_neg() => _,
                        fetch = inout(reg) fetch => _,
                        step = in(reg) step,
                        low = out(ymm_reg) _,
                        high = out(ymm_reg) _,
                        factor = out(ymm_reg) _,
                        $($row = in(reg) $row, $left = inout(ymm_reg) $left, $right = inout(ymm_reg) $right,)*
                        options(nostack, readonly),
                    );
                }
                *sums = [$([$left, $right]),*];
            }

            /// The same in groups of `group` places, a power of two; the first is what others leave.
            ///
            /// # Safety
            /// As above.
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            pub unsafe fn groups(
                sums: &mut [[__m256; 2]; $rows],
                rows: [*const f32; $rows],
                panel: *const f32,
                (depth, group): (usize, usize),
                (fetch, step): (*const f32, usize),
            ) {
                let [$($row),*] = rows.map(|row| row.wrapping_add(depth));
                // SAFETY: as above; the sums are written. A group ends where a place's offset has no bits below its size.
                unsafe {
                    asm!(
                        "2:",
                        turn!("vmulps" $fetch $($row $left $right)*),
                        "test {place}, {within}",
                        "jz 4f",
                        "3:",
                        turn!("vfmadd231ps" $fetch $($row $left $right)*),
                        "test {place}, {within}",
                        "jnz 3b",
                        "4:",
                        $(gather!($left $low), hold!($left $low), gather!($right $high), hold!($right $high),)*
                        "test {place}, {place}",
                        "jnz 2b",
                        panel = inout(reg) panel => _,
                        place = inout(reg) (depth * size_of::<f32>()).wrapping_neg() => _,
                        within = in(reg) group * size_of::<f32>() - 1,
                        held = in(reg) sums.as_mut_ptr(),
                        fetch = inout(reg) fetch => _,
                        step = in(reg) step,
                        low = out(ymm_reg) _,
                        high = out(ymm_reg) _,
                        factor = out(ymm_reg) _,
                        $($row = in(reg) $row, $left = out(ymm_reg) _, $right = out(ymm_reg) _,)*
                        options(nostack),
                    );
                }
            }
        }
    };
    ($once:ident, $always:ident, $rows:literal, $($tile:tt)*) => {
        tile!($once, $rows, "", $($tile)*);
        tile!($always, $rows, "prefetcht0 [{fetch}]\nadd {fetch}, {step}\n", $($tile)*);
    };
}

tile!(four_once, four_always, 4, row0 left0 right0 "0" "32" row1 left1 right1 "64" "96" row2 left2 right2 "128" "160" row3 left3 right3 "192" "224");
tile!(five_once, five_always, 5, row0 left0 right0 "0" "32" row1 left1 right1 "64" "96" row2 left2 right2 "128" "160" row3 left3 right3 "192" "224" row4 left4 right4 "256" "288");
tile!(six_once, six_always, 6, row0 left0 right0 "0" "32" row1 left1 right1 "64" "96" row2 left2 right2 "128" "160" row3 left3 right3 "192" "224" row4 left4 right4 "256" "288" row5 left5 right5 "320" "352");

/// Runs one of a tile's loops, if there is one for its shape, and evaluates to how many places it did.
macro_rules! run {
    ($function:ident, $sums:ident, $places:ident, |$depth:ident| $extent:expr, $fetch:ident) => {{
        let $depth = $places.depth / UNROLL * UNROLL;
        let (sums, rest) = $sums.as_flattened_mut().as_chunks_mut::<2>();
        // One line a turn is enough where the places' steps are short.
        let once = $fetch.step * UNROLL <= PANEL;
        let fetch = ($fetch.from, if once { UNROLL } else { 1 } * $fetch.step * size_of::<f32>());
        macro_rules! height {
            ($once:ident $always:ident) => {
                match (sums.try_into(), $places.rows.as_slice().try_into()) {
                    (Ok(sums), Ok(&rows)) if once => $once::$function(sums, rows, $places.panel, $extent, fetch),
                    (Ok(sums), Ok(&rows)) => $always::$function(sums, rows, $places.panel, $extent, fetch),
                    _ => {}
                }
            };
        }
        match R {
            _ if N != 2 || !rest.is_empty() || $depth == 0 => 0,
            4..=6 => {
                match R {
                    4 => height!(four_once four_always),
                    5 => height!(five_once five_always),
                    _ => height!(six_once six_always),
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
/// As of that.
#[inline(always)]
pub(crate) unsafe fn accumulate_k<const R: usize, const N: usize>(
    sums: &mut [[__m256; N]; R],
    places: &KSlice<R>,
    fetch: Prefetch,
) -> usize {
    // SAFETY: whole turns are within the depth, for which the caller promises rows, panel and instruction set.
    unsafe { run!(places, sums, places, |depth| depth, fetch) }
}

/// [`Vector::accumulate_k_groups`](crate::kernels::simd::vector::Vector::accumulate_k_groups) for the same tiles.
///
/// # Safety
/// As of that.
#[inline(always)]
pub(crate) unsafe fn accumulate_k_groups<const R: usize, const N: usize>(
    sums: &mut [[__m256; N]; R],
    places: &KSlice<R>,
    group: usize,
    fetch: Prefetch,
) -> usize {
    // Only a copy has an address that assembly knows, so that the caller's may stand in registers.
    let mut held = *sums;
    let copy = &mut held;
    // SAFETY: as above.
    let done = unsafe { run!(groups, copy, places, |depth| (depth, group), fetch) };
    if done > 0 {
        *sums = held;
    }
    done
}
