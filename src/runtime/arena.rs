//! The memory of a session: four parts, and places in them. The unsafe code here hands out parts of one allocation; that
//! they do not overlap where one is written was checked when the plan was verified.

use crate::plan::{Operand, Space};
use std::ops::Range;

/// Floats of a cache line.
const LINE: usize = 16;

/// Scratch for a chunk, for the batch, for tensors without one, and for kernels.
#[derive(Debug)]
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

/// Floats that begin at a cache line.
#[derive(Debug)]
pub struct Aligned {
    floats: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// So many zeros; none where the system does not give the memory.
    pub fn try_new(len: usize) -> Option<Self> {
        let floats = zeros(len.checked_add(LINE)?)?;
        let start = floats.as_ptr().align_offset(64).min(LINE);
        Some(Aligned { floats, start, len })
    }

    /// So many zeros.
    ///
    /// # Panics
    /// Where the system does not give the memory.
    pub fn new(len: usize) -> Self {
        Self::try_new(len).expect("the system gives memory")
    }

    fn pointer(&mut self) -> *mut f32 {
        self.floats[self.start..].as_mut_ptr()
    }

    /// The floats.
    pub fn floats(&self) -> &[f32] {
        &self.floats[self.start..self.start + self.len]
    }

    /// The floats, to be changed.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..self.start + self.len]
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

impl Default for Arena {
    fn default() -> Self {
        let nothing = || Aligned { floats: vec![0.0; LINE], start: 0, len: 0 };
        Arena { chunk: nothing(), batch: nothing(), whole: nothing(), scratch: nothing() }
    }
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

    /// The parts, with so many floats of scratch, and the state that a step may change.
    pub fn parts<'a>(&'a mut self, scratch: usize, state: &'a mut [f32]) -> Parts<'a> {
        assert!(scratch <= self.scratch.len, "scratch was not reserved");
        Parts {
            chunk: (self.chunk.pointer(), self.chunk.len),
            batch: (self.batch.pointer(), self.batch.len),
            whole: (self.whole.pointer(), self.whole.len),
            state: (state.as_mut_ptr(), state.len()),
            scratch: (self.scratch.pointer(), scratch),
            memory: std::marker::PhantomData,
        }
    }
}

impl<'a> Parts<'a> {
    /// Where the given images of an operand stand, to the end of its buffer.
    pub fn locate(&self, operand: &Operand, images: &Range<usize>, batch: usize) -> Located {
        let (part, before, count, first) = match operand.space {
            Space::Chunk => (self.chunk, operand.offset * images.len(), images.len(), 0),
            Space::Whole => (self.whole, operand.offset, 1, 0),
            Space::State => (self.state, operand.offset, 1, 0),
            _ => (self.batch, operand.offset * batch, batch, images.start),
        };
        let (from, to) = (before + first * operand.image + operand.skip, before + count * operand.image);
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
