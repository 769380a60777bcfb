//! The memory of a session: four arenas, and the tensors in them. The unsafe code here creates slices of the same allocation;
//! the verified plan guarantees that no slice overlaps one that is written.

use crate::plan::{Operand, Space};
use memmap2::MmapMut;
use std::ops::Range;

/// Bytes of a huge page of x86-64 and, usually, of aarch64.
const HUGE_PAGE: usize = 2 << 20;

/// Floats after a step's scratch that the step must not write.
pub const GUARD: usize = 1024;

/// The fill of guarded scratch: a NaN with bits that no computation produces.
const UNTOUCHED: u32 = 0x7fc0_5afe;

/// Memory for a micro-batch, for the batch, for tensors without one, and for the scratch of kernels.
#[derive(Debug, Default)]
pub struct Arena {
    micro_batch: Aligned,
    batch: Aligned,
    unbatched: Aligned,
    scratch: Aligned,
}

/// The number of floats of each arena.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    pub micro_batch: usize,
    pub batch: usize,
    pub unbatched: usize,
    pub scratch: usize,
}

/// Floats in separate pages, aligned to a page, and to a huge page if they fill one.
#[derive(Debug, Default)]
pub struct Aligned {
    /// `None` for no floats.
    pages: Option<MmapMut>,
    bytes: Range<usize>,
}

impl Aligned {
    /// `len` zeros; `None` if there is not enough memory. Pages that no step touches take no physical memory.
    pub fn try_new(len: usize) -> Option<Self> {
        if len == 0 {
            return Some(Self::default());
        }
        let bytes = len.checked_mul(size_of::<f32>())?;
        let slack = if bytes < HUGE_PAGE { 0 } else { HUGE_PAGE };
        let pages = MmapMut::map_anon(bytes.checked_add(slack)?).ok()?;
        // Tiles are gathered from all over an image: with small pages they miss the TLB. A system without huge pages
        // refuses the advice, which does no harm.
        #[cfg(target_os = "linux")]
        if slack > 0 {
            let _ = pages.advise(memmap2::Advice::HugePage);
        }
        let start = if slack > 0 { pages.as_ptr().align_offset(HUGE_PAGE).min(slack) } else { 0 };
        Some(Aligned { pages: Some(pages), bytes: start..start + bytes })
    }

    /// The floats.
    pub fn floats(&self) -> &[f32] {
        self.pages.as_ref().map_or(&[], |pages| bytemuck::cast_slice(&pages[self.bytes.clone()]))
    }

    /// The floats.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        self.pages.as_mut().map_or(&mut [], |pages| bytemuck::cast_slice_mut(&mut pages[self.bytes.clone()]))
    }

    fn raw(&mut self) -> (*mut f32, usize) {
        let floats = self.floats_mut();
        (floats.as_mut_ptr(), floats.len())
    }
}

/// `len` zeros; `None` if there is not enough memory.
pub fn zeros(len: usize) -> Option<Vec<f32>> {
    // `vec![0.0; len]` gets untouched zero pages but aborts the program if it fails, so a fallible reservation is made and
    // dropped first.
    Vec::<f32>::new().try_reserve_exact(len).ok()?;
    Some(vec![0.0; len])
}

/// The arenas while a step runs.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    micro_batch: (*mut f32, usize),
    batch: (*mut f32, usize),
    unbatched: (*mut f32, usize),
    state: (*mut f32, usize),
    scratch: (*mut f32, usize),
    memory: std::marker::PhantomData<&'a mut Arena>,
}

/// The memory of a tensor in one arena.
#[derive(Clone, Copy)]
pub struct Located {
    start: *mut f32,
    len: usize,
}

impl Sizes {
    /// The bytes of all arenas; `None` on overflow.
    pub fn bytes(&self) -> Option<usize> {
        let parts = [self.micro_batch, self.batch, self.unbatched, self.scratch];
        parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part))?.checked_mul(size_of::<f32>())
    }
}

impl Arena {
    /// Allocates the arenas; `None` if there is not enough memory.
    pub fn try_new(sizes: Sizes) -> Option<Self> {
        let Sizes { micro_batch, batch, unbatched, scratch } = sizes;
        Some(Arena {
            micro_batch: Aligned::try_new(micro_batch)?,
            batch: Aligned::try_new(batch)?,
            unbatched: Aligned::try_new(unbatched)?,
            scratch: Aligned::try_new(scratch)?,
        })
    }

    /// Fills `scratch` floats of scratch, and [`GUARD`] more, with a NaN.
    pub fn guard(&mut self, scratch: usize) {
        self.scratch.floats_mut()[..scratch + GUARD].fill(f32::from_bits(UNTOUCHED));
    }

    /// Whether the [`GUARD`] floats after `scratch` floats are as [`Arena::guard`] has left them.
    pub fn is_untouched(&self, scratch: usize) -> bool {
        self.scratch.floats()[scratch..scratch + GUARD].iter().all(|value| value.to_bits() == UNTOUCHED)
    }

    /// The arenas, with `scratch` floats of scratch, and the state that a step may change.
    pub fn parts<'a>(&'a mut self, scratch: usize, state: &'a mut [f32]) -> Parts<'a> {
        let (begin, reserved) = self.scratch.raw();
        assert!(scratch <= reserved, "scratch was not reserved");
        Parts {
            micro_batch: self.micro_batch.raw(),
            batch: self.batch.raw(),
            unbatched: self.unbatched.raw(),
            state: (state.as_mut_ptr(), state.len()),
            scratch: (begin, scratch),
            memory: std::marker::PhantomData,
        }
    }
}

impl<'a> Parts<'a> {
    /// The memory of the given images of an operand, to the end of its buffer.
    pub fn locate(&self, operand: &Operand, images: &Range<usize>, batch: usize) -> Located {
        let (part, before, count, first) = match operand.space {
            Space::MicroBatch => (self.micro_batch, operand.offset * images.len(), images.len(), 0),
            Space::Unbatched => (self.unbatched, operand.offset, 1, 0),
            Space::State => (self.state, operand.offset, 1, 0),
            _ => (self.batch, operand.offset * batch, batch, images.start),
        };
        let image = operand.image_floats();
        let (from, to) = (before + first * image + operand.floats_before(), before + count * image);
        assert!(from <= to && to <= part.1, "an operand lies outside the arena");
        // SAFETY: `from` is within the allocation, by the assertion.
        Located { start: unsafe { part.0.add(from) }, len: to - from }
    }

    /// A slice to read.
    ///
    /// # Safety
    /// Nothing may write to it while it lives.
    pub unsafe fn read(&self, located: Located) -> &'a [f32] {
        // SAFETY: within the allocation by `locate`; not written, as the caller guarantees.
        unsafe { std::slice::from_raw_parts(located.start, located.len) }
    }

    /// A slice to write.
    ///
    /// # Safety
    /// No other slice may overlap it while it lives.
    pub unsafe fn write(&self, located: Located) -> &'a mut [f32] {
        // SAFETY: within the allocation by `locate`; exclusive, as the caller guarantees.
        unsafe { std::slice::from_raw_parts_mut(located.start, located.len) }
    }

    /// The scratch.
    ///
    /// # Safety
    /// Only one such slice may live at a time.
    pub unsafe fn scratch(&self) -> &'a mut [f32] {
        // SAFETY: a separate allocation; exclusive, as the caller guarantees.
        unsafe { std::slice::from_raw_parts_mut(self.scratch.0, self.scratch.1) }
    }
}

/// A slice with another lifetime.
///
/// # Safety
/// It must not be used while its memory is written or after it is freed.
pub unsafe fn shared<'a>(slice: &[f32]) -> &'a [f32] {
    // SAFETY: as the caller guarantees.
    unsafe { std::slice::from_raw_parts(slice.as_ptr(), slice.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_after_a_steps_scratch_are_detected() {
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
