//! One arena by lifetimes: buffers that are never alive at the same time share memory. The largest are placed first, each
//! in the smallest gap that holds it (the greedy-by-size method of Pisarchyk and Lee, 2020).

use super::place::{BufferId, Placement, Value};
use super::{Draft, Home};
use crate::plan::{CONSTANT_ALIGNMENT, Operand, Space};
use std::ops::RangeInclusive;

/// Where every buffer stands; floats count per image, but for those without a batch.
#[derive(Debug)]
pub struct Arena {
    spaces: Vec<Option<(Space, usize)>>,
    pub chunk_floats: usize,
    pub batch_floats: usize,
    pub whole_floats: usize,
    pub lower_bound: usize,
}

/// A buffer and the steps that it is alive at.
struct Life {
    buffer: BufferId,
    floats: usize,
    steps: RangeInclusive<usize>,
}

/// Places the buffers of some steps, the first `chunk_steps` of which run for a chunk of the batch at a time.
pub fn plan(drafts: &[Draft], placement: &Placement, chunk_steps: usize) -> Arena {
    let mut spaces = vec![None; placement.buffers.len()];
    let (mut chunk, mut batch, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for (index, buffer) in placement.buffers.iter().enumerate() {
        let id = BufferId(index);
        if let Home::Fixed(space) = buffer.home {
            spaces[index] = Some((space, 0));
            continue;
        }
        let uses = |(step, draft): (usize, &Draft)| draft.buffers().any(|used| used == id).then_some(step);
        let mut steps = drafts.iter().enumerate().filter_map(uses);
        let Some(first) = steps.next() else { continue };
        let last = steps.next_back().unwrap_or(first);
        let floats = buffer.floats.next_multiple_of(CONSTANT_ALIGNMENT);
        if buffer.whole {
            whole.push(Life { buffer: id, floats, steps: first..=last });
            continue;
        }
        // What crosses from the chunks to the whole batch is alive while any chunk is computed.
        let (list, steps) = match (first < chunk_steps, last < chunk_steps) {
            (true, true) => (&mut chunk, first..=last),
            (true, false) => (&mut batch, 0..=last),
            (false, _) => (&mut batch, first..=last),
        };
        list.push(Life { buffer: id, floats, steps });
    }
    let live = |step: usize| -> usize {
        chunk.iter().chain(&batch).filter(|life| life.steps.contains(&step)).map(|life| life.floats).sum()
    };
    let lower_bound = (0..drafts.len()).map(live).max().unwrap_or(0);
    let chunk_floats = assign(chunk, Space::Chunk, &mut spaces);
    let batch_floats = assign(batch, Space::Batch, &mut spaces);
    let whole_floats = assign(whole, Space::Whole, &mut spaces);
    Arena { spaces, chunk_floats, batch_floats, whole_floats, lower_bound }
}

/// Gives each buffer its offset; returns the floats that all need together.
fn assign(mut lives: Vec<Life>, space: Space, spaces: &mut [Option<(Space, usize)>]) -> usize {
    lives.sort_by_key(|life| (std::cmp::Reverse(life.floats), *life.steps.start(), life.buffer.0));
    let mut placed: Vec<(usize, Life)> = Vec::new();
    let mut end = 0;
    for life in lives {
        let meets = |other: &Life| life.steps.start() <= other.steps.end() && other.steps.start() <= life.steps.end();
        let mut taken: Vec<(usize, usize)> =
            placed.iter().filter(|(_, other)| meets(other)).map(|(at, other)| (*at, at + other.floats)).collect();
        taken.sort_unstable();
        let (mut gap_start, mut best): (usize, Option<(usize, usize)>) = (0, None);
        for (from, to) in taken {
            let gap = from.saturating_sub(gap_start);
            if gap >= life.floats && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, gap_start));
            }
            gap_start = gap_start.max(to);
        }
        let offset = best.map_or(gap_start, |(_, at)| at);
        end = end.max(offset + life.floats);
        spaces[life.buffer.0] = Some((space, offset));
        placed.push((offset, life));
    }
    end
}

impl Arena {
    /// A tensor's place, seen in rows of `width` floats.
    pub fn operand(&self, placement: &Placement, value: &Value, width: usize) -> Operand {
        let (space, offset) = self.spaces[value.buffer.0].unwrap_or((Space::Chunk, 0));
        let floats = placement.buffers[value.buffer.0].floats;
        // Only the arena's buffers are padded to whole cache lines; the caller's follow each other.
        let image = match space {
            Space::Chunk | Space::Batch => floats.next_multiple_of(CONSTANT_ALIGNMENT),
            Space::Input(_) | Space::Output(_) | Space::Whole | Space::State => floats,
        };
        Operand { space, offset, image, skip: value.skip, ld: value.ld.unwrap_or(width) }
    }
}
