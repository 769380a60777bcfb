//! Regularization penalties of parameters, and the reductions over parameters and gradients that they and gradient clipping
//! need. Results do not depend on the number of threads.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;

/// Max number of partial results of a reduction; they are stored on the stack.
const PARTIAL_RESULTS: usize = 64;
/// Min floats of a partial result, so that its work outweighs the cost of starting a task.
const MIN_TASK_FLOATS: usize = 1 << 12;
/// Floats that stay in the L1 cache while several loops go over them.
pub(crate) const CHUNK: usize = 1 << 10;
/// Accumulators of a chunk: enough registers to hide the latency of additions.
const LANES: usize = 32;

/// A penalty that a parameter adds to the loss, with its rate; NeuPy's regularizers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Regularizer {
    /// rate * sum |w|; the gradient at 0 is 0.
    L1(f32),
    /// rate * sum w^2
    L2(f32),
    /// rate * max |w|; ties share the gradient equally, as in TensorFlow.
    MaxNorm(f32),
}

impl Regularizer {
    /// The weight of the penalty in the loss.
    pub fn rate(self) -> f32 {
        match self {
            Self::L1(rate) | Self::L2(rate) | Self::MaxNorm(rate) => rate,
        }
    }
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

/// The sum of squares in f64, independent of the number of threads: for the norm of a gradient.
pub fn square_sum(values: &[f32], threads: &ThreadPool) -> f64 {
    let sums = PartialResults::default();
    let task_len = task_len(values.len());
    threads.run(values.len().div_ceil(task_len), &|task, _| {
        let mut sum = 0.0;
        add_squares(&values[task * task_len..values.len().min((task + 1) * task_len)], &mut sum);
        sums.set(task, sum);
    });
    sums.sum()
}

/// The penalty of a parameter, as [`update`](super::optimizer::update) returns it.
pub fn penalty(regularizer: Regularizer, w: &[f32], threads: &ThreadPool) -> f32 {
    let add = match regularizer {
        Regularizer::MaxNorm(rate) => return rate * max_magnitude(w, threads).value,
        Regularizer::L1(_) => add_magnitudes,
        Regularizer::L2(_) => add_squares,
    };
    let sums = PartialResults::default();
    let task_len = task_len(w.len());
    threads.run(w.len().div_ceil(task_len), &|task, _| {
        let mut sum = 0.0;
        for chunk in w[task * task_len..w.len().min((task + 1) * task_len)].chunks(CHUNK) {
            add(chunk, &mut sum);
        }
        sums.set(task, sum);
    });
    (f64::from(regularizer.rate()) * sums.sum()) as f32
}

/// Floats of each partial result of a reduction over `len` floats.
pub(crate) fn task_len(len: usize) -> usize {
    len.div_ceil(PARTIAL_RESULTS).next_multiple_of(CHUNK).max(MIN_TASK_FLOATS)
}

/// The partial results of a reduction, each written by one task.
pub(crate) struct PartialResults([AtomicU64; PARTIAL_RESULTS]);

impl Default for PartialResults {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; PARTIAL_RESULTS])
    }
}

impl PartialResults {
    pub(crate) fn set(&self, task: usize, value: f64) {
        self.0[task].store(value.to_bits(), Ordering::Relaxed);
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|bits| f64::from_bits(bits.load(Ordering::Relaxed)))
    }

    pub(crate) fn sum(&self) -> f64 {
        self.values().sum()
    }
}

/// The largest magnitude, and the number of values that attain it.
#[derive(Clone, Copy, Default)]
pub(crate) struct MaxMagnitude {
    pub(crate) value: f32,
    pub(crate) count: u64,
}

impl MaxMagnitude {
    fn max(self, other: Self) -> Self {
        if other.value > self.value {
            other
        } else if other.value == self.value {
            Self { count: self.count + other.count, ..self }
        } else {
            self
        }
    }
}

pub(crate) fn max_magnitude(w: &[f32], threads: &ThreadPool) -> MaxMagnitude {
    let (values, counts) = (PartialResults::default(), PartialResults::default());
    let task_len = task_len(w.len());
    threads.run(w.len().div_ceil(task_len), &|task, _| {
        let mut max = MaxMagnitude::default();
        for chunk in w[task * task_len..w.len().min((task + 1) * task_len)].chunks(CHUNK) {
            let mut chunk_max = MaxMagnitude::default();
            chunk_max_magnitude(chunk, &mut chunk_max);
            max = max.max(chunk_max);
        }
        values.set(task, f64::from(max.value));
        counts.set(task, max.count as f64);
    });
    let partial_results = values
        .values()
        .zip(counts.values())
        .map(|(value, count)| MaxMagnitude { value: value as f32, count: count as u64 });
    partial_results.fold(MaxMagnitude::default(), MaxMagnitude::max)
}

multiversion! {
    /// sum += sum of values^2
    pub(crate) fn add_squares(values: &[f32], sum: &mut f64) {
        let mut lanes = [0.0; LANES];
        let (blocks, tail) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] += f64::from(block[i]) * f64::from(block[i]);
            }
        }
        *sum += lanes.iter().sum::<f64>() + tail.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    }
}

multiversion! {
    /// sum += sum of |values|
    pub(crate) fn add_magnitudes(values: &[f32], sum: &mut f64) {
        let mut lanes = [0.0; LANES];
        let (blocks, tail) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] += f64::from(block[i].abs());
            }
        }
        *sum += lanes.iter().sum::<f64>() + tail.iter().map(|v| f64::from(v.abs())).sum::<f64>();
    }
}

multiversion! {
    fn chunk_max_magnitude(values: &[f32], out: &mut MaxMagnitude) {
        let mut lanes = [0.0f32; LANES];
        let (blocks, tail) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] = if block[i].abs() > lanes[i] { block[i].abs() } else { lanes[i] };
            }
        }
        let max = lanes.into_iter().chain(tail.iter().map(|v| v.abs())).fold(0.0, |a, b| if b > a { b } else { a });
        let count: u32 = values.iter().map(|v| u32::from(v.abs() == max)).sum();
        *out = MaxMagnitude { value: max, count: u64::from(count) };
    }
}

multiversion! {
    /// g += rate * sign(w) where |w| is at least `threshold`; the sign of 0 is 0.
    pub(crate) fn add_sign_gradient(g: &mut [f32], w: &[f32], rate: f32, threshold: f32) {
        for (g, w) in g.iter_mut().zip(w) {
            let sign = if *w > 0.0 { rate } else { -rate };
            *g += if *w == 0.0 || w.abs() < threshold { 0.0 } else { sign };
        }
    }
}

multiversion! {
    /// g += rate * w
    pub(crate) fn add_linear_gradient(g: &mut [f32], w: &[f32], rate: f32) {
        g.iter_mut().zip(w).for_each(|(g, w)| *g += rate * w);
    }
}
