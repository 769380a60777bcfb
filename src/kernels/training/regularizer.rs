//! What parameters add to the loss, and the sums over them; the norm of gradients is one too. Sums are the same for every
//! pool of threads.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;

/// Partial results of a reduction, at most: so few that they stand on the stack.
const PARTS: usize = 64;
/// Floats of one partial result, at least: a task worth starting.
const PART: usize = 1 << 12;
/// Floats that stay in the first-level cache while several loops go over them.
pub(crate) const CHUNK: usize = 1 << 10;
/// Partial sums of a chunk, in enough registers that additions do not wait for each other.
const LANES: usize = 32;

/// What a parameter adds to the loss, with its rate; NeuPy's regularizers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Regularizer {
    /// rate * sum |w|; the gradient at 0 is 0.
    L1(f32),
    /// rate * sum w^2
    L2(f32),
    /// rate * max |w|; equal largest values share the gradient, as in TensorFlow.
    MaxNorm(f32),
}

impl std::fmt::Display for Regularizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, rate) = match self {
            Self::L1(rate) => ("l1", rate),
            Self::L2(rate) => ("l2", rate),
            Self::MaxNorm(rate) => ("maxnorm", rate),
        };
        write!(f, "{name}({rate})")
    }
}

/// The sum of squares, in f64 and the same for every pool: for the norm of a gradient.
pub fn square_sum(values: &[f32], threads: &ThreadPool) -> f64 {
    let sums = Parts::default();
    let each = part(values.len());
    threads.run(values.len().div_ceil(each), &|task, _| {
        let mut sum = 0.0;
        add_squares(&values[task * each..values.len().min((task + 1) * each)], &mut sum);
        sums.set(task, sum);
    });
    sums.sum()
}

/// Floats of each partial result of `len` floats.
pub(crate) fn part(len: usize) -> usize {
    len.div_ceil(PARTS).next_multiple_of(CHUNK).max(PART)
}

/// Partial results, each written by one task.
pub(crate) struct Parts([AtomicU64; PARTS]);

impl Default for Parts {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; PARTS])
    }
}

impl Parts {
    pub(crate) fn set(&self, task: usize, value: f64) {
        self.0[task].store(value.to_bits(), Ordering::Relaxed);
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|part| f64::from_bits(part.load(Ordering::Relaxed)))
    }

    pub(crate) fn sum(&self) -> f64 {
        self.values().sum()
    }
}

/// The largest magnitude, and how many values have it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Largest {
    pub(crate) size: f32,
    pub(crate) count: u64,
}

impl Largest {
    fn with(self, other: Self) -> Self {
        if other.size > self.size {
            other
        } else if other.size == self.size {
            Self { count: self.count + other.count, ..self }
        } else {
            self
        }
    }
}

pub(crate) fn largest(w: &[f32], threads: &ThreadPool) -> Largest {
    let (sizes, counts) = (Parts::default(), Parts::default());
    let each = part(w.len());
    threads.run(w.len().div_ceil(each), &|task, _| {
        let mut most = Largest::default();
        for chunk in w[task * each..w.len().min((task + 1) * each)].chunks(CHUNK) {
            let mut of_chunk = Largest::default();
            find_largest(chunk, &mut of_chunk);
            most = most.with(of_chunk);
        }
        sizes.set(task, f64::from(most.size));
        counts.set(task, most.count as f64);
    });
    let parts =
        sizes.values().zip(counts.values()).map(|(size, count)| Largest { size: size as f32, count: count as u64 });
    parts.fold(Largest::default(), Largest::with)
}

multiversion! {
    /// sum += sum of values^2
    pub(crate) fn add_squares(values: &[f32], sum: &mut f64) {
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] += f64::from(block[i]) * f64::from(block[i]);
            }
        }
        *sum += lanes.iter().sum::<f64>() + rest.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    }
}

multiversion! {
    /// sum += sum of |values|
    pub(crate) fn add_sizes(values: &[f32], sum: &mut f64) {
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] += f64::from(block[i].abs());
            }
        }
        *sum += lanes.iter().sum::<f64>() + rest.iter().map(|v| f64::from(v.abs())).sum::<f64>();
    }
}

multiversion! {
    fn find_largest(values: &[f32], out: &mut Largest) {
        let mut lanes = [0.0f32; LANES];
        let (blocks, rest) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] = if block[i].abs() > lanes[i] { block[i].abs() } else { lanes[i] };
            }
        }
        let size = lanes.into_iter().chain(rest.iter().map(|v| v.abs())).fold(0.0, |a, b| if b > a { b } else { a });
        let count: u32 = values.iter().map(|v| u32::from(v.abs() == size)).sum();
        *out = Largest { size, count: u64::from(count) };
    }
}

multiversion! {
    /// g += rate * sign(w) where |w| is at least `from`; the sign of 0 is 0.
    pub(crate) fn pull_by_sign(g: &mut [f32], w: &[f32], rate: f32, from: f32) {
        for (g, w) in g.iter_mut().zip(w) {
            let sign = if *w > 0.0 { rate } else { -rate };
            *g += if *w == 0.0 || w.abs() < from { 0.0 } else { sign };
        }
    }
}

multiversion! {
    /// g += rate * w
    pub(crate) fn pull_by_value(g: &mut [f32], w: &[f32], rate: f32) {
        g.iter_mut().zip(w).for_each(|(g, w)| *g += rate * w);
    }
}
