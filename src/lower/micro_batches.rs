//! Which steps run for how many images at a time. Activations should stay in the last cache, which wants few images;
//! weights should be read once for many. Early layers have large activations and few weights, late ones the reverse, so
//! a plan may have several stages with growing chunks.

use super::arena_layout::{Changes, lives};
use super::buffers::Placement;
use super::cost_model;
use super::{Options, PendingStep};
use crate::kernels::target;
use crate::plan::Kernel;
use crate::plan::kernel_step::{CONSTANT_ALIGNMENT, KernelStep};
use std::ops::Range;

/// Where a stage may begin: as soon as so many times fewer images are no longer asked for by what follows.
const GROWTH: [usize; 3] = [2, 4, 8];
/// What crosses from one stage to the next is kept for the whole batch: it must be this many times smaller than the arena.
const CROSSING: usize = 8;

/// The stages of the steps before `rows`, and of those from there on, which run once for the whole batch.
pub fn stages(
    drafts: &[PendingStep],
    placement: &Placement,
    rows: usize,
    options: Options<'_>,
) -> Vec<(Range<usize>, bool)> {
    let work = Work::new(drafts, placement, rows, options);
    let mut starts: Vec<usize> = GROWTH.iter().filter_map(|&times| work.begin(times)).collect();
    starts.dedup();
    let subsets = 0..1usize << starts.len();
    let chosen = |subset: usize| -> Vec<usize> {
        starts.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1).map(|(_, &start)| start).collect()
    };
    // The first of equals has the fewest stages.
    let best = subsets.map(chosen).min_by(|a, b| work.cost(a).total_cmp(&work.cost(b))).unwrap_or_default();
    let mut list: Vec<(Range<usize>, bool)> = work.ranges(&best).map(|steps| (steps, true)).collect();
    list.push((rows..drafts.len(), false));
    list.retain(|(steps, _)| !steps.is_empty());
    list
}

/// What the steps before the rows have to move.
struct Work {
    /// The most floats of an image that are alive at any step from this one on.
    most: Vec<usize>,
    /// Floats of an image that are made before a step and used at it or later.
    crossing: Vec<usize>,
    /// The same for one step alone.
    alive: Vec<usize>,
    /// Floats of packed weights.
    weights: Vec<usize>,
    limit: usize,
}

impl Work {
    fn new(drafts: &[PendingStep], placement: &Placement, rows: usize, options: Options<'_>) -> Self {
        let (mut alive, mut crossing) = (Changes::new(rows), Changes::new(rows));
        for (buffer, life) in placement.buffers.iter().zip(lives(drafts, placement)) {
            let Some(life) = life.filter(|_| !buffer.whole) else { continue };
            let floats = buffer.floats.next_multiple_of(CONSTANT_ALIGNMENT);
            alive.add(*life.start()..life.end() + 1, floats);
            crossing.add(life.start() + 1..life.end() + 1, floats);
        }
        let weights = drafts[..rows].iter().map(|draft| match &draft.kernel {
            Kernel::Convolution(step) => {
                let mut step = step.clone();
                cost_model::convolution(&mut step, cost_model::MAX_IMAGES, options.exact);
                step.constants().iter().sum()
            }
            other => other.constants().iter().sum(),
        });
        let (alive, crossing, weights) = (alive.sums(), crossing.sums(), weights.collect());
        let mut most = alive.clone();
        for step in (1..rows).rev() {
            most[step - 1] = most[step - 1].max(most[step]);
        }
        Work { most, crossing, alive, weights, limit: options.chunk.unwrap_or(usize::MAX) }
    }

    /// The first step from where on the cache holds so many images, that little crosses to.
    fn begin(&self, images: usize) -> Option<usize> {
        let all = self.most.first()?;
        let small =
            |&step: &usize| cost_model::chunk(self.most[step]) >= images && self.crossing[step] * CROSSING <= *all;
        (1..self.most.len()).find(small)
    }

    fn ranges<'a>(&self, starts: &'a [usize]) -> impl Iterator<Item = Range<usize>> + 'a {
        let end = self.most.len();
        let begins = std::iter::once(0).chain(starts.iter().copied());
        begins.zip(starts.iter().copied().chain([end])).map(|(from, to)| from..to)
    }

    /// Nanoseconds of an image for moving weights, and what crosses, from and to memory.
    fn cost(&self, starts: &[usize]) -> f64 {
        let bytes = |floats: usize| 4.0 * floats as f64;
        let weights = self.ranges(starts).map(|steps| {
            let weights = bytes(self.weights[steps.clone()].iter().sum());
            let alive = self.alive[steps].iter().copied().max().unwrap_or(0);
            // What the cache keeps is read once for the whole batch.
            let chunk =
                if weights > target::LAST_CACHE_BYTES { cost_model::chunk(alive) } else { cost_model::MAX_IMAGES };
            weights / chunk.min(self.limit).max(1) as f64
        });
        let crossing = starts.iter().map(|&start| 2.0 * bytes(self.crossing[start]));
        weights.chain(crossing).sum::<f64>() / target::MEMORY_BYTES_PER_NS
    }
}
