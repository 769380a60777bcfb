//! A thread's page-aligned buffer for packed GEMM operands.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Floats of a page, the buffer's alignment: OpenBLAS' kernels use aligned loads on packed operands.
const PAGE: usize = 1024;

/// Zeroed memory, whose pages the system maps on the first write.
pub struct Buffer {
    memory: NonNull<u8>,
    layout: Layout,
    len: usize,
}

impl Buffer {
    /// Allocates a buffer of `len` floats; none if out of memory.
    pub fn try_new(len: usize) -> Option<Self> {
        let layout = Self::layout(len)?;
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { memory, layout, len })
    }

    /// Over-allocated by a page and aligned by hand: with a larger alignment in the layout, allocators clear the memory.
    fn layout(len: usize) -> Option<Layout> {
        Layout::array::<f32>(len.checked_add(PAGE)?).ok()
    }

    /// Ends the program as any failed allocation does.
    pub fn refused(len: usize) -> ! {
        handle_alloc_error(Self::layout(len).unwrap_or(Layout::new::<f32>()))
    }

    pub fn floats(&mut self) -> &mut [f32] {
        let begin = self.memory.as_ptr().cast::<f32>();
        // `align_offset` may fail (`usize::MAX`), as under Miri: then the buffer ends up unaligned, which is only slower.
        let skip = begin.align_offset(PAGE * size_of::<f32>()).min(PAGE);
        // SAFETY: the memory has a page more than `len` floats, all initialised, and is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(begin.add(skip), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the memory came from this allocator with this layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) }
    }
}
