//! The memory in which a thread packs operands.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Floats of a page, to which the buffer is aligned: a core's kernels read what they packed in whole vectors.
const PAGE: usize = 1024;

/// Zeroed memory that takes no page before it is written.
pub struct Buffer {
    memory: NonNull<u8>,
    layout: Layout,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` floats, if there is memory for it.
    pub fn try_new(len: usize) -> Option<Self> {
        // Asked for with the alignment that the system's own zeroed pages have, and aligned within.
        let layout = Layout::array::<f32>(len.checked_add(PAGE)?).ok()?;
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { memory, layout, len })
    }

    pub fn floats(&mut self) -> &mut [f32] {
        let begin = self.memory.as_ptr().cast::<f32>();
        // A float's address is aligned within a page's floats; where the system cannot tell, it is used as it is.
        let skip = begin.align_offset(PAGE * size_of::<f32>()).min(PAGE);
        // SAFETY: the memory has a page's floats more than `len`, all of them initialised, and is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(begin.add(skip), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the memory came from this allocator with this layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) }
    }
}
