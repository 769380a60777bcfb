//! Roofline of the machine: peak FMA throughput and memory read bandwidth.

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::vector::{SimdOp, Vector};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Independent accumulators: enough to hide the FMA latency with two FMA units.
const ACCUMULATORS: usize = 10;
/// FMA instructions per accumulator and task.
const STEPS: usize = 100_000;
/// Floats of the array that is read: three times a large last-level cache.
const ARRAY_LEN: usize = 24 << 20;
/// Floats that a task reads.
const TASK_LEN: usize = 1 << 18;
/// Rounds, of which the fastest counts: interference only ever slows a round down.
const ROUNDS: usize = 3;

/// Peak multiply-adds per second of all threads, with operands in registers.
pub fn macs_per_second(threads: &ThreadPool) -> f64 {
    let tasks = 4 * threads.count();
    let sink = AtomicU32::new(0);
    let lanes = AtomicU32::new(0);
    best_rate(&|| {
        threads.run(tasks, &|_, _| {
            let mut sum = 0.0;
            let mut width = 0;
            // SAFETY: the kernel accesses only the two references.
            unsafe { threads.isa().dispatch(FmaKernel { sum: &mut sum, lanes: &mut width }) };
            // Keeps the result alive, so that the loop is not optimised away.
            sink.fetch_xor(f32::to_bits(sum), Ordering::Relaxed);
            lanes.store(width as u32, Ordering::Relaxed);
        });
        (tasks * STEPS * ACCUMULATORS) as f64 * f64::from(lanes.load(Ordering::Relaxed))
    })
}

/// Memory read bandwidth of all threads, in bytes per second; none if the array cannot be allocated.
pub fn read_bytes_per_second(threads: &ThreadPool) -> Option<f64> {
    let mut floats: Vec<f32> = Vec::new();
    floats.try_reserve_exact(ARRAY_LEN).ok()?;
    floats.resize(ARRAY_LEN, 1.0);
    let sink = AtomicU32::new(0);
    Some(best_rate(&|| {
        threads.run(ARRAY_LEN / TASK_LEN, &|task, _| {
            let mut sum = 0.0;
            let values = &floats[task * TASK_LEN..(task + 1) * TASK_LEN];
            // SAFETY: the kernel accesses only the slice and the sum.
            unsafe { threads.isa().dispatch(SumKernel { values, sum: &mut sum }) };
            sink.fetch_xor(f32::to_bits(sum), Ordering::Relaxed);
        });
        size_of_val(floats.as_slice()) as f64
    }))
}

/// The highest rate over the rounds, after one to warm up; `round` returns the work it did.
fn best_rate(round: &dyn Fn() -> f64) -> f64 {
    let rate = |_| {
        let start = Instant::now();
        let work = round();
        work / start.elapsed().as_secs_f64().max(1e-9)
    };
    round();
    (0..ROUNDS).map(rate).fold(0.0, f64::max)
}

struct FmaKernel<'a> {
    sum: &'a mut f32,
    lanes: &'a mut usize,
}

impl SimdOp for FmaKernel<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the machine supports the instruction set, by the caller's promise; the array holds any vector.
        unsafe {
            let (factor, summand) = (V::splat(0.999_999), V::splat(1e-6));
            let mut accumulators = [V::splat(*self.sum); ACCUMULATORS];
            for _ in 0..STEPS {
                for accumulator in &mut accumulators {
                    *accumulator = accumulator.mul_add(factor, summand);
                }
            }
            let mut lanes = [0.0f32; 16];
            for accumulator in accumulators {
                accumulator.store(lanes.as_mut_ptr());
                *self.sum += lanes[0];
            }
            *self.lanes = V::LANES;
        }
    }
}

struct SumKernel<'a> {
    values: &'a [f32],
    sum: &'a mut f32,
}

impl SimdOp for SumKernel<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the machine supports the instruction set, by the caller's promise; each chunk is whole.
        unsafe {
            let mut sums = [V::splat(0.0); 4];
            for chunk in self.values.chunks_exact(4 * V::LANES) {
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
    fn the_timed_kernels_do_the_work_that_is_counted() {
        let values = vec![0.5; TASK_LEN];
        for isa in Isa::available() {
            let (mut sum, mut product, mut lanes) = (0.0, 1.0, 0);
            // SAFETY: the machine supports the instruction set; the kernels access only their operands.
            unsafe {
                isa.dispatch(SumKernel { values: &values, sum: &mut sum });
                isa.dispatch(FmaKernel { sum: &mut product, lanes: &mut lanes });
            }
            assert_eq!(sum, 0.5 * TASK_LEN as f32, "{isa:?}");
            assert!((product - 1.0 - ACCUMULATORS as f32).abs() < 1e-2, "{isa:?}: {product}");
            assert!([4, 8, 16].contains(&lanes), "{isa:?}");
        }
    }
}
