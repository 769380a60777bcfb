//! Division of the steps into stages with their own micro-batches. Activations should stay in the last-level cache, which
//! favours few images; weights should be read once for many. Early layers have large activations and few weights, late ones
//! the reverse, so a plan may have several stages with growing micro-batches.

use super::arena_layout::{Changes, live_ranges};
use super::buffers::{PendingStep, Placement};
use super::cost_model::{self, ConvolutionCosts};
use crate::kernels::target;
use crate::plan::Kernel;
use crate::plan::kernel_step::{CONSTANT_ALIGNMENT, KernelStep};
use std::ops::Range;

/// A stage may begin at the first step from which on micro-batches of this many images fit the cache.
const GROWTH: [usize; 3] = [2, 4, 8];
/// Tensors that cross from one stage to the next are kept for the entire batch: they must be this many times smaller than the
/// arena.
const CROSSING: usize = 8;

/// The stages of the steps before `rows`, of at most `limit` images, and that of the steps from there on, which run once for the
/// entire batch.
pub fn stages(
    pending: &[PendingStep],
    placement: &Placement,
    rows: usize,
    costs: &ConvolutionCosts,
    limit: Option<usize>,
) -> Vec<(Range<usize>, bool)> {
    let work = Work::new(pending, placement, rows, costs, limit);
    let mut starts: Vec<usize> = GROWTH.iter().filter_map(|&times| work.begin(times)).collect();
    starts.dedup();
    let subsets = 0..1usize << starts.len();
    let chosen = |subset: usize| -> Vec<usize> {
        starts.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1).map(|(_, &start)| start).collect()
    };
    // `min_by` returns the first of equal ones, which has the fewest stages.
    let best = subsets.map(chosen).min_by(|a, b| work.cost(a).total_cmp(&work.cost(b))).unwrap_or_default();
    let mut list: Vec<(Range<usize>, bool)> = work.ranges(&best).map(|steps| (steps, true)).collect();
    list.push((rows..pending.len(), false));
    list.retain(|(steps, _)| !steps.is_empty());
    list
}

/// The memory traffic of the steps before the rows.
struct Work {
    /// The maximum of live floats per image at any step from this one on.
    max_live: Vec<usize>,
    /// Floats per image that are written before a step and read at it or later.
    crossing: Vec<usize>,
    /// Live floats per image at a step.
    live: Vec<usize>,
    /// Floats of packed weights.
    weights: Vec<usize>,
    limit: usize,
}

impl Work {
    fn new(
        pending: &[PendingStep],
        placement: &Placement,
        rows: usize,
        costs: &ConvolutionCosts,
        limit: Option<usize>,
    ) -> Self {
        let (mut live, mut crossing) = (Changes::new(rows), Changes::new(rows));
        for (buffer, range) in placement.buffers.iter().zip(live_ranges(pending, placement)) {
            let Some(range) = range.filter(|_| !buffer.is_unbatched) else { continue };
            let floats = buffer.floats().next_multiple_of(CONSTANT_ALIGNMENT);
            live.add(*range.start()..range.end() + 1, floats);
            crossing.add(range.start() + 1..range.end() + 1, floats);
        }
        let weights = pending[..rows].iter().map(|pending_step| match &pending_step.kernel {
            Kernel::Convolution(step) => {
                let mut step = step.clone();
                costs.choose(&mut step, cost_model::MAX_IMAGES);
                step.constants().iter().sum()
            }
            other => other.constants().iter().sum(),
        });
        let (live, crossing, weights) = (live.sums(), crossing.sums(), weights.collect());
        let mut max_live = live.clone();
        for step in (1..rows).rev() {
            max_live[step - 1] = max_live[step - 1].max(max_live[step]);
        }
        Work { max_live, crossing, live, weights, limit: limit.unwrap_or(usize::MAX) }
    }

    /// The first step at which few floats cross, and from which on the cache holds this many images.
    fn begin(&self, images: usize) -> Option<usize> {
        let all = self.max_live.first()?;
        let small = |&step: &usize| {
            cost_model::micro_batch(self.max_live[step]) >= images && self.crossing[step] * CROSSING <= *all
        };
        (1..self.max_live.len()).find(small)
    }

    fn ranges<'a>(&self, starts: &'a [usize]) -> impl Iterator<Item = Range<usize>> + 'a {
        let end = self.max_live.len();
        let begins = std::iter::once(0).chain(starts.iter().copied());
        begins.zip(starts.iter().copied().chain([end])).map(|(from, to)| from..to)
    }

    /// Nanoseconds per image for moving weights, and tensors that cross, from and to memory.
    fn cost(&self, starts: &[usize]) -> f64 {
        let bytes = |floats: usize| 4.0 * floats as f64;
        let weights = self.ranges(starts).map(|steps| {
            let weights = bytes(self.weights[steps.clone()].iter().sum());
            let live = self.live[steps].iter().copied().max().unwrap_or(0);
            // Weights that fit the cache are read once for the entire batch.
            let images =
                if weights > target::LAST_CACHE_BYTES { cost_model::micro_batch(live) } else { cost_model::MAX_IMAGES };
            weights / images.min(self.limit).max(1) as f64
        });
        let crossing = starts.iter().map(|&start| 2.0 * bytes(self.crossing[start]));
        weights.chain(crossing).sum::<f64>() / target::MEMORY_BYTES_PER_NS
    }
}
