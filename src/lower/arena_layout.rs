//! Arena layout by liveness: buffers that are never live at the same time share memory. The largest are placed first, each
//! in the smallest gap that is large enough (the greedy-by-size method of Pisarchyk and Lee, 2020).

use super::buffers::{BufferHome, BufferId, PendingStep, Placement, TensorRef};
use crate::plan::kernel_step::CONSTANT_ALIGNMENT;
use crate::plan::{Operand, Space};
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// The space and offset of every buffer, per image except for buffers without a batch.
#[derive(Debug)]
pub struct Arena {
    spaces: Vec<Option<(Space, usize)>>,
    /// The floats of a micro-batch's image, for each stage.
    pub chunk_floats: Vec<usize>,
    pub batch_floats: usize,
    pub unbatched_floats: usize,
    pub lower_bound: usize,
}

/// A buffer and the steps at which it is live.
struct LiveRange {
    buffer: BufferId,
    floats: usize,
    steps: RangeInclusive<usize>,
}

/// The liveness of each buffer of the arena: the first and the last step that use it. `None` for inputs and outputs of the net.
pub fn live_ranges(steps: &[PendingStep], placement: &Placement) -> Vec<Option<RangeInclusive<usize>>> {
    let mut live_ranges: Vec<Option<RangeInclusive<usize>>> = vec![None; placement.buffers.len()];
    for (step, pending_step) in steps.iter().enumerate() {
        for BufferId(used) in pending_step.buffers().filter(|used| placement.buffers[used.0].home == BufferHome::Arena)
        {
            let first = live_ranges[used].as_ref().map_or(step, |range| *range.start());
            live_ranges[used] = Some(first..=step);
        }
    }
    live_ranges
}

/// Places the buffers of steps that run in stages: (steps, whether they run by micro-batches).
pub fn plan(steps: &[PendingStep], placement: &Placement, stages: &[(Range<usize>, bool)]) -> Arena {
    let mut spaces: Vec<_> =
        placement.buffers.iter().map(|buffer| buffer.home.fixed().map(|space| (space, 0))).collect();
    let (mut chunks, mut batch, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    chunks.resize_with(stages.len(), Vec::new);
    let stage_of = |step: usize| stages.partition_point(|(steps, _)| steps.end <= step);
    for (index, steps) in live_ranges(steps, placement).into_iter().enumerate() {
        let (Some(steps), buffer) = (steps, &placement.buffers[index]) else { continue };
        let floats = buffer.floats().next_multiple_of(CONSTANT_ALIGNMENT);
        let (first, last) = (stage_of(*steps.start()), stage_of(*steps.end()));
        let (list, steps) = match stages.get(first) {
            _ if buffer.is_unbatched => (&mut whole, steps),
            Some((_, true)) if first == last => (&mut chunks[first], steps),
            // A buffer that leaves a stage is live while any micro-batch of it is computed.
            Some((all, true)) => (&mut batch, all.start..=*steps.end()),
            _ => (&mut batch, steps),
        };
        // So is one that enters a stage.
        let steps = match stages.get(last) {
            Some((all, true)) if first != last && !buffer.is_unbatched => *steps.start()..=all.end - 1,
            _ => steps,
        };
        list.push(LiveRange { buffer: BufferId(index), floats, steps });
    }
    let mut alive = Changes::new(steps.len());
    for range in chunks.iter().flatten().chain(&batch) {
        alive.add(*range.steps.start()..range.steps.end() + 1, range.floats);
    }
    let lower_bound = alive.sums().into_iter().max().unwrap_or(0);
    let chunk_floats = chunks.into_iter().map(|chunk| assign(chunk, Space::MicroBatch, &mut spaces)).collect();
    let batch_floats = assign(batch, Space::Batch, &mut spaces);
    let unbatched_floats = assign(whole, Space::Unbatched, &mut spaces);
    Arena { spaces, chunk_floats, batch_floats, unbatched_floats, lower_bound }
}

/// A number for each step, given by where it changes.
pub struct Changes(Vec<isize>);

impl Changes {
    pub fn new(steps: usize) -> Self {
        Changes(vec![0; steps + 1])
    }

    pub fn add(&mut self, steps: Range<usize>, number: usize) {
        let end = self.0.len() - 1;
        self.0[steps.start.min(end)] += number as isize;
        self.0[steps.end.min(end)] -= number as isize;
    }

    pub fn sums(&self) -> Vec<usize> {
        let steps = &self.0[..self.0.len() - 1];
        let sum = |sum: &mut isize, change: &isize| {
            *sum += change;
            Some(usize::try_from(*sum).unwrap_or(0))
        };
        steps.iter().scan(0, sum).collect()
    }
}

/// Assigns an offset to each buffer. Returns the floats that all need together.
fn assign(mut live_ranges: Vec<LiveRange>, space: Space, spaces: &mut [Option<(Space, usize)>]) -> usize {
    live_ranges.sort_by_key(|range| (std::cmp::Reverse(range.floats), *range.steps.start(), range.buffer.0));
    let mut placed = Overlaps::new(live_ranges.iter().map(|range| range.steps.end() + 1).max().unwrap_or(0));
    let mut offsets: Vec<usize> = Vec::with_capacity(live_ranges.len());
    let mut end = 0;
    for (index, range) in live_ranges.iter().enumerate() {
        let met = placed.with(&range.steps).into_iter();
        let mut taken: Vec<(usize, usize)> =
            met.map(|at| (offsets[at], offsets[at] + live_ranges[at].floats)).collect();
        taken.sort_unstable();
        let (mut gap_start, mut best): (usize, Option<(usize, usize)>) = (0, None);
        for (from, to) in taken {
            let gap = from.saturating_sub(gap_start);
            if gap >= range.floats && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, gap_start));
            }
            gap_start = gap_start.max(to);
        }
        let offset = best.map_or(gap_start, |(_, at)| at);
        end = end.max(offset + range.floats);
        spaces[range.buffer.0] = Some((space, offset));
        offsets.push(offset);
        placed.add(index, &range.steps);
    }
    end
}

/// Finds the ranges of steps that overlap a given one: a segment tree has those that contain its start, a map by start the
/// others.
struct Overlaps {
    /// The ranges that cover a node of the tree and not the one above it.
    covered: Vec<Vec<usize>>,
    starting: BTreeMap<usize, Vec<usize>>,
    leaves: usize,
}

impl Overlaps {
    /// For ranges of up to `steps` steps.
    fn new(steps: usize) -> Self {
        let leaves = steps.next_power_of_two();
        Overlaps { covered: vec![Vec::new(); 2 * leaves], starting: BTreeMap::new(), leaves }
    }

    fn add(&mut self, name: usize, steps: &RangeInclusive<usize>) {
        self.starting.entry(*steps.start()).or_default().push(name);
        let (mut from, mut to) = (steps.start() + self.leaves, steps.end() + self.leaves + 1);
        while from < to {
            if from % 2 == 1 {
                self.covered[from].push(name);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                self.covered[to].push(name);
            }
            (from, to) = (from / 2, to / 2);
        }
    }

    /// The names of the ranges that share a step with this one.
    fn with(&self, steps: &RangeInclusive<usize>) -> Vec<usize> {
        let mut node = steps.start() + self.leaves;
        let mut names = Vec::new();
        while node > 0 {
            names.extend(&self.covered[node]);
            node /= 2;
        }
        if steps.start() < steps.end() {
            names.extend(self.starting.range(steps.start() + 1..=*steps.end()).flat_map(|(_, list)| list));
        }
        names
    }
}

impl Arena {
    /// The operand of a tensor that is read in rows of `width` values.
    pub fn operand(&self, placement: &Placement, value: &TensorRef, width: usize) -> Operand {
        let (space, offset) = self.spaces[value.buffer.0].unwrap_or((Space::MicroBatch, 0));
        let buffer = &placement.buffers[value.buffer.0];
        // Only buffers of the arena are padded to cache lines; the caller's have no gaps.
        let batch_stride = match space {
            Space::MicroBatch | Space::Batch => {
                buffer.floats().next_multiple_of(CONSTANT_ALIGNMENT) * buffer.format.per_word()
            }
            Space::Input(_) | Space::Output(_) | Space::Unbatched | Space::State => buffer.values,
        };
        Operand {
            space,
            offset,
            batch_stride,
            channel_offset: value.channel_offset,
            row_stride: value.row_stride.unwrap_or(width),
            format: buffer.format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Overlaps;

    #[test]
    fn overlaps_are_those_of_a_linear_search() {
        let ends = |index: usize| (index * 7919 % 61, index * 104_729 % 23);
        let ranges: Vec<_> = (0..200).map(ends).map(|(start, length)| start..=start + length).collect();
        let mut overlaps = Overlaps::new(84);
        for (index, range) in ranges.iter().enumerate() {
            let meets = |other: &usize| range.start() <= ranges[*other].end() && ranges[*other].start() <= range.end();
            let mut found = overlaps.with(range);
            found.sort_unstable();
            assert_eq!(found, (0..index).filter(meets).collect::<Vec<_>>(), "{range:?}");
            overlaps.add(index, range);
        }
    }
}
