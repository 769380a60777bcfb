//! What the machine can do: the arithmetic and the reading that no kernel can go beyond.

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::vector::{SimdOp, Vector};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Sums that are kept at once: enough to hide the latency of a multiply-add on two units.
const CHAINS: usize = 10;
/// Multiply-adds of vectors in each chain of a task.
const STEPS: usize = 100_000;
/// Floats that are read: three times a large last cache.
const FLOATS: usize = 24 << 20;
/// Floats of a task.
const PIECE: usize = 1 << 18;
/// The best of so many rounds counts: other programs only ever take time away.
const ROUNDS: usize = 3;

/// Multiply-adds per second of all threads together, on numbers in registers.
pub fn macs(threads: &ThreadPool) -> f64 {
    let tasks = 4 * threads.count();
    let sink = AtomicU32::new(0);
    let lanes = AtomicU32::new(0);
    best(&|| {
        threads.run(tasks, &|_, _| {
            let mut sum = 0.0;
            let mut width = 0;
            // SAFETY: the kernel reads and writes only through the two references.
            unsafe { threads.isa().dispatch(Multiply { sum: &mut sum, lanes: &mut width }) };
            // What nobody looks at would not be computed.
            sink.fetch_xor(f32::to_bits(sum), Ordering::Relaxed);
            lanes.store(width as u32, Ordering::Relaxed);
        });
        (tasks * STEPS * CHAINS) as f64 * f64::from(lanes.load(Ordering::Relaxed))
    })
}

/// Bytes per second that all threads together read from memory; none where there is no memory for it.
pub fn read(threads: &ThreadPool) -> Option<f64> {
    let mut floats: Vec<f32> = Vec::new();
    floats.try_reserve_exact(FLOATS).ok()?;
    floats.resize(FLOATS, 1.0);
    let sink = AtomicU32::new(0);
    Some(best(&|| {
        threads.run(FLOATS / PIECE, &|task, _| {
            let mut sum = 0.0;
            let piece = &floats[task * PIECE..(task + 1) * PIECE];
            // SAFETY: the kernel reads the slice alone.
            unsafe { threads.isa().dispatch(Sum { piece, sum: &mut sum }) };
            sink.fetch_xor(f32::to_bits(sum), Ordering::Relaxed);
        });
        size_of_val(floats.as_slice()) as f64
    }))
}

/// The highest rate of some rounds, each of which says how much it did.
fn best(round: &dyn Fn() -> f64) -> f64 {
    let rate = |_| {
        let began = Instant::now();
        let done = round();
        done / began.elapsed().as_secs_f64().max(1e-9)
    };
    round();
    (0..ROUNDS).map(rate).fold(0.0, f64::max)
}

struct Multiply<'a> {
    sum: &'a mut f32,
    lanes: &'a mut usize,
}

impl SimdOp for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the machine has the instruction set, by the caller's promise; the array holds any vector.
        unsafe {
            let (factor, summand) = (V::splat(0.999_999), V::splat(1e-6));
            let mut chains = [V::splat(*self.sum); CHAINS];
            for _ in 0..STEPS {
                for chain in &mut chains {
                    *chain = chain.mul_add(factor, summand);
                }
            }
            let mut lanes = [0.0f32; 16];
            for chain in chains {
                chain.store(lanes.as_mut_ptr());
                *self.sum += lanes[0];
            }
            *self.lanes = V::LANES;
        }
    }
}

struct Sum<'a> {
    piece: &'a [f32],
    sum: &'a mut f32,
}

impl SimdOp for Sum<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the machine has the instruction set, by the caller's promise; each chunk is whole.
        unsafe {
            let mut sums = [V::splat(0.0); 4];
            for chunk in self.piece.chunks_exact(4 * V::LANES) {
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(V::load(chunk.as_ptr().add(index * V::LANES)));
                }
            }
            let mut lanes = [0.0f32; 16];
            for sum in sums {
                sum.store(lanes.as_mut_ptr());
                *self.sum += lanes.iter().sum::<f32>();
                lanes = [0.0; 16];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::isa::Isa;

    #[test]
    fn the_kernels_compute_what_they_are_timed_for() {
        let piece = vec![0.5; PIECE];
        for isa in Isa::available() {
            let (mut sum, mut product, mut lanes) = (0.0, 1.0, 0);
            // SAFETY: the machine has the instruction set; the kernels touch what they are handed alone.
            unsafe {
                isa.dispatch(Sum { piece: &piece, sum: &mut sum });
                isa.dispatch(Multiply { sum: &mut product, lanes: &mut lanes });
            }
            assert_eq!(sum, 0.5 * PIECE as f32, "{isa:?}");
            assert!((product - 1.0 - CHAINS as f32).abs() < 1e-2, "{isa:?}: {product}");
            assert!([4, 8, 16].contains(&lanes), "{isa:?}");
        }
    }
}
