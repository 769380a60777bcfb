//! The memory of a session: four parts, and places in them. The unsafe code here hands out parts of one allocation; that
//! they do not overlap where one is written was checked when the plan was verified.

use crate::plan::{Operand, Space};
use memmap2::MmapMut;
use std::ops::Range;

/// Bytes of a huge page of x86-64 and, most often, of aarch64.
const HUGE_PAGE: usize = 2 << 20;

/// Floats after a step's scratch that it must leave alone.
pub const GUARD: usize = 1024;

/// What stands in scratch that is guarded: no number, and of bits that no computation gives.
const UNTOUCHED: u32 = 0x7fc0_5afe;

/// Scratch for a chunk, for the batch, for tensors without one, and for kernels.
#[derive(Debug, Default)]
pub struct Arena {
    chunk: Aligned,
    batch: Aligned,
    whole: Aligned,
    scratch: Aligned,
}

/// How many floats each part has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    pub chunk: usize,
    pub batch: usize,
    pub whole: usize,
    pub scratch: usize,
}

/// Floats in pages of their own that begin at a cache line, and at a huge page where they fill one.
#[derive(Debug, Default)]
pub struct Aligned {
    /// None where there are no floats.
    pages: Option<MmapMut>,
    bytes: Range<usize>,
}

impl Aligned {
    /// So many zeros; none where the system does not give the memory. Pages that no step reaches are never really used.
    pub fn try_new(len: usize) -> Option<Self> {
        if len == 0 {
            return Some(Self::default());
        }
        let bytes = len.checked_mul(size_of::<f32>())?;
        let slack = if bytes < HUGE_PAGE { 0 } else { HUGE_PAGE };
        let pages = MmapMut::map_anon(bytes.checked_add(slack)?).ok()?;
        // Tiles are gathered from all over an image: with small pages their addresses are looked up more often than
        // the processor remembers. A system without huge pages refuses the advice, which does no harm.
        #[cfg(target_os = "linux")]
        if slack > 0 {
            let _ = pages.advise(memmap2::Advice::HugePage);
        }
        let start = if slack > 0 { pages.as_ptr().align_offset(HUGE_PAGE).min(slack) } else { 0 };
        Some(Aligned { pages: Some(pages), bytes: start..start + bytes })
    }

    /// So many zeros.
    ///
    /// # Panics
    /// Where the system does not give the memory.
    pub fn new(len: usize) -> Self {
        Self::try_new(len).expect("the system gives memory")
    }

    /// The floats.
    pub fn floats(&self) -> &[f32] {
        self.pages.as_ref().map_or(&[], |pages| bytemuck::cast_slice(&pages[self.bytes.clone()]))
    }

    /// The floats, to be changed.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        self.pages.as_mut().map_or(&mut [], |pages| bytemuck::cast_slice_mut(&mut pages[self.bytes.clone()]))
    }

    fn raw(&mut self) -> (*mut f32, usize) {
        let floats = self.floats_mut();
        (floats.as_mut_ptr(), floats.len())
    }
}

/// So many zeros; none where the system does not give the memory.
pub fn zeros(len: usize) -> Option<Vec<f32>> {
    // Zeroed pages come from the system untouched, so that memory that no step reaches is never really used; but only
    // a reservation can be refused without an end of the program, so one is made first and given back.
    Vec::<f32>::new().try_reserve_exact(len).ok()?;
    Some(vec![0.0; len])
}

/// The parts of an arena while a step runs.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    chunk: (*mut f32, usize),
    batch: (*mut f32, usize),
    whole: (*mut f32, usize),
    state: (*mut f32, usize),
    scratch: (*mut f32, usize),
    memory: std::marker::PhantomData<&'a mut Arena>,
}

/// A tensor's place in one part.
#[derive(Clone, Copy)]
pub struct Located {
    start: *mut f32,
    len: usize,
}

impl Sizes {
    /// All of it; none where that is beyond any machine.
    pub fn bytes(&self) -> Option<usize> {
        let parts = [self.chunk, self.batch, self.whole, self.scratch];
        parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part))?.checked_mul(size_of::<f32>())
    }
}

impl Arena {
    /// Of so many floats in each part; none where the system does not give them.
    pub fn try_new(sizes: Sizes) -> Option<Self> {
        let Sizes { chunk, batch, whole, scratch } = sizes;
        Some(Arena {
            chunk: Aligned::try_new(chunk)?,
            batch: Aligned::try_new(batch)?,
            whole: Aligned::try_new(whole)?,
            scratch: Aligned::try_new(scratch)?,
        })
    }

    /// Fills so many floats of scratch, and [`GUARD`] more, with what is no number.
    pub fn guard(&mut self, scratch: usize) {
        self.scratch.floats_mut()[..scratch + GUARD].fill(f32::from_bits(UNTOUCHED));
    }

    /// Whether what stands after so many floats of scratch is as [`Arena::guard`] has left it.
    pub fn is_untouched(&self, scratch: usize) -> bool {
        self.scratch.floats()[scratch..scratch + GUARD].iter().all(|value| value.to_bits() == UNTOUCHED)
    }

    /// The parts, with so many floats of scratch, and the state that a step may change.
    pub fn parts<'a>(&'a mut self, scratch: usize, state: &'a mut [f32]) -> Parts<'a> {
        let (begin, reserved) = self.scratch.raw();
        assert!(scratch <= reserved, "scratch was not reserved");
        Parts {
            chunk: self.chunk.raw(),
            batch: self.batch.raw(),
            whole: self.whole.raw(),
            state: (state.as_mut_ptr(), state.len()),
            scratch: (begin, scratch),
            memory: std::marker::PhantomData,
        }
    }
}

impl<'a> Parts<'a> {
    /// Where the given images of an operand stand, to the end of its buffer.
    pub fn locate(&self, operand: &Operand, images: &Range<usize>, batch: usize) -> Located {
        let (part, before, count, first) = match operand.space {
            Space::MicroBatch => (self.chunk, operand.offset * images.len(), images.len(), 0),
            Space::Unbatched => (self.whole, operand.offset, 1, 0),
            Space::State => (self.state, operand.offset, 1, 0),
            _ => (self.batch, operand.offset * batch, batch, images.start),
        };
        let (from, to) =
            (before + first * operand.batch_stride + operand.channel_offset, before + count * operand.batch_stride);
        assert!(from <= to && to <= part.1, "an operand lies outside the arena");
        // SAFETY: `from` is within the allocation, by the assertion.
        Located { start: unsafe { part.0.add(from) }, len: to - from }
    }

    /// A place to read.
    ///
    /// # Safety
    /// Nothing may write there while the slice lives.
    pub unsafe fn read(&self, place: Located) -> &'a [f32] {
        // SAFETY: within the allocation by `locate`; not written by the caller's promise.
        unsafe { std::slice::from_raw_parts(place.start, place.len) }
    }

    /// A place to write.
    ///
    /// # Safety
    /// No other slice may overlap it while it lives.
    pub unsafe fn write(&self, place: Located) -> &'a mut [f32] {
        // SAFETY: within the allocation by `locate`; alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(place.start, place.len) }
    }

    /// The scratch.
    ///
    /// # Safety
    /// It may be taken once at a time.
    pub unsafe fn scratch(&self) -> &'a mut [f32] {
        // SAFETY: a part of its own; alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.scratch.0, self.scratch.1) }
    }
}

/// A slice with another lifetime.
///
/// # Safety
/// It must not be used while its memory is written or gone.
pub unsafe fn shared<'a>(slice: &[f32]) -> &'a [f32] {
    // SAFETY: by the caller's promise.
    unsafe { std::slice::from_raw_parts(slice.as_ptr(), slice.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_after_a_steps_scratch_is_seen() {
        let sizes = Sizes { scratch: 100 + GUARD, ..Sizes::default() };
        let mut arena = Arena::try_new(sizes).expect("memory");
        for (place, untouched) in [(0, true), (99, true), (100, false), (99 + GUARD, false)] {
            arena.guard(100);
            assert!(arena.scratch.floats()[..100].iter().all(|value| value.is_nan()));
            arena.scratch.floats_mut()[place] = 0.0;
            assert_eq!(arena.is_untouched(100), untouched, "{place}");
        }
    }
}
